"""The training loop: places in the data, evaluations, checkpoints, logs, and configuration files."""

import hashlib
import pathlib
import subprocess
import sys

import pytest
import torch
import wafer
from torch import nn
from wafer.data import Batches
from wafer.training.config import trainer_of
from wafer.training.losses import accuracy
from wafer.training.trainer import Callback, StopEarly

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(50, 6, generator=GENERATOR)
TARGET = (X.sum(1) > 0).long()
DATA = Batches(X, TARGET, batch=8, shuffle=True, seed=3)
EXAMPLE = pathlib.Path(__file__).parents[2] / "examples" / "train_digits.yaml"


def make(steps: int = 14, data: object = DATA, **options: object) -> wafer.Trainer:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, 2))
    return wafer.Trainer(model, nn.functional.cross_entropy, wafer.optim.AdamW(lr=0.02), data, steps=steps, machine="tiny", precision="f32", shards=1, **options)


def hash_of(trainer: wafer.Trainer) -> str:
    return hashlib.sha256(b"".join(tensor.numpy().tobytes() for tensor in trainer.model.state_dict().values())).hexdigest()


class Interrupt(Callback):
    def __init__(self, at: int):
        self.at = at

    def on_step(self, trainer, loss):
        if trainer.step.step == self.at:
            raise KeyboardInterrupt


def test_a_run_evaluates_and_leaves_the_model_trained():
    held_out = Batches(X, TARGET, batch=10)
    trainer = make(evaluation=held_out, metrics={"accuracy": accuracy}, evaluate_every=6)
    results = trainer.fit()
    assert [entry["step"] for entry in trainer.history] == [6, 12, 14]
    assert results["accuracy"] > 0.8
    with torch.no_grad():
        output = trainer.model(X)
    assert results["loss"] == pytest.approx(nn.functional.cross_entropy(output, TARGET).item(), rel=1e-5)
    assert results["accuracy"] == pytest.approx(accuracy(output, TARGET))


@pytest.mark.parametrize("loader", [False, True], ids=["Batches", "DataLoader"])
def test_a_run_that_was_stopped_goes_on_with_the_batches_that_come_next(loader, tmp_path):
    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(X, TARGET), batch_size=8, shuffle=True) if loader else DATA
    whole = make(data=data)
    whole.fit()
    with pytest.raises(KeyboardInterrupt):
        make(data=data, checkpoints=tmp_path, callbacks=[Interrupt(9)]).fit()
    again = make(data=data, checkpoints=tmp_path)
    again.fit()
    assert hash_of(again) == hash_of(whole)


def test_a_run_ends_early_when_nothing_becomes_better():
    class Same(Callback):
        seen = 0

        def on_evaluation(self, trainer, results):
            self.seen += 1

    same = Same()
    trainer = make(evaluation=DATA, metrics={"constant": lambda output, target: 1.0}, evaluate_every=1, callbacks=[StopEarly("constant", 2), same])
    trainer.fit()
    assert trainer.step.step == 3 and same.seen == 3


def test_tensorboard_has_the_losses(tmp_path):
    from tensorboardX.event_file_writer import EventsWriter  # noqa: F401 - the package is there

    make(steps=3, log=tmp_path).fit()
    (file,) = tmp_path.glob("events.*")
    assert file.read_bytes().count(b"training/loss") == 3


def test_what_cannot_train_is_refused():
    with pytest.raises(wafer.RuntimeError, match="found steps=0"):
        make(steps=0)
    with pytest.raises(wafer.RuntimeError, match="found no batch in the data"):
        make(data=[])
    with pytest.raises(wafer.RuntimeError, match="found metrics and no evaluation"):
        make(metrics={"accuracy": accuracy})
    with pytest.raises(wafer.RuntimeError, match="found tensors of 6, 50 samples and batches of 8"):
        Batches(X, X[:6], batch=8)


# Configuration files


def test_the_example_trains_from_the_shell():
    done = subprocess.run([sys.executable, "-m", "wafer", "train", str(EXAMPLE), "--steps", "60"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("after step 60: loss 0.") and "accuracy 0.9" in done.stdout


GOOD = """\
model: {import: torch.nn:Linear, in_features: 64, out_features: 10}
data: {import: wafer.data:digits}
optimizer: {name: SGD, lr: 0.1}
steps: 2
"""


@pytest.mark.parametrize(
    "change, place, message",
    [
        (("steps: 2", "step: 2"), "4:7", "found the key 'step', expected perhaps 'steps'"),
        (("steps: 2", "steps: many"), "4:8", "'steps' is 'many', expected a whole number"),
        (("steps: 2\n", ""), "1:1", "found no key 'steps'"),
        (("steps: 2", "steps: [2"), "5:1", "is not YAML"),
        (("SGD", "Newton"), "3:19", "found the optimizer 'Newton', expected a rule of wafer.optim"),
        (("lr: 0.1", "rate: 0.1"), "3:12", "update rule 'SGD' has no hyperparameter 'rate'"),
        (("lr: 0.1", "lr: {peak: 1}"), "3:28", "'optimizer.lr' is a mapping without one of the schedules"),
        (("torch.nn:Linear", "torch.nn.Linear"), "1:17", "expected module:name"),
        (("torch.nn:Linear", "torch.nn:Lineal"), "1:17", "cannot be imported"),
        (("in_features: 64, ", ""), "1:8", "'model' cannot be made: TypeError"),
    ],
)
def test_a_wrong_file_is_refused_at_its_line(change, place, message, tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text(GOOD.replace(*change))
    with pytest.raises(wafer.CompileError) as error:
        trainer_of(file)
    assert str(error.value).startswith(f"{file}:{place}: ") and message in str(error.value)
