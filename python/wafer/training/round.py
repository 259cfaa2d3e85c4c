"""The updates of one step: each begins when the sum of its gradient is there, while the wafer is still at work on the others."""

from __future__ import annotations

import dataclasses
import queue
import threading
from collections.abc import Mapping

import numpy

from wafer.sparsity.dynamic import Masks
from wafer.training.update import Updater, norm_of

Arrays = Mapping[str, numpy.ndarray]


@dataclasses.dataclass(frozen=True)
class Updated:
    """What a step's updates made. `parameters` and `optimizer` are None where a gradient overflowed."""

    norm: float | None
    parameters: dict[str, numpy.ndarray] | None
    optimizer: dict[str, dict[str, numpy.ndarray]] | None


class Round:
    """Takes gradients in any order and from any thread; one thread of its own makes the updates, which is MemoryX at work.

    Whether a gradient overflowed is known when all are there, and so is a norm to clip by. Updates make new arrays and change none, so in the first case
    they are made all the same and dropped; only clipping by norm has to wait for the last gradient.
    """

    def __init__(self, updater: Updater, masks: Masks | None, parameters: Arrays, optimizer: Mapping[str, Arrays], updates: int, scale: float, checks: bool):
        """`scale`: what gradients are multiplied by, before clipping. `checks`: they may overflow."""
        self._updater, self._masks = updater, masks
        self._parameters, self._optimizer, self._updates, self._scale = parameters, optimizer, updates, scale
        self._clips = updater.rule.clip_norm is not None
        self._checks = checks
        # Executors and their futures keep locks that Ctrl-C may leave taken; these queues have none in Python.
        self._wanted: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._begun: queue.SimpleQueue[tuple[str, BaseException | None]] = queue.SimpleQueue()
        self._cancelled = False
        self._gradients: dict[str, numpy.ndarray] = {}
        self._squares: dict[str, list[float]] = {}
        self._made: dict[str, tuple[numpy.ndarray, dict[str, numpy.ndarray]]] = {}
        self._thread = threading.Thread(target=self._work, name="wafer-update", daemon=True)
        self._thread.start()

    def __enter__(self) -> Round:
        return self

    def __exit__(self, *_: object) -> None:
        self._cancelled = True
        self._wanted.put(None)
        self._thread.join()

    def gradient(self, name: str, gradient: numpy.ndarray) -> None:
        self._gradients[name] = gradient
        self._wanted.put(name)

    def _work(self) -> None:
        while (name := self._wanted.get()) is not None:
            error = None
            try:
                if not self._cancelled:
                    self._begin(name)
            except BaseException as raised:  # for the thread that waits
                error = raised
            self._begun.put((name, error))

    def _begin(self, name: str) -> None:
        kept = self._kept(name, self._gradients[name])
        if self._clips or self._checks:
            self._squares[name] = self._updater.squares(kept)
        if not self._clips:
            self._made[name] = self._update(name, kept, self._scale)

    def _kept(self, name: str, gradient: numpy.ndarray) -> numpy.ndarray:
        return self._masks.gradient(name, gradient, self._optimizer) if self._masks else gradient

    def _update(self, name: str, kept: numpy.ndarray, scale: float) -> tuple[numpy.ndarray, dict[str, numpy.ndarray]]:
        return self._updater.apply(name, self._parameters[name], kept, self._optimizer.get(name, {}), self._updates, scale)

    def finish(self, names: tuple[str, ...]) -> Updated:
        """Waits for the updates of these parameters, all of which have their gradients. Raises what went wrong in one."""
        awaited = set(names)
        while awaited:
            name, error = self._begun.get()
            if error is not None:
                raise error
            awaited.discard(name)
        norm = None
        if self._clips or self._checks:
            norm = norm_of(square for name in names for square in self._squares[name]) * self._scale
            if self._checks and not numpy.isfinite(norm):
                return Updated(norm, None, None)
        if self._clips:
            scale = self._scale * min(1.0, self._updater.rule.clip_norm / (norm + 1e-6))
            self._made = {name: self._update(name, self._kept(name, self._gradients[name]), scale) for name in names}
        parameters = {name: self._made[name][0] for name in names}
        optimizer = {name: self._made[name][1] for name in names}
        if self._masks:
            parameters, optimizer = self._masks.after(parameters, optimizer, self._gradients, self._updates + 1)
        return Updated(norm, parameters, optimizer)
