"""Llama (Touvron and others, 2023; grouped key heads of version 2): RMS norm, rotary positions, SwiGLU. Names of parameters are those of its public checkpoints."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class Rotary(nn.Module):
    """Cosines and sines of the angles of each position, [length, size]."""

    def __init__(self, size: int, base: float = 10000.0):
        super().__init__()
        self.register_buffer("inv_freq", base ** -(torch.arange(0, size, 2, device="cpu") / size), persistent=False)  # has values in a model without weights too

    def forward(self, length: int) -> tuple[torch.Tensor, torch.Tensor]:
        angles = torch.outer(torch.arange(length), self.inv_freq).repeat(1, 2)
        return angles.cos(), angles.sin()


def rotated(x: torch.Tensor, cosines: torch.Tensor, sines: torch.Tensor) -> torch.Tensor:
    first, second = x.chunk(2, -1)
    return x * cosines + torch.cat([-second, first], -1) * sines


class Attention(nn.Module):
    def __init__(self, width: int, heads: int, key_heads: int, rotary: Rotary | None = None):
        super().__init__()
        size = width // heads
        self.size = size
        self.q_proj, self.o_proj = nn.Linear(width, width, bias=False), nn.Linear(width, width, bias=False)
        self.k_proj, self.v_proj = nn.Linear(width, key_heads * size, bias=False), nn.Linear(width, key_heads * size, bias=False)
        self.rotary_emb = rotary or Rotary(size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, width = x.shape
        query, keys, values = (proj(x).view(batch, length, -1, self.size).transpose(1, 2) for proj in (self.q_proj, self.k_proj, self.v_proj))
        angles = self.rotary_emb(length)
        query, keys = rotated(query, *angles), rotated(keys, *angles)
        mixed = F.scaled_dot_product_attention(query, keys, values, is_causal=True, enable_gqa=True)
        return self.o_proj(mixed.transpose(1, 2).reshape(batch, length, width))


class FeedForward(nn.Module):
    """SwiGLU."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.gate_proj, self.up_proj = nn.Linear(width, hidden, bias=False), nn.Linear(width, hidden, bias=False)
        self.down_proj = nn.Linear(hidden, width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, width: int, heads: int, key_heads: int, hidden: int, rotary: Rotary | None = None):
        super().__init__()
        self.self_attn, self.mlp = Attention(width, heads, key_heads, rotary), FeedForward(width, hidden)
        self.input_layernorm, self.post_attention_layernorm = nn.RMSNorm(width, eps=1e-6), nn.RMSNorm(width, eps=1e-6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.self_attn(self.input_layernorm(x))
        return x + self.mlp(self.post_attention_layernorm(x))


class Llama(nn.Module):
    """ids [batch, length] to logits [batch, length, vocabulary]."""

    def __init__(self, vocabulary: int = 32000, width: int = 4096, layers: int = 32, heads: int = 32, key_heads: int = 32, hidden: int = 11008):
        super().__init__()
        rotary = Rotary(width // heads)  # of all layers
        self.model = nn.ModuleDict(
            {
                "embed_tokens": nn.Embedding(vocabulary, width),
                "layers": nn.ModuleList(Layer(width, heads, key_heads, hidden, rotary) for _ in range(layers)),
                "norm": nn.RMSNorm(width, eps=1e-6),
            }
        )
        self.lm_head = nn.Linear(width, vocabulary, bias=False)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.model["embed_tokens"](ids)
        for layer in self.model["layers"]:
            x = layer(x)
        return self.lm_head(self.model["norm"](x))
