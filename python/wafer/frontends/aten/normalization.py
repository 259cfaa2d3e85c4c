"""Softmax and normalisations: reductions and elementwise operations, one after another."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from wafer.frontends.aten import reductions
from wafer.frontends.context import Context
from wafer.frontends.registry import lowering
from wafer.frontends.tensor import Tensor


def softmax(ctx: Context, a: Tensor, dim: int, dtype: torch.dtype) -> Tensor:
    """exp(a - max) / sum(exp(a - max)) along `dim`."""
    top = ctx.with_kept(reductions.maximum(ctx, a, [dim]), a.shape, [dim])
    powers = ctx.elementwise(lambda b, x, m: b.apply("math.exp", b.sub(x, m)), a, top, dtype=torch.float32)
    total = ctx.with_kept(reductions.total(ctx, powers, [dim]), a.shape, [dim])
    return ctx.elementwise(lambda b, x, s: b.div(x, s), powers, total, dtype=dtype)


def _as_float(ctx: Context, a: Tensor) -> Tensor:
    return a if a.dtype.is_floating_point else ctx.converted(a, ctx.dtype)


@lowering("aten._softmax.default", "aten.softmax.int", "aten._safe_softmax.default")
def _softmax(ctx: Context, a: Tensor, dim: int, *unused: object) -> Tensor:
    if a.rank == 0:
        return Tensor.of_constant(torch.ones((), dtype=ctx.dtype))
    return softmax(ctx, _as_float(ctx, a), dim, ctx.dtype)


@lowering("aten._log_softmax.default", "aten.log_softmax.int")
def _log_softmax(ctx: Context, a: Tensor, dim: int, *unused: object) -> Tensor:
    if a.rank == 0:
        return Tensor.of_constant(torch.zeros((), dtype=ctx.dtype))
    a = _as_float(ctx, a)
    top = ctx.with_kept(reductions.maximum(ctx, a, [dim]), a.shape, [dim])
    shifted = ctx.elementwise(lambda b, x, m: b.sub(x, m), a, top, dtype=torch.float32)
    total = reductions.total(ctx, shifted, [dim], before=lambda b, x: b.apply("math.exp", x))
    logarithm = ctx.elementwise(lambda b, x: b.apply("math.log", x), total, dtype=torch.float32)
    return ctx.elementwise(lambda b, x, s: b.sub(x, s), shifted, ctx.with_kept(logarithm, a.shape, [dim]))


def _affine(ctx: Context, a: Tensor, weight: Tensor | None, bias: Tensor | None, dtype: torch.dtype) -> Tensor:
    """weight * a + bias, one operation each."""
    last = weight is None and bias is None
    if weight is not None:
        a = ctx.elementwise(lambda b, x, w: b.mul(x, w), a, weight, dtype=torch.float32 if bias is not None else dtype)
    if bias is not None:
        a = ctx.elementwise(lambda b, x, w: b.add(x, w), a, bias, dtype=dtype)
    return ctx.converted(a, dtype) if last else a


def _inverse_deviation(ctx: Context, spread: Tensor, eps: float) -> Tensor:
    return ctx.elementwise(lambda b, x: b.apply("math.rsqrt", b.add(x, b.like(eps, x))), spread, dtype=torch.float32)


@lowering("aten.native_layer_norm.default")
def _layer_norm(ctx: Context, a: Tensor, normalized: Sequence[int], weight: Tensor | None, bias: Tensor | None, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    dims = list(range(a.rank - len(normalized), a.rank))
    average, spread, centred = reductions.variance(ctx, a, dims, correction=0)
    inverse = _inverse_deviation(ctx, spread, eps)
    scaled = ctx.elementwise(lambda b, x, r: b.mul(x, r), centred, ctx.with_kept(inverse, a.shape, dims), dtype=torch.float32)
    result = _affine(ctx, scaled, weight, bias, ctx.dtype)
    return result, ctx.with_kept(average, a.shape, dims), ctx.with_kept(inverse, a.shape, dims)


@lowering("aten._fused_rms_norm.default")
def _rms_norm(ctx: Context, a: Tensor, normalized: Sequence[int], weight: Tensor | None, eps: float | None) -> tuple[Tensor, Tensor]:
    dims = list(range(a.rank - len(normalized), a.rank))
    squares = reductions.mean(ctx, a, dims, before=lambda b, x: b.mul(x, x))
    inverse = _inverse_deviation(ctx, squares, torch.finfo(a.dtype).eps if eps is None else eps)
    scaled = ctx.elementwise(lambda b, x, r: b.mul(x, r), a, ctx.with_kept(inverse, a.shape, dims), dtype=torch.float32)
    return _affine(ctx, scaled, weight, None, ctx.dtype), ctx.with_kept(inverse, a.shape, dims)


@lowering("aten.native_group_norm.default")
def _group_norm(
    ctx: Context, a: Tensor, weight: Tensor | None, bias: Tensor | None, batch: int, channels: int, size: int, groups: int, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    grouped = ctx.writer.reshape(a, (batch, groups, channels // groups * size))
    average, spread, centred = reductions.variance(ctx, grouped, [2], correction=0)
    inverse = _inverse_deviation(ctx, spread, eps)
    scaled = ctx.elementwise(lambda b, x, r: b.mul(x, r), centred, ctx.with_kept(inverse, grouped.shape, [2]), dtype=torch.float32)
    scaled = ctx.writer.reshape(scaled, a.shape)
    return _affine(ctx, scaled, _per_channel(weight, a.rank), _per_channel(bias, a.rank), ctx.dtype), average, inverse


def _per_channel(parameter: Tensor | None, rank: int) -> Tensor | None:
    """[C] as [C, 1, 1, ...] against a tensor [N, C, ...]."""
    return parameter if parameter is None else parameter.with_units(parameter.shape + (1,) * (rank - 2))


@lowering("aten._native_batch_norm_legit_no_training.default")
def _batch_norm(
    ctx: Context, a: Tensor, weight: Tensor | None, bias: Tensor | None, average: Tensor, spread: Tensor, momentum: float, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    # One factor and one term per channel, which can be streamed to the wafer; they are computed from parameters alone.
    scale = _inverse_deviation(ctx, spread, eps)
    if weight is not None:
        scale = ctx.elementwise(lambda b, r, w: b.mul(r, w), scale, weight, dtype=torch.float32)
    shift = ctx.elementwise(lambda b, m, s: b.neg(b.mul(m, s)), average, scale, dtype=torch.float32)
    if bias is not None:
        shift = ctx.elementwise(lambda b, x, y: b.add(x, y), shift, bias, dtype=torch.float32)
    return _affine(ctx, a, _per_channel(scale, a.rank), _per_channel(shift, a.rank), ctx.dtype), *(Tensor.of_constant(torch.empty(0)) for _ in range(2))


@lowering("aten._native_batch_norm_legit.no_stats")
def _batch_norm_of_batch(
    ctx: Context, a: Tensor, weight: Tensor | None, bias: Tensor | None, training: bool, momentum: float, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    average, spread, centred = reductions.variance(ctx, a, [d for d in range(a.rank) if d != 1], correction=0)
    return _scaled_channels(ctx, centred, spread, weight, bias, eps), average, _inverse_deviation(ctx, spread, eps)


def _scaled_channels(ctx: Context, centred: Tensor, spread: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    inverse = _per_channel(_inverse_deviation(ctx, spread, eps), centred.rank)
    scaled = ctx.elementwise(lambda b, x, r: b.mul(x, r), centred, inverse, dtype=torch.float32)
    return _affine(ctx, scaled, _per_channel(weight, centred.rank), _per_channel(bias, centred.rank), ctx.dtype)


@lowering("aten._native_batch_norm_legit_functional.default")
def _batch_norm_of_training(
    ctx: Context, a: Tensor, weight: Tensor | None, bias: Tensor | None, average: Tensor, spread: Tensor, training: bool, momentum: float, eps: float
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The result, mean and 1 / deviation of the batch, and the two running statistics after it."""
    if not training:
        raise ctx.unsupported("is a batch norm with running statistics in a training program, expected one of the batch; leave the module in train mode")
    dims = [d for d in range(a.rank) if d != 1]
    batch_average, batch_spread, centred = reductions.variance(ctx, a, dims, correction=0)
    inverse = _inverse_deviation(ctx, batch_spread, eps)
    number = reductions.count(a, dims)

    def moved(b, old, new):
        return b.add(b.mul(old, b.like(1 - momentum, old)), b.mul(new, b.like(momentum, new)))

    unbiased = ctx.elementwise(lambda b, x: b.mul(x, b.like(number / max(number - 1, 1), x)), batch_spread, dtype=torch.float32)
    new_average = ctx.elementwise(moved, average, batch_average, dtype=average.dtype)
    new_spread = ctx.elementwise(moved, spread, unbiased, dtype=spread.dtype)
    return _scaled_channels(ctx, centred, batch_spread, weight, bias, eps), batch_average, inverse, new_average, new_spread
