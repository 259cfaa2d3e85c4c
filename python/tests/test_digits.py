"""The main job: a classifier trained in PyTorch on real digits classifies the held-out ones on the wafer as PyTorch does.

examples/digits.py itself runs; only its training is done once for all tests.
"""

import contextlib
import io
import re
import subprocess
import sys

import numpy
import pytest
import torch
import wafer


@pytest.fixture(scope="module")
def digits():
    import digits

    return digits


@pytest.fixture(scope="module")
def classifier(digits):
    """The trained model."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # layers this small are slower on more
    x, _, target, _ = digits.data()
    model = digits.train(x, target)
    torch.set_num_threads(threads)
    return model


@pytest.fixture(scope="module", params=["tiny", "odd", "small"])
def job(request, digits, classifier, tmp_path_factory):
    """What examples/digits.py prints and keeps for a machine."""
    folder = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as printed:
        patch.setattr(digits, "train", lambda x, y: classifier)
        patch.setattr(sys, "argv", ["digits.py", "--machine", request.param, "--engine", "cycle", "--out", str(folder)])
        code = digits.main()
    return request.param, folder, code, printed.getvalue()


def test_wafer_classifies_as_pytorch_does(job):
    machine, _, code, printed = job
    assert code == 0
    accuracy = [float(value) for value in re.findall(r"accuracy: +(\d\.\d+)", printed)]
    assert accuracy[0] == accuracy[1] > 0.95
    assert "same prediction:  360 of 360" in printed
    assert f"machine '{machine}'" in printed


def test_no_weight_is_stored_on_the_wafer(job):
    assert re.search(r"weights stored on the wafer: 0 \(proved for [1-9]\d* weight colours\)", job[3])


def test_engines_agree_on_every_byte_and_on_macs(job):
    _, folder, _, _ = job
    program = wafer.load(folder / "model.wexe", weights=folder / "weights.safetensors")
    x = numpy.load(folder / "x.npy")
    found, macs = {}, {}
    for engine in ("functional", "cycle"):
        found[engine] = program(x, engine=engine).tobytes()
        macs[engine] = program.stats.macs_executed
        assert program.stats.weights_stored_on_wafer == 0
    assert found["functional"] == found["cycle"]
    # Of the second layer, what its ReLU left.
    assert 360 * 64 * (64 + 1) < macs["functional"] == macs["cycle"] < 360 * (64 * 64 + 64 * 10)


def test_tools_compute_the_same_from_the_files_that_the_example_keeps(job, tools, tmp_path):
    machine, folder, _, _ = job
    run = lambda *arguments: subprocess.run([str(argument) for argument in arguments], check=True, capture_output=True)  # noqa: E731
    run(tools / "wafer-opt", folder / "model.mlir", f"--wafer-pipeline=machine={machine} precision=f16", "-o", tmp_path / "model.wafer.mlir")
    run(tools / "wafer-translate", "--wafer-to-wexe", tmp_path / "model.wafer.mlir", "-o", tmp_path / "model.wexe")
    run(tools / "wafer-objdump", tmp_path / "model.wexe", "-o", tmp_path / "model.ws")
    run(tools / "wafer-objdump", "--assemble", tmp_path / "model.ws", "-o", tmp_path / "again.wexe")
    weights, x = folder / "weights.safetensors", folder / "x.npy"
    run(tools / "wafer-run", tmp_path / "again.wexe", "--weights", weights, "--input", f"x={x}", "--output-dir", tmp_path / "out", "--engine", "cycle")
    program = wafer.load(folder / "model.wexe", weights=weights)
    assert numpy.load(tmp_path / "out" / "output.npy").tobytes() == program(numpy.load(x)).tobytes()


def test_machines_give_the_same_predictions(digits, classifier):
    x = torch.rand(50, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        wanted = classifier(x)
    # Images of noise: classes may be close, so that only clear ones are compared.
    clear = wanted.topk(2).values.diff(dim=1).abs().squeeze(1) > 0.05
    assert clear.sum() > 40
    for machine in ("tiny", "odd", "small"):
        found = wafer.compile(classifier, (x,), machine=machine)(x)
        assert torch.equal(found.argmax(-1)[clear], wanted.argmax(-1)[clear]), machine
