"""Operations that PyTorch has as one, most of them backward passes, in operations that have lowerings. Each is that of the operation's documentation."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

aten = torch.ops.aten


def _share(gradient: torch.Tensor, difference: torch.Tensor, p: float, distance: torch.Tensor) -> torch.Tensor:
    """Of a distance's gradient, by the difference of two vectors; nothing where they are equal."""
    if p == 0:
        return torch.zeros_like(difference)
    if p == 1:
        return gradient * difference.sign()
    if math.isinf(p):
        return gradient * difference.sign() * (difference.abs() == distance)
    power = difference if p == 2 else difference.sign() * difference.abs().pow(p - 1)
    share = gradient * power / (distance if p == 2 else distance.pow(p - 1))
    return torch.where((distance == 0) | (difference == 0), 0.0, share)


def _cdist_backward(gradient: torch.Tensor, a: torch.Tensor, b: torch.Tensor, p: float, distance: torch.Tensor) -> torch.Tensor:
    difference = a.unsqueeze(-2) - b.unsqueeze(-3)
    return _share(gradient.unsqueeze(-1), difference, p, distance.unsqueeze(-1)).sum(-2)


def _pdist_backward(gradient: torch.Tensor, a: torch.Tensor, p: float, distance: torch.Tensor) -> torch.Tensor:
    first, second = torch.triu_indices(len(a), len(a), 1, device=a.device)
    share = _share(gradient.unsqueeze(-1), a[first] - a[second], p, distance.unsqueeze(-1))
    return torch.zeros_like(a).index_add(0, first, share).index_add(0, second, -share)


def _masked_scatter_backward(gradient: torch.Tensor, mask: torch.Tensor, sizes: list[int]) -> torch.Tensor:
    """The n-th element that the mask lets through came from the n-th of the source."""
    taken = mask.expand_as(gradient).reshape(-1)
    places = torch.where(taken, taken.to(torch.int64).cumsum(0) - 1, 0)
    values = torch.where(taken, gradient.reshape(-1), 0.0)
    return gradient.new_zeros(math.prod(sizes)).scatter_add(0, places, values).reshape(sizes)


def _safe_softmax(x: torch.Tensor, dim: int, dtype: torch.dtype | None = None) -> torch.Tensor:
    """A row of nothing but minus infinity gives zeros. By its maximum, which the softmax has anyway: PyTorch's own way compares each element, in types that are not
    stored on the wafer."""
    x = x if dtype is None else x.to(dtype)
    return torch.where(x.amax(dim, keepdim=True) == -math.inf, 0.0, torch.softmax(x, dim))


TABLE: dict[torch._ops.OpOverload, Callable] = {
    aten._cdist_backward.default: _cdist_backward,
    aten._pdist_backward.default: _pdist_backward,
    aten.masked_scatter_backward.default: _masked_scatter_backward,
    aten._safe_softmax.default: _safe_softmax,
}
