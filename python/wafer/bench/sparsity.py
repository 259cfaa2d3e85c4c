"""What sparsity is worth, in tables: cycles of a contraction, time of the host, and multiply-accumulates of training with zeros in weights and in activations."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence

import numpy
import torch
import torch.nn.functional as F
from torch import nn

import wafer
from wafer.bench import Row, median_seconds
from wafer.models.gpt2 import GPT2, Block
from wafer.models.mixtral import Experts
from wafer.sparsity import Static, prune
from wafer.sparsity.masks import kept_count, largest

ZEROS = (0.5, 0.75, 0.9, 0.95, 0.99)


def tables(sizes: Sequence[int], tokens: int, machine: str | os.PathLike) -> None:
    """Prints the tables."""
    cycles_table(sizes, tokens, machine)
    print()
    host_table()
    print()
    training_table()
    print()
    activation_table()


def rows() -> Iterator[Row]:
    """The figures of the tables that have a goal, for layers of 512 features."""
    with torch.device("meta"):
        layer, x = nn.Linear(512, 512, bias=False), torch.empty(4096, 512)
    dense = _contraction(layer, x, "small")
    for skewed in (False, True):
        for zeros in (0.5, 0.75, 0.9):
            ratio = dense / _contraction(masked(512, zeros, skewed), x, "small")
            what = f"cycles of a dense contraction over those with {100 * zeros:g} % zeros, {'skewed' if skewed else 'uniform'}, 512 x 512, 4096 tokens, small"
            yield Row(what, f"{ratio:.2f}", f"{0.9 / (1 - zeros):.2f}", "python -m wafer bench sparsity --size 512")
    example = TrainingExample()
    for zeros in (0.75, 0.838):
        found, rule = example.executed(0.0) / example.executed(zeros), 1 / (1 - example.share * zeros)
        yield Row(f"MACs of a dense training step over those with {100 * zeros:g} % zeros, GPT", f"{found:.2f}", f"{rule:.2f} (counting rule)", "python -m wafer bench sparsity")
    for kind in (ReluExample, CausalExample, ExpertsExample):
        for counted in kind().counted():
            yield Row(f"MACs of {counted.what}", str(counted.executed), f"{counted.rule} (counted in PyTorch)", "python -m wafer bench sparsity")


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
        dense = _contraction(layer, x, machine)
        for skewed in (False, True):
            ratios = [dense / _contraction(masked(size, zeros, skewed), x, machine) for zeros in ZEROS]
            print(f"{f'{size} x {size}':>14} {'skewed' if skewed else 'uniform':>8}" + "".join(f"{ratio:>10.2f}" for ratio in ratios), flush=True)
    print(f"{'goal':>14} {'':>8}" + "".join(f"{max(1, 0.9 / (1 - zeros)):>10.2f}" if zeros <= 0.9 else f"{'':>10}" for zeros in ZEROS))


class _Total(nn.Module):
    """The sum of a token's features."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.sum(-1, keepdim=True)


def _contraction(layer: nn.Linear, x: torch.Tensor, machine: str | os.PathLike) -> int:
    """Cycles of a layer's contract step. Only sums leave, or their way out, beside which the contraction goes on, would decide on the grid."""
    program = wafer.compile(nn.Sequential(layer, _Total()), (x,), machine=machine)
    return sum(step["cycles"] for phase in program.time().phases for step in phase.get("schedule", []) if step["kind"] == "Contract")


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
            beside = median_seconds(lambda block=block: block(x), 25)
        own = median_seconds(lambda program=program: program(x), 25)
        print(f"{100 * zeros:>6g} %: PyTorch {beside * 1e3:.0f} ms, wafer {own * 1e3:.0f} ms, ratio {beside / own:.3f}", flush=True)


class TrainingExample:
    """A GPT whose sequence is as long as it has features, as GPT-3 XL's, and the multiply-accumulates of its training step."""

    width, layers, heads, vocabulary, batch = 64, 2, 4, 96, 2

    @property
    def share(self) -> float:
        """Part of the multiply-accumulates that is done with weights which may be zero: all but attention and the last layer."""
        width, layers = self.width, self.layers
        weights, attention = 12 * width**2 * layers, 2 * width * width * layers
        return weights / (weights + attention + width * self.vocabulary)

    def executed(self, zeros: float) -> int:
        """Multiply-accumulates of contractions in a step with this part of zeros in weights, counted by the functional engine."""
        torch.manual_seed(0)
        ids = torch.randint(0, self.vocabulary, (self.batch, self.width))
        model = GPT2(self.vocabulary, self.width, self.width, self.layers, self.heads)
        method = Static(zeros, exclude=["transformer.w?e.weight"]) if zeros else None
        step = wafer.train_step(model, _loss, wafer.optim.SGD(lr=0.01), (ids, ids), machine="tiny", shards=1, sparsity=method)
        step(ids, ids)
        return sum(counted["macs"] for phase in step.stats["phases"] for counted in phase.get("steps", []))


def training_table() -> None:
    """Multiply-accumulates of contractions in a training step, executed, beside the rule for the same shape."""
    example = TrainingExample()
    print(f"MACs of contractions in a training step, executed (functional engine), GPT of {example.layers} layers, {example.width} features and tokens; dense / sparse")
    dense = example.executed(0.0)
    for zeros in (0.5, 0.75, 0.838, 0.9):
        executed = example.executed(zeros)
        print(f"{100 * zeros:>6g} %: executed {executed} of {dense}, {dense / executed:.3f} times fewer; counting rule {1 / (1 - example.share * zeros):.3f}", flush=True)
    print("goals for GPT-3 XL: 2.49 at 75 %, 3.02 at 83.8 %")


@dataclasses.dataclass(frozen=True)
class Counted:
    """Multiply-accumulates of a run on the functional engine, those of the same model if nothing were zero, and those that the zeros leave, counted apart."""

    what: str
    executed: int
    dense: int
    rule: int


class ReluExample:
    """Two feed-forward layers with ReLU, of whose hidden numbers about 95 % are 0, behind a layer that learns, so that all have a delta."""

    width, hidden, tokens = 64, 256, 128

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.x, self.target = torch.randn(self.tokens, self.width), torch.randn(self.tokens, self.width)
        self.layers = [FeedForward(self.width, self.hidden) for _ in range(2)]
        self.model = nn.Sequential(nn.Linear(self.width, self.width, bias=False), *self.layers)

    def counted(self) -> Iterator[Counted]:
        kept = 0
        x = self.model[0](self.x)
        for layer in self.layers:
            kept += int((layer.hidden(x) != 0).sum())
            x = layer(x)
        each, all_hidden = self.width, len(self.layers) * self.tokens * self.hidden
        zeros = f"{100 * (1 - kept / all_hidden):.1f} % zeros behind ReLU"
        first = self.tokens * self.width**2
        program = wafer.compile(self.model.eval(), (self.x,), machine="tiny", precision="f32")
        program(self.x)
        yield Counted(f"feed-forward layers, {zeros}, inference", program.stats.macs_executed, first + 2 * all_hidden * each, first + (all_hidden + kept) * each)
        step = wafer.train_step(self.model.train(), F.mse_loss, wafer.optim.SGD(lr=0.01), (self.x, self.target), machine="tiny", precision="f32", shards=1)
        step(self.x, self.target)
        # Six products a layer: up alone has a dense input and results that all count. The first layer has no delta.
        executed = sum(run["macs"] for phase in step.stats["phases"] for run in phase.get("steps", []))
        yield Counted(f"feed-forward layers, {zeros}, training", executed, 2 * first + 6 * all_hidden * each, 2 * first + (all_hidden + 5 * kept) * each)


class FeedForward(nn.Module):
    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.up, self.down = nn.Linear(width, hidden, bias=False), nn.Linear(hidden, width, bias=False)

    def hidden(self, x: torch.Tensor) -> torch.Tensor:
        x = self.up(F.layer_norm(x, x.shape[-1:]))
        return F.relu(x - 0.95)  # of 0.577 times a normal number

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.down(self.hidden(x))


class CausalExample:
    """Attention in which no token sees later ones: hidden scores are not computed, and their probabilities, which are 0, meet no values."""

    heads, tokens, size = 4, 64, 64

    def counted(self) -> Iterator[Counted]:
        torch.manual_seed(0)
        inputs = tuple(torch.randn(1, self.heads, self.tokens, self.size) for _ in range(3))
        program = wafer.compile(CausalAttention(), inputs, machine="tiny", precision="f32")
        program(*inputs)
        seen = int(torch.ones(self.tokens, self.tokens).tril().sum())
        each = 2 * self.heads * self.size
        yield Counted(f"causal attention, {self.tokens} tokens, inference", program.stats.macs_executed, each * self.tokens**2, each * seen)


class CausalAttention(nn.Module):
    def forward(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)


class ExpertsExample:
    """Eight experts of which each token has two, as in Mixtral."""

    width, hidden, tokens, experts, taken = 64, 128, 128, 8, 2

    def counted(self) -> Iterator[Counted]:
        torch.manual_seed(0)
        model, x, target = Experts(self.width, self.hidden, self.experts, self.taken), torch.randn(self.tokens, self.width), torch.randn(self.tokens, self.width)
        router, one = self.tokens * self.width * self.experts, 3 * self.tokens * self.width * self.hidden
        program = wafer.compile(model.eval(), (x,), machine="tiny", precision="f32")
        program(x)
        what = f"{self.experts} experts, {100 * (1 - self.taken / self.experts):g} % of them without the token"
        yield Counted(f"{what}, inference", program.stats.macs_executed, router + self.experts * one, router + self.taken * one)
        behind = nn.Sequential(nn.Linear(self.width, self.width, bias=False), model.train())
        step = wafer.train_step(behind, F.mse_loss, wafer.optim.SGD(lr=0.01), (x, target), machine="tiny", precision="f32", shards=1)
        step(x, target)
        executed = sum(run["macs"] for phase in step.stats["phases"] for run in phase.get("steps", []))
        first = 2 * self.tokens * self.width**2
        yield Counted(f"{what}, training", executed, first + 3 * (router + self.experts * one), first + 3 * (router + self.taken * one))


def activation_table() -> None:
    """Multiply-accumulates with zeros in activations, beside those counted in PyTorch."""
    print("MACs with zeros in activations, f32, functional engine: executed, by the rule, dense / executed")
    for kind in (ReluExample, CausalExample, ExpertsExample):
        for counted in kind().counted():
            print(f"{counted.what:>75}: {counted.executed:>10} {counted.rule:>10} {counted.dense / counted.executed:>8.3f}", flush=True)


def _loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(logits.flatten(0, 1), target.flatten())
