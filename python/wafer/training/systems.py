"""Several systems that train one model: shards of the batch, and sums whose order does not depend on the number of systems.

A batch is always cut into the same number of shards. Each shard is computed by one system, and the gradients of shards are added in a tree over the
shards' numbers. So which system computed a shard changes nothing, not a bit. The systems are sessions on threads of this process and, under mpirun, of
the other ranks, which exchange the sums at inner nodes of the same tree.
"""

from __future__ import annotations

import concurrent.futures
import functools
import threading
from collections.abc import Callable, Mapping, Sequence

import numpy

from wafer.errors import RuntimeError  # noqa: A004
from wafer.training.ranks import Ranks
from wafer.training.room import Room

Sums = Mapping[str, numpy.ndarray]
Whole = Callable[[str, numpy.ndarray], None]


def default_shards(batch: int) -> int:
    """8, so that up to 8 systems can share the work, or as many as there are samples."""
    return min(8, batch)


class TreeSum:
    """Adds numbered terms in a fixed binary tree: 0+1, 2+3, ..., then those sums, and so on; an odd one at the end goes up as it is.

    Node (level, number) is the sum of the terms from number * 2^level on. Each rank adds its own terms, whose tensors may come in any order and from
    several threads, as soon as both parts are there; `joined` adds what lies across ranks. `whole` is told each tensor of which all terms are there.
    """

    def __init__(self, terms: int, own: range | None = None, room: Room | None = None, whole: Whole | None = None):
        self._terms = terms
        self._own = range(terms) if own is None else own
        self._room = room or Room()
        self._whole = whole
        self._nodes: dict[tuple[int, int], dict[str, numpy.ndarray]] = {}
        self._lock = threading.Lock()

    @property
    def result(self) -> Sums | None:
        """The sum of all terms, at the rank that has term 0."""
        level = (self._terms - 1).bit_length()
        return self._nodes.get((level, 0))

    def add(self, number: int, name: str, array: numpy.ndarray) -> None:
        """A tensor of a term."""
        level, count = 0, self._terms
        while count > 1:
            sibling = number ^ 1
            if sibling < count:
                if not self._is_own(level, sibling):
                    break
                with self._lock:
                    other = self._taken((level, sibling), name)
                    if other is None:
                        self._nodes.setdefault((level, number), {})[name] = array
                        return
                array = self._room.sum(array, other) if number < sibling else self._room.sum(other, array)
            level, number, count = level + 1, number // 2, (count + 1) // 2
        with self._lock:
            self._nodes.setdefault((level, number), {})[name] = array
        if count == 1 and self._whole:
            self._whole(name, array)

    def _taken(self, node: tuple[int, int], name: str) -> numpy.ndarray | None:
        tensors = self._nodes.get(node, {})
        array = tensors.pop(name, None)
        if array is not None and not tensors:
            del self._nodes[node]
        return array

    def _is_own(self, level: int, number: int) -> bool:
        first, last = number << level, min((number + 1) << level, self._terms) - 1
        return first in self._own and last in self._own

    def _added(self, left: Sums, right: Sums) -> dict[str, numpy.ndarray]:
        return {name: self._room.sum(left[name], right[name]) for name in left}

    def joined(self, ranks: Ranks, owner_of: Callable[[int], int]) -> Sums:
        """The sum of the terms of all ranks, at all of them; `owner_of` gives the rank of a term. Exchanges have one order, so none waits in a circle."""
        like = next(iter(self._nodes.values()))
        level, count = 0, self._terms
        while count > 1:
            for left in range(0, count, 2):
                self._join(ranks, level, left, owner_of(left << level), owner_of((left + 1) << level) if left + 1 < count else None, like)
            level, count = level + 1, (count + 1) // 2
        sums = ranks.from_first(self.result, like)
        for name, array in sums.items() if self._whole else ():
            self._whole(name, array)
        return sums

    def _join(self, ranks: Ranks, level: int, left: int, left_owner: int, right_owner: int | None, like: Sums) -> None:
        nodes, above = self._nodes, (level + 1, left // 2)
        if right_owner is None:
            if (level, left) in nodes:
                nodes[above] = nodes.pop((level, left))
        elif left_owner == right_owner:
            if (level, left) in nodes:  # else it is part of a node above already
                nodes[above] = self._added(nodes.pop((level, left)), nodes.pop((level, left + 1)))
        elif ranks.rank == left_owner:
            nodes[above] = self._added(nodes.pop((level, left)), ranks.receive(like, right_owner))
        elif ranks.rank == right_owner:
            ranks.send(nodes.pop((level, left + 1)), left_owner)


class Systems:
    """Runs shards on systems; system i computes consecutive shards, rank r hosts consecutive systems. Each rank hosts at least one."""

    def __init__(self, systems: int, shards: int, ranks: Ranks | None = None, room: Room | None = None):
        self._count = systems if ranks is None else max(systems, ranks.size)
        self._ranks, self._room = ranks, room
        if systems < 1:
            raise RuntimeError(f"found systems={systems}, expected at least 1")
        self.check(shards)
        own = [system for system in range(self._count) if self._rank_of_system(system) == (ranks.rank if ranks else 0)]
        self._own = range(own[0], own[-1] + 1)
        self._threads = concurrent.futures.ThreadPoolExecutor(len(own), "wafer-system") if len(own) > 1 else None

    def check(self, shards: int) -> None:
        """Each system has a shard. Raises RuntimeError."""
        if self._count > shards:
            found = f"systems={self._count}" if self._ranks is None else f"{self._count} systems on {self._ranks.size} ranks"
            raise RuntimeError(f"found {found} for {shards} shards of a batch, expected from 1 to {shards}; use larger batches, or shards=...")

    def _rank_of_system(self, system: int) -> int:
        return system * self._ranks.size // self._count if self._ranks else 0

    def _system_of(self, shard: int, shards: int) -> int:
        return shard * self._count // shards

    def _shards_of(self, systems: range, shards: int) -> range:
        own = [shard for shard in range(shards) if self._system_of(shard, shards) in systems]
        return range(own[0], own[-1] + 1)

    def parts(self, shards: int) -> list[list[int]]:
        """The shards of each system, of all ranks."""
        parts: list[list[int]] = [[] for _ in range(self._count)]
        for shard in range(shards):
            parts[self._system_of(shard, shards)].append(shard)
        return parts

    @property
    def is_first(self) -> bool:
        """Whether this process writes what there is to write once."""
        return self._ranks is None or self._ranks.rank == 0

    def together(self) -> None:
        """Waits for the other ranks, if there are any."""
        if self._ranks:
            self._ranks.together()

    def sum(self, shards: int, compute: Callable[[int, int, Whole], None], whole: Whole | None = None) -> Sums:
        """The sum over all shards of what compute(shard, place, give) gives by name; place is that of the system among those of this process. `whole` is
        told each sum when it is there: while shards are still computed, unless there are other ranks."""
        tree = TreeSum(shards, self._shards_of(self._own, shards), self._room, whole)

        def run(system: int) -> None:
            for shard in self._shards_of(range(system, system + 1), shards):
                compute(shard, system - self._own.start, functools.partial(tree.add, shard))

        self._run(run, self._own)
        return tree.joined(self._ranks, lambda shard: self._rank_of_system(self._system_of(shard, shards))) if self._ranks else tree.result

    def _run(self, run: Callable[[int], None], systems: Sequence[int]) -> None:
        if self._threads is None:
            run(systems[0])
        else:
            for done in [self._threads.submit(run, system) for system in systems]:
                done.result()
