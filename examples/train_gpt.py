#!/usr/bin/env python3
"""Train a character-level GPT on the emulated wafer and print its loss beside PyTorch's from the same start.

    PYTHONPATH=build/python python examples/train_gpt.py [--layers 2] [--width 64] [--heads 4] [--context 32] [--batch 8] [--steps 50]
                                                         [--machine small] [--precision f32|f16|bf16] [--systems 1] [--threads 1]

The text is the reference manual that Python carries for help("topics"), 465 kB of English. `--layers 4 --width 144 --heads 4 --context 64` makes a
model of a million parameters.
"""

import argparse
import pydoc_data.topics
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

import wafer


class Block(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention, self.projection = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        batch, tokens, width = x.shape
        q, k, v = self.attention(self.norm1(x)).view(batch, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(batch, tokens, width)
        x = x + self.projection(mixed)
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))


class GPT(nn.Module):
    def __init__(self, characters: int, layers: int, width: int, heads: int, context: int):
        super().__init__()
        self.token, self.position = nn.Embedding(characters, width), nn.Embedding(context, width)
        self.blocks = nn.ModuleList([Block(width, heads) for _ in range(layers)])
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, characters)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, ids):
        x = self.token(ids) + self.position.weight
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


def loss_of(logits, target):
    return F.cross_entropy(logits.flatten(0, 1), target.flatten())


def main() -> int:
    parser = argparse.ArgumentParser(description="Train a character-level GPT on the emulated wafer.")
    for name, default in (("layers", 2), ("width", 64), ("heads", 4), ("context", 32), ("batch", 8), ("steps", 50), ("systems", 1), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=default, help="(default: %(default)s)")
    parser.add_argument("--shards", type=int, default=None, help="parts that a batch is cut into (default: the largest divisor that is at most 8)")
    parser.add_argument("--machine", default="small", help="a preset or the path of a machine description (default: %(default)s)")
    parser.add_argument("--precision", default="f32", choices=["f32", "f16", "bf16"], help="of values on the wafer (default: %(default)s)")
    parser.add_argument("--lr", type=float, default=1e-3, help="(default: %(default)s)")
    arguments = parser.parse_args()

    text = "".join(pydoc_data.topics.topics.values())
    alphabet = sorted(set(text))
    ids = torch.tensor([alphabet.index(character) for character in text])

    def batch(number: int) -> tuple[torch.Tensor, torch.Tensor]:
        starts = torch.randint(len(ids) - arguments.context - 1, (arguments.batch,), generator=torch.Generator().manual_seed(number))
        windows = torch.stack([ids[start : start + arguments.context + 1] for start in starts])
        return windows[:, :-1].contiguous(), windows[:, 1:].contiguous()

    def model() -> GPT:
        torch.manual_seed(0)
        return GPT(len(alphabet), arguments.layers, arguments.width, arguments.heads, arguments.context)

    reference = model()
    optimizer = torch.optim.AdamW(reference.parameters(), lr=arguments.lr)
    start = time.perf_counter()
    step = wafer.train_step(
        model(), loss_of, wafer.optim.AdamW(lr=arguments.lr), batch(0),
        machine=arguments.machine, precision=arguments.precision, systems=arguments.systems, shards=arguments.shards, threads=arguments.threads,
    )  # fmt: skip
    on_wafer = sum(op.placement == "wafer" for op in step.program.ops)
    print(f"{sum(p.numel() for p in reference.parameters())} parameters, {len(text)} characters of {len(alphabet)} kinds")
    print(f"program made in {time.perf_counter() - start:.1f} s, {on_wafer} of {len(step.program.ops)} operations on the wafer")
    print(f"{'step':>5} {'wafer loss':>11} {'PyTorch loss':>13} {'difference':>11}")
    start, worst = time.perf_counter(), 0.0
    for number in range(arguments.steps):
        x, target = batch(number)
        optimizer.zero_grad()
        loss = loss_of(reference(x), target)
        loss.backward()
        optimizer.step()
        found, wanted = step(x, target), loss.item()
        worst = max(worst, abs(found - wanted) / wanted)
        if number % max(1, arguments.steps // 10) == 0 or number == arguments.steps - 1:
            print(f"{number:>5} {found:>11.5f} {wanted:>13.5f} {abs(found - wanted) / wanted:>11.1e}", flush=True)
    print(f"largest relative difference {worst:.1e}; {(time.perf_counter() - start) / arguments.steps:.2f} s a step on this host; {step.skipped} steps skipped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
