"""GPT-2 (Radford and others, 2019); names of parameters are those of its public checkpoints.

`prefill` and `decode` are the entry points of generation. Keys and values of what was read are buffers, which the one fills and the other extends.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn


class Conv1D(nn.Module):
    """A linear layer whose weight is [in, out]."""

    def __init__(self, features_in: int, features_out: int):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(features_in, features_out) * 0.02)
        self.bias = nn.Parameter(torch.zeros(features_out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.weight + self.bias


class Attention(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.c_attn, self.c_proj = Conv1D(width, 3 * width), Conv1D(width, width)

    def add_cache(self, batch: int, length: int) -> None:
        """Make room for keys and values, [batch, heads, length, size]; they are part of no checkpoint."""
        like = self.c_attn.weight
        for name in ("keys", "values"):
            self.register_buffer(name, like.new_zeros(batch, self.heads, length, like.shape[0] // self.heads), persistent=False)

    def forward(self, x: torch.Tensor, fill: bool = False, here: torch.Tensor | None = None, seen: torch.Tensor | None = None) -> torch.Tensor:
        """Causal, where `fill` keeps keys and values; or on what was kept: `here` [length, 1] marks the place that x takes among it, `seen` [1, length] is 0
        for places that x may look at, else -inf."""
        batch, length, width = x.shape
        query, keys, values = (t.view(batch, length, self.heads, -1).transpose(1, 2) for t in self.c_attn(x).chunk(3, -1))
        if here is not None:
            keys, values = torch.where(here, keys, self.keys), torch.where(here, values, self.values)
        if fill or here is not None:
            self.keys.copy_(keys)
            self.values.copy_(values)
        mixed = F.scaled_dot_product_attention(query, keys, values, attn_mask=seen, is_causal=here is None)
        return self.c_proj(mixed.transpose(1, 2).reshape(batch, length, width))


class FeedForward(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.c_fc, self.c_proj = Conv1D(width, 4 * width), Conv1D(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.c_proj(F.gelu(self.c_fc(x), approximate="tanh"))


class Block(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn, self.mlp = Attention(width, heads), FeedForward(width)

    def forward(self, x: torch.Tensor, **cache: object) -> torch.Tensor:
        x = x + self.attn(self.ln_1(x), **cache)
        return x + self.mlp(self.ln_2(x))


class GPT2(nn.Module):
    """ids [batch, length] to logits [batch, length, vocabulary]."""

    def __init__(self, vocabulary: int = 50257, length: int = 1024, width: int = 768, layers: int = 12, heads: int = 12):
        super().__init__()
        self.length, self.layers, self.heads = length, layers, heads
        self.transformer = nn.ModuleDict(
            {
                "wte": nn.Embedding(vocabulary, width),
                "wpe": nn.Embedding(length, width),
                "h": nn.ModuleList(Block(width, heads) for _ in range(layers)),
                "ln_f": nn.LayerNorm(width),
            }
        )
        nn.init.normal_(self.transformer["wte"].weight, std=0.02)
        nn.init.normal_(self.transformer["wpe"].weight, std=0.02)
        self.lm_head = nn.Linear(width, vocabulary, bias=False)
        self.lm_head.weight = self.transformer["wte"].weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self._logits(ids, torch.arange(ids.shape[1]))

    def add_caches(self, batch: int = 1) -> None:
        """Make room for what `prefill` and `decode` keep."""
        for block in self.transformer["h"]:
            block.attn.add_cache(batch, self.length)

    def prefill(self, ids: torch.Tensor) -> torch.Tensor:
        """ids [batch, length] to logits. What follows the prompt in `ids` is seen by nobody before it: fill it with anything."""
        return self._logits(ids, torch.arange(ids.shape[1]), fill=True)

    def decode(self, ids: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
        """One token: ids [batch, 1] at `position` [1], after everything before it, to logits [batch, 1, vocabulary]."""
        places = torch.arange(self.length)
        here = (places == position)[:, None]
        seen = torch.where(places <= position, 0.0, -math.inf)[None, :]
        return self._logits(ids, position, here=here, seen=seen)

    def _logits(self, ids: torch.Tensor, positions: torch.Tensor, **cache: object) -> torch.Tensor:
        x = self.transformer["wte"](ids) + self.transformer["wpe"](positions)
        for block in self.transformer["h"]:
            x = block(x, **cache)
        return self.lm_head(self.transformer["ln_f"](x))
