"""The operation by which a graph asks for a value to be computed again."""

from __future__ import annotations

import torch

from wafer.frontends.context import Context
from wafer.frontends.registry import lowering
from wafer.frontends.tensor import Tensor


@torch.library.custom_op("wafer::again", mutates_args=())
def again(value: torch.Tensor) -> torch.Tensor:
    """The value itself; what is computed from the result is not taken for what was computed from the value before."""
    return value.clone()


@again.register_fake
def _(value: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(value)


@lowering("wafer.again.default")
def _again(ctx: Context, value: Tensor) -> Tensor:
    if value.constant is not None:
        return value
    made = ctx.writer.emit(f"graph.again {value.name} : {value.type}", value.stored, value.dtype)
    return Tensor(made.name, made.stored, value.shape, value.dims, value.dtype)
