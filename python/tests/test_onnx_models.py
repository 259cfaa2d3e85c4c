"""Model families through PyTorch's ONNX exporter: the program computes what PyTorch computes, and the multiply-accumulates run on the wafer."""

import logging
import warnings

import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxscript")

import torch
import wafer
import wafer.models

FAMILIES = ["mlp", "resnet", "gpt2", "llama", "bert", "vit", "lstm"]


def exported(model, inputs):
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.onnx.export(model, inputs, dynamo=True, verbose=False)


def leaves(value):
    if isinstance(value, torch.Tensor):
        return [value]
    return [leaf for part in (value.values() if isinstance(value, dict) else value) for leaf in leaves(part)]


@pytest.mark.parametrize("name", FAMILIES)
def test_family(name):
    model, inputs = wafer.models.families()[name].build("tiny")
    program = wafer.compile(exported(model, inputs), machine="small", precision="f32")
    with torch.no_grad():
        wanted = leaves(model(*inputs))
    found = program.run(dict(zip((info.name for info in program.inputs), inputs, strict=True)))
    for result, reference in zip(found.values(), wanted, strict=True):
        assert (result - reference).norm() <= 1e-5 * reference.norm()
    assert program.wafer_share >= 0.99


def test_operations_are_reported_with_the_line_of_the_model():
    model, inputs = wafer.models.families()["mlp"].build("tiny")
    report = wafer.compile(exported(model, inputs), machine="small").report()
    assert "perceptron.py:" in report
