"""Models on PyTorch's device "meta", whose parameters have shapes and no values, and models with parameters in sparse layouts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch.utils import _pytree as pytree


@contextlib.contextmanager
def on_cpu(model: torch.nn.Module) -> Iterator[dict[str, torch.Tensor]]:
    """Gives the tensors without values by each of their names. Meanwhile stand-ins are on the CPU, so that the model meets inputs and tables there; of a sparse
    tensor the stand-in has its values, zeros among them."""
    stand_ins: dict[int, torch.Tensor] = {}
    changed: list[tuple[dict, str, torch.Tensor]] = []
    absent: dict[str, torch.Tensor] = {}
    for path, module in model.named_modules(remove_duplicate=False):
        for owner in (module._parameters, module._buffers):
            for name, tensor in owner.items():
                if tensor is None or (not tensor.is_meta and tensor.layout == torch.strided):
                    continue
                if tensor.is_meta:
                    absent[f"{path}.{name}" if path else name] = tensor
                changed.append((owner, name, tensor))
                if id(tensor) not in stand_ins:
                    # Memory that is never touched is never there; strides stay what the model expects.
                    stand_in = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype) if tensor.is_meta else tensor.detach().to_dense()
                    stand_ins[id(tensor)] = torch.nn.Parameter(stand_in, requires_grad=tensor.requires_grad) if isinstance(tensor, torch.nn.Parameter) else stand_in
    try:
        for owner, name, tensor in changed:
            owner[name] = stand_ins[id(tensor)]
        yield absent
    finally:
        for owner, name, tensor in changed:
            owner[name] = tensor


def inputs_on_cpu(*inputs: object) -> tuple:
    """Example inputs with those on the device meta replaced; of an example only shape and type count."""
    return pytree.tree_map(lambda value: torch.empty_like(value, device="cpu") if isinstance(value, torch.Tensor) and value.is_meta else value, inputs)
