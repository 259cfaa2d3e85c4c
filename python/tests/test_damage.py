"""Damaged files are refused with an error, or they still mean something that runs: never a crash, a hang, gigabytes of memory or half a file.

The seeds are fixed. A crash of the compiled module ends the whole pytest run, and so cannot go unnoticed.
"""

import os
import resource
import subprocess
import warnings

import pytest
import wafer
from damage import damaged, damaged_text
from wafer import _native

MOST_BYTES = 600 << 20


@pytest.fixture(autouse=True)
def _memory_stays_bounded():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < MOST_BYTES, f"a damaged file took {grown >> 20} MB"


def outcomes(function, inputs):
    """How many inputs were accepted and refused; anything but an error of the package fails the test."""
    accepted = refused = 0
    for seed, given in enumerate(inputs):
        try:
            function(given)
            accepted += 1
        except wafer.WaferError as error:
            assert str(error), f"seed {seed}: an error without a message"
            refused += 1
        except Exception as error:
            raise AssertionError(f"seed {seed}: {type(error).__name__}: {error}") from error
    return accepted, refused


def test_executables(saved):
    data = saved.wexe.read_bytes()

    def run(given):
        program = wafer.Program(given)
        program.set_weights(saved.safetensors)
        results = []
        for engine in ("functional", "cycle"):
            try:
                results.append(program(saved.x, engine=engine))
            except wafer.WaferError:
                results.append(None)
        values = [None if result is None else [v.tobytes() for v in as_arrays(result)] for result in results]
        assert values[0] == values[1], "the engines differ"

    accepted, refused = outcomes(run, (damaged(data, seed) for seed in range(300)))
    assert accepted > 0 and refused > 100


def as_arrays(result):
    values = result.values() if isinstance(result, dict) else result if isinstance(result, tuple) else (result,)
    return [value.numpy() for value in values]


def test_every_truncation_of_an_executable_is_refused(saved):
    data = saved.wexe.read_bytes()
    cuts = range(0, len(data) - 8, 97)
    assert outcomes(wafer.Program, (data[:cut] for cut in cuts)) == (0, len(cuts))


def test_safetensors(saved, tmp_path):
    data, file = saved.safetensors.read_bytes(), tmp_path / "w.safetensors"

    def run(given):
        file.write_bytes(given)
        wafer.load(saved.wexe, weights=file)(saved.x)

    # The header first: most bytes of the rest are weights, where every value means something.
    header = 8 + int.from_bytes(data[:8], "little")
    accepted, refused = outcomes(run, [damaged(data[:header], seed) + data[header:] for seed in range(150)] + [damaged(data, seed) for seed in range(50)])
    assert accepted > 0 and refused > 50


def test_npy(saved, tmp_path):
    data, file = saved.npy.read_bytes(), tmp_path / "x.npy"

    def read(given):
        file.write_bytes(given)
        _native.module().read_npy(os.fspath(file))

    accepted, refused = outcomes(read, [damaged(data[:128], seed) + data[128:] for seed in range(200)] + [damaged(data, seed) for seed in range(50)])
    assert accepted > 0 and refused > 50


def test_machines(saved, tmp_path):
    text, file = saved.odd.read_text(), tmp_path / "m.json"

    def run(given):
        file.write_text(given)
        wafer.compile(saved.mlir, machine=file)

    accepted, refused = outcomes(run, (damaged_text(text, seed) for seed in range(60)))
    assert refused > 20


def test_mlir(saved):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", wafer.CompileWarning)
        accepted, refused = outcomes(lambda text: wafer.compile(text, machine="odd"), (damaged_text(saved.mlir, seed) for seed in range(150)))
    assert accepted > 0 and refused > 50


# The tools


def limits():
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


@pytest.fixture(scope="module")
def lowered(saved, tools):
    return subprocess.run([tools / "wafer-translate", "--wexe-to-wafer", saved.wexe], check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("tool", ["wafer-run", "wafer-run --weights", "wafer-run --input", "wafer-translate --wexe-to-wafer", "wafer-translate --wafer-to-wexe", "wafer-opt", "wafer-objdump"])
def test_tools(saved, tools, lowered, tmp_path, tool):
    given, out = tmp_path / "given", tmp_path / "out"
    name, _, option = tool.partition(" ")
    run = lambda program, weights, x: [program, "--weights", weights, "--input", f"{saved.input}={x}", "--output-dir", out]  # noqa: E731
    source, arguments = {
        "wafer-run": (saved.wexe, run(given, saved.safetensors, saved.npy)),
        "wafer-run --weights": (saved.safetensors, run(saved.wexe, given, saved.npy)),
        "wafer-run --input": (saved.npy, run(saved.wexe, saved.safetensors, given)),
        "wafer-translate --wexe-to-wafer": (saved.wexe, [option, given, "-o", out]),
        "wafer-translate --wafer-to-wexe": (lowered, [option, given, "-o", out]),
        "wafer-opt": (saved.mlir, [given, "--wafer-pipeline=machine=odd", "-o", out]),
        "wafer-objdump": (saved.wexe, [given, "-o", out]),
    }[tool]
    for seed in range(1000, 1030):
        given.write_bytes(damaged_text(source, seed).encode("latin1") if isinstance(source, str) else damaged(source.read_bytes(), seed))
        done = subprocess.run([tools / name, *arguments], capture_output=True, timeout=60, preexec_fn=limits)
        if done.returncode == 0:
            assert out.exists()
            subprocess.run(["rm", "-r", out], check=True)
            continue
        assert done.returncode == 1, f"seed {seed}: exit code {done.returncode}: {done.stderr[-300:]}"
        assert b"error: " in done.stderr, f"seed {seed}: no message: {done.stderr[-300:]}"
        assert sorted(path.name for path in tmp_path.iterdir()) == ["given"], f"seed {seed}: something was left behind"
