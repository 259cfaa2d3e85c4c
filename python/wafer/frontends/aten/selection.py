"""Matrices whose products copy: of one 1 in each row."""

from __future__ import annotations

import torch

from wafer.frontends import types
from wafer.frontends.body import Body, Scalar
from wafer.frontends.context import Context
from wafer.frontends.registry import lowering
from wafer.frontends.tensor import Tensor


# A place of rows that have no 1.
NOWHERE = -1


@torch.library.custom_op("wafer::selection", mutates_args=())
def selection(places: torch.Tensor, columns: int, ones: int, dtype: torch.dtype) -> torch.Tensor:
    """[rows, columns] of type `dtype`, 0 but for a 1 in each row where `places`, [rows] of integers, says, if it does not say NOWHERE; x @ selection^T has element places[r] of x at r.

    Unlike a comparison it says how many elements are not zero, `ones`, so that a product with it is known to cost as many.
    """
    return (places[:, None] == torch.arange(columns, device=places.device)).to(dtype)


@selection.register_fake
def _(places: torch.Tensor, columns: int, ones: int, dtype: torch.dtype) -> torch.Tensor:
    return places.new_empty((*places.shape, columns), dtype=dtype)


@lowering("wafer.selection.default")
def _selection(ctx: Context, places: Tensor, columns: int, ones: int, dtype: torch.dtype) -> Tensor:
    def body(b: Body, chosen: Scalar) -> Scalar:
        return b.cast(b.compare("eq", chosen, b.cast(b.index(1), chosen.type)), types.stored(dtype))

    return ctx.writer.generic([(places, ["d0"])], "pp", ctx.shape, dtype, body, nonzeros=ones)
