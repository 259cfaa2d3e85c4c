"""What the compiler chose for the segments of a program, and what follows from that for blocks of which a program has more."""

from __future__ import annotations

import collections
import dataclasses
import functools
import json
from collections.abc import Iterable, Mapping

_FIGURES = ("cycles", "contractions", "transfers", "macs")  # of segments


@dataclasses.dataclass(frozen=True)
class Segment:
    """Kernels that run on the wafer one after the other on one grid."""

    cycles: float
    contractions: float  # cycles of contractions among them
    transfers: float  # cycles of activations from and to MemoryX among them
    macs: float
    bound_by: str  # what binds the longest contraction: issue, link or ingest
    grid: str

    @property
    def binds(self) -> str:
        """What most of its cycles go to."""
        other = self.cycles - self.contractions - self.transfers
        most = max(self.contractions, self.transfers, other)
        if most == self.transfers:
            return "transfers"
        return self.bound_by if most == self.contractions else "elementwise"


@dataclasses.dataclass(frozen=True)
class Choice:
    """The candidate that the compiler took for a segment, and lines of its decisions about others."""

    taken: Segment
    others: tuple[str, ...]

    @functools.cached_property
    def fitting(self) -> dict[tuple[str, bool], Segment]:
        """By grid, and whether sends were moved. Read when it is asked for: there are tens of thousands."""
        grids: dict[tuple[str, bool], Segment] = {}
        for row in map(json.loads, self.others):
            segment = _segment(row)
            key = segment.grid, row["sends_ahead"]
            if key not in grids or segment.cycles < grids[key].cycles:
                grids[key] = segment
        return grids


def choices_in(trace: Iterable[str]) -> tuple[Choice, ...]:
    """Of each segment. `trace`: lines of the compiler's decisions, of each segment the others before the one that was taken."""
    choices, others = [], []
    for line in trace:
        if '"chosen":true' in line:
            choices.append(Choice(_segment(json.loads(line)), tuple(others)))
            others = []
        else:
            others.append(line)
    return tuple(choices)


def _segment(row: Mapping) -> Segment:
    """A line of the compiler's decisions."""
    return Segment(
        row["cycles"], row["contraction_cycles"], row["transfer_cycles"], row["macs"], row["bound_by"] or "elementwise",
        f"{row['groups']} x {row['columns']} columns x {row['rows']} rows"
        + (f" in {row['bands']} bands" if row["bands"] > 1 else "")
        + f", {row['token_block']} tokens a core, {row['micro_batches']} micro-batches"
        + (f", {row['batches_at_once']} batch entries at a time" if row["batches_at_once"] > 1 else ""),
    )  # fmt: skip


def with_more(fewer: tuple[Choice, ...], few: tuple[Choice, ...], more: int) -> tuple[Choice, ...] | None:
    """Segments of a block with `more` parts than that of `few`, which has one more than that of `fewer`; none where that one does more than to add segments."""
    left = collections.Counter(choice.taken for choice in fewer)
    added = []
    for choice in few:
        if left[choice.taken] > 0:
            left[choice.taken] -= 1
        else:
            added.append(choice)
    return None if any(left.values()) else (*few, *(more * added))


def repeated(one: tuple[Choice, ...], two: tuple[Choice, ...], repeats: int) -> tuple[tuple[Segment, ...], tuple[Segment, ...]]:
    """Segments of the first block, and what each further one adds, on the grids that are best for so many. Where segments of one and of two do not go together, each block is half of both."""

    def added(first: Segment, both: Segment) -> Segment:
        return dataclasses.replace(both, **{name: getattr(both, name) - getattr(first, name) for name in _FIGURES})

    half = tuple(dataclasses.replace(choice.taken, **{name: getattr(choice.taken, name) / 2 for name in _FIGURES}) for choice in two)
    if len(one) != len(two):
        return half, half
    first, further = [], []
    for alone, behind in zip(one, two):
        grids = alone.fitting.keys() & behind.fitting.keys()
        if not grids:
            return half, half
        pairs = [(alone.fitting[grid], added(alone.fitting[grid], behind.fitting[grid])) for grid in sorted(grids)]
        best = min(pairs, key=lambda pair: pair[0].cycles + (repeats - 1) * pair[1].cycles)
        first.append(best[0])
        further.append(best[1])
    return tuple(first), tuple(further)
