"""wafer.compile: what it takes, and that the wafer computes what PyTorch computes, with the same bits on both engines."""

import json
import math

import numpy
import pytest
import torch
import torch.nn.functional as F
import wafer
from torch import nn

# Of values near 1: a unit in the last place of the type, times the depth of these models.
TOLERANCE = {"f16": 5e-3, "bf16": 4e-2, "f32": 1e-5}


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def perceptron(inputs=7, hidden=13, outputs=5):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs)).eval()


def bits(tensor):
    return tensor.numpy().tobytes()


def run(model, *inputs, **options):
    """The program and the functional engine's result, after a check that the cycle engine gives the same bits and MACs."""
    program = wafer.compile(model.eval(), inputs, **options)
    found = program(*inputs)
    macs = program.stats.macs_executed
    assert bits(program(*inputs, engine="cycle")) == bits(found)
    assert program.stats.macs_executed == macs
    return program, found


def expect_like_pytorch(model, *inputs, precision="f16", **options):
    program, found = run(model, *inputs, precision=precision, **options)
    with torch.no_grad():
        torch.testing.assert_close(found, model(*inputs), rtol=TOLERANCE[precision], atol=TOLERANCE[precision], equal_nan=True)
    return program


@pytest.mark.parametrize("machine", ["tiny", "odd", "small"])
@pytest.mark.parametrize("precision", ["f16", "bf16", "f32"])
def test_perceptron(machine, precision):
    program = expect_like_pytorch(perceptron(), random(11, 7), machine=machine, precision=precision)
    assert [op.placement for op in program.ops] == ["wafer", "wafer"]


# 7 x 5 cores: neither 1, nor 13, nor 36 tokens divide.
@pytest.mark.parametrize("batch", [1, 13, 36])
def test_batch_that_does_not_divide(batch):
    expect_like_pytorch(perceptron(), random(batch, 7), machine="odd")


def test_input_without_batch():
    expect_like_pytorch(perceptron(), random(7), machine="odd")


def test_layer_wider_than_the_machine():
    expect_like_pytorch(perceptron(130, 70, 33), random(9, 130), machine="tiny")


def test_batch_larger_than_the_machine_holds_runs_in_micro_batches():
    program = expect_like_pytorch(perceptron(), random(3000, 7), machine="tiny")
    assert any(phase["micro_batches"] > 1 for phase in program.stats.phases)


@pytest.mark.parametrize("machine", ["tiny", "odd"])
def test_softmax(machine):
    torch.manual_seed(0)
    expect_like_pytorch(nn.Sequential(nn.Linear(7, 13), nn.Softmax(-1)), random(11, 7), machine=machine)


@pytest.mark.parametrize("machine", ["tiny", "odd"])
def test_layer_norm(machine):
    torch.manual_seed(0)
    program = expect_like_pytorch(nn.Sequential(nn.Linear(7, 13), nn.LayerNorm(13)), random(11, 7), machine=machine)
    assert all(op.placement == "wafer" for op in program.ops)


def test_operation_without_a_wafer_kernel_runs_in_memoryx_and_says_why():
    program = expect_like_pytorch(Function(lambda x: x.cumsum(-1)), random(11, 7), machine="odd")
    (op,) = program.ops
    assert (op.placement, op.name) == ("memoryx", "cumsum")
    assert "linalg.index" in op.reason
    assert op.reason in program.report()


def test_model_that_is_on_both_sides():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = perceptron()

        def forward(self, x):
            return self.net(x.flip(-1)).cumsum(-1)

    program = expect_like_pytorch(Model(), random(11, 7), machine="odd")
    assert {op.placement for op in program.ops} == {"wafer", "memoryx"}


def test_nan_and_infinity_stay_in_their_rows():
    model, x = perceptron(), random(11, 7)
    x[3, 2], x[5, 1] = math.nan, math.inf
    _, found = run(model, x, machine="odd")
    with torch.no_grad():
        wanted = model(x)
    clean = [row for row in range(11) if row not in (3, 5)]
    torch.testing.assert_close(found[clean], wanted[clean], rtol=5e-3, atol=5e-3)
    assert not torch.isfinite(found[[3, 5]]).any(), "a NaN or an infinity went lost"


def test_exported_program():
    model, x = perceptron(), random(11, 7)
    exported = torch.export.export(model, (x,))
    program = wafer.compile(exported, machine="odd")
    assert bits(program(x)) == bits(wafer.compile(model, (x,), machine="odd")(x))


def test_mlir_text_and_file(saved, tmp_path):
    text = wafer.compile(saved.mlir, machine="odd")
    (tmp_path / "m.mlir").write_text(saved.mlir)
    file = wafer.compile(tmp_path / "m.mlir", machine="odd")
    assert text._executable == file._executable == saved.program._executable
    found = text.set_weights(saved.model.state_dict())(saved.x)
    assert bits(found) == bits(saved.program(saved.x))


def test_same_model_gives_the_same_executable():
    compiled = [wafer.compile(perceptron(), (random(11, 7),), machine="odd")._executable for _ in range(2)]
    assert compiled[0] == compiled[1]


def test_machine_may_be_a_file(saved):
    program = wafer.compile(saved.mlir, machine=saved.odd)
    assert program.machine == "odd"
    assert program._executable == saved.program._executable


def test_inputs_by_place_and_by_name_and_several_outputs():
    model = Function(lambda a, b: {"sum": F.relu(a + b), "product": a * b})
    program = wafer.compile(model, (random(4, 3), random(4, 3, seed=1)), machine="tiny")
    first, second = (info.name for info in program.inputs)
    assert [info.name for info in program.outputs] == ["sum", "product"]
    a, b = random(4, 3, seed=2), random(4, 3, seed=3)
    by_place, by_name = program(a, b), program(**{second: b, first: a})
    assert bits(by_place["sum"]) == bits(by_name["sum"])
    torch.testing.assert_close(by_place["product"], a * b, rtol=2e-3, atol=2e-3)


def test_numpy_in_numpy_out(saved):
    found = saved.program(saved.x.numpy())
    assert isinstance(found, numpy.ndarray)
    assert found.tobytes() == bits(saved.program(saved.x))


def test_tosa_text(tmp_path):
    (tmp_path / "m.mlir").write_text("""
        func.func @forward(%x: tensor<1x3x7xf32>, %w: tensor<1x7x5xf32>) -> tensor<1x3x5xf32> {
          %zero = "tosa.const"() <{values = dense<0.0> : tensor<1xf32>}> : () -> tensor<1xf32>
          %y = tosa.matmul %x, %w, %zero, %zero : (tensor<1x3x7xf32>, tensor<1x7x5xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x3x5xf32>
          %z = tosa.tanh %y : (tensor<1x3x5xf32>) -> tensor<1x3x5xf32>
          return %z : tensor<1x3x5xf32>
        }""")
    program = wafer.compile(tmp_path / "m.mlir", machine="odd", precision="f32")
    x, w = random(1, 3, 7), random(1, 7, 5, seed=1)
    torch.testing.assert_close(program(x, w), torch.tanh(x @ w))
    assert {op.placement for op in program.ops} == {"wafer"}


def test_name_is_that_of_the_entry():
    assert wafer.compile(perceptron(), (random(11, 7),), machine="odd", name="classify").entry == "classify"


def test_decision_trace_and_dumps(tmp_path):
    wafer.compile(perceptron(), (random(11, 7),), machine="odd", decision_trace=tmp_path / "trace", ir_dump_dir=tmp_path / "ir")
    assert all(json.loads(line) for line in (tmp_path / "trace").read_text().splitlines())
    assert list((tmp_path / "ir").rglob("*.mlir"))


def test_machines_are_listed_and_operations_too():
    assert {"tiny", "odd", "small", "die", "wse2", "wse3"} <= set(wafer.machines())
    assert "aten.linear.default" in wafer.supported_ops()


@pytest.mark.parametrize("model, shape", [
    (torch.nn.Linear(150_000, 3), (2, 150_000)),
    (torch.nn.Linear(3, 150_000), (2, 3)),
    (torch.nn.Softmax(-1), (2, 150_000)),
])  # fmt: skip
def test_features_that_no_row_of_cores_has_room_for_are_computed_in_memoryx(model, shape):
    torch.manual_seed(0)
    x = torch.randn(shape)
    program = wafer.compile(model.eval(), (x,), machine="tiny")
    wanted = model(x).detach()
    assert (program(x).detach() - wanted).abs().max() <= 2e-3 * wanted.abs().max()
    assert any("150000 features" in op.reason for op in program.stats.ops)


def test_sum_over_a_large_tensor_is_made_one_dimension_at_a_time():
    class Mean(torch.nn.Module):
        def forward(self, x):
            return (x * x).mean()

    torch.manual_seed(0)
    x = torch.randn(600, 700)
    program = wafer.compile(Mean(), (x,), machine="tiny")
    assert float(program(x)) == pytest.approx(float((x * x).mean()), rel=1e-3)
    assert all(phase["placement"] == "wafer" for phase in program.stats.phases)


def test_programs_have_the_same_bytes_whatever_else_compiles_at_the_time():
    from concurrent.futures import ThreadPoolExecutor

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = torch.nn.Linear(24, 40)

        def forward(self, x):
            return torch.softmax(torch.relu(self.fc(x)), -1)

    text = wafer.compile(Model().eval(), (torch.zeros(6, 24),), machine="odd").mlir

    def executable(_: int) -> bytes:
        return wafer._native.module().compile_text(text, "odd", "f16", ["forward"])[0]

    alone = executable(0)
    for threads in (2, 8):
        with ThreadPoolExecutor(threads) as pool:
            assert set(pool.map(executable, range(2 * threads))) == {alone}
