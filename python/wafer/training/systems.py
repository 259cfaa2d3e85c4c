"""Several systems that train one model: shards of the batch, and sums whose order does not depend on the number of systems.

A batch is always cut into the same number of shards. Each shard is computed by one system, and the gradients of shards are added in a tree over the
shards' numbers. So which system computed a shard changes nothing, not a bit. The systems of this module are sessions of one process, on threads; ranks
of MPI would each host some of them, and exchange the sums at inner nodes of the same tree (see `TreeSum.add`).
"""

from __future__ import annotations

import concurrent.futures
import os
import threading
from collections.abc import Callable, Mapping

import numpy

from wafer.errors import RuntimeError  # noqa: A004

Sums = Mapping[str, numpy.ndarray]

_RANKS = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE")


def refuse_ranks() -> None:
    """Raises RuntimeError in a process that is one of several ranks of MPI: each would train a model of its own."""
    for variable in _RANKS:
        if os.environ.get(variable, "1") not in ("", "1"):
            raise RuntimeError(f"found {os.environ[variable]} MPI ranks, expected one process; start without mpirun and use wafer.train_step(..., systems=N)")


def default_shards(batch: int) -> int:
    """The largest divisor of the batch that is at most 8."""
    return next(shards for shards in range(min(8, batch), 0, -1) if batch % shards == 0)


class TreeSum:
    """Adds numbered terms in a fixed binary tree: 0+1, 2+3, ..., then those sums, and so on; an odd one at the end goes up as it is.

    Terms may come in any order, from several threads. A node is added as soon as both of its parts are there, so that few wait.
    """

    def __init__(self, terms: int):
        self._terms = terms
        self._waiting: dict[tuple[int, int], Sums] = {}
        self._lock = threading.Lock()
        self.result: Sums | None = None

    def add(self, number: int, term: Sums) -> None:
        level, count = 0, self._terms
        while count > 1:
            sibling = number ^ 1
            if sibling < count:
                with self._lock:
                    other = self._waiting.pop((level, sibling), None)
                    if other is None:
                        self._waiting[level, number] = term
                        return
                left, right = (term, other) if number < sibling else (other, term)
                term = {name: left[name] + right[name] for name in left}
            level, number, count = level + 1, number // 2, (count + 1) // 2
        self.result = term


class LocalSystems:
    """Runs shards on `systems` systems of this process; system i computes consecutive shards."""

    def __init__(self, systems: int, shards: int):
        if not 1 <= systems <= shards:
            raise RuntimeError(f"found systems={systems} for {shards} shards of a batch, expected from 1 to {shards}; give shards=... that is larger and divides the batch")
        self._systems, self._shards = systems, shards
        self._threads = concurrent.futures.ThreadPoolExecutor(systems, "wafer-system") if systems > 1 else None

    def sum(self, compute: Callable[[int, int], Sums]) -> Sums:
        """The sum over all shards of compute(shard, system)."""
        tree = TreeSum(self._shards)

        def run(system: int) -> None:
            for shard in range(self._shards):
                if shard * self._systems // self._shards == system:
                    tree.add(shard, compute(shard, system))

        if self._threads is None:
            run(0)
        else:
            for done in [self._threads.submit(run, system) for system in range(self._systems)]:
                done.result()
        return tree.result
