"""A precision of its own for some layers: by name, without a change of what is computed."""

import pytest
import torch
import wafer
from torch import nn


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.attn, self.fc = nn.Linear(7, 7), nn.Linear(7, 7)

    def forward(self, x):
        return x + self.fc(torch.relu(self.attn(x)))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers, self.head = nn.Sequential(Block(), Block()), nn.Linear(7, 5)

    def forward(self, x):
        return self.head(self.layers(x))


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return Model().eval()


X = torch.randn(11, 7, generator=torch.Generator().manual_seed(1))


def error(program, model):
    found = program(X)
    assert found.numpy().tobytes() == program(X, engine="cycle").numpy().tobytes()
    with torch.no_grad():
        return ((found - model(X)).norm() / model(X).norm()).item()


def compiled(model, precision):
    return wafer.compile(model, (X,), machine="odd", precision=precision)


def test_layers_in_f32_are_as_exact_as_f32(model):
    assert error(compiled(model, {"default": "f16", "*": "f32"}), model) < 1e-6
    assert error(compiled(model, "f16"), model) > 1e-5


def test_one_layer_in_bf16_rounds_more_than_none_and_less_than_all(model):
    none, some, all_ = (error(compiled(model, precision), model) for precision in ("f32", {"default": "f32", "layers.*.attn": "bf16"}, "bf16"))
    assert none < some / 10 and some < all_


@pytest.mark.parametrize("first, second", [("f16", "f32"), ("f32", "f16"), ("bf16", "f16"), ("f16", "bf16")])
def test_value_that_goes_from_one_precision_to_another(first, second):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(7, 13), nn.GELU(), nn.Linear(13, 5), nn.Softmax(-1)).eval()
    program = compiled(model, {"default": first, "2": second, "3": second})
    assert error(program, model) < (4e-2 if "bf16" in (first, second) else 5e-3)


def test_last_pattern_that_fits_counts(model):
    program = compiled(model, {"default": "bf16", "layers": "f16", "layers.1": "f32", "head": "f32", "layers.0": "f32"})
    assert program._executable == compiled(model, {"default": "f32"})._executable


def test_bytes_streamed_are_those_of_each_layer(model):
    streamed = {}
    for name, precision in {"f16": "f16", "head": {"default": "f16", "head": "f32"}, "f32": "f32"}.items():
        program = compiled(model, precision)
        program(X)
        streamed[name] = program.stats.as_dict()["total"]["bytes_streamed"]["weights"]
    # The head has 5 x 7 weights and 5 biases; a row is padded to whole wavelets in f16.
    assert streamed["f16"] < streamed["head"] < streamed["f32"]


def test_operation_by_its_name_in_reports(model):
    name = compiled(model, "f16").ops[0].name
    assert compiled(model, {"default": "f16", name: "f32"})._executable != compiled(model, "f16")._executable


@pytest.mark.parametrize(
    "precision, message",
    [
        ({"fc1": "f32"}, "without one for the others"),
        ({"default": "f16", "layers.0.atn": "f32"}, "no module and no operation of the model; close to it: layers.0.attn"),
        ({"default": "f8"}, "found precision 'f8', expected one of f16, bf16, f32"),
        ({"default": "f16", "head": "int4"}, "found precision 'int4'"),
        ({"default": "f16", "a=b": "f32"}, "as a layer in the precision"),
    ],
)
def test_precision_that_cannot_be(model, precision, message):
    with pytest.raises(wafer.CompileError) as caught:
        compiled(model, precision)
    assert message in str(caught.value)
