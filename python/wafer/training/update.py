"""The update of the weights, in MemoryX: a program per size of chunk, and one that adds up the squares of a gradient."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping

import numpy

from wafer.arrays import Pair
from wafer.training.expressions import Trace
from wafer.training.programs import Host, Sessions
from wafer.training.room import Room, left
from wafer.training.rules import Rule
from wafer.training.tensor_rules import TensorRule, TensorUpdates

Arrays = Mapping[str, numpy.ndarray]

_LARGEST_CHUNK = 1 << 20  # elements that are updated at once; MemoryX needs room for no more of a parameter and its state
_ROW = 1024  # a divisor of every chunk: squares that are added in f32; sums of rows are added in double precision


class Updater:
    """Applies a rule to tensors, one after another and in chunks. New parameters and state are made in `room`."""

    def __init__(self, rule: Rule, host: Host, room: Room):
        self.rule = rule
        self._host = dataclasses.replace(host, engine="functional", threads=1)
        self._room = room
        self._chunk = _chunk_for(host)
        self._of_tensors = TensorUpdates(self._host)
        self._updates: dict[tuple, Sessions] = {}
        self._squares: dict[int, Sessions] = {}
        self._traced: tuple[int, float] | None = None
        self._traces: dict[int, Trace] = {}

    def apply(
        self, name: str, old: numpy.ndarray, gradient: numpy.ndarray, state: Arrays, step: int, scale: float
    ) -> tuple[numpy.ndarray, dict[str, numpy.ndarray]]:
        """The new parameter and its new state; what was given stays as it is. The gradient is multiplied by `scale` first. Steps count from 0."""
        rule = self.rule.of(name)
        if isinstance(rule, TensorRule):
            changed = self._of_tensors.apply(rule, name, old, gradient, dict(state), step, scale)
            changed = {result: self._room.copy(array) if self._room.folder else array for result, array in changed.items()}
        else:
            changed = self._changed_by_element(rule, self._trace(rule, step, scale), old, gradient, state)
        parameter = changed.pop("new parameter", old)
        return parameter, dict(state) | {result.removeprefix("new "): array for result, array in changed.items()}

    def _trace(self, rule: Rule, step: int, scale: float) -> Trace:
        """The rule's operations; the same for all parameters of a step."""
        if self._traced != (step, scale):
            self._traced, self._traces = (step, scale), {}
        if id(rule) not in self._traces:
            self._traces[id(rule)] = rule.trace(step, scale)
        return self._traces[id(rule)]

    def _changed_by_element(self, rule: Rule, trace: Trace, old: numpy.ndarray, gradient: numpy.ndarray, state: Arrays) -> dict[str, numpy.ndarray]:
        given = {"parameter": old, "gradient": gradient}
        for key, first in rule.state.items():
            if key in trace.read:
                given[key] = state.get(key, numpy.asarray(first, dtype=numpy.float32))
        changed = self._applied(rule, trace, given, old.size)
        return {result: left(array).reshape(old.shape) for result, array in changed.items()}

    def _applied(self, rule: Rule, trace: Trace, given: Arrays, size: int) -> dict[str, numpy.ndarray]:
        """Flat results of the rule for one tensor."""
        numbers = numpy.array(trace.numbers or [0.0], dtype=numpy.float32)
        results: dict[str, numpy.ndarray] = {}
        for chunk in _chunks(size, self._chunk):
            count = chunk.stop - chunk.start
            key = (count, trace.structure)
            if key not in self._updates:
                names = ["new parameter", *(f"new {name}" for name in rule.state)]
                self._updates[key] = Sessions(trace.text(count, names), "update", "f32", self._host)
            weights = {name: _part_of(array, chunk) for name, array in given.items()}
            found = self._updates[key].run(weights | {"numbers": ("f32", numbers)}, {})
            if count == size and self._room.folder is None:
                return {name: array for name, (_, array) in found.items()}
            for name, (_, array) in found.items():
                if name not in results:
                    results[name] = self._room.empty((size,), array.dtype)
                results[name][chunk] = array
        return results

    def squares(self, gradient: numpy.ndarray) -> list[float]:
        """Sums of squares of rows of a gradient; their own sum is that of the whole one."""
        sums = []
        for chunk in _chunks(gradient.size, self._chunk):
            count = chunk.stop - chunk.start
            if count not in self._squares:
                self._squares[count] = Sessions(_squares_text(count), "squares", "f32", self._host)
            for _, array in self._squares[count].run({"gradient": _part_of(gradient, chunk)}, {}).values():
                sums.extend(array.astype(numpy.float64).tolist())
        return sums


def norm_of(squares: Iterable[float]) -> float:
    """Of a vector with these squares, in an order that does not matter; NaN if one of them is not finite."""
    squares = list(squares)
    return math.sqrt(math.fsum(squares)) if all(map(math.isfinite, squares)) else math.nan


def _chunk_for(host: Host) -> int:
    """The largest power of two of which parameter, gradient, state and results fit into the DRAM tier."""
    if host.dram is None:
        return _LARGEST_CHUNK
    arrays, element = 8, 4
    return min(_LARGEST_CHUNK, max(_ROW, 1 << (host.dram // (arrays * element)).bit_length() - 1))


def _chunks(size: int, chunk: int) -> Iterator[slice]:
    for start in range(0, max(size, 1), chunk):
        yield slice(start, min(start + chunk, size))


def _part_of(array: numpy.ndarray, chunk: slice) -> Pair:
    """Elements of an array; a single one stands for as many as are wanted."""
    if array.size == 1:
        return "f32", numpy.full(chunk.stop - chunk.start, array.reshape(()), dtype=numpy.float32)
    return "f32", numpy.ascontiguousarray(array.reshape(-1)[chunk])


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
