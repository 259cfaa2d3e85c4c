"""Public models by name, as blocks without weights. Sizes are those of their papers and model cards."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import nn

from wafer.errors import CompileError
from wafer.models import gpt2, llama, mixtral
from wafer.planning import Block

# Features, layers, heads, key heads, hidden features, vocabulary, tokens of a sequence.
_LLAMA: Mapping[str, tuple[int, int, int, int, int, int, int]] = {
    "llama2-7b": (4096, 32, 32, 32, 11008, 32000, 4096),
    "llama2-13b": (5120, 40, 40, 40, 13824, 32000, 4096),
    "llama2-70b": (8192, 80, 64, 8, 28672, 32000, 4096),
    "llama3-8b": (4096, 32, 32, 8, 14336, 128256, 8192),
    "llama3-70b": (8192, 80, 64, 8, 28672, 128256, 8192),
    "llama3-405b": (16384, 126, 128, 8, 53248, 128256, 8192),
}
# The same, experts and how many of them a token takes behind them. The last is no public model: a trillion parameters.
_MIXTRAL: Mapping[str, tuple[int, int, int, int, int, int, int, int, int]] = {
    "mixtral-8x7b": (4096, 32, 32, 8, 14336, 32000, 4096, 8, 2),
    "moe-1t": (8192, 64, 64, 8, 9728, 128256, 4096, 64, 4),
}
# Features, layers, heads, vocabulary, tokens of a sequence.
_GPT: Mapping[str, tuple[int, int, int, int, int]] = {
    "gpt2": (768, 12, 12, 50257, 1024),
    "gpt3-xl": (2048, 24, 16, 50257, 2048),
    "gpt3-6.7b": (4096, 32, 32, 50257, 2048),
    "gpt3-175b": (12288, 96, 96, 50257, 2048),
}


def names() -> list[str]:
    return sorted([*_LLAMA, *_MIXTRAL, *_GPT])


class Head(nn.Module):
    """The last norm and the product with the vocabulary."""

    def __init__(self, norm: nn.Module, width: int, vocabulary: int):
        super().__init__()
        self.norm, self.lm_head = norm, nn.Linear(width, vocabulary, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.lm_head(self.norm(x))


def _loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(logits.flatten(0, 1), target.flatten())


def blocks(name: str, batch: int, sequence: int | None = None, layers: int | None = None) -> list[Block]:
    """A model's layer, repeated, and its head. The embedding is a table that MemoryX reads, and is no block.

    Args: batch: sequences of a pass on one system. sequence: their tokens, default the model's own. layers: instead of the model's own.
    """
    if name not in names():
        raise CompileError(f"found model '{name}', expected one of {', '.join(names())}")
    if batch < 1 or (sequence or 1) < 1 or (layers or 1) < 1:
        raise CompileError(f"found batch={batch}, sequence={sequence} and layers={layers}, expected each to be at least 1")
    alike = ()
    with torch.device("meta"):
        if name in _GPT:
            width, depth, heads, vocabulary, length = _GPT[name]
            layer, norm = gpt2.Block(width, heads), nn.LayerNorm(width)
        elif name in _LLAMA:
            width, depth, heads, key_heads, hidden, vocabulary, length = _LLAMA[name]
            layer, norm = llama.Layer(width, heads, key_heads, hidden), nn.RMSNorm(width, eps=1e-6)
        else:
            width, depth, heads, key_heads, hidden, vocabulary, length, experts, taken = _MIXTRAL[name]
            layer, norm, alike = mixtral.Layer(width, heads, key_heads, hidden, experts, taken), nn.RMSNorm(width, eps=1e-5), ("block_sparse_moe.experts",)
        head = Head(norm, width, vocabulary)
    length = sequence or length
    x, target = torch.zeros(()).expand(batch, length, width), torch.zeros((), dtype=torch.int64).expand(batch, length)
    return [Block("layer", layer, (x,), layers or depth, alike=alike), Block("head", head, (x, target), 1, _loss)]
