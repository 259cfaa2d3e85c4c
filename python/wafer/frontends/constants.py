"""Constant tensors as MLIR attributes."""

from __future__ import annotations

import numpy
import torch

from wafer.errors import WaferError
from wafer.frontends import types

# Below this many elements a person may want to read the numbers; above it the bytes are written as they are.
_READABLE = 64


def distinct(data: torch.Tensor) -> torch.Tensor:
    """The tensor without elements that are others repeated, as `expand` makes them."""
    return data[tuple(slice(1) if stride == 0 else slice(None) for stride in data.stride())]


def dense_text(data: torch.Tensor) -> str:
    """The text `dense<...>` for a constant, in the type in which its elements are stored."""
    element = types.stored(data.dtype)
    data = data.detach().cpu()
    if data.numel() and distinct(data).numel() == 1:
        data = distinct(data)  # one number repeated takes no memory here
    data = data.contiguous()
    if data.dtype == torch.int64:
        if data.numel() and (data.min() < types.INT32_MIN or data.max() > types.INT32_MAX):
            raise WaferError(f"holds integers from {int(data.min())} to {int(data.max())}, expected ones that fit in 32 bits")
        data = data.to(torch.int32)
    if data.dtype == torch.bool:
        data = data.to(torch.int8)
    if data.numel() == 0:
        return "dense<>"
    flat = data.flatten()
    if bool((flat == flat[0]).all()):
        return f"dense<{types.literal(flat[0].item(), element)}>"
    if data.numel() <= _READABLE:
        return f"dense<{_nested(data, element)}>"
    return f'dense<"0x{_bytes(data).hex().upper()}">'


def _nested(data: torch.Tensor, element: str) -> str:
    if data.dim() == 0:
        return types.literal(data.item(), element)
    return "[" + ", ".join(_nested(part, element) for part in data) + "]"


def _bytes(data: torch.Tensor) -> bytes:
    array = data.view(torch.int16).numpy() if data.dtype == torch.bfloat16 else data.numpy()
    return array.astype(array.dtype.newbyteorder("<")).tobytes() if array.dtype != numpy.bool_ else array.tobytes()
