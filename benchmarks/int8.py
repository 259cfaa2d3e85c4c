#!/usr/bin/env python3
"""8-bit integers beside f16: accuracy of trained digit classifiers, weights on the wire, and cycles of a layer.

    PYTHONPATH=build/python python benchmarks/int8.py [--machine small] [--size 256]
"""

import argparse

import torch
from torch import nn

import wafer
from wafer.models import trained
from wafer.models.gpt2 import GPT2


def accuracy(logits: torch.Tensor, classes: torch.Tensor) -> float:
    return (logits.argmax(1) == classes).float().mean().item()


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare precision int8 with f16.")
    parser.add_argument("--machine", default="small", help="(default: %(default)s)")
    parser.add_argument("--size", type=int, default=256, help="features in and out, and tokens, of the layer (default: %(default)s)")
    arguments = parser.parse_args()
    torch.manual_seed(0)

    (pictures, _), (held_out, classes) = trained.digits()
    for name, model in (("digits_perceptron", trained.digits_perceptron()), ("digits_cnn", trained.digits_cnn())):
        with torch.no_grad():
            print(f"{name}: PyTorch f32 {accuracy(model(held_out), classes):.4f}", end="")
        for precision in ("f16", "int8"):
            program = wafer.compile(model, (held_out,), machine=arguments.machine, precision=precision, calibration=[(pictures[: len(held_out)],)] if precision == "int8" else None)
            print(f"; {precision} {accuracy(program(held_out), classes):.4f}, {program.stats.bytes_by_kind['weights']} bytes of weights", end="")
        print(f", {100 * program.wafer_share:.0f} % of MACs on the wafer")

    gpt2, ids = GPT2(96, 32, 64, 2, 4).eval(), torch.randint(0, 96, (2, 32))
    program = wafer.compile(gpt2, (ids,), machine=arguments.machine, precision="int8")
    with torch.no_grad():
        wanted = gpt2(ids)
    print(f"gpt2, 2 layers of 64, random weights: relative error of int8 {((program(ids) - wanted).norm() / wanted.norm()).item():.1e}, {100 * program.wafer_share:.0f} % of MACs on the wafer")

    layer, x = nn.Linear(arguments.size, arguments.size).eval(), torch.randn(arguments.size, arguments.size)
    cycles = {}
    for precision in ("f32", "f16", "int8"):
        program = wafer.compile(layer, (x,), machine=arguments.machine, precision=precision)
        program(x, engine="cycle")
        cycles[precision] = program.stats.cycles
    print(f"layer {arguments.size} x {arguments.size}, {arguments.size} tokens, cycles: " + ", ".join(f"{precision} {count}" for precision, count in cycles.items()))


if __name__ == "__main__":
    main()
