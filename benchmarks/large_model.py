#!/usr/bin/env python3
"""Train a model whose weights and optimizer state are several times as large as MemoryX's DRAM tier, from files, and print the peak of memory.

    PYTHONPATH=build/python python benchmarks/large_model.py [--gigabytes 2] [--dram-megabytes 256] [--steps 2] [--batch 8] [--folder DIR]

Layers of 4096 features, AdamW: 12 bytes per parameter. The folder, by default one for temporary files, needs room for weights, gradients and state
twice. Memory is what the kernel counts as anonymous, that is, all that no file backs; pages of files are the kernel's to drop.
"""

import argparse
import pathlib
import sys
import tempfile
import threading
import time

import numpy
import torch
from torch import nn

import wafer
from wafer import _native
from wafer.training.room import Room

FEATURES = 4096


class Peak:
    """Samples this process's anonymous memory; `most` is in bytes."""

    def __init__(self):
        self.most, self._stop = 0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *unused):
        self._stop.set()
        self._thread.join()

    def _watch(self):
        while not self._stop.wait(0.01):
            self.most = max(self.most, anonymous())


def anonymous() -> int:
    status = pathlib.Path("/proc/self/status").read_text()
    return 1024 * int(next(line for line in status.splitlines() if line.startswith("RssAnon")).split()[1])


def make_weights(file: pathlib.Path, layers: int, room: Room) -> None:
    random, values = numpy.random.default_rng(0), {}
    for layer in range(layers):
        weight = room.empty((FEATURES, FEATURES), numpy.float32)
        for row in range(0, FEATURES, 256):
            weight[row : row + 256] = random.standard_normal((256, FEATURES), dtype=numpy.float32) * FEATURES**-0.5
        values[f"{layer}.weight"] = ("f32", weight)
    _native.module().write_safetensors(str(file), values)


def main() -> int:
    parser = argparse.ArgumentParser(description="Train a model larger than MemoryX's DRAM tier.")
    parser.add_argument("--gigabytes", type=float, default=2, help="of weights and optimizer state (default: %(default)s)")
    parser.add_argument("--dram-megabytes", type=int, default=256, help="(default: %(default)s)")
    parser.add_argument("--steps", type=int, default=2, help="(default: %(default)s)")
    parser.add_argument("--batch", type=int, default=8, help="(default: %(default)s)")
    parser.add_argument("--folder", help="for files")
    arguments = parser.parse_args()
    layers = max(1, round(arguments.gigabytes * 2**30 / 12 / FEATURES**2))

    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        make_weights(pathlib.Path(folder) / "model.safetensors", layers, Room(folder))
        with torch.device("meta"):
            model = nn.Sequential(*(nn.Linear(FEATURES, FEATURES, bias=False) for _ in range(layers)))
        batches = [torch.randn(2, arguments.batch, FEATURES, generator=torch.Generator().manual_seed(i)) for i in range(arguments.steps)]
        start = time.perf_counter()
        step = wafer.train_step(
            model, nn.functional.mse_loss, wafer.optim.AdamW(lr=1e-4), tuple(batches[0]), machine="small", precision="bf16", shards=1,
            weights=folder, memoryx_dram=arguments.dram_megabytes << 20, memoryx_flash=folder,
        )  # fmt: skip
        before = anonymous()
        print(f"{layers} layers of {FEATURES}: {layers * FEATURES**2} parameters, {layers * FEATURES**2 * 12 / 2**30:.2f} GiB of weights and optimizer state")
        print(f"step made in {time.perf_counter() - start:.1f} s; the process then has {before >> 20} MiB (Python, PyTorch, the program)", flush=True)
        with Peak() as peak:
            for number, (x, target) in enumerate(batches):
                start = time.perf_counter()
                loss = step(x, target)
                print(f"step {number}: loss {loss:.5f}, {time.perf_counter() - start:.1f} s", flush=True)
        memoryx = step.stats["memoryx"]
    print(f"DRAM tier: {memoryx['dram_budget_bytes'] >> 20} MiB; weights in it at most {memoryx['dram_peak_bytes'] >> 20} MiB, activations and gradients {memoryx['activation_peak_bytes'] >> 20} MiB")
    print(f"flash tier, last gradients program: {memoryx['flash_bytes_read'] >> 20} MiB read, {memoryx['flash_bytes_written'] >> 20} MiB written")
    print(f"peak of anonymous memory while training: {peak.most >> 20} MiB, {peak.most - before >> 20} MiB above the process before the first step")
    return 0


if __name__ == "__main__":
    sys.exit(main())
