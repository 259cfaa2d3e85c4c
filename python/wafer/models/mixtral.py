"""Mixtral (Jiang and others, 2024): Llama with several feed-forward experts per layer, of which a router takes two per token.

An expert works for its own tokens only (wafer.models.experts).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from wafer.models.experts import for_its_tokens
from wafer.models.llama import Attention, Llama


class Expert(nn.Module):
    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.w1, self.w3 = nn.Linear(width, hidden, bias=False), nn.Linear(width, hidden, bias=False)
        self.w2 = nn.Linear(hidden, width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.w2(F.silu(self.w1(x)) * self.w3(x))


class Experts(nn.Module):
    def __init__(self, width: int, hidden: int, experts: int, taken: int):
        super().__init__()
        self.taken = taken
        self.gate = nn.Linear(width, experts, bias=False)
        self.experts = nn.ModuleList(Expert(width, hidden) for _ in range(experts))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weights, chosen = self.gate(x).softmax(-1).topk(self.taken, dim=-1)
        weights = weights / weights.sum(-1, keepdim=True)
        result = torch.zeros_like(x)
        for i, expert in enumerate(self.experts):
            share = torch.where(chosen == i, weights, 0.0).sum(-1, keepdim=True)
            result = result + for_its_tokens(expert, x, share)
        return result


class Layer(nn.Module):
    def __init__(self, width: int, heads: int, key_heads: int, hidden: int, experts: int, taken: int):
        super().__init__()
        self.self_attn, self.block_sparse_moe = Attention(width, heads, key_heads), Experts(width, hidden, experts, taken)
        self.input_layernorm, self.post_attention_layernorm = nn.RMSNorm(width, eps=1e-5), nn.RMSNorm(width, eps=1e-5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.self_attn(self.input_layernorm(x))
        return x + self.block_sparse_moe(self.post_attention_layernorm(x))


class Mixtral(Llama):
    """ids [batch, length] to logits [batch, length, vocabulary]."""

    def __init__(
        self, vocabulary: int = 32000, width: int = 4096, layers: int = 32, heads: int = 32, key_heads: int = 8, hidden: int = 14336, experts: int = 8, taken: int = 2
    ):
        super().__init__(vocabulary, width, 0, heads, key_heads, hidden)
        self.model["layers"] = nn.ModuleList(Layer(width, heads, key_heads, hidden, experts, taken) for _ in range(layers))
