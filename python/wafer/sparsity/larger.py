"""Layers that are larger and sparse, for the arithmetic of the dense ones that they replace (Thangarasa and others, 2023, Sparse-IFT)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from wafer.errors import RuntimeError  # noqa: A004
from wafer.sparsity.masks import check, chosen


class Parallel(nn.Module):
    """The sum of 1 / (1 - zeros) branches, each behind an activation."""

    def __init__(self, layer: nn.Linear, zeros: float):
        super().__init__()
        branches = max(1, round(1 / (1 - zeros)))
        self.branches = nn.ModuleList(nn.Linear(layer.in_features, layer.out_features, bias=False) for _ in range(branches))
        self.bias = layer.bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result = self.branches[0](x)
        for branch in self.branches[1:]:
            result = result + F.relu(branch(x))
        return result if self.bias is None else result + self.bias


class Factorized(nn.Module):
    """Two factors with as many features between them as the zeros pay for, and an activation there."""

    def __init__(self, layer: nn.Linear, zeros: float):
        super().__init__()
        rows, columns = layer.out_features, layer.in_features
        between = max(1, round(rows * columns / ((rows + columns) * (1 - zeros))))
        self.first, self.second = nn.Linear(columns, between, bias=False), nn.Linear(between, rows, bias=layer.bias is not None)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(F.relu(self.first(x)))


class Doped(nn.Module):
    """A sparse weight of the layer's size, and a dense product of two thin ones that takes the rest of its arithmetic."""

    def __init__(self, layer: nn.Linear, zeros: float):
        super().__init__()
        rows, columns = layer.out_features, layer.in_features
        rank = max(1, int(rows * columns * zeros / (rows + columns)))
        self.sparse = nn.Linear(columns, rows, bias=layer.bias is not None)
        self.thin, self.back = nn.Linear(columns, rank, bias=False), nn.Linear(rank, rows, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.sparse(x) + self.back(self.thin(x))


FAMILIES = {"parallel": Parallel, "factorized": Factorized, "doped": Doped}


def iso_flop(model: nn.Module, zeros: float, family: str = "parallel", *, include: Sequence[str] = ("*",), exclude: Sequence[str] = ()) -> list[str]:
    """Replace linear layers by larger ones which, with this share of zeros in their weights, take as many multiply-accumulates.

    Args:    zeros: share of zeros that training will keep, the same that goes to wafer.sparsity.Static or RigL. The layers begin dense, with new values.
             family: "parallel", "factorized" or "doped" (which keeps its thin factors dense: exclude "*.thin.weight" and "*.back.weight" from the sparse ones).
             include, exclude: patterns of parameters' names, such as "blocks.*.fc1.weight".
    Returns: names of the weights to make sparse, for `include` of a training method. The model is changed.
    Raises:  RuntimeError for an unknown family, and for patterns that fit no linear layer.
    """
    check(zeros)
    if family not in FAMILIES:
        raise RuntimeError(f"found family '{family}', expected one of {', '.join(FAMILIES)}")
    layers = {f"{name}.weight" if name else "weight": name for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    names = []
    for weight in chosen(layers, include, exclude):
        path = layers[weight]
        if not path:
            raise RuntimeError("found a model that is a linear layer itself, expected one that has linear layers; put it into nn.Sequential")
        owner, _, own = path.rpartition(".")
        replaced = FAMILIES[family](model.get_submodule(path), zeros)
        setattr(model.get_submodule(owner), own, replaced)
        names += [f"{path}.{name}" for name, parameter in replaced.named_parameters() if parameter.dim() > 1 and not name.startswith(("thin.", "back."))]
    return names
