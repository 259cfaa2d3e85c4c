#!/usr/bin/env python3
"""The digits classifier: compile time, time of both engines, and multiply-accumulates per second beside the host's own matrix product.

    PYTHONPATH=build/python python benchmarks/digits.py [--machine small] [--repeats 5]
"""

import argparse
import time

import torch
from torch import nn

import wafer
from wafer.bench import median_seconds


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the digits model.")
    parser.add_argument("--machine", default="small", help="(default: %(default)s, 16 x 16 cores)")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()

    torch.manual_seed(0)
    torch.set_num_threads(1)
    a = torch.rand(1024, 1024)
    sgemm = 1024**3 / median_seconds(lambda: torch.mm(a, a), 9)
    print(f"machine {arguments.machine}, one thread, medians of {arguments.repeats} runs")
    digits = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)).eval()
    x = torch.rand(360, 64)
    start = time.perf_counter()
    wafer.compile(digits, (x,), machine=arguments.machine)
    first = time.perf_counter() - start
    compiling = median_seconds(lambda: wafer.compile(digits, (x,), machine=arguments.machine), 3)
    print(f"compile the digits model: {compiling:.3f} s (first in the process {first:.3f} s, which loads PyTorch's exporter)")
    # Of the small model's run most is start-up, of the layer's most is arithmetic.
    for name, model, given in (("digits model", digits, x), ("layer of 256 x 256, 512 tokens", nn.Linear(256, 256).eval(), torch.rand(512, 256))):
        program = wafer.compile(model, (given,), machine=arguments.machine)
        functional = median_seconds(lambda program=program, given=given: program(given), 4 * arguments.repeats)
        cycle = median_seconds(lambda program=program, given=given: program(given, engine="cycle"), arguments.repeats)
        macs = program.stats.macs_executed
        print(f"{name}:")
        for engine, seconds in (("functional", functional), ("cycle", cycle)):
            print(f"  {engine} engine: {seconds * 1e3:.2f} ms, {macs / seconds / 1e9:.4f} GMAC/s, {macs / seconds / sgemm:.6f} of the host's sgemm")
        print(f"  functional / cycle: {cycle / functional:.1f} times as fast")


if __name__ == "__main__":
    main()
