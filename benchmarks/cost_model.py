#!/usr/bin/env python3
"""The cost model by which grids are compared and models are planned, beside the timing engine: cycles of generated programs.

    PYTHONPATH=build/python python benchmarks/cost_model.py [--count 500] [--machine tiny --machine odd --machine small]
"""

import argparse
import json
import pathlib
import random
import statistics
import tempfile

import torch
from timing_agreement import model_of

import wafer


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare the cost model with the timing engine.")
    parser.add_argument("--count", type=int, default=500, help="programs (default: %(default)s)")
    parser.add_argument("--machine", action="append", help="presets or descriptions to take turns (default: tiny, odd, small)")
    arguments = parser.parse_args()
    machines = arguments.machine or ["tiny", "odd", "small"]

    errors: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        trace = pathlib.Path(folder, "decisions.json")
        for number in range(arguments.count):
            draw = random.Random(number)
            torch.manual_seed(number)
            kind, model, x = model_of(draw)
            program = wafer.compile(model, (x,), machine=machines[number % len(machines)], precision=draw.choice(["f16", "f32"]), decision_trace=trace)
            chosen = [row["cycles"] for row in map(json.loads, trace.read_text().splitlines()) if row["chosen"]]
            cycles = program.time().cycles
            errors.setdefault(kind, []).append((sum(chosen) - cycles) / cycles)
    for kind, found in sorted(errors.items()):
        print(f"{kind:>10}: {len(found)} programs, median {100 * statistics.median(found):+.1f} %, from {100 * min(found):+.1f} to {100 * max(found):+.1f} %")
    sizes = sorted(abs(error) for found in errors.values() for error in found)
    print(f"{len(sizes)} programs: median error {100 * statistics.median(sizes):.1f} %, 99th percentile {100 * sizes[int(0.99 * (len(sizes) - 1))]:.1f} %; goals 2 % and 8 %")


if __name__ == "__main__":
    main()
