#!/usr/bin/env python3
"""The timing engine beside the cycle engine: cycles of generated programs on several grids, and how long either took.

    PYTHONPATH=build/python python benchmarks/timing_agreement.py [--count 60] [--machine tiny --machine odd --machine small]
"""

import argparse
import random
import statistics
import time

import torch
from torch import nn

import wafer
from wafer import sparsity
from wafer.models.gpt2 import Block


def model_of(draw: random.Random) -> tuple[str, nn.Module, torch.Tensor]:
    """A small model of a shape that only `draw` decides, and its input."""
    features, hidden, tokens = draw.randint(5, 200), draw.randint(5, 150), draw.randint(3, 400)
    x = torch.randn(tokens, features)
    kind = draw.choice(["linear", "sparse", "mlp", "norm", "softmax", "block"])
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
    heads = draw.choice([1, 2, 4])
    width = heads * draw.randint(4, 16)
    return kind, Block(width, heads).eval(), torch.randn(draw.randint(1, 2), draw.randint(8, 48), width)


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare the timing engine with the cycle engine.")
    parser.add_argument("--count", type=int, default=60, help="programs (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="seed of the first one (default: %(default)s)")
    parser.add_argument("--machine", action="append", help="presets or descriptions to take turns (default: tiny, odd, small)")
    arguments = parser.parse_args()
    machines = arguments.machine or ["tiny", "odd", "small"]

    # Where zeros of activations are skipped, the timing engine knows their mean share only.
    errors, by_cycle, by_timing = {False: [], True: []}, 0.0, 0.0
    for number in range(arguments.first, arguments.first + arguments.count):
        draw = random.Random(number)
        torch.manual_seed(number)
        kind, model, x = model_of(draw)
        machine, precision = machines[number % len(machines)], draw.choice(["f16", "f32"])
        program = wafer.compile(model, (x,), machine=machine, precision=precision)
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
