"""How near cycles are that are estimated: those of the timing engine beside the cycle engine's, and those of the cost model beside the timing engine's, over generated programs."""

from __future__ import annotations

import dataclasses
import itertools
import json
import pathlib
import random
import re
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence

import torch
from torch import nn

import wafer
from wafer import sparsity
from wafer.bench import Row
from wafer.compiler import nothing_for
from wafer.models.gpt2 import Block

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

    what: str  # its seed, kind, shape, machine and precision
    skips: bool  # zeros of activations
    cycles: int  # by the cycle engine
    timed: int  # by the timing engine
    has_macs: bool  # whether the timing engine counts as many multiply-accumulates
    seconds: tuple[float, float]  # that the engines took

    @property
    def error(self) -> float:
        return abs(self.timed - self.cycles) / self.cycles


def timed_programs(count: int, first: int = 0, machines: Sequence[str] = TALL_MACHINES) -> Iterator[Timed]:
    """Those of so many seeds; machines take turns."""
    for number in range(first, first + count):
        draw = random.Random(number)
        torch.manual_seed(number)
        kind, model, x = model_of(draw)
        machine, precision = machines[number % len(machines)], draw.choice(["f16", "f32"])
        with tempfile.TemporaryDirectory() as folder:
            program = wafer.compile(model, (x,), machine=machine_of(machine, pathlib.Path(folder)), precision=precision)
        start = time.perf_counter()
        program(x, engine="cycle")
        stats, middle = program.stats, time.perf_counter()
        skips = any(step["skips_input_zeros"] for phase in stats.phases for step in phase.get("steps", []))
        timed = program.time()
        seconds = middle - start, time.perf_counter() - middle
        yield Timed(f"seed {number}: {kind} {list(x.shape)} on {machine} in {precision}", skips, stats.cycles, timed.cycles, timed.macs_executed == stats.macs_executed, seconds)


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


class Several(nn.Module):
    """Layers of one input, so that a result leaves while the next is computed."""

    def __init__(self, features: int, hidden: int):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(features, hidden, bias=False) for _ in range(3))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(layer(x) for layer in self.layers)


def machine_of(name: str, folder: pathlib.Path) -> str | pathlib.Path:
    """A preset or description, or one that the name describes: tall-8x80-1 has 8 columns, 80 rows, and a link of one wavelet per cycle to MemoryX and back."""
    if not (numbers := re.fullmatch(r"tall-(\d+)x(\d+)-(\d+)", name)):
        return name
    width, height, link = map(int, numbers.groups())
    path = folder / f"{name}.json"
    path.write_text(
        json.dumps(nothing_for("small").machine_description | {"name": name, "width": width, "height": height, "ingest_wavelets_per_cycle": link, "egress_wavelets_per_cycle": link})
    )
    return path


def model_of(draw: random.Random) -> tuple[str, nn.Module, torch.Tensor]:
    """A small model of a shape that only `draw` decides, and its input."""
    features, hidden, tokens = draw.randint(5, 200), draw.randint(5, 150), draw.randint(3, 400)
    x = torch.randn(tokens, features)
    kind = draw.choice(["linear", "sparse", "mlp", "norm", "softmax", "block", "several"])
    if kind == "linear":
        return kind, nn.Linear(features, hidden), x
    if kind == "sparse":
        layer = nn.Linear(features, hidden)
        sparsity.prune(layer, draw.choice([0.6, 0.8, 0.9]))
        return kind, layer, x
    if kind == "mlp":
        return kind, nn.Sequential(nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, features)), x
    if kind == "norm":
        return kind, nn.Sequential(nn.LayerNorm(features), nn.Linear(features, hidden), nn.GELU()), x
    if kind == "softmax":
        return kind, nn.Sequential(nn.Linear(features, hidden), nn.Softmax(-1)), x
    if kind == "several":
        return kind, Several(features, hidden), x
    heads = draw.choice([1, 2, 4])
    width = heads * draw.randint(4, 16)
    return kind, Block(width, heads).eval(), torch.randn(draw.randint(1, 2), draw.randint(8, 48), width)
