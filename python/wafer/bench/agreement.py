"""How near cycles are that are estimated: those of the timing engine beside the cycle engine's, and those of the cost model beside the timing engine's, over generated programs."""

from __future__ import annotations

import dataclasses
import itertools
import json
import pathlib
import random
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence

import torch

import wafer
from wafer.bench import Row
from wafer.bench._generated import case_of_feature, case_of_model, model_of

MACHINES = ("tiny", "odd", "small")
TALL_MACHINES = (*MACHINES, "tall-8x80-1", "tall-12x40-2")


def rows() -> Iterator[Row]:
    for skips, programs in itertools.groupby(sorted(timed_programs(60), key=lambda each: each.skips), lambda each: each.skips):
        # Where zeros of activations are skipped, the timing engine knows their expected share only.
        found = sorted(program.error for program in programs)
        zeros = "that skip zeros of activations, of which it knows the expected share" if skips else "without zeros of activations to skip"
        what = f"cycles by the timing engine beside the cycle engine, {len(found)} generated programs {zeros}: median error, largest"
        yield Row(what, f"{percentiles(found)[0]:.2f} %, {100 * found[-1]:.2f} %", "1 %", "benchmarks/timing_agreement.py")
    sizes = sorted(abs(error) for _, error in modelled_programs(500))
    yield Row(f"cycles by the cost model beside the timing engine, {len(sizes)} generated programs: median error, 99th percentile", "{:.1f} %, {:.1f} %".format(*percentiles(sizes)), "2 %, 8 %", "benchmarks/cost_model.py")


def percentiles(sizes: Sequence[float]) -> tuple[float, float]:
    """The median and the 99th percentile of sorted errors, in percent."""
    return 100 * statistics.median(sizes), 100 * sizes[int(0.99 * (len(sizes) - 1))]


@dataclasses.dataclass(frozen=True)
class Timed:
    """A generated program in both engines."""

    what: str  # its seed, kind, shape and machine
    skips: bool  # zeros of activations
    cycles: int  # by the cycle engine
    timed: int  # by the timing engine
    has_macs: bool  # whether the timing engine counts as many multiply-accumulates
    seconds: tuple[float, float]  # that the engines took

    @property
    def error(self) -> float:
        return abs(self.timed - self.cycles) / self.cycles


def timed_programs(count: int, first: int = 0, machines: Sequence[str] = TALL_MACHINES) -> Iterator[Timed]:
    """Two of each of so many seeds: a model on one of the machines, which take turns, and what a compiler does for larger ones, on a machine of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for number in range(first, first + count):
            for case in (case_of_model(number, machines, folder), case_of_feature(number, folder)):
                start = time.perf_counter()
                stats, middle = case.run(), time.perf_counter()
                skips = any(step["skips_input_zeros"] for phase in stats["phases"] for step in phase.get("steps", []))
                timed, total = case.program.time(), stats["total"]
                seconds = middle - start, time.perf_counter() - middle
                yield Timed(case.what, skips, total["cycles"], timed.cycles, timed.macs_executed == total["macs"], seconds)


def modelled_programs(count: int, machines: Sequence[str] = MACHINES) -> Iterator[tuple[str, float]]:
    """Kinds of generated programs, and how much more cycles the cost model has than the timing engine, as a part of these; machines take turns."""
    with tempfile.TemporaryDirectory() as folder:
        trace = pathlib.Path(folder, "decisions.json")
        for number in range(count):
            draw = random.Random(number)
            torch.manual_seed(number)
            kind, model, x = model_of(draw)
            program = wafer.compile(model, (x,), machine=machines[number % len(machines)], precision=draw.choice(["f16", "f32"]), decision_trace=trace)
            chosen = [row["cycles"] for row in map(json.loads, trace.read_text().splitlines()) if row["chosen"]]
            cycles = program.time().cycles
            yield kind, (sum(chosen) - cycles) / cycles
