"""python -m wafer: results in files, errors on standard error with exit code 1, all files or none."""

import importlib
import json
import os
import resource
import signal
import subprocess
import sys
import time

import numpy
import pytest
import wafer
from wafer import bench
from wafer.cli import main


@pytest.fixture
def cli(capsys):
    """cli(*arguments): exit code, standard output, standard error."""

    def run(*arguments):
        code = main([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def running(saved, tmp_path):
    """Arguments of a run whose outputs go to tmp_path / "out"."""
    return ["run", saved.wexe, "--weights", saved.safetensors, "--input", f"{saved.input}={saved.npy}", "--output-dir", tmp_path / "out"]


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def expect_error(result, said):
    code, out, err = result
    assert (code, out) == (1, "")
    assert said in err and "error: " in err and "Traceback" not in err


def test_run_writes_what_the_program_computes(cli, running, saved, tmp_path):
    code, out, err = cli(*running, "--stats", tmp_path / "stats.json", "--engine", "cycle")
    assert (code, err) == (0, "")
    assert "weights stored on the wafer: 0" in out
    assert numpy.load(tmp_path / "out" / "output.npy").tobytes() == saved.program(saved.x).numpy().tobytes()
    assert json.loads((tmp_path / "stats.json").read_text())["engine"] == "cycle"


def test_compile_makes_what_the_package_makes(cli, saved, tmp_path):
    (tmp_path / "m.mlir").write_text(saved.mlir)
    code, out, err = cli("compile", tmp_path / "m.mlir", "-o", tmp_path / "m.wexe", "--machine", "odd")
    assert (code, err) == (0, "")
    assert "operations on the wafer: 3 of 3" in out
    assert (tmp_path / "m.wexe").read_bytes() == saved.wexe.read_bytes()


def test_compile_of_an_exported_program_and_its_weights(cli, saved, tmp_path):
    import torch

    torch.export.save(torch.export.export(saved.model, (saved.x,)), tmp_path / "m.pt2")
    code, _, err = cli("compile", tmp_path / "m.pt2", "-o", tmp_path / "m.wexe", "--machine", "odd", "--weights", tmp_path / "w.safetensors")
    assert (code, err) == (0, "")
    program = wafer.load(tmp_path / "m.wexe", weights=tmp_path / "w.safetensors")
    assert program(saved.x).numpy().tobytes() == saved.program(saved.x).numpy().tobytes()


def test_info_names_inputs_outputs_and_weights(cli, saved):
    code, out, _ = cli("info", saved.wexe)
    assert code == 0
    assert f"{saved.input}: f32[11, 7]" in out and "output: f32[11, 5]" in out and "0.weight: f32[13, 7]" in out


# Errors


@pytest.mark.parametrize("arguments", [[], ["fly"], ["run"], ["compile", "m.mlir"], ["run", "m.wexe", "--output-dir", "o", "--engine", "warp"]], ids=" ".join)
def test_wrong_arguments(cli, arguments):
    expect_error(cli(*arguments), "usage: ")


def test_help_is_no_error(cli):
    code, out, _ = cli("--help")
    assert code == 0 and "usage: " in out


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["info", "none.wexe"], "none.wexe: cannot be read"),
        (["info", "{npy}"], "is not an executable"),
        (["compile", "none.mlir", "-o", "m.wexe"], "none.mlir: cannot be read"),
        (["compile", "{npy}", "-o", "{folder}/m.wexe"], "x.npy: byte 0 is not UTF-8"),
        (["compile", "none.pt2", "-o", "m.wexe"], "none.pt2: torch.export cannot load it"),
        (["compile", "{mlir}", "-o", "{folder}/m.wexe", "--machine", "huge"], "unknown machine 'huge'"),
        (["compile", "{mlir}", "-o", "{folder}/none/m.wexe"], "none/m.wexe: cannot be written"),
        (["compile", "{mlir}", "-o", "{folder}/m.wexe", "--weights", "{folder}/w"], "found no values for the weights"),
    ],
)
def test_bad_input_is_one_message(cli, saved, tmp_path, arguments, said):
    (tmp_path / "m.mlir").write_text(saved.mlir)
    names = {"npy": saved.npy, "mlir": tmp_path / "m.mlir", "folder": tmp_path}
    expect_error(cli(*(argument.format(**names) for argument in arguments)), said)
    assert files(tmp_path) == ["m.mlir"]


def test_damaged_exported_program_is_one_message(cli, tmp_path):
    for content in (b"", b"PK\x03\x04", os.urandom(100)):
        (tmp_path / "m.pt2").write_bytes(content)
        expect_error(cli("compile", tmp_path / "m.pt2", "-o", tmp_path / "m.wexe"), "m.pt2: torch.export cannot load it")


@pytest.mark.parametrize("given, said", [("x", "expected --input NAME=FILE.npy"), ("x=none.npy", "none.npy: cannot be read"), ("y={npy}", "no input 'y'"), ("{input}={wexe}", "is not a .npy file")])
def test_wrong_inputs_of_a_run(cli, saved, tmp_path, given, said):
    given = given.format(npy=saved.npy, wexe=saved.wexe, input=saved.input)
    expect_error(cli("run", saved.wexe, "--weights", saved.safetensors, "--input", given, "--output-dir", tmp_path / "out"), said)
    assert files(tmp_path) == []


@pytest.mark.parametrize("stats", ["none/stats.json", "/dev/full"])
def test_failure_of_the_last_file_takes_the_others_back(cli, running, tmp_path, stats):
    expect_error(cli(*running, "--stats", tmp_path / stats), "cannot be written")
    assert files(tmp_path) == []


def test_device_stays_a_device(cli, running):
    assert cli(*running, "--stats", "/dev/null")[0] == 0
    assert not os.path.isfile("/dev/null")


# Full disks and interrupts, in processes of their own


def command(*arguments, **options):
    return subprocess.Popen([*map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def small_files():
    """No file may grow beyond 100 bytes, which stands for a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def test_full_disk_leaves_nothing(saved, tools, running, tmp_path):
    (tmp_path / "m.mlir").write_text(saved.mlir)
    (tmp_path / "lowered").write_text("")
    lowered = subprocess.run([tools / "wafer-translate", "--wexe-to-wafer", saved.wexe], check=True, capture_output=True).stdout
    (tmp_path / "lowered").write_bytes(lowered)
    before = files(tmp_path)
    python = [sys.executable, "-m", "wafer"]
    for arguments in (
        [*python, *running],
        [*python, "compile", tmp_path / "m.mlir", "-o", tmp_path / "m.wexe"],
        [tools / "wafer-run", *running[1:]],
        [tools / "wafer-translate", "--wafer-to-wexe", tmp_path / "lowered", "-o", tmp_path / "m.wexe"],
        [tools / "wafer-translate", "--wexe-to-wafer", saved.wexe, "-o", tmp_path / "text"],
        [tools / "wafer-objdump", saved.wexe, "-o", tmp_path / "text"],
    ):
        process = command(*arguments, preexec_fn=small_files)
        _, err = process.communicate()
        assert process.returncode == 1, (arguments, err)
        assert "cannot be written: File too large" in err, (arguments, err)
        assert files(tmp_path) == before, arguments


def test_interrupt_during_a_run_ends_it_at_once_and_leaves_nothing(tools, tmp_path):
    import torch

    # Minutes of work for the cycle engine.
    program = wafer.compile(torch.nn.Linear(256, 256).eval(), (torch.zeros(4000, 256),), machine="small")
    program.save(tmp_path / "m.wexe")
    program.save_weights(tmp_path / "w.safetensors")
    numpy.save(tmp_path / "x.npy", numpy.zeros((4000, 256), "f4"))
    before = files(tmp_path)
    arguments = [tmp_path / "m.wexe", "--weights", tmp_path / "w.safetensors", "--input", f"{program.inputs[0].name}={tmp_path / 'x.npy'}", "--output-dir", tmp_path / "out", "--engine", "cycle"]
    for run in ([sys.executable, "-m", "wafer", "run"], [tools / "wafer-run"]):
        # A shell starts what it puts into the background with the signal ignored, tests among it.
        process = command(*run, *arguments, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
        time.sleep(1.5)
        assert process.poll() is None, "the run was over before it could be interrupted"
        process.send_signal(signal.SIGINT)
        started = time.monotonic()
        process.communicate(timeout=20)
        assert time.monotonic() - started < 5
        assert process.returncode == -signal.SIGINT
        assert files(tmp_path) == before


def test_every_area_of_bench_has_rows():
    for area in bench.areas():
        assert callable(importlib.import_module(f"wafer.bench.{area}").rows), area
