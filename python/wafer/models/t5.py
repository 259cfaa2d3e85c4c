"""T5 (Raffel and others, 2019), encoder and decoder: RMS norm, relative positions as a bias on scores that the first layer owns. Names of parameters are those of its
public checkpoints."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn


def buckets(length: int, both_ways: bool, count: int, far: int = 128) -> torch.Tensor:
    """The bucket of the distance from each query to each key, [length, length]: exact ones for near keys, then logarithmic up to `far`."""
    distance = torch.arange(length)[None, :] - torch.arange(length)[:, None]
    bucket = torch.zeros_like(distance)
    if both_ways:
        count //= 2
        bucket = bucket + (distance > 0) * count
        distance = distance.abs()
    else:
        distance = (-distance).clamp(min=0)
    exact = count // 2
    logarithmic = exact + (torch.log(distance.clamp(min=1) / exact) / math.log(far / exact) * (count - exact)).to(torch.int64)
    return bucket + torch.where(distance < exact, distance, logarithmic.clamp(max=count - 1))


class Attention(nn.Module):
    def __init__(self, width: int, heads: int, size: int, biased: int | None = None):
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v = (nn.Linear(width, heads * size, bias=False) for _ in range(3))
        self.o = nn.Linear(heads * size, width, bias=False)
        if biased is not None:
            self.relative_attention_bias = nn.Embedding(biased, heads)

    def bias(self, length: int, both_ways: bool) -> torch.Tensor:
        """[1, heads, length, length]"""
        table = self.relative_attention_bias
        return table(buckets(length, both_ways, table.num_embeddings)).permute(2, 0, 1)[None]

    def forward(self, x: torch.Tensor, keys_from: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        batch, length, _ = x.shape
        query, keys, values = (proj(source).view(batch, -1, self.heads, proj.out_features // self.heads).transpose(1, 2)
                               for proj, source in ((self.q, x), (self.k, keys_from), (self.v, keys_from)))  # fmt: skip
        mixed = F.scaled_dot_product_attention(query, keys, values, attn_mask=bias, scale=1.0)
        return self.o(mixed.transpose(1, 2).reshape(batch, length, -1))


class Sublayer(nn.Module):
    """A norm, then `kind` under the name that checkpoints give it."""

    def __init__(self, name: str, kind: nn.Module, width: int):
        super().__init__()
        self.add_module(name, kind)
        self.name = name
        self.layer_norm = nn.RMSNorm(width, eps=1e-6)

    def forward(self, x: torch.Tensor, *args: object) -> torch.Tensor:
        normed = self.layer_norm(x)
        if self.name == "SelfAttention":
            args = (normed, *args)
        return x + self.get_submodule(self.name)(normed, *args)


class FeedForward(nn.Module):
    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.wi, self.wo = nn.Linear(width, hidden, bias=False), nn.Linear(hidden, width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.wo(F.relu(self.wi(x)))


class Block(nn.Module):
    def __init__(self, width: int, heads: int, size: int, hidden: int, biased: int | None, crosses: bool):
        super().__init__()
        attentions = [Sublayer("SelfAttention", Attention(width, heads, size, biased), width)]
        if crosses:
            attentions.append(Sublayer("EncDecAttention", Attention(width, heads, size), width))
        self.layer = nn.ModuleList([*attentions, Sublayer("DenseReluDense", FeedForward(width, hidden), width)])

    def forward(self, x: torch.Tensor, bias: torch.Tensor, encoded: torch.Tensor | None) -> torch.Tensor:
        x = self.layer[0](x, bias)
        if encoded is not None:
            x = self.layer[1](x, encoded, None)
        return self.layer[-1](x)


class Stack(nn.Module):
    def __init__(self, width: int, layers: int, heads: int, size: int, hidden: int, buckets_used: int, decodes: bool):
        super().__init__()
        self.decodes = decodes
        self.block = nn.ModuleList(Block(width, heads, size, hidden, None if i else buckets_used, decodes) for i in range(layers))
        self.final_layer_norm = nn.RMSNorm(width, eps=1e-6)

    def forward(self, x: torch.Tensor, encoded: torch.Tensor | None = None) -> torch.Tensor:
        length = x.shape[1]
        bias = self.block[0].layer[0].SelfAttention.bias(length, not self.decodes)
        if self.decodes:
            bias = bias + torch.full((length, length), -math.inf).triu(1)
        for block in self.block:
            x = block(x, bias, encoded)
        return self.final_layer_norm(x)


class T5(nn.Module):
    """ids [batch, length] of the source and of the target so far, to logits [batch, target length, vocabulary]."""

    def __init__(self, vocabulary: int = 32128, width: int = 512, layers: int = 6, heads: int = 8, size: int = 64, hidden: int = 2048, buckets_used: int = 32):
        super().__init__()
        self.width = width
        self.shared = nn.Embedding(vocabulary, width)
        self.encoder = Stack(width, layers, heads, size, hidden, buckets_used, decodes=False)
        self.decoder = Stack(width, layers, heads, size, hidden, buckets_used, decodes=True)

    def forward(self, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        decoded = self.decoder(self.shared(target), self.encoder(self.shared(source)))
        return F.linear(decoded * self.width**-0.5, self.shared.weight)
