"""What sparsity is worth, in three tables: cycles of a contraction, time of the host, and multiply-accumulates of a training step."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence

import numpy
import torch
import torch.nn.functional as F
from torch import nn

import wafer
from wafer.models.gpt2 import GPT2, Block
from wafer.sparsity import Static, prune
from wafer.sparsity.masks import kept_count, largest

ZEROS = (0.5, 0.75, 0.9, 0.95, 0.99)


def bench(sizes: Sequence[int], tokens: int, machine: str | os.PathLike) -> None:
    """Prints the tables."""
    cycles_table(sizes, tokens, machine)
    print()
    host_table()
    print()
    training_table()


def masked(size: int, zeros: float, skewed: bool) -> nn.Linear:
    """A layer with zeros anywhere, or mostly in some features: their chance to be kept falls by a factor of ten from the first to the last."""
    layer = nn.Linear(size, size, bias=False)
    chance = numpy.random.default_rng(0).random((size, size))
    if skewed:
        chance *= 10 ** numpy.linspace(0, -1, size)[None]
    mask = largest(chance, kept_count(chance.size, zeros))
    with torch.no_grad():
        layer.weight.mul_(torch.from_numpy(mask))
    return layer


def cycles_table(sizes: Sequence[int], tokens: int, machine: str | os.PathLike) -> None:
    """Speed-up of a contraction beside our own dense kernel, by cycles of its step in the schedule (timing engine)."""
    print(f"Cycles of a contraction, {tokens} tokens, machine {machine}, f16, timing engine: dense / sparse; 0.9/(1-s) is the goal up to 90 %, never below 1")
    print(f"{'layer':>14} {'mask':>8}" + "".join(f"{100 * zeros:>8g} %" for zeros in ZEROS))
    for size in sizes:
        with torch.device("meta"):
            layer, x = nn.Linear(size, size, bias=False), torch.empty(tokens, size)
        dense = _contraction(wafer.compile(layer, (x,), machine=machine))
        for skewed in (False, True):
            ratios = [dense / _contraction(wafer.compile(masked(size, zeros, skewed), (x,), machine=machine)) for zeros in ZEROS]
            print(f"{f'{size} x {size}':>14} {'skewed' if skewed else 'uniform':>8}" + "".join(f"{ratio:>10.2f}" for ratio in ratios), flush=True)
    print(f"{'goal':>14} {'':>8}" + "".join(f"{max(1, 0.9 / (1 - zeros)):>10.2f}" if zeros <= 0.9 else f"{'':>10}" for zeros in ZEROS))


def _contraction(program: wafer.Program) -> int:
    """Cycles of all contract steps."""
    return sum(step["cycles"] for phase in program.time().phases for step in phase.get("schedule", []) if step["kind"] == "Contract")


def _seconds(run: Callable[[], object], times: int = 3) -> float:
    run()
    best = float("inf")
    for _ in range(times):
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
    return best


def host_table() -> None:
    """The functional engine beside PyTorch dense on the same host: a GPT-2 block of 768 features, batch 4, 128 tokens."""
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    x = torch.randn(4, 128, 768)
    print(f"Time of this host, GPT-2 block, batch 4, 128 tokens, {threads} threads: PyTorch dense f32 / functional engine f16; goals 1.5 at 75 %, 4 at 90 %")
    for zeros in (0.0, 0.75, 0.9):
        block = Block(768, 12).eval()
        if zeros:
            prune(block, zeros)
        program = wafer.compile(block, (x,), machine="small", threads=threads)
        with torch.no_grad():
            beside = _seconds(lambda block=block: block(x))
        own = _seconds(lambda program=program: program(x))
        print(f"{100 * zeros:>6g} %: PyTorch {beside * 1e3:.0f} ms, wafer {own * 1e3:.0f} ms, ratio {beside / own:.3f}", flush=True)


def training_table() -> None:
    """Multiply-accumulates of contractions in a training step, executed, beside the rule for the same shape."""
    width, layers, heads, vocabulary, batch = 64, 2, 4, 96, 2
    length = width  # as GPT-3 XL has: 2048 tokens, 2048 features
    proj, ffn, attention, head = 4 * width**2 * layers, 8 * width**2 * layers, 2 * length * width * layers, width * vocabulary
    total = proj + ffn + attention + head
    ids = torch.randint(0, vocabulary, (batch, length), generator=torch.Generator().manual_seed(0))
    print(f"MACs of contractions in a training step, executed (functional engine), GPT of {layers} layers, {width} features, {length} tokens; dense / sparse")
    executed = {}
    for zeros in (0.0, 0.5, 0.75, 0.838, 0.9):
        torch.manual_seed(0)
        model = GPT2(vocabulary, length, width, layers, heads)
        method = Static(zeros, exclude=["transformer.w?e.weight"]) if zeros else None
        step = wafer.train_step(model, _loss, wafer.optim.SGD(lr=0.01), (ids, ids), machine="tiny", shards=1, sparsity=method)
        step(ids, ids)
        executed[zeros] = sum(counted["macs"] for phase in step.stats["phases"] for counted in phase.get("steps", []))
        share = zeros * (proj + ffn) / total
        print(
            f"{100 * zeros:>6g} %: executed {executed[zeros]}, {executed[0.0] / executed[zeros]:.3f} times fewer; rule with gradients of all weights "
            f"{1 / (1 - share * 2 / 3):.3f}, of kept weights only {1 / (1 - share):.3f}",
            flush=True,
        )
    print("gradients of weights that are zero are computed and dropped, so that a third of the saving is missing; goals for GPT-3 XL: 2.49 at 75 %, 3.02 at 83.8 %")


def _loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(logits.flatten(0, 1), target.flatten())
