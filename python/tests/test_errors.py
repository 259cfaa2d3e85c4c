"""Errors: of the right class, with the user's own source line, what was found and what was expected."""

import inspect
import json
import os
import re

import pytest
import torch
import wafer
from torch import nn


def line_of(function, needle):
    lines, first = inspect.getsourcelines(function)
    return first + next(i for i, line in enumerate(lines) if needle in line)


def error_of(model, *inputs, kind=wafer.CompileError, **options):
    with pytest.raises(kind) as caught:
        wafer.compile(model.eval() if isinstance(model, nn.Module) else model, inputs, **({"machine": "tiny"} | options))
    return caught.value


def expect_at(error, function, needle):
    """The error is at the line of `function` that has `needle`, and shows it."""
    assert error.location is not None
    assert os.path.basename(error.location.file) == os.path.basename(__file__)
    assert error.location.line == line_of(function, needle)
    assert needle in str(error)


# The model


def test_unknown_operation():
    class Model(nn.Module):
        def forward(self, x):
            y = torch.relu(x)
            return torch.special.i0(y)

    error = error_of(Model(), torch.zeros(3, 4), kind=wafer.UnsupportedOpError)
    expect_at(error, Model.forward, "torch.special.i0(y)")
    assert error.op == "aten.i0.default" or "i0" in error.op


def test_unsupported_type():
    class Model(nn.Module):
        def forward(self, x):
            return x.double().exp()

    error = error_of(Model(), torch.zeros(3, 4))
    expect_at(error, Model.forward, "x.double().exp()")
    assert "float64" in str(error)


def test_wrong_shape_in_the_model():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(7, 5)

        def forward(self, x):
            return self.fc(x)

    error = error_of(Model(), torch.zeros(3, 8))
    expect_at(error, Model.forward, "self.fc(x)")
    assert "[3, 8]" in str(error)


def test_shape_that_depends_on_data():
    class Model(nn.Module):
        def forward(self, x):
            return x[x > 0].sum()

    expect_at(error_of(Model(), torch.zeros(3, 4)), Model.forward, "x[x > 0].sum()")


def test_number_that_depends_on_data():
    class Model(nn.Module):
        def forward(self, x):
            return x * x.sum().item()

    expect_at(error_of(Model(), torch.ones(3, 4)), Model.forward, "x.sum().item()")


def test_model_without_example_inputs_and_what_is_no_model():
    with pytest.raises(wafer.CompileError, match=r"found no example inputs.*wafer.compile\(model, \(x,\)\)"):
        wafer.compile(nn.Linear(3, 4).eval())
    with pytest.raises(wafer.CompileError, match="found a model of type int"):
        wafer.compile(3)


# The compiler behind the importer keeps the line


def test_layer_that_no_core_can_hold_is_memoryxs_and_its_reason_names_line_and_sizes(tmp_path, saved):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(7, 3000)

        def forward(self, x):
            return self.fc(x)

    machine = json.loads(saved.odd.read_text()) | {"width": 2, "height": 2, "sram_bytes": 4096, "name": "thimble"}
    (tmp_path / "thimble.json").write_text(json.dumps(machine))
    model, x = Model().eval(), torch.randn(11, 7)
    program = wafer.compile(model, (x,), machine=tmp_path / "thimble.json")
    torch.testing.assert_close(program(x), model(x))
    (op,) = [op for op in program.stats.ops if op.placement == "memoryx"]
    assert re.search(r"test_errors.py:\d+: a token of 3000 features takes \d+ bytes of each of the 2 cores of a row of machine 'thimble', which have room for \d+", op.reason)


@pytest.mark.parametrize(
    "text, said",
    [
        ("func.func @forward(\n", "expected"),
        ("func.func @forward() -> tensor<2xf32> {\n  %0 = nothing.known : tensor<2xf32>\n  return %0 : tensor<2xf32>\n}", "nothing"),
        ("func.func @other(%x: tensor<2xf32>) -> tensor<2xf32> {\n  return %x : tensor<2xf32>\n}", "'@forward'"),
        ("\n", "'@forward'"),
        ("func.func @forward(%x: tensor<2xf32>) -> tensor<3xf32> {\n  return %x : tensor<2xf32>\n}", "doesn't match"),
        ("func.func @forward(%x: tensor<1099511627777xf32>) -> tensor<1099511627777xf32> {\n  %0 = math.exp %x : tensor<1099511627777xf32>\n  return %0 : tensor<1099511627777xf32>\n}", "at most 1099511627776 elements"),
        ("func.func @forward(%x: tensor<4294967296x4294967296xf32>) -> tensor<4294967296x4294967296xf32> {\n  %0 = math.exp %x : tensor<4294967296x4294967296xf32>\n  return %0 : tensor<4294967296x4294967296xf32>\n}", "split the model"),
    ],
    ids=["cut off", "unknown op", "no entry", "empty", "ill-typed", "too large", "size overflows"],
)  # fmt: skip
def test_malformed_mlir(text, said):
    assert said in str(error_of(text))


def test_mlir_file_that_is_not_there_or_not_text(tmp_path):
    assert "No such file" in str(error_of(tmp_path / "none.mlir"))
    (tmp_path / "binary.mlir").write_bytes(b"func\xff\xfe")
    assert "byte 4 is not UTF-8" in str(error_of(tmp_path / "binary.mlir"))


# Options


def test_unknown_precision_and_machine(saved):
    assert "found precision 'f8', expected one of f16, bf16, f32" in str(error_of(saved.mlir, precision="f8"))
    assert re.search(r"unknown machine 'huge', expected one of die, odd, small, tiny, wse2, wse3", str(error_of(saved.mlir, machine="huge")))


@pytest.mark.parametrize(
    "change, said",
    [
        ({"width": 0}, "field 'width' is 0, expected an integer from 1"),
        ({"width": 10**30}, "field 'width'"),
        ({"sram_bytes": "48 KB"}, "field 'sram_bytes' is \"48 KB\""),
        ({"colors": 24}, "field 'colors' is unknown"),
        ({"lanes": {}}, "field 'lanes.vector' is missing"),
        ({"clock_ghz": -1}, "field 'clock_ghz' is -1"),
        ({"name": ""}, "field 'name'"),
    ],
)
def test_wrong_field_of_a_machine_is_named(saved, tmp_path, change, said):
    (tmp_path / "m.json").write_text(json.dumps(json.loads(saved.odd.read_text()) | change))
    error = str(error_of(saved.mlir, machine=tmp_path / "m.json"))
    assert said in error and "m.json" in error


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"name": "a", "name": "b"}', "\xff", "[" * 100000], ids=["empty", "cut off", "list", "null", "twice", "not UTF-8", "deep"])
def test_machine_that_is_no_description(saved, tmp_path, text):
    (tmp_path / "m.json").write_bytes(text.encode("latin1"))
    assert "m.json" in str(error_of(saved.mlir, machine=tmp_path / "m.json"))


# Files


def test_executable_that_cannot_be_read(tmp_path):
    with pytest.raises(wafer.ExecutableError, match="none.wexe: cannot be read: No such file"):
        wafer.load(tmp_path / "none.wexe")
    with pytest.raises(wafer.ExecutableError, match="Is a directory"):
        wafer.load(tmp_path)


@pytest.mark.parametrize("write", ["save", "save_weights"])
@pytest.mark.parametrize("place, said", [("none/file", "No such file or directory"), ("", "Is a directory"), ("/dev/full", "No space left on device")])
def test_output_that_cannot_be_written(saved, tmp_path, write, place, said):
    with pytest.raises(wafer.RuntimeError, match=rf"cannot be written.*{said}"):
        getattr(saved.program, write)(tmp_path / place)
    assert not list(tmp_path.iterdir())


def test_decision_trace_that_cannot_be_written(saved):
    assert "cannot write the decision trace '/nowhere/trace': No such file or directory" in str(error_of(saved.mlir, decision_trace="/nowhere/trace"))


def test_errors_can_be_caught_as_one_class_and_runtime_errors_as_pythons():
    for kind in (wafer.CompileError, wafer.UnsupportedOpError, wafer.ExecutableError, wafer.MachineError, wafer.RuntimeError, wafer.TrapError):
        assert issubclass(kind, wafer.WaferError)
    assert issubclass(wafer.RuntimeError, RuntimeError)
