"""wafer.bisect names the pass after which numbers change."""

import pathlib

import pytest
import torch
import wafer
from torch import nn


def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(27, 5), nn.Softmax(-1)).eval()


X = torch.randn(2, 1, 5, 5, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """A program, and the IR after each pass."""
    folder = tmp_path_factory.mktemp("ir")
    return wafer.compile(model(), (X,), precision="f16", ir_dump_dir=folder), folder


def damaged(folder: pathlib.Path, name: str, old: str, new: str) -> str:
    """Changes the IR after a pass, as a wrong pass would; the passes after it are spared."""
    (path,) = folder.rglob(f"*_{name}.mlir")
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return text


def test_no_stage_leaves_the_numbers_of_a_right_program(compiled, capsys):
    found = wafer.bisect(compiled[0], X)
    assert found.first is None
    assert [stage.name.partition(" ")[0] for stage in found.stages[:3]] == ["importer", "canonicalize", "inline"]
    assert any("graph-normalize-contractions" in stage.name for stage in found.stages)
    assert max(stage.error for stage in found.stages[:-1]) < 1e-6 < found.stages[-1].error < 2e-3
    assert "no stage leaves the numbers of PyTorch" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "old", "new"), [("graph-normalize-contractions", "arith.maximumf", "arith.minimumf"), ("graph-partition", "math.exp", "math.exp2")]
)
def test_a_wrong_pass_is_found(compiled, name, old, new):
    program, folder = compiled
    text = damaged(folder, name, old, new)
    try:
        found = wafer.bisect(program, X, dumps=folder, show=False)
    finally:
        next(folder.rglob(f"*_{name}.mlir")).write_text(text)
    assert found.first.name.startswith(name)
    assert f"first leave those of PyTorch after '{name}" in str(found)


def test_a_pass_that_makes_what_cannot_be_run_is_found_with_the_reason(compiled):
    program, folder = compiled
    text = damaged(folder, "graph-form-layers", "func.func @forward", "func.func @backward")
    try:
        found = wafer.bisect(program, X, dumps=folder, show=False)
    finally:
        next(folder.rglob("*_graph-form-layers.mlir")).write_text(text)
    assert found.first.name.startswith("graph-form-layers") and "found no function '@forward'" in found.first.failure


def test_a_wrong_machine_program_is_the_last_stage(compiled):
    found = wafer.bisect(compiled[0], X, tolerance=1e-5, show=False)  # f16 is "wrong" at the tolerance of f32
    assert found.first is found.stages[-1] and found.first.name == "stream and wafer phases, and the engine"


def test_a_wrong_importer_is_the_first_stage(compiled):
    program, _ = compiled
    right = program.mlir
    program.mlir = right.replace("math.exp", "math.exp2")
    try:
        assert wafer.bisect(program, X, show=False).first.name == "importer"
    finally:
        program.mlir = right


def test_a_program_without_its_model_is_refused(saved):
    with pytest.raises(wafer.RuntimeError, match="does not know its model"):
        wafer.bisect(wafer.load(saved.wexe), saved.x)
