#!/usr/bin/env python3
"""Handwritten digits on the emulated wafer: train a small classifier in PyTorch, compile it, and classify the held-out digits on both.

    PYTHONPATH=build/python python examples/digits.py [--machine small] [--precision f16|bf16|f32] [--engine cycle|functional] [--out DIR]

With --out the folder keeps model.mlir, model.wexe, weights.safetensors and x.npy, which the tools take too:
    wafer-run DIR/model.wexe --weights DIR/weights.safetensors --input x=DIR/x.npy --output-dir DIR/outputs --engine cycle
"""

import argparse
import pathlib
import sys
import tempfile

import numpy
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

import wafer


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(64, 64)
        self.fc2 = nn.Linear(64, 10)

    def forward(self, x):
        return self.fc2(torch.relu(self.fc1(x)))


def data() -> list[torch.Tensor]:
    """Images to train with, held-out ones, and the labels of both."""
    digits = load_digits()
    images = (digits.data / 16).astype("float32")
    return [torch.from_numpy(part) for part in train_test_split(images, digits.target, test_size=360, random_state=0)]


def train(x: torch.Tensor, target: torch.Tensor) -> Classifier:
    torch.manual_seed(0)
    model = Classifier()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(60):
        for batch in torch.randperm(len(x)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[batch]), target[batch]).backward()
            optimizer.step()
    return model.eval()


def main() -> int:
    parser = argparse.ArgumentParser(description="Classify handwritten digits on the emulated wafer.")
    parser.add_argument("--machine", default="small", help="a preset or the path of a machine description (default: %(default)s)")
    parser.add_argument("--precision", default="f16", choices=["f16", "bf16", "f32"], help="of values on the wafer (default: %(default)s)")
    parser.add_argument("--engine", default="cycle", choices=["cycle", "functional"], help="(default: %(default)s)")
    parser.add_argument("--out", type=pathlib.Path, help="folder to keep the model, the program, the weights and the inputs in")
    arguments = parser.parse_args()

    x_train, x, y_train, y = data()
    model = train(x_train, y_train)
    with torch.no_grad():
        expected = model(x)

    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.out or pathlib.Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        compiled = wafer.compile(model, (x,), machine=arguments.machine, precision=arguments.precision)
        (folder / "model.mlir").write_text(compiled.mlir)
        compiled.save_weights(folder / "weights.safetensors")
        compiled.save(folder / "model.wexe")
        numpy.save(folder / "x.npy", x.numpy())

        # What runs is what was saved.
        program = wafer.load(folder / "model.wexe", weights=folder / "weights.safetensors")
        found = program(x, engine=arguments.engine)
        if arguments.out:
            print(f"kept in {folder}: model.mlir, model.wexe, weights.safetensors, x.npy")

    stats = program.stats
    same = (found.argmax(-1) == expected.argmax(-1)).sum().item()
    cycles = f"{stats.cycles} ({stats.wafer_seconds * 1e6:.2f} us)" if stats.cycles is not None else f"not counted by the {stats.engine} engine"
    print(f"PyTorch accuracy: {(expected.argmax(-1) == y).float().mean():.4f} ({len(x)} held-out digits)")
    print(f"wafer accuracy:   {(found.argmax(-1) == y).float().mean():.4f} ({arguments.precision} on machine '{stats.machine}', {stats.engine} engine)")
    print(f"same prediction:  {same} of {len(x)}, largest difference of a logit {(found - expected).abs().max():.2e}")
    print(f"cycles: {cycles}")
    print(f"MACs: {stats.macs_executed} executed, {stats.macs_dense} in the dense model")
    print(f"bytes streamed: {stats.bytes_streamed}, {stats.bytes_by_kind['weights']} of them weights")
    print(f"weights stored on the wafer: {stats.weights_stored_on_wafer} (proved for {stats.weight_colours_proved} weight colours)")
    return 0 if same == len(x) else 1


if __name__ == "__main__":
    sys.exit(main())
