#!/usr/bin/env python3
"""The timing engine beside the cycle engine: cycles of generated programs on several grids, and how long either took.

    PYTHONPATH=build/python python benchmarks/timing_agreement.py [--count 60] [--machine tiny --machine odd --machine small --machine tall-8x80-1]

A machine tall-8x80-1 has 8 columns, 80 rows, and a link of one wavelet per cycle to MemoryX and back; with rows this many the timing engine leaves some out.
"""

import argparse
import json
import pathlib
import random
import re
import statistics
import tempfile
import time

import torch
from torch import nn

import wafer
from wafer import sparsity
from wafer.models.gpt2 import Block


class Several(nn.Module):
    """Layers of one input, so that a result leaves while the next is computed."""

    def __init__(self, features: int, hidden: int):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(features, hidden, bias=False) for _ in range(3))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(layer(x) for layer in self.layers)


def machine_of(name: str, folder: pathlib.Path) -> str | pathlib.Path:
    """A preset or description, or one that the name describes."""
    if not (numbers := re.fullmatch(r"tall-(\d+)x(\d+)-(\d+)", name)):
        return name
    width, height, link = map(int, numbers.groups())
    description = json.loads((pathlib.Path(__file__).parents[1] / "machines" / "small.json").read_text())
    path = folder / f"{name}.json"
    path.write_text(json.dumps(description | {"name": name, "width": width, "height": height, "ingest_wavelets_per_cycle": link, "egress_wavelets_per_cycle": link}))
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


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare the timing engine with the cycle engine.")
    parser.add_argument("--count", type=int, default=60, help="programs (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="seed of the first one (default: %(default)s)")
    parser.add_argument("--machine", action="append", help="presets or descriptions to take turns (default: tiny, odd, small, tall-8x80-1, tall-12x40-2)")
    arguments = parser.parse_args()
    machines = arguments.machine or ["tiny", "odd", "small", "tall-8x80-1", "tall-12x40-2"]

    # Where zeros of activations are skipped, the timing engine knows their mean share only.
    errors, by_cycle, by_timing = {False: [], True: []}, 0.0, 0.0
    for number in range(arguments.first, arguments.first + arguments.count):
        draw = random.Random(number)
        torch.manual_seed(number)
        kind, model, x = model_of(draw)
        machine, precision = machines[number % len(machines)], draw.choice(["f16", "f32"])
        with tempfile.TemporaryDirectory() as folder:
            program = wafer.compile(model, (x,), machine=machine_of(machine, pathlib.Path(folder)), precision=precision)
        start = time.perf_counter()
        program(x, engine="cycle")
        macs, skips = program.stats.macs_executed, any(step["skips_input_zeros"] for phase in program.stats.phases for step in phase.get("steps", []))
        cycles, by_cycle = program.stats.cycles, by_cycle + time.perf_counter() - start
        start = time.perf_counter()
        timed, by_timing = program.time(), by_timing + time.perf_counter() - start
        error = abs(timed.cycles - cycles) / cycles
        errors[skips].append(error)
        if not skips and (error > 0.01 or timed.macs_executed != macs):
            print(f"seed {number}: {kind} {list(x.shape)} on {machine} in {precision}: {cycles} cycles, {timed.cycles} by the timing engine ({100 * error:.2f} %)")
    for skips, found in errors.items():
        found.sort()
        print(f"{len(found)} programs {'that skip zeros of activations' if skips else 'without zeros to skip'}: median error {100 * statistics.median(found):.3f} %, "
              f"99th percentile {100 * found[int(0.99 * (len(found) - 1))]:.2f} %, largest {100 * found[-1]:.2f} %, within 1 %: {sum(error <= 0.01 for error in found)}")
    print(f"cycle engine {by_cycle:.1f} s, timing engine {by_timing:.1f} s")


if __name__ == "__main__":
    main()
