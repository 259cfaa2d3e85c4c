"""GPT-2 (Radford and others, 2019); names of parameters are those of its public checkpoints.

Attention can read and extend a cache of keys and values: `Prefill` and `Decode` are the two entry points of generation.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

Cache = tuple[torch.Tensor, torch.Tensor]  # keys and values, [batch, heads, length, size]


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

    def forward(self, x: torch.Tensor, cache: Cache | None = None, here: torch.Tensor | None = None, seen: torch.Tensor | None = None) -> tuple[torch.Tensor, Cache]:
        """Causal, or on a cache: `here` [length, 1] marks the place that x takes in it, `seen` [1, length] is 0 for places that x may look at, else -inf."""
        batch, length, width = x.shape
        query, keys, values = (t.view(batch, length, self.heads, -1).transpose(1, 2) for t in self.c_attn(x).chunk(3, -1))
        if cache is None:
            mixed = F.scaled_dot_product_attention(query, keys, values, is_causal=True)
        else:
            keys, values = (torch.where(here, new, old) for new, old in zip((keys, values), cache))
            mixed = F.scaled_dot_product_attention(query, keys, values, attn_mask=seen)
        return self.c_proj(mixed.transpose(1, 2).reshape(batch, length, width)), (keys, values)


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

    def forward(self, x: torch.Tensor, *cache: object) -> tuple[torch.Tensor, Cache]:
        mixed, kept = self.attn(self.ln_1(x), *cache)
        x = x + mixed
        return x + self.mlp(self.ln_2(x)), kept


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
        return self.with_caches(ids)[0]

    def with_caches(self, ids: torch.Tensor) -> tuple[torch.Tensor, list[Cache]]:
        """Logits, and keys and values of each layer."""
        x = self.transformer["wte"](ids) + self.transformer["wpe"](torch.arange(ids.shape[1]))
        caches = []
        for block in self.transformer["h"]:
            x, kept = block(x)
            caches.append(kept)
        return self.lm_head(self.transformer["ln_f"](x)), caches


class Prefill(nn.Module):
    """ids [batch, length] to (logits, keys and values of each layer). What follows the prompt in `ids` is seen by nobody before it: fill it with anything."""

    def __init__(self, model: GPT2):
        super().__init__()
        self.model = model

    def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor, ...]:
        logits, caches = self.model.with_caches(ids)
        return logits, *(tensor for cache in caches for tensor in cache)


class Decode(nn.Module):
    """One token: ids [batch, 1] at `position` [1] and the caches of everything before it, to (logits [batch, 1, vocabulary], the caches with it)."""

    def __init__(self, model: GPT2):
        super().__init__()
        self.model = model

    def forward(self, ids: torch.Tensor, position: torch.Tensor, *caches: torch.Tensor) -> tuple[torch.Tensor, ...]:
        parts = self.model.transformer
        places = torch.arange(caches[0].shape[2])
        here = (places == position)[:, None]
        seen = torch.where(places <= position, 0.0, -math.inf)[None, :]
        x = parts["wte"](ids) + parts["wpe"](position)
        kept = []
        for i, block in enumerate(parts["h"]):
            x, cache = block(x, caches[2 * i : 2 * i + 2], here, seen)
            kept += cache
        return self.model.lm_head(parts["ln_f"](x)), *kept
