"""Checkpoints are complete or not there, and a run that goes on from one ends with the bytes of a run that never stopped."""

import hashlib
import os
import random
import signal
import time

import numpy
import pytest
import torch
import wafer
from torch import nn
from torch.nn import functional as F
from wafer import optim
from wafer.training import checkpoint

STEPS = 12


def batch(number):
    generator = torch.Generator().manual_seed(number)
    return torch.randn(8, 6, generator=generator), torch.randint(0, 3, (8,), generator=generator)


def make(rule=None, **options):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Dropout(0.2), nn.Linear(5, 3))
    return wafer.train_step(model, F.cross_entropy, rule or optim.AdamW(lr=1e-2), batch(0), machine="tiny", shards=2, **options)


def hash_of(step):
    return hashlib.sha256(b"".join(tensor.numpy().tobytes() for tensor in step.state_dict().values())).hexdigest()


@pytest.fixture(scope="module")
def step():
    """A step that each test begins anew, from the checkpoint of its start."""
    return make()


@pytest.fixture
def fresh(step, tmp_path_factory):
    start = tmp_path_factory.getbasetemp() / "start"
    if not start.exists():
        step.save(start)
    step.load(start)
    return step


@pytest.fixture(scope="module")
def undisturbed():
    step = make()
    for number in range(STEPS):
        step(*batch(number))
    return hash_of(step)


def test_a_new_process_goes_on_with_the_same_bits(fresh, undisturbed, tmp_path):
    for number in range(5):
        fresh(*batch(number))
    fresh.save(tmp_path, extra={"epoch": 3})
    other = make()
    assert other.load(tmp_path) == {"epoch": 3}
    for number in range(other.step, STEPS):
        other(*batch(number))
    assert hash_of(other) == undisturbed


def test_kill_at_any_moment_leaves_a_good_checkpoint(fresh, undisturbed, tmp_path):
    moments, killed = random.Random(0), 0
    while True:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                if list(tmp_path.glob("checkpoint-*")):
                    fresh.load(tmp_path)
                while fresh.step < STEPS:
                    fresh(*batch(fresh.step))
                    fresh.save(tmp_path)
                code = 0
            finally:
                os._exit(code)
        deadline = time.monotonic() + (moments.uniform(0.001, 0.012) if killed < 12 else 60)
        while (done := os.waitpid(child, os.WNOHANG)) == (0, 0):
            if time.monotonic() > deadline:
                os.kill(child, signal.SIGKILL)
                done = os.waitpid(child, 0)
                break
            time.sleep(0.002)
        status = done[1]
        assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
        for folder in tmp_path.glob("checkpoint-*"):
            checkpoint._read(folder)  # refuses what is not complete
        if not os.WIFSIGNALED(status):
            break
        killed += 1
    assert killed, "no process was killed"
    fresh.load(tmp_path)
    assert fresh.step == STEPS
    assert hash_of(fresh) == undisturbed


def test_ctrl_c_at_any_moment_leaves_a_step_that_can_be_saved(fresh, undisturbed, tmp_path):
    def interrupt(*unused):
        raise KeyboardInterrupt

    moments, interrupted = random.Random(1), 0
    old = signal.signal(signal.SIGALRM, interrupt)
    try:
        while fresh.step < STEPS:
            try:
                signal.setitimer(signal.ITIMER_REAL, moments.uniform(0.0002, 0.004) if interrupted < 8 else 0)
                while fresh.step < STEPS:
                    fresh(*batch(fresh.step))
                signal.setitimer(signal.ITIMER_REAL, 0)
            except KeyboardInterrupt:
                interrupted += 1
                fresh.save(tmp_path)
                fresh.load(tmp_path)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert interrupted
    assert hash_of(fresh) == undisturbed


def test_a_damaged_checkpoint_is_passed_over(fresh, tmp_path):
    fresh(*batch(0))
    fresh.save(tmp_path)
    good = hash_of(fresh)
    fresh(*batch(1))
    fresh.save(tmp_path)
    newest = max(tmp_path.glob("checkpoint-*"))
    data = bytearray((newest / "model.safetensors").read_bytes())
    data[-3] ^= 1
    (newest / "model.safetensors").write_bytes(data)
    with pytest.warns(RuntimeWarning, match="model.safetensors has another SHA-256"):
        fresh.load(tmp_path)
    assert hash_of(fresh) == good and fresh.step == 1


def test_names_in_the_file_are_pytorchs(fresh, tmp_path):
    from safetensors.torch import load_file

    fresh(*batch(0))
    fresh.save(tmp_path)
    (folder,) = tmp_path.iterdir()
    stored = load_file(folder / "model.safetensors")
    assert stored.keys() == fresh.state_dict().keys()
    assert torch.equal(stored["0.weight"], fresh.state_dict()["0.weight"])
    assert "0.weight/exp_avg" in load_file(folder / "optimizer.safetensors")


def test_old_checkpoints_go(fresh, tmp_path):
    for _ in range(4):
        fresh.save(tmp_path, keep=3)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"checkpoint-{i:08}" for i in (2, 3, 4)]


def test_a_failure_while_writing_leaves_the_one_before(fresh, tmp_path, monkeypatch):
    fresh.save(tmp_path)
    before = hash_of(fresh)
    fresh(*batch(0))
    monkeypatch.setattr(os, "fsync", lambda handle: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        fresh.save(tmp_path)
    monkeypatch.undo()
    assert len(list(tmp_path.iterdir())) == 1
    fresh.load(tmp_path)
    assert hash_of(fresh) == before


def test_a_checkpoint_of_something_else_is_refused_and_changes_nothing(fresh, tmp_path):
    with pytest.raises(wafer.RuntimeError, match="found no good checkpoint"):
        fresh.load(tmp_path)
    fresh.save(tmp_path)
    before = hash_of(fresh)
    other = make(optim.SGD(lr=0.1))
    with pytest.raises(wafer.RuntimeError, match="made with optimizer 'AdamW', expected 'SGD'"):
        other.load(tmp_path)
    assert hash_of(fresh) == before


def test_export_is_a_checkpoint_directory_that_training_goes_on_from(tmp_path):
    from safetensors.numpy import load_file

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    x, target = torch.randn(4, 8), torch.tensor([0, 1, 2, 3])
    step = wafer.train_step(model, F.cross_entropy, optim.SGD(lr=0.1), (x, target), machine="tiny", shards=1)
    step(x, target)
    step.export(tmp_path, file_bytes=400)
    assert sorted(path.name for path in tmp_path.iterdir()) == [*(f"model-0000{i}-of-00002.safetensors" for i in (1, 2)), "model.safetensors.index.json"]
    found = {name: array for path in tmp_path.glob("*.safetensors") for name, array in load_file(path).items()}
    assert all(numpy.array_equal(found[name], tensor.numpy()) for name, tensor in step.state_dict().items())
    with torch.device("meta"):
        absent = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    again = wafer.train_step(absent, F.cross_entropy, optim.SGD(lr=0.1), (x, target), machine="tiny", shards=1, weights=tmp_path)
    assert again(x, target) == step(x, target)
    step.export(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]
