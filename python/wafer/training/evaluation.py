"""Loss and metrics of a model in training, on the wafer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch.utils import _pytree as pytree

from wafer.compiler import compile as compile_program
from wafer.errors import RuntimeError  # noqa: A004
from wafer.program import Program
from wafer.training.step import TrainStep

Metric = Callable[[torch.Tensor, torch.Tensor], float]

_OPTIONS = ("machine", "precision", "engine", "threads")


class _WithLoss(torch.nn.Module):
    def __init__(self, model: torch.nn.Module, loss: Callable[..., torch.Tensor]):
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, *batch: object) -> tuple[torch.Tensor, torch.Tensor]:
        *inputs, target = batch
        output = self.model(*inputs)
        return self.loss(output, target), output


class Evaluation:
    """Runs batches through the model in eval mode: a program for each shape of batch, with the weights of a step."""

    def __init__(
        self, model: torch.nn.Module, loss: Callable[..., torch.Tensor], batches: Iterable[tuple[object, ...]], metrics: Mapping[str, Metric], options: Mapping[str, object]
    ):
        self._model, self._loss, self._batches, self._metrics = model, loss, batches, metrics
        self._options = {name: value for name, value in options.items() if name in _OPTIONS}
        self._programs: dict[tuple, Program] = {}

    def __call__(self, step: TrainStep) -> dict[str, float]:
        """Means over all samples."""
        weights = {f"model.{name}": tensor for name, tensor in step.state_dict().items()}
        sums, samples = dict.fromkeys(["loss", *self._metrics], 0.0), 0
        given = set()
        for batch in self._batches:
            leaves = [leaf for leaf in pytree.tree_leaves(tuple(batch)) if isinstance(leaf, torch.Tensor)]
            key = tuple((tuple(leaf.shape), leaf.dtype) for leaf in leaves)
            program = self._program(key, batch)
            if key not in given:
                program.set_weights(weights)
                given.add(key)
            loss, output = program.run([*leaves]).values()
            count = len(leaves[-1])
            samples += count
            sums["loss"] += float(loss) * count
            for name, metric in self._metrics.items():
                sums[name] += float(metric(output, batch[-1])) * count
        if not samples:
            raise RuntimeError("found no batch to evaluate on, expected at least one")
        return {name: value / samples for name, value in sums.items()}

    def _program(self, key: tuple, batch: tuple[object, ...]) -> Program:
        if key not in self._programs:
            modes = {module: module.training for module in self._model.modules()}
            try:
                self._programs[key] = compile_program(_WithLoss(self._model, self._loss).eval(), tuple(batch), progress=False, **self._options)
            finally:
                for module, mode in modes.items():
                    module.training = mode
        return self._programs[key]
