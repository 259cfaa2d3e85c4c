"""Distances between all pairs of vectors, by any norm."""

from __future__ import annotations

import dataclasses

import torch

from wafer.frontends.aten.indexing import fetched
from wafer.frontends.aten.reductions import norm
from wafer.frontends.body import Body, Scalar
from wafer.frontends.context import Context
from wafer.frontends.registry import lowering
from wafer.frontends.tensor import Tensor


def _distance(ctx: Context, a: Tensor, b: Tensor, order: float) -> Tensor:
    difference = ctx.elementwise(lambda w, x, y: w.sub(x, y), a, b, dtype=torch.float32)
    return ctx.converted(norm(ctx, difference, [difference.rank - 1], order), ctx.dtype)


@lowering("aten._cdist_forward.default")
def _cdist(ctx: Context, a: Tensor, b: Tensor, order: float, mode: int | None) -> Tensor:
    return _distance(ctx, a.with_units((*a.shape[:-1], 1, a.shape[-1])), b.with_units((*b.shape[:-2], 1, *b.shape[-2:])), order)


@lowering("aten._pdist_forward.default")
def _pdist(ctx: Context, a: Tensor, order: float = 2) -> Tensor:
    rows, columns = (Tensor.of_constant(places) for places in torch.triu_indices(a.shape[0], a.shape[0], 1))
    shape = (ctx.shape[0], a.shape[1])

    def indices(b: Body, loops: list[Scalar], row: Scalar) -> list[Scalar]:
        return [b.cast(row, "index"), loops[-1]]

    wide = dataclasses.replace(ctx, results=((shape, a.dtype),))
    return _distance(ctx, *(fetched(wide, a, shape, indices, (places, ["d0"])) for places in (rows, columns)), order)
