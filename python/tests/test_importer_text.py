"""The form of the text: what the compiler relies on and what users see of it."""

import inspect
import re

import native
import pytest
import torch
import wafer
from torch import nn
from wafer.frontends import registry
from wafer.frontends.torch import import_model


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(7, 5)
        self.norm = nn.LayerNorm(5)

    def forward(self, x):
        hidden = self.fc1(x)
        return self.norm(hidden).softmax(-1)


def imported(model=None, *inputs):
    return import_model((model or Classifier()).eval(), inputs or (torch.zeros(3, 7),))


def line_of(function, needle):
    lines, first = inspect.getsourcelines(function)
    return first + next(i for i, line in enumerate(lines) if needle in line)


def test_arguments_and_results_are_named():
    text = imported().text
    assert '%x: tensor<3x7xf32> {graph.name = "x", graph.role = "input"}' in text
    assert 'tensor<5x7xf32> {graph.name = "fc1.weight", graph.role = "parameter"}' in text
    assert '-> (tensor<3x5xf32> {graph.name = "output"})' in text


def test_parameters_are_arguments_and_share_memory():
    model = Classifier()
    result = imported(model)
    assert "dense<" not in result.text
    assert result.parameters["fc1.weight"].data_ptr() == model.fc1.weight.data_ptr()


def test_linear_reads_its_weight_in_place():
    """One contraction with the weight [n, k] as it is stored, then the bias by a map of its own."""
    text = imported().text
    assert "linalg.transpose" not in text
    contraction = re.search(r"indexing_maps = \[(.*?)\], iterator_types = (\[.*?\])}\n +ins\(%x, %p_fc1_weight", text)
    assert "affine_map<(d0, d1, d2) -> (d0, d2)>, affine_map<(d0, d1, d2) -> (d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1)>" == contraction[1]
    assert '["parallel", "parallel", "reduction"]' == contraction[2]
    bias = re.search(r"indexing_maps = \[(.*?)\].*\n +ins\(%\S+, %p_fc1_bias", text)
    assert bias[1].split(">, ")[1] == "affine_map<(d0, d1) -> (d1)"


@pytest.mark.parametrize("product", [lambda x, w: x @ w.t(), lambda x, w: torch.einsum("tk,nk->tn", x, w), lambda x, w: torch.addmm(x[:, 0].unsqueeze(1), x, w.permute(1, 0))])
def test_transposed_parameters_cost_nothing(product):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(5, 7))

        def forward(self, x):
            return product(x, self.weight)

    assert "linalg.transpose" not in imported(Model()).text


def test_only_upstream_dialects():
    dialects = {name.split(".")[0] for name in re.findall(r"(?:= |^ +)([a-z]+\.[a-z_]+)", imported().text, re.M)}
    assert dialects <= {"func", "linalg", "tensor", "arith", "math", "graph"}


def test_locations_are_lines_of_the_user():
    text = imported().text
    linear, norm = line_of(Classifier.forward, "self.fc1"), line_of(Classifier.forward, "self.norm")
    assert re.search(rf'fused<"fc1/linear">\["[^"]*test_importer_text.py":{linear}:9\]', text)
    assert re.search(rf'fused<"norm/native_layer_norm">\["[^"]*test_importer_text.py":{norm}:9\]', text)


def test_every_operation_has_a_location():
    printed = native.run_tool("mlir-opt", "--allow-unregistered-dialect", "--mlir-print-debuginfo", "--mlir-print-local-scope", "--mlir-print-op-generic", text=imported().text)
    assert "<stdin>" not in printed


def test_model_without_code_of_the_user_gets_the_place_of_the_call():
    text = imported(nn.Sequential(nn.Linear(7, 5))).text
    assert re.search(r'fused<"0/linear">\["[^"]*test_importer_text.py"', text)


def test_constant_subgraphs_are_folded():
    class Model(nn.Module):
        def forward(self, x):
            mask = torch.ones(3, 3).tril() == 0
            return x.masked_fill(mask, -1.0)

    text = imported(Model(), torch.zeros(3, 3)).text
    assert text.count("linalg.generic") == 1
    assert "arith.constant dense<[[0, 1, 1], [0, 0, 1], [0, 0, 0]]> : tensor<3x3xi8>" in text


def test_unused_arguments_stay_and_unused_parameters_go():
    class Model(Classifier):
        def forward(self, x, unused):
            return torch.relu(x)

    result = imported(Model(), torch.zeros(3, 7), torch.zeros(2))
    assert [info.name for info in result.inputs] == ["x", "unused"]
    assert not result.parameters


def test_results_keep_their_names_apart_from_inputs():
    class Model(nn.Module):
        def forward(self, x, y):
            return {"x": x + y, "y": x}

    result = imported(Model(), torch.zeros(2), torch.zeros(2))
    assert [info.name for info in result.outputs] == ["x_1", "y_1"]
    native.verify(result.text)


def test_same_model_gives_same_text():
    assert imported().text == imported().text


# Errors


def error_of(model, *inputs):
    with pytest.raises(wafer.CompileError) as caught:
        imported(model, *inputs)
    return caught.value


def test_unknown_operation_names_overload_line_and_neighbours():
    class Model(nn.Module):
        def forward(self, x):
            y = x + 1
            return torch.erfinv(y)

    error = error_of(Model())
    assert isinstance(error, wafer.UnsupportedOpError)
    assert error.op == "aten.erfinv.default"
    assert error.location.line == line_of(Model.forward, "erfinv")
    assert "return torch.erfinv(y)" in str(error)
    assert "aten.erf.default" in str(error)


@pytest.mark.parametrize(
    "function, said",
    [
        (lambda x: torch.fft.fft(x).real, "complex64"),
        (lambda x: x.double() * 2, "float64"),
        (lambda x: x[x > 0], "static"),
        (lambda x: torch.nonzero(x), "static"),
        (lambda x: x + torch.rand_like(x), "random numbers"),
        (lambda x: x + torch.tensor(2**40) * x.long(), "32 bits"),
    ],
)
def test_what_has_no_form_is_refused(function, said):
    class Model(nn.Module):
        def forward(self, x):
            return function(x)

    error = error_of(Model())
    assert said in str(error)
    assert error.location is not None


def test_training_mode_is_refused():
    for module in (nn.Dropout(), nn.RReLU()):
        with pytest.raises(wafer.UnsupportedOpError, match="eval"):
            import_model(module.train(), (torch.zeros(3, 7),))


def test_control_flow_on_data_is_refused_with_the_line():
    class Model(nn.Module):
        def forward(self, x):
            if x.sum() > 0:
                return x
            return -x

    error = error_of(Model())
    assert error.location.line == line_of(Model.forward, "if x.sum")


def test_dynamic_shape_is_refused():
    exported = torch.export.export(Classifier(), (torch.zeros(3, 7),), dynamic_shapes=({0: torch.export.Dim("tokens", min=2)},))
    with pytest.raises(wafer.UnsupportedOpError, match="static shape"):
        import_model(exported)


def test_nearest_operations_are_overloads_first():
    assert registry.nearest("aten.add.complex")[:2] == ["aten.add.Scalar", "aten.add.Tensor"]
