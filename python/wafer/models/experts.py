"""What mixtures of experts of different models have in common. Shapes do not depend on data: an expert sees zeros in place of tokens that are not its own, which
the wafer passes over, and its weights are not streamed while it has none."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn


def for_its_tokens(expert: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """share * expert(x), computed where the share is not 0: x [..., features], share [..., 1]."""
    takes = share != 0
    return torch.where(takes, share * expert(torch.where(takes, x, 0.0)), 0.0)


def balance(logits: torch.Tensor, taken: int) -> torch.Tensor:
    """The load-balance loss of a router's logits, [..., experts]: 1 when all experts get equally much (Fedus and others, 2021, for `taken` of several)."""
    experts = logits.shape[-1]
    shares = logits.softmax(-1)
    chosen = shares.topk(taken, dim=-1).indices
    places = torch.arange(experts, device=logits.device)
    counts = (chosen.unsqueeze(-1) == places).to(logits.dtype).sum(-2)
    tokens = tuple(range(logits.dim() - 1))
    return experts * (counts.mean(tokens) / taken * shares.mean(tokens)).sum()


class HashRouted(nn.Module):
    """One expert per token, which its id decides (Roller and others, 2021): no router to train, loads balanced by the table.

    ids [...] and x [..., features] to [..., features].
    """

    def __init__(self, experts: list[nn.Module], vocabulary: int, seed: int = 0):
        super().__init__()
        self.experts = nn.ModuleList(experts)
        order = torch.randperm(vocabulary, generator=torch.Generator().manual_seed(seed))
        self.register_buffer("table", (order % len(experts)).to(torch.float32))

    def forward(self, ids: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        chosen = self.table[ids].unsqueeze(-1)
        result = torch.zeros_like(x)
        for i, expert in enumerate(self.experts):
            result = result + for_its_tokens(expert, x, (chosen == i).to(x.dtype))
        return result


class Shared(nn.Module):
    """Experts that see every token, beside routed ones (Dai and others, 2024, DeepSeekMoE)."""

    def __init__(self, routed: nn.Module, shared: list[nn.Module]):
        super().__init__()
        self.routed, self.shared = routed, nn.ModuleList(shared)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result = self.routed(x)
        for expert in self.shared:
            result = result + expert(x)
        return result
