#!/usr/bin/env python3
"""A weight-streamed matrix product on the functional engine beside the host's sgemm with as many threads.

    PYTHONPATH=build/python python benchmarks/gemm.py [--size 1024] [--machine small] [--threads 1 2] [--repeats 5]
"""

import argparse

import torch
from torch import nn

import wafer
from wafer.bench import median_seconds


def main() -> None:
    parser = argparse.ArgumentParser(description="Time a weight-streamed matrix product.")
    parser.add_argument("--size", type=int, default=1024, help="tokens, input and output features (default: %(default)s)")
    parser.add_argument("--machine", default="small", help="(default: %(default)s)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()

    n = arguments.size
    torch.manual_seed(0)
    model = nn.Linear(n, n, bias=False).eval()
    x = torch.rand(n, n)
    print(f"{n} x {n} x {n} on machine {arguments.machine}; E1 is the functional engine's rate over the host's sgemm")
    print("precision  threads  engine ms  sgemm ms     E1")
    for precision in ("f32", "f16"):
        program = wafer.compile(model, (x,), machine=arguments.machine, precision=precision)
        for threads in arguments.threads:
            torch.set_num_threads(threads)
            engine = median_seconds(lambda threads=threads, program=program: program(x, threads=threads), arguments.repeats)
            sgemm = median_seconds(lambda: torch.mm(x, x), 2 * arguments.repeats)
            print(f"{precision:9}  {threads:7}  {engine * 1e3:9.1f}  {sgemm * 1e3:8.1f}  {sgemm / engine:5.3f}")


if __name__ == "__main__":
    main()
