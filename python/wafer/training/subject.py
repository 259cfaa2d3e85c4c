"""What a training step trains: a PyTorch model with a loss, or a JAX function with its parameters."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy
import torch

from wafer import arrays, checkpoints
from wafer.errors import CompileError, RuntimeError  # noqa: A004
from wafer.frontends import absent
from wafer.training.joint import Gradients, differentiate
from wafer.training.room import Room


class Subject(Protocol):
    """Tensors by names, and their gradients."""

    @property
    def forms(self) -> Mapping[str, tuple[tuple[int, ...], torch.dtype]]:
        """Shape and type of each tensor of a checkpoint."""

    @property
    def aliases(self) -> Mapping[str, str]:
        """For each of those names the one under which the tensor is trained."""

    @property
    def trained(self) -> Sequence[str]:
        """Parameters that may be trained."""

    @property
    def buffers(self) -> Sequence[str]: ...

    def values(self, weights: str | os.PathLike | None, room: Room) -> dict[str, numpy.ndarray]:
        """Parameters and buffers by their first names, from `weights` if given; arrays of a checkpoint stay in its files."""

    def differentiate(self, part: Sequence[object], scaled: bool, kept: Mapping[str, int], machine: Mapping) -> Gradients:
        """The program of loss and gradients for a batch like `part`."""


class TorchSubject:
    """A model, and a loss of its output and the target."""

    def __init__(self, model: torch.nn.Module, loss: Callable[..., torch.Tensor]):
        self._model, self._loss = model, loss
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            if tensor.layout != torch.strided:
                raise CompileError(f"'{name}' is {str(tensor.layout).removeprefix('torch.')}, expected a dense tensor to train; use to_dense(), and sparsity=wafer.sparsity.Static for zeros that stay")
            if tensor.is_floating_point() and tensor.dtype != torch.float32:
                raise CompileError(f"'{name}' is {str(tensor.dtype).removeprefix('torch.')}, expected float32; use model.float(), and precision= for the wafer")
        self.forms = {name: (tuple(value.shape), value.dtype) for name, value in model.state_dict().items()}
        self.aliases = _aliases(model)
        self.trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
        self.buffers = [name for name, buffer in model.named_buffers() if buffer is not None]

    def values(self, weights: str | os.PathLike | None, room: Room) -> dict[str, numpy.ndarray]:
        tensors = dict(self._model.named_parameters()) | {name: buffer for name, buffer in self._model.named_buffers() if buffer is not None}
        if weights is None:
            for name, tensor in tensors.items():
                if tensor.is_meta:
                    raise CompileError(f"'{name}' is on the device meta and has no values; give weights=, a safetensors file or a checkpoint directory")
            return {name: room.copy(tensor.detach().cpu().contiguous().numpy()) for name, tensor in tensors.items()}
        wanted = {name: [name, *(other for other, first in self.aliases.items() if first == name and other != name)] for name in tensors}
        files, names = checkpoints.find([weights], wanted)
        values = {}
        for name, tensor in tensors.items():
            dtype, array = checkpoints.mapped(files, names[name], f"'{name}'")
            expected = arrays.pair_of(torch.empty(0, dtype=tensor.dtype), name)[0]
            if dtype != expected or array.shape != tuple(tensor.shape):
                raise RuntimeError(f"'{name}' is {dtype}{list(array.shape)} in {os.fspath(weights)}, expected {expected}{list(tensor.shape)}")
            values[name] = array
        return values

    def differentiate(self, part: Sequence[object], scaled: bool, kept: Mapping[str, int], machine: Mapping) -> Gradients:
        with absent.on_cpu(self._model):
            return differentiate(self._model, self._loss, part, scaled=scaled, kept=kept, machine=machine)


def _aliases(model: torch.nn.Module) -> dict[str, str]:
    """For each name of a tied parameter or buffer the first name that it has."""
    first: dict[int, str] = {}
    every = [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]
    return {name: first.setdefault(id(tensor), name) for name, tensor in every}
