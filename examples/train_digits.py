#!/usr/bin/env python3
"""Train a classifier of handwritten digits on the emulated wafer, from scratch, and print its loss beside PyTorch's from the same start.

    PYTHONPATH=build/python python examples/train_digits.py [--machine small] [--precision f16|bf16|f32] [--systems 1] [--epochs 20]
                                                            [--sparsity RigL|SET|GMP|Static] [--zeros 0.75] [--checkpoint DIR]

With --checkpoint a run that was stopped, by Ctrl-C or in any other way, goes on where it was when it is started again.
"""

import argparse
import sys
import time

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

import wafer

BATCH = 32


def classifier() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))


def order(epoch: int, count: int) -> list[torch.Tensor]:
    """Batches of an epoch: whole ones, in an order that only the epoch decides."""
    shuffled = torch.randperm(count, generator=torch.Generator().manual_seed(epoch))
    return list(shuffled[: count // BATCH * BATCH].split(BATCH))


def main() -> int:
    parser = argparse.ArgumentParser(description="Train a classifier of handwritten digits on the emulated wafer.")
    parser.add_argument("--machine", default="small", help="a preset or the path of a machine description (default: %(default)s)")
    parser.add_argument("--precision", default="f16", choices=["f16", "bf16", "f32"], help="of values on the wafer (default: %(default)s)")
    parser.add_argument("--systems", type=int, default=1, help="systems that share each batch (default: %(default)s)")
    parser.add_argument("--shards", type=int, default=2, help="parts that a batch is cut into, whatever the number of systems (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=20, help="(default: %(default)s)")
    parser.add_argument("--sparsity", choices=["Static", "GMP", "SET", "RigL"], help="train with zeros, kept by this method (default: dense)")
    parser.add_argument("--zeros", type=float, default=0.75, help="share of zeros in each weight (default: %(default)s)")
    parser.add_argument("--checkpoint", help="folder for checkpoints")
    arguments = parser.parse_args()

    digits = load_digits()
    images = (digits.data / 16).astype("float32")
    x_train, x, y_train, y = (torch.from_numpy(part) for part in train_test_split(images, digits.target, test_size=360, random_state=0))
    batches = [batch for epoch in range(arguments.epochs) for batch in order(epoch, len(x_train))]

    model, reference = classifier(), classifier()
    rate = wafer.optim.cosine(1e-2, len(batches))
    method = None
    if arguments.sparsity:
        timing = {} if arguments.sparsity == "Static" else {"end": max(1, 3 * len(batches) // 4), "update_every": max(1, len(batches) // 20)}
        method = getattr(wafer.sparsity, arguments.sparsity)(arguments.zeros, **timing)
    step = wafer.train_step(
        model, nn.functional.cross_entropy, wafer.optim.AdamW(lr=rate, weight_decay=0.1), (x_train[:BATCH], y_train[:BATCH]),
        machine=arguments.machine, precision=arguments.precision, systems=arguments.systems, shards=arguments.shards, sparsity=method,
    )  # fmt: skip
    optimizer = torch.optim.AdamW(reference.parameters(), lr=1e-2, weight_decay=0.1)
    if arguments.checkpoint:
        try:
            step.load(arguments.checkpoint)
            print(f"going on after step {step.step}")
        except wafer.RuntimeError as error:
            print(f"starting anew: {error}")

    print(f"{'step':>5} {'wafer loss':>11} {'PyTorch loss':>13}")
    start, first, shown, sums = time.perf_counter(), step.step, max(1, len(batches) // 20), [0.0, 0.0]
    for number, batch in enumerate(batches):
        # PyTorch runs from the beginning also when the wafer goes on in the middle.
        for group in optimizer.param_groups:
            group["lr"] = rate(number)
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(reference(x_train[batch]), y_train[batch])
        loss.backward()
        optimizer.step()
        if number < first:
            continue
        try:
            sums = [sums[0] + step(x_train[batch], y_train[batch]), sums[1] + loss.item()]
        except KeyboardInterrupt:
            if arguments.checkpoint:
                step.save(arguments.checkpoint)
                print(f"\nstopped after step {step.step}; saved in {arguments.checkpoint}")
            return 130
        if (number + 1) % shown == 0:
            print(f"{number + 1:>5} {sums[0] / shown:>11.5f} {sums[1] / shown:>13.5f}", flush=True)
            sums = [0.0, 0.0]
            if arguments.checkpoint:
                step.save(arguments.checkpoint)
    seconds = time.perf_counter() - start

    for name, mask in step.masks.items():
        print(f"{name}: {int(mask.sum())} of {mask.size} weights kept")
    model.load_state_dict(step.state_dict())
    program = wafer.compile(model.eval(), (x,), machine=arguments.machine, precision=arguments.precision)
    accuracy = (program(x).argmax(-1) == y).float().mean().item()
    with torch.no_grad():
        beside = (reference(x).argmax(-1) == y).float().mean().item()
    print(f"wafer accuracy:   {accuracy:.4f} ({len(x)} held-out digits, trained and run in {arguments.precision} on machine '{arguments.machine}')")
    print(f"PyTorch accuracy: {beside:.4f}{' (dense)' if method else ''}")
    print(f"{(step.step - first) / seconds:.1f} steps a second on this host, {step.skipped} skipped")
    return 0 if accuracy >= 0.97 else 1


if __name__ == "__main__":
    sys.exit(main())
