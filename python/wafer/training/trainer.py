"""wafer.Trainer: the loop around wafer.train_step."""

from __future__ import annotations

import contextlib
import os
import pathlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import torch

from wafer.errors import RuntimeError  # noqa: A004
from wafer.training.evaluation import Evaluation
from wafer.training.rules import Rule
from wafer.training.step import TrainStep, train_step

Batch = tuple[object, ...]

_MOST_CORES = 4096  # of a program whose time is modelled without being asked for
Metric = Callable[[torch.Tensor, torch.Tensor], float]


class Callback:
    """What to do on the way; override what is wanted. `trainer.step` is the training step, `trainer.stop()` ends the run after the current batch."""

    def on_step(self, trainer: Trainer, loss: float) -> None: ...
    def on_evaluation(self, trainer: Trainer, results: Mapping[str, float]) -> None: ...
    def on_checkpoint(self, trainer: Trainer) -> None: ...
    def on_end(self, trainer: Trainer) -> None: ...


class StopEarly(Callback):
    """Ends the run when a result has not become better for `patience` evaluations. `better`: "lower" or "higher"."""

    def __init__(self, result: str = "loss", patience: int = 3, better: str = "lower"):
        self._result, self._patience, self._sign = result, patience, {"lower": -1, "higher": 1}[better]
        self._best, self._waited = -float("inf"), 0

    def on_evaluation(self, trainer: Trainer, results: Mapping[str, float]) -> None:
        value = self._sign * results[self._result]
        self._waited = 0 if value > self._best else self._waited + 1
        self._best = max(self._best, value)
        if self._waited >= self._patience:
            trainer.stop()


class Trainer:
    """Trains a model on batches: evaluates, writes checkpoints and goes on from them, logs.

        trainer = wafer.Trainer(model, loss_fn, wafer.optim.AdamW(lr=1e-3), data, steps=1000, evaluation=held_out, checkpoints="ckpt/")
        trainer.fit()

    Args: data, evaluation: batches (x, target), each an iterable that can be walked again; one with a method epoch(number), such as wafer.data.Batches,
          may have another order in each epoch. Batches may differ in size. steps: batches to train on in all.
          metrics: functions of the model's output and the target by name, averaged over the evaluation. evaluate_every, checkpoint_every: steps; 0 is
          only at the end. checkpoints: folder; a run with the same arguments goes on from the newest one there, with the same batches as if it had not
          stopped. keep: how many stay. log: folder for TensorBoard. progress: a bar with the loss; None: on a terminal.
          modelled: show tokens per second of the machine beside those of this host, from the timing engine, which takes seconds on a small machine and
          minutes on a whole wafer; None: where the program has at most 4096 cores.
          Everything else goes to wafer.train_step: machine, precision, systems, ...
    """

    def __init__(
        self, model: torch.nn.Module | Callable[..., object], loss_fn: Callable[..., object], optimizer: Rule, data: Iterable[Batch], *, steps: int,
        evaluation: Iterable[Batch] | None = None, metrics: Mapping[str, Metric] | None = None, evaluate_every: int = 0,
        checkpoints: str | os.PathLike | None = None, checkpoint_every: int = 0, keep: int = 2, callbacks: Sequence[Callback] = (),
        log: str | os.PathLike | None = None, progress: bool | None = None, modelled: bool | None = None, **options: object,
    ):  # fmt: skip
        if steps < 1:
            raise RuntimeError(f"found steps={steps}, expected at least 1")
        if metrics and evaluation is None:
            raise RuntimeError("found metrics and no evaluation, expected batches to evaluate on")
        if evaluation is not None and not isinstance(model, torch.nn.Module):
            raise RuntimeError("found evaluation= with a JAX function, expected a PyTorch model; evaluate trainer.step.params in a callback")
        self.model, self.steps, self._data, self._callbacks = model, steps, data, list(callbacks)
        self._evaluate_every, self._checkpoint_every, self._keep = evaluate_every, checkpoint_every, keep
        self.folder = None if checkpoints is None else pathlib.Path(checkpoints)
        self._log, self._progress, self._stopping = log, progress, False
        example = next(iter(self._epoch(0)), None)
        if example is None:
            raise RuntimeError("found no batch in the data, expected at least one")
        self.step: TrainStep = train_step(model, loss_fn, optimizer, example, **options)
        self._evaluation = None if evaluation is None else Evaluation(model, loss_fn, evaluation, metrics or {}, options)
        if modelled is None:
            modelled = self.step.is_first and self.step.program.cores <= _MOST_CORES
        self.modelled = self.step.time() if modelled else None
        self.history: list[dict[str, float]] = []

    def stop(self) -> None:
        """End the run after the current batch, with its evaluation and checkpoint."""
        self._stopping = True

    def fit(self) -> dict[str, float]:
        """Train until `steps`. Gives the results of the last evaluation, "loss" and the metrics; without one, the last batch's loss as "loss".

        Ctrl-C writes a checkpoint, where there is a folder for them, and raises KeyboardInterrupt.
        """
        if self.folder and any(self.folder.glob("checkpoint-*")):
            self.history = list(self.step.load(self.folder).get("history", []))
        self._stopping, results, done_at = False, {}, (-1, -1)
        with self._writer() as write, self._bar() as show:
            begin, first = time.perf_counter(), self.step.step
            try:
                for batch in self._batches():
                    loss = self.step(*batch)
                    number = self.step.step
                    results = {"loss": loss}
                    rate = (number - first) * len(batch[-1]) / (time.perf_counter() - begin)
                    write("training/loss", loss, number)
                    write("training/samples_per_second", rate, number)
                    text = f"loss {loss:.4f}, {rate:.1f} samples/s on this host"
                    if self.modelled:
                        write("training/modelled_tokens_per_second", self.modelled.tokens_per_second, number)
                        tokens = rate * self.modelled.tokens / self.modelled.samples
                        text += f", {tokens:.0f} tokens/s emulated, {self.modelled.tokens_per_second:.0f} modelled"
                    show(number, text)
                    self._tell("on_step", loss)
                    if self._is_due(self._evaluate_every):
                        results, done_at = self._evaluated(write), (number, done_at[1])
                    if self._is_due(self._checkpoint_every):
                        self._save(wait=False)
                        done_at = (done_at[0], number)
            except KeyboardInterrupt:
                self._save()
                raise
            if done_at[0] != self.step.step and self._evaluation:
                results = self._evaluated(write)
            if done_at[1] != self.step.step:
                self._save()
            self.step.written()
        if isinstance(self.model, torch.nn.Module) and not any(tensor.is_meta for tensor in self.model.state_dict().values()):
            self.model.load_state_dict(self.step.state_dict())
        self._tell("on_end")
        return results

    def evaluate(self) -> dict[str, float]:
        """Loss and metrics over the evaluation, with the present weights."""
        if self._evaluation is None:
            raise RuntimeError("found no evaluation, expected batches to evaluate on: Trainer(..., evaluation=...)")
        return self._evaluation(self.step)

    # The parts of a run

    def _epoch(self, number: int) -> Iterator[Batch]:
        epoch = getattr(self._data, "epoch", None)
        if epoch is not None:
            return iter(epoch(number))
        # The order of a DataLoader that shuffles is drawn when it is walked.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(number)
            return iter(self._data)

    def _batches(self) -> Iterator[Batch]:
        """Those after the step's own number, epoch after epoch."""
        passed, epoch = 0, 0
        while self.step.step < self.steps and not self._stopping:
            before = passed
            for batch in self._epoch(epoch):
                passed += 1
                if passed <= self.step.step:
                    continue
                yield batch
                if self.step.step >= self.steps or self._stopping:
                    return
            if passed == before:
                raise RuntimeError("found an epoch without a batch, expected at least one")
            epoch += 1

    def _is_due(self, every: int) -> bool:
        return every > 0 and self.step.step % every == 0

    def _evaluated(self, write: Callable[[str, float, int], None]) -> dict[str, float]:
        results = self.evaluate()
        self.history.append({"step": self.step.step, **results})
        for name, value in results.items():
            write(f"evaluation/{name}", value, self.step.step)
        self._tell("on_evaluation", results)
        return results

    def _save(self, wait: bool = True) -> None:
        if self.folder:
            self.step.save(self.folder, extra={"history": self.history}, keep=self._keep, wait=wait)
            self._tell("on_checkpoint")

    def _tell(self, moment: str, *arguments: object) -> None:
        for callback in self._callbacks:
            getattr(callback, moment)(self, *arguments)

    @contextlib.contextmanager
    def _writer(self) -> Iterator[Callable[[str, float, int], None]]:
        if self._log is None or not self.step.is_first:
            yield lambda name, value, number: None
            return
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise RuntimeError(f"found log={os.fspath(self._log)!r}, and tensorboardX cannot be imported ({error}); install tensorboardX") from error
        with SummaryWriter(os.fspath(self._log), purge_step=self.step.step + 1) as writer:
            yield writer.add_scalar

    @contextlib.contextmanager
    def _bar(self) -> Iterator[Callable[[int, str], None]]:
        if not (sys.stderr.isatty() if self._progress is None else self._progress):
            yield lambda number, text: None
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("training"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True)) as progress:
            task = progress.add_task("", total=self.steps)
            yield lambda number, text: progress.update(task, completed=number, description=text)
