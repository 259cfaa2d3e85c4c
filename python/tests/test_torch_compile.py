"""torch.compile(model, backend="wafer"): results equal PyTorch's own, graph breaks work, and what cannot be compiled is said."""

import os
import subprocess
import sys

import pytest
import torch
import wafer
from torch import nn


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


X = random(3, 7)


@pytest.fixture(autouse=True)
def fresh():
    torch._dynamo.reset()
    torch.manual_seed(0)


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.norm, self.fc2 = nn.Linear(7, 5), nn.LayerNorm(5), nn.Linear(5, 3)
        self.scale = torch.full((3,), 2.0)
        self.register_buffer("offset", torch.arange(3), persistent=False)

    def forward(self, x):
        hidden = self.norm(self.fc1(x)).relu()
        return self.fc2(hidden) * self.scale + self.offset


def compiled(model, **options):
    """The compiled model and the programs that it has become."""
    programs = []
    return torch.compile(model, backend="wafer", options={"on_program": programs.append, **options}), programs


def assert_same(found, wanted):
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


def test_results_equal_pytorchs_own():
    model = Classifier().eval()
    run, programs = compiled(model)
    assert_same(run(X), model(X))
    (program,) = programs
    assert {info.name for info in program.weights} == {"fc1.weight", "fc1.bias", "norm.weight", "norm.bias", "fc2.weight", "fc2.bias", "scale"}
    assert {op.placement for op in program.ops if "linear" in op.name} == {"wafer"}


def test_the_backend_is_found_without_importing_the_package():
    code = """
import sys, torch
model = torch.nn.Linear(7, 5).eval()
x = torch.ones(3, 7)
assert "wafer" not in sys.modules
torch.testing.assert_close(torch.compile(model, backend="wafer")(x), model(x))
"""
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})


def test_importing_the_package_imports_no_framework():
    code = "import sys, wafer; assert not {'torch', 'jax', 'onnx'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})


def test_options_are_those_of_compile():
    run, programs = compiled(Classifier().eval(), machine="tiny", precision="bf16", engine="cycle")
    run(X)
    assert (programs[0].machine, programs[0].engine) == ("tiny", "cycle")
    assert programs[0].stats.cycles > 0


def test_structures_types_and_numbers_come_back():
    class Model(nn.Module):
        def forward(self, x, flag):
            return {"places": x.argmax(-1), "above": x > 0, "both": (x * 2, x.shape[0]), "none": None, "half": x.to(torch.bfloat16), "same": x}

    model = Model()
    found, wanted = torch.compile(model, backend="wafer")(X, True), model(X, True)
    assert found.keys() == wanted.keys()
    for name in ("places", "above", "half", "same"):
        assert found[name].dtype == wanted[name].dtype
        assert_same(found[name], wanted[name])
    assert_same(found["both"][0], wanted["both"][0])
    assert found["both"][1] == 3 and found["none"] is None


def test_each_part_of_a_broken_graph_is_a_program():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(7, 5), nn.Linear(5, 3)

        def forward(self, x):
            x = self.first(x)
            if x.sum() > 0:
                x = -x
            return self.second(x)

    model = Model().eval()
    run, programs = compiled(model)
    for x in (X, -X):
        assert_same(run(x), model(x))
    assert len(programs) == 3  # before, and after in both branches
    assert [info.name for info in programs[0].weights] == ["first.weight", "first.bias"]
    assert {info.name for info in programs[1].weights} == {"second.weight", "second.bias"}


def test_other_shapes_get_programs_of_their_own():
    model = Classifier().eval()
    run, programs = compiled(model)
    for rows in (3, 4, 5, 4):
        x = random(rows, 7, seed=rows)
        assert_same(run(x), model(x))
    assert [program.inputs[0].shape[0] for program in programs] == [3, 4, 5]
    assert all("fc1.weight" in {info.name for info in program.weights} for program in programs)


def test_a_changed_parameter_is_seen_by_the_next_call():
    model = Classifier().eval()
    run, programs = compiled(model)
    run(X)
    with torch.no_grad():
        model.fc1.weight.mul_(-1)
    assert_same(run(X), model(X))
    model.fc2.weight = nn.Parameter(random(3, 5, seed=3))
    assert_same(run(X), model(X))
    model.norm.weight.data = random(5, seed=4)
    assert_same(run(X), model(X))


def test_a_function_is_compiled_too():
    def attention(q, k, v):
        return nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)

    q, k, v = (random(2, 5, 8, seed=seed) for seed in range(3))
    assert_same(torch.compile(attention, backend="wafer")(q, k, v), attention(q, k, v))


def test_tied_parameters():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.wte, self.head = nn.Embedding(11, 6), nn.Linear(6, 11, bias=False)
            self.head.weight = self.wte.weight

        def forward(self, ids):
            return self.head(self.wte(ids))

    model = Tied().eval()
    ids = torch.tensor([3, 0, 10])
    assert_same(torch.compile(model, backend="wafer")(ids), model(ids))


# What cannot be


class Fourier(nn.Module):
    def forward(self, x):
        y = x + 1
        return torch.fft.fft(y).abs()


def test_an_unknown_operation_is_named_with_the_users_line():
    with pytest.raises(torch._dynamo.exc.BackendCompilerFailed, match=r"(?s)UnsupportedOpError: .*test_torch_compile.py:\d+:9: error: 'aten._fft_r2c.default'.*torch.fft.fft\(y\)") as caught:
        torch.compile(Fourier(), backend="wafer")(X)
    assert isinstance(caught.value.inner_exception, wafer.UnsupportedOpError)
    assert caught.value.inner_exception.location.line == Fourier.forward.__code__.co_firstlineno + 2


def test_gradients_are_refused_when_they_are_asked_for():
    result = torch.compile(Classifier().eval(), backend="wafer")(X)
    assert result.requires_grad
    with pytest.raises(wafer.CompileError, match="found a backward through a model compiled with the backend wafer, which is for inference"):
        result.sum().backward()


def test_a_model_that_trains_is_refused():
    with pytest.raises(torch._dynamo.exc.BackendCompilerFailed, match=r"call model.eval\(\) before compiling"):
        torch.compile(nn.Sequential(nn.Linear(7, 5), nn.Dropout(0.5)).train(), backend="wafer")(X)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"options": {"precison": "f16"}}, "found option 'precison' for the backend wafer, expected one of machine, precision, engine, threads, on_program")],
)
def test_unknown_options_are_refused(arguments, message):
    with pytest.raises(torch._dynamo.exc.BackendCompilerFailed, match=message):
        torch.compile(Classifier().eval(), backend="wafer", **arguments)(X)
