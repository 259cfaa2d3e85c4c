"""Ranks of MPI: the bytes of one process, and an end that says why when one of them is lost."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

pytest.importorskip("mpi4py", reason="ranks need mpi4py")

# Open MPI asks root twice whether it may.
ALLOWED = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
LAUNCHER = ["mpirun", "--oversubscribe", "-n"]
PROGRAM = str(pathlib.Path(__file__).with_name("ranks_program.py"))
STEPS = 8


@pytest.fixture(scope="module", autouse=True)
def mpirun():
    """Starts processes here, or there is nothing to test."""
    if shutil.which("mpirun") is None:
        pytest.skip("ranks need mpirun")
    try:
        done = subprocess.run([*LAUNCHER, "2", "true"], env=os.environ | ALLOWED, capture_output=True, text=True, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip("mpirun starts no processes on this machine within a minute")
    if done.returncode != 0:
        pytest.skip(f"mpirun starts no processes on this machine: {done.stderr.strip()}")


def train(ranks: int, *options: object, **environment: str) -> subprocess.CompletedProcess:
    """Trains in one process for 0 ranks."""
    launcher = [*LAUNCHER, str(ranks)] if ranks else []
    command = [*launcher, sys.executable, PROGRAM, str(STEPS), *map(str, options)]
    return subprocess.run(command, env=os.environ | ALLOWED | environment, capture_output=True, text=True, timeout=300, check=False)


def weights_of(done: subprocess.CompletedProcess) -> set[str]:
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines())


@pytest.fixture(scope="module")
def alone():
    (weights,) = weights_of(train(0))
    return weights


@pytest.mark.parametrize("ranks, systems", [(2, 1), (4, 8)])
def test_ranks_have_the_weights_of_one_process(alone, ranks, systems):
    assert weights_of(train(ranks, "--systems", systems)) == {alone}


def test_a_killed_rank_ends_the_run_and_fewer_ranks_go_on(alone, tmp_path):
    lost = train(3, "--checkpoints", tmp_path, "--kill-at", 3)
    assert lost.returncode != 0
    assert "rank 1" in lost.stderr and "signal 9" in lost.stderr
    assert not lost.stdout
    assert weights_of(train(0, "--checkpoints", tmp_path)) == {alone}


def test_an_error_of_a_rank_ends_all():
    done = train(2, "--fail-at", 2)
    assert done.returncode != 0
    assert "a bug of rank 1" in done.stderr
    assert "rank 1 of 2 ends with this error, and the others with it" in done.stderr


def test_a_rank_that_stops_training_is_missed():
    done = train(2, "--leave-at", 2, WAFER_SWARMX_TIMEOUT="8")
    assert done.returncode != 0
    assert "rank 0 of 2 waited 8 s for sums of rank 1" in done.stderr
