"""The modelled time of a training step: passes on the wafer, sums in SwarmX and updates in MemoryX, each as early as what it needs is there.

The passes take the cycles of the timing engine. SwarmX adds gradients, and MemoryX updates a weight as its gradient arrives, at the rate at which a system
gives them off (vendor statements; see docs/guides/training.md). Functions that run in MemoryX between phases take no time in this model.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator, Mapping, Sequence

from wafer import _native

_BYTES = 4  # of a gradient: f32


@dataclasses.dataclass(frozen=True)
class StepTime:
    """Seconds of the modelled machine. Of `seconds`, the last gradient's sum and update come after the passes; the others lie behind them."""

    wafer: float  # passes of all shards of a system
    sums: float  # of all gradients, over systems
    updates: float  # of all parameters
    seconds: float  # of the step
    samples: int
    tokens: int  # numbers that the loss compares; samples, where it is one each
    runs: tuple[tuple[str, str, float, str], ...] = dataclasses.field(default=(), repr=False, compare=False)  # system, name, begin, stats
    spans: tuple[tuple[str, str, str, float, float], ...] = dataclasses.field(default=(), repr=False, compare=False)  # system, lane, name, begin, seconds

    def trace(self, path: str | os.PathLike) -> None:
        """Write a timeline of the step, a Chrome trace for Perfetto: of each system what `Stats.trace` shows of its shards, then sums in SwarmX and updates in MemoryX.

        Raises: RuntimeError when the file cannot be written.
        """
        _native.module().write_timeline(os.fspath(path), list(self.runs), list(self.spans))

    @property
    def without_overlap(self) -> float:
        return self.wafer + self.sums + self.updates

    @property
    def hidden(self) -> float:
        """Part of sums and updates that takes place while the wafer computes."""
        behind = self.sums + self.updates
        return 1 - (self.seconds - self.wafer) / behind if behind else 1.0

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / self.seconds

    @property
    def samples_per_second(self) -> float:
        return self.samples / self.seconds

    def __str__(self) -> str:
        return (
            f"{self.seconds * 1e3:.3f} ms a step ({self.wafer * 1e3:.3f} ms on the wafer), {self.tokens_per_second:.0f} tokens/s; sums {self.sums * 1e3:.3f} ms and "
            f"updates {self.updates * 1e3:.3f} ms, of which {100 * self.hidden:.1f} % behind the passes"
        )


@dataclasses.dataclass(frozen=True)
class Passes:
    """One run of a gradients program: how long it takes, and when each gradient is there."""

    seconds: float
    ready: Mapping[str, float]
    stats: Mapping | None = None  # of the timing engine


def passes_of(stats: Mapping, outputs: Sequence[str]) -> Passes:
    """From what the timing engine gave for the program."""
    scale = stats["wafer_seconds"] / stats["total"]["cycles"] if stats["total"]["cycles"] else 0.0
    cycles, ready = 0, dict.fromkeys(outputs, 0.0)
    for phase in stats["phases"]:
        cycles += phase.get("cycles") or 0
        ready |= {name: cycles * scale for name in phase["outputs"] if name in ready}
    return Passes(cycles * scale, ready, stats)


def step_time(
    runs: Sequence[Sequence[Passes]], elements: Mapping[str, int], bytes_per_second: float, waits_for_all: bool, samples: int, tokens: int
) -> StepTime:
    """The time of a step.

    Args: runs: of each system, its shards. elements: of each gradient, by output. bytes_per_second: of a system's gradients.
          waits_for_all: no update begins before all sums are there.
    """
    wafer = max(sum(run.seconds for run in system) for system in runs)
    each = {name: _BYTES * count / bytes_per_second for name, count in elements.items()}
    # The last shard of the last system completes a gradient.
    ready = {name: max(sum(run.seconds for run in system[:-1]) + system[-1].ready[name] for system in runs) for name in elements}
    link, summed, spans = 0.0, {}, []
    for name in sorted(elements, key=ready.__getitem__):
        link = max(link, ready[name])
        if len(runs) > 1:
            spans.append(("all systems", "SwarmX", f"sum {name}", link, each[name]))
            link += each[name]
        summed[name] = link
    end = max(summed.values()) if waits_for_all else 0.0
    for name in sorted(elements, key=summed.__getitem__):
        end = max(end, summed[name])
        spans.append(("all systems", "MemoryX updates", f"update {name}", end, each[name]))
        end += each[name]
    sums = sum(each.values()) if len(runs) > 1 else 0.0
    return StepTime(wafer, sums, sum(each.values()), max(end, wafer), samples, tokens, tuple(_timed(runs)), tuple(spans))


def _timed(runs: Sequence[Sequence[Passes]]) -> Iterator[tuple[str, str, float, str]]:
    """Runs of the timing engine, one shard of a system after the other."""
    for number, system in enumerate(runs):
        begin = 0.0
        for shard, run in enumerate(system):
            if run.stats is not None:
                yield f"system {number}", f"shard {shard}", begin, json.dumps(run.stats)
            begin += run.seconds
