"""The update of the weights, in MemoryX: a program per size of tensor, and one that adds up the squares of a gradient."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping

import numpy

from wafer.arrays import Pair
from wafer.training.programs import Sessions
from wafer.training.rules import Rule

_ROW = 1024  # squares that are added in f32; sums of rows are added in double precision


class Updater:
    """Applies a rule to tensors, one after another, so that MemoryX needs room for one parameter with its state at a time."""

    def __init__(self, rule: Rule, machine: str | os.PathLike):
        self.rule = rule
        self._machine = machine
        self._updates: dict[tuple, Sessions] = {}
        self._squares: dict[int, Sessions] = {}

    def apply(
        self, parameters: Mapping[str, numpy.ndarray], gradients: Mapping[str, numpy.ndarray], state: Mapping[str, Mapping[str, numpy.ndarray]], step: int, scale: float
    ) -> tuple[dict[str, numpy.ndarray], dict[str, dict[str, numpy.ndarray]]]:
        """New parameters and new state; what was given stays as it is. Gradients are multiplied by `scale` first. Steps count from 0."""
        trace = self.rule.trace(step, scale)
        structure = trace.structure
        results = ["new parameter", *(f"new {name}" for name in self.rule.state)]
        numbers = ("f32", numpy.array(trace.numbers or [0.0], dtype=numpy.float32))
        new_parameters, new_state = {}, {}
        for name, gradient in gradients.items():
            old = parameters[name]
            key = (old.size, structure)
            if key not in self._updates:
                self._updates[key] = Sessions(trace.text(old.size, results), "update", self._machine, "f32")
            own_state = dict(state.get(name, {}))
            weights = {"parameter": _flat(old), "gradient": _flat(gradient), "numbers": numbers}
            for key_of_state, first in self.rule.state.items():
                if key_of_state in trace.read:
                    held = own_state.get(key_of_state)
                    weights[key_of_state] = _flat(numpy.full(old.shape, first, dtype=numpy.float32) if held is None else held)
            found = self._updates[key].run(weights, {})
            changed = {result: array.reshape(old.shape) for result, (_, array) in found.items()}
            new_parameters[name] = changed.pop("new parameter", old)
            new_state[name] = own_state | {result.removeprefix("new "): array for result, array in changed.items()}
        return new_parameters, new_state

    def norm(self, gradients: Mapping[str, numpy.ndarray]) -> float:
        """Of all gradients as one vector; infinite or NaN if one of them is."""
        sums = []
        for gradient in gradients.values():
            if gradient.size not in self._squares:
                self._squares[gradient.size] = Sessions(_squares_text(gradient.size), "squares", self._machine, "f32")
            for _, array in self._squares[gradient.size].run({"gradient": _flat(gradient)}, {}).values():
                sums.extend(array.astype(numpy.float64).tolist())
        return math.sqrt(math.fsum(sums)) if all(map(math.isfinite, sums)) else math.nan


def _flat(array: numpy.ndarray) -> Pair:
    return "f32", array.reshape(-1)


def _squares_text(count: int) -> str:
    """Sums of squares of rows of a gradient, and of what is left over."""
    import torch

    from wafer.frontends.writer import FunctionWriter

    writer = FunctionWriter("squares")
    gradient = writer.argument("gradient", (count,), torch.float32, "gradient", "parameter", None)
    rows, rest = divmod(count, _ROW)
    results = []

    def square(b, x, total):
        return b.add(total, b.mul(x, x))

    if rows:
        whole = writer.reshape(writer.extract_slice(gradient, [0], [rows * _ROW], [1]), (rows, _ROW))
        results.append(("rows", writer.generic([(whole, ["d0", "d1"])], "pr", (rows,), torch.float32, square, init=0)))
    if rest:
        part = writer.reshape(writer.extract_slice(gradient, [rows * _ROW], [rest], [1]), (1, rest))
        results.append(("rest", writer.generic([(part, ["d0", "d1"])], "pr", (1,), torch.float32, square, init=0)))
    return writer.finish(results, None)
