#!/usr/bin/env python3
"""A training step on the emulated wafer beside PyTorch's on the same CPU, and how long a checkpoint holds it up.

    PYTHONPATH=build/python python benchmarks/training.py [--layers 2] [--width 64] [--context 32] [--batch 8] [--machine tiny] [--repeats 5]
"""

import argparse
import sys
import tempfile
import time

import torch
from timing import median_seconds

import wafer
from wafer.models.gpt2 import GPT2
from wafer.training.losses import next_token


def main() -> int:
    parser = argparse.ArgumentParser(description="Time a training step.")
    for name, default in (("layers", 2), ("width", 64), ("heads", 4), ("context", 32), ("batch", 8), ("repeats", 5)):
        parser.add_argument(f"--{name}", type=int, default=default, help="(default: %(default)s)")
    parser.add_argument("--machine", default="tiny", help="(default: %(default)s)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = GPT2(96, arguments.context, arguments.width, arguments.layers, arguments.heads)
    ids = torch.randint(0, 96, (arguments.batch, arguments.context + 1))
    x, target = ids[:, :-1].contiguous(), ids[:, 1:].contiguous()
    optimizer = torch.optim.AdamW(model.parameters())

    def with_pytorch() -> None:
        optimizer.zero_grad()
        next_token(model(x), target).backward()
        optimizer.step()

    print(f"GPT-2 of {sum(p.numel() for p in model.parameters())} parameters, {x.numel()} tokens, machine {arguments.machine}, one thread, medians of {arguments.repeats}")
    beside = median_seconds(with_pytorch, arguments.repeats)
    for precision in ("f32", "f16"):
        step = wafer.train_step(model, next_token, wafer.optim.AdamW(), (x, target), machine=arguments.machine, precision=precision, shards=1)
        step(x, target)
        seconds = median_seconds(lambda step=step: step(x, target), arguments.repeats)
        print(f"{precision}: {1 / seconds:.2f} steps/s; PyTorch {1 / beside:.2f} steps/s; ratio {beside / seconds:.4f}")
    with tempfile.TemporaryDirectory() as folder:
        waited = median_seconds(lambda: step.save(folder), arguments.repeats)
        start = time.perf_counter()
        step.save(folder, wait=False)
        blocked = time.perf_counter() - start
        step.written()
    print(f"a checkpoint takes {waited / seconds:.2f} of a step; written behind the next step it holds that up by {blocked / seconds:.4f} of a step")
    return 0


if __name__ == "__main__":
    sys.exit(main())
