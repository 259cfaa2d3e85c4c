"""BERT (Devlin and others, 2018) without its pooler; names of parameters are those of its public checkpoints."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class Embeddings(nn.Module):
    def __init__(self, vocabulary: int, length: int, width: int, kinds: int):
        super().__init__()
        self.word_embeddings, self.position_embeddings = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
        self.token_type_embeddings = nn.Embedding(kinds, width)
        self.LayerNorm = nn.LayerNorm(width, eps=1e-12)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.word_embeddings(ids) + self.position_embeddings(torch.arange(ids.shape[1]))
        return self.LayerNorm(x + self.token_type_embeddings(torch.zeros_like(ids)))


class SelfAttention(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        batch, length, width = x.shape
        query, keys, values = (proj(x).view(batch, length, self.heads, -1).transpose(1, 2) for proj in (self.query, self.key, self.value))
        return F.scaled_dot_product_attention(query, keys, values, attn_mask=mask).transpose(1, 2).reshape(batch, length, width)


class Output(nn.Module):
    """A linear layer, the input of the block, and a norm over the sum."""

    def __init__(self, features_in: int, width: int):
        super().__init__()
        self.dense, self.LayerNorm = nn.Linear(features_in, width), nn.LayerNorm(width, eps=1e-12)

    def forward(self, x: torch.Tensor, block_input: torch.Tensor) -> torch.Tensor:
        return self.LayerNorm(self.dense(x) + block_input)


class Layer(nn.Module):
    def __init__(self, width: int, heads: int, hidden: int):
        super().__init__()
        self.attention = nn.ModuleDict({"self": SelfAttention(width, heads), "output": Output(width, width)})
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(width, hidden)})
        self.output = Output(hidden, width)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        x = self.attention["output"](self.attention["self"](x, mask), x)
        return self.output(F.gelu(self.intermediate["dense"](x)), x)


class Bert(nn.Module):
    """ids [batch, length] and mask [batch, length], 1 where a token is, to hidden states [batch, length, width]."""

    def __init__(self, vocabulary: int = 30522, length: int = 512, width: int = 768, layers: int = 12, heads: int = 12, hidden: int = 3072, kinds: int = 2):
        super().__init__()
        self.embeddings = Embeddings(vocabulary, length, width, kinds)
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(Layer(width, heads, hidden) for _ in range(layers))})

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        unseen = (1 - mask[:, None, None, :].float()) * -10000.0
        x = self.embeddings(ids)
        for layer in self.encoder["layer"]:
            x = layer(x, unseen)
        return x
