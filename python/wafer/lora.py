"""Low-rank adapters (Hu and others, 2021): fine-tune a model by two small matrices per layer.

    adapted = wafer.lora.adapt(model, rank=8, targets=["*.c_attn", "*.c_proj"])   # in place; all other parameters are frozen
    step = wafer.train_step(model, loss_fn, wafer.optim.AdamW(lr=1e-3), (x, target))
    model.load_state_dict(step.state_dict())
    wafer.lora.save(model, "adapter.safetensors")                                 # the adapters alone
    wafer.lora.fold(model)                                                        # back to plain layers, adapters added to their weights
"""

from __future__ import annotations

import fnmatch
import math
import os
from collections.abc import Sequence

import torch
from torch import nn

from wafer import _native, arrays, checkpoints
from wafer.errors import RuntimeError  # noqa: A004


class Adapted(nn.Module):
    """A linear layer plus scale * up(down(x)). Its weight and bias keep their names, so that checkpoints of the plain model load; both are frozen."""

    def __init__(self, layer: nn.Module, rank: int, alpha: float, dropout: float):
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias
        # As in GPT-2's checkpoints, a weight may be [in, out].
        self._is_transposed = not isinstance(layer, nn.Linear)
        self._plain = (layer,)  # in a tuple, because it is no submodule
        sizes = layer.weight.shape if self._is_transposed else layer.weight.shape[::-1]
        self.lora_down = nn.Parameter(torch.empty(rank, sizes[0], device=layer.weight.device))
        self.lora_up = nn.Parameter(torch.zeros(sizes[1], rank, device=layer.weight.device))
        self.scale = alpha / rank
        self.dropout = nn.Dropout(dropout)
        if not layer.weight.is_meta:
            nn.init.kaiming_uniform_(self.lora_down, a=math.sqrt(5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        plain = x @ self.weight if self._is_transposed else nn.functional.linear(x, self.weight)
        plain = plain if self.bias is None else plain + self.bias
        return plain + self.scale * (self.dropout(x) @ self.lora_down.T @ self.lora_up.T)

    def folded(self) -> nn.Module:
        """The plain layer, with the adapter in its weight."""
        (layer,) = self._plain
        change = self.scale * (self.lora_up @ self.lora_down).detach()
        with torch.no_grad():
            layer.weight.copy_(self.weight + (change.T if self._is_transposed else change))
        return layer


def adapt(model: nn.Module, rank: int = 8, alpha: float | None = None, targets: Sequence[str] = ("*",), dropout: float = 0.0) -> list[str]:
    """Give linear layers an adapter and freeze everything else.

    Args:    rank: of the adapters. alpha: their outputs count alpha / rank, default 2 * rank. targets: patterns of layers' names, such as "*.c_attn".
             dropout: of what goes into adapters while training.
    Returns: the names of the layers that have one now.
    Raises:  RuntimeError when no linear layer matches, and for a rank below 1.
    """
    if rank < 1:
        raise RuntimeError(f"found rank {rank}, expected at least 1")
    layers = {name: module for name, module in model.named_modules() if _is_linear(module)}
    chosen = [name for name in layers if any(fnmatch.fnmatchcase(name, target) for target in targets)]
    if not chosen:
        raise RuntimeError(f"found no linear layer like {', '.join(targets)}, expected one of {', '.join(list(layers)[:8])}{' ...' if len(layers) > 8 else ''}")
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    for name in chosen:
        _replace(model, name, Adapted(layers[name], rank, 2 * rank if alpha is None else alpha, dropout))
    return chosen


def fold(model: nn.Module) -> nn.Module:
    """Add all adapters to the weights they belong to and make the layers plain again. Parameters stay frozen or not as they are."""
    for name, module in _adapted(model).items():
        _replace(model, name, module.folded())
    return model


def save(model: nn.Module, path: str | os.PathLike) -> None:
    """Write the adapters as a safetensors file, complete or not there; names are those of the model's state_dict."""
    found = {f"{name}.{key}": getattr(module, key) for name, module in _adapted(model).items() for key in ("lora_down", "lora_up")}
    if not found:
        raise RuntimeError("found no adapters in the model, expected a model that wafer.lora.adapt has changed")
    _native.module().write_safetensors(os.fspath(path), {name: arrays.pair_of(tensor, name) for name, tensor in found.items()})


def load(model: nn.Module, path: str | os.PathLike) -> None:
    """Read adapters into a model that `adapt` has changed in the same way. Raises RuntimeError when names or shapes differ; nothing changes then."""
    given = {name: torch.from_numpy(arrays.array_of(pair).copy()) for name, pair in checkpoints.all_mapped(path).items()}
    own = {f"{name}.{key}": getattr(module, key) for name, module in _adapted(model).items() for key in ("lora_down", "lora_up")}
    for name in sorted(own.keys() | given.keys()):
        found, wanted = (None if tensors.get(name) is None else list(tensors[name].shape) for tensors in (given, own))
        if found != wanted:
            raise RuntimeError(f"{os.fspath(path)}: has {f'{name} of shape {found}' if found else f'no {name}'}, expected {f'shape {wanted}' if wanted else 'none'}")
    with torch.no_grad():
        for name, parameter in own.items():
            parameter.copy_(given[name])


def _is_linear(module: nn.Module) -> bool:
    """nn.Linear, and layers such as GPT-2's Conv1D, which are x @ weight + bias."""
    return isinstance(module, nn.Linear) or type(module).__name__ == "Conv1D"


def _adapted(model: nn.Module) -> dict[str, Adapted]:
    return {name: module for name, module in model.named_modules() if isinstance(module, Adapted)}


def _replace(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, leaf = name.rpartition(".")
    setattr(model.get_submodule(parent), leaf, module)
