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


def _widen(model: nn.Module, paths: Sequence[str], zeros: float) -> list[str]:
    """Pairs of layers of which one reads what the other gives, through work on single elements: with as many features between them as the zeros pay for."""
    if len(paths) % 2:
        raise RuntimeError(f"found {len(paths)} layers for family 'wide', expected pairs, such as the two of a feed-forward part: include=[\"blocks.*.fc1.weight\", \"blocks.*.fc2.weight\"]")
    for first, second in zip(paths[::2], paths[1::2]):
        into, out = model.get_submodule(first), model.get_submodule(second)
        if into.out_features != out.in_features:
            raise RuntimeError(
                f"found '{first}' with {into.out_features} features of output before '{second}' with {out.in_features} of input for family 'wide', expected a pair of which one reads what the other gives"
            )
        between = round(into.out_features / (1 - zeros))
        _replace(model, first, nn.Linear(into.in_features, between, bias=into.bias is not None))
        _replace(model, second, nn.Linear(between, out.out_features, bias=out.bias is not None))
    return [f"{path}.weight" for path in paths]


def _replace(model: nn.Module, path: str, layer: nn.Module) -> None:
    owner, _, own = path.rpartition(".")
    setattr(model.get_submodule(owner), own, layer)


def iso_flop(model: nn.Module, zeros: float, family: str = "parallel", *, include: Sequence[str] = ("*",), exclude: Sequence[str] = ()) -> list[str]:
    """Replace linear layers by larger ones which, with this share of zeros in their weights, take as many multiply-accumulates.

    Args:    zeros: share of zeros that training will keep, the same that goes to wafer.sparsity.Static or RigL. The layers begin dense, with new values.
             family: "wide" (layers in pairs, more features between them), "parallel", "factorized" or "doped" (which keeps its thin factors dense: exclude "*.thin.weight"
             and "*.back.weight" from the sparse ones).
             include, exclude: patterns of parameters' names, such as "blocks.*.fc1.weight".
    Returns: names of the weights to make sparse, for `include` of a training method. The model is changed.
    Raises:  RuntimeError for an unknown family, for patterns that fit no linear layer, and for layers of "wide" that are no pairs.
    """
    check(zeros)
    if family != "wide" and family not in FAMILIES:
        raise RuntimeError(f"found family '{family}', expected one of wide, {', '.join(FAMILIES)}")
    layers = {f"{name}.weight" if name else "weight": name for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    names = []
    paths = [layers[weight] for weight in chosen(layers, include, exclude)]
    if family == "wide":
        return _widen(model, paths, zeros)
    for path in paths:
        if not path:
            raise RuntimeError("found a model that is a linear layer itself, expected one that has linear layers; put it into nn.Sequential")
        replaced = FAMILIES[family](model.get_submodule(path), zeros)
        _replace(model, path, replaced)
        names += [f"{path}.{name}" for name, parameter in replaced.named_parameters() if parameter.dim() > 1 and not name.startswith(("thin.", "back."))]
    return names
