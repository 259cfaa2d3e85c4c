"""Sums, maxima and the like over dimensions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch

from wafer.frontends import types
from wafer.frontends.body import Body, Scalar
from wafer.frontends.context import Context
from wafer.frontends.registry import lowering
from wafer.frontends.tensor import Tensor

_ADD = lambda b, x, total: b.add(x, total)  # noqa: E731
_MAX = lambda b, x, total: b.maximum(x, total)  # noqa: E731
_MIN = lambda b, x, total: b.minimum(x, total)  # noqa: E731


def _all_dims(tensor: Tensor, dims: Sequence[int] | int | None) -> list[int]:
    if dims is None or dims == []:
        return list(range(tensor.rank))
    return [d % tensor.rank if tensor.rank else d for d in ([dims] if isinstance(dims, int) else dims)]


def _finished(ctx: Context, reduced: Tensor, tensor: Tensor, dims: Sequence[int], keepdim: bool, dtype: torch.dtype | None = None) -> Tensor:
    reduced = ctx.converted(reduced, dtype or ctx.dtype)
    return ctx.with_kept(reduced, tensor.shape, dims) if keepdim and tensor.rank else reduced


def count(tensor: Tensor, dims: Sequence[int]) -> int:
    return math.prod(tensor.shape[d] for d in dims)


def lowest(dtype: torch.dtype) -> float | int:
    return -math.inf if dtype.is_floating_point else 0 if dtype == torch.bool else torch.iinfo(_stored_integer(dtype)).min


def highest(dtype: torch.dtype) -> float | int:
    return math.inf if dtype.is_floating_point else 1 if dtype == torch.bool else torch.iinfo(_stored_integer(dtype)).max


def _stored_integer(dtype: torch.dtype) -> torch.dtype:
    return torch.int32 if dtype == torch.int64 else dtype


def total(ctx: Context, tensor: Tensor, dims: Sequence[int], before: Callable[[Body, Scalar], Scalar] | None = None) -> Tensor:
    """Sum in f32 (or in whole numbers), without the dimensions."""
    dtype = types.widened(tensor.dtype) if tensor.dtype.is_floating_point else torch.int64
    return ctx.reduce(tensor, dims, 0, _ADD, before=before, dtype=dtype)


def mean(ctx: Context, tensor: Tensor, dims: Sequence[int], before: Callable[[Body, Scalar], Scalar] | None = None) -> Tensor:
    """Mean in f32, without the dimensions."""
    number = count(tensor, dims)
    return ctx.elementwise(lambda b, x: b.div(x, b.like(number, x)), total(ctx, tensor, dims, before), dtype=torch.float32)


def maximum(ctx: Context, tensor: Tensor, dims: Sequence[int]) -> Tensor:
    return ctx.reduce(tensor, dims, lowest(tensor.dtype), _MAX)


@lowering("aten.sum.default", "aten.sum.dim_IntList")
def _sum(ctx: Context, a: Tensor, dims: Sequence[int] | None = None, keepdim: bool = False, *, dtype: torch.dtype | None = None) -> Tensor:
    dims = _all_dims(a, dims)
    if ctx.dtype.is_floating_point and not a.dtype.is_floating_point:
        a = ctx.converted(a, ctx.dtype)
    return _finished(ctx, total(ctx, a, dims), a, dims, keepdim)


@lowering("aten.mean.default", "aten.mean.dim")
def _mean(ctx: Context, a: Tensor, dims: Sequence[int] | None = None, keepdim: bool = False, *, dtype: torch.dtype | None = None) -> Tensor:
    dims = _all_dims(a, dims)
    a = a if a.dtype.is_floating_point else ctx.converted(a, ctx.dtype)
    return _finished(ctx, mean(ctx, a, dims), a, dims, keepdim)


@lowering("aten.prod.default", "aten.prod.dim_int")
def _prod(ctx: Context, a: Tensor, dim: int | None = None, keepdim: bool = False, *, dtype: torch.dtype | None = None) -> Tensor:
    dims = _all_dims(a, dim)
    wide = types.widened(a.dtype) if a.dtype.is_floating_point else torch.int64
    return _finished(ctx, ctx.reduce(a, dims, 1, lambda b, x, t: b.mul(x, t), dtype=wide), a, dims, keepdim)


@lowering("aten.amax.default", "aten.max.default")
def _amax(ctx: Context, a: Tensor, dims: Sequence[int] | None = None, keepdim: bool = False) -> Tensor:
    dims = _all_dims(a, dims)
    return _finished(ctx, maximum(ctx, a, dims), a, dims, keepdim)


@lowering("aten.amin.default", "aten.min.default")
def _amin(ctx: Context, a: Tensor, dims: Sequence[int] | None = None, keepdim: bool = False) -> Tensor:
    dims = _all_dims(a, dims)
    return _finished(ctx, ctx.reduce(a, dims, highest(a.dtype), _MIN), a, dims, keepdim)


@lowering("aten.any.default", "aten.any.dim", "aten.any.dims")
def _any(ctx: Context, a: Tensor, dims: Sequence[int] | int | None = None, keepdim: bool = False) -> Tensor:
    dims = _all_dims(a, dims)
    return _finished(ctx, ctx.reduce(ctx.converted(a, torch.bool), dims, 0, _MAX), a, dims, keepdim)


@lowering("aten.all.default", "aten.all.dim", "aten.all.dims")
def _all(ctx: Context, a: Tensor, dims: Sequence[int] | int | None = None, keepdim: bool = False) -> Tensor:
    dims = _all_dims(a, dims)
    return _finished(ctx, ctx.reduce(ctx.converted(a, torch.bool), dims, 1, _MIN), a, dims, keepdim)


def variance(ctx: Context, a: Tensor, dims: Sequence[int], correction: float) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, variance (both f32, without the dimensions) and a minus its mean (f32)."""
    average = mean(ctx, a, dims)
    centred = ctx.elementwise(lambda b, x, m: b.sub(x, m), a, ctx.with_kept(average, a.shape, dims), dtype=torch.float32)
    squares = total(ctx, centred, dims, before=lambda b, x: b.mul(x, x))
    number = max(count(a, dims) - correction, 0)
    return average, ctx.elementwise(lambda b, x: b.div(x, b.like(number, x)), squares, dtype=torch.float32), centred


@lowering("aten.var.correction", "aten.var.dim")
def _var(ctx: Context, a: Tensor, dims: Sequence[int] | None = None, unbiased: bool = True, *, correction: float | None = None, keepdim: bool = False) -> Tensor:
    dims = _all_dims(a, dims)
    correction = float(unbiased) if correction is None else correction
    return _finished(ctx, variance(ctx, a, dims, correction)[1], a, dims, keepdim)


@lowering("aten.var_mean.correction")
def _var_mean(ctx: Context, a: Tensor, dims: Sequence[int] | None = None, *, correction: float | None = None, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    dims = _all_dims(a, dims)
    average, spread, _ = variance(ctx, a, dims, 1 if correction is None else correction)
    return tuple(_finished(ctx, t, a, dims, keepdim) for t in (spread, average))


@lowering("aten.linalg_vector_norm.default")
def _vector_norm(ctx: Context, a: Tensor, ord: float = 2, dims: Sequence[int] | None = None, keepdim: bool = False, *, dtype: torch.dtype | None = None) -> Tensor:
    dims = _all_dims(a, dims)
    return _finished(ctx, norm(ctx, a, dims, ord), a, dims, keepdim)


def norm(ctx: Context, a: Tensor, dims: Sequence[int], order: float) -> Tensor:
    """In f32, without the dimensions. Of order 0: how many elements are not zero."""
    if order == 0:
        return total(ctx, a, dims, before=lambda b, x: b.cast(b.compare("ne", x, b.like(0, x)), x.type))
    if order == 1:
        return total(ctx, a, dims, before=lambda b, x: b.abs(x))
    if order == 2:
        squares = total(ctx, a, dims, before=lambda b, x: b.mul(x, x))
        return ctx.elementwise(lambda b, x: b.apply("math.sqrt", x), squares, dtype=torch.float32)
    if abs(order) == math.inf:
        return ctx.reduce(a, dims, 0 if order > 0 else math.inf, _MAX if order > 0 else _MIN, before=lambda b, x: b.abs(x))
    powers = total(ctx, a, dims, before=lambda b, x: b.apply("math.powf", b.abs(x), b.like(order, x)))
    return ctx.elementwise(lambda b, x: b.apply("math.powf", x, b.like(1 / order, x)), powers, dtype=torch.float32)


# Places of maxima


def _extreme_with_place(ctx: Context, a: Tensor, dim: int, keepdim: bool, init: float | int, is_better: str) -> tuple[Tensor, Tensor]:
    """The extreme along `dim`, or NaN, and the first index at which it stands. One reduction finds both: two might see elements of different precision."""
    if a.rank == 0:
        return a, Tensor.of_constant(torch.tensor(0))
    dim %= a.rank
    kept = [d for d in range(a.rank) if d != dim]
    place = {d: f"d{i}" for i, d in enumerate(kept + [dim])}
    if dim not in a.dims:
        a = ctx.writer.plain(a)

    def body(b: Body, x: Scalar, best: Scalar, first: Scalar) -> tuple[Scalar, Scalar]:
        wide = types.computed(types.widened(a.dtype))
        x, best = b.cast(b.cast(x, types.computed(a.dtype)), wide), b.cast(b.cast(best, types.computed(a.dtype)), wide)
        better = b.compare(is_better, x, best)
        if x.is_float:
            better = b.apply("arith.andi", b.apply("arith.ori", better, b.is_nan(x)), b.logical_not(b.is_nan(best)))
        return b.select(better, x, best), b.select(better, b.cast(b.index(a.rank - 1), "i32"), first)

    source = [(a, [place[d] for d in range(a.rank)])]
    shape = tuple(a.shape[d] for d in kept)
    best, first = ctx.writer.generics(source, "p" * len(kept) + "r", shape, [a.dtype, torch.int64], body, inits=[init, 0])
    return _finished(ctx, best, a, [dim], keepdim, a.dtype), _finished(ctx, first, a, [dim], keepdim, torch.int64)


@lowering("aten.max.dim")
def _max_dim(ctx: Context, a: Tensor, dim: int, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    return _extreme_with_place(ctx, a, dim, keepdim, lowest(a.dtype), "gt")


@lowering("aten.min.dim")
def _min_dim(ctx: Context, a: Tensor, dim: int, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    return _extreme_with_place(ctx, a, dim, keepdim, highest(a.dtype), "lt")


def _place(ctx: Context, a: Tensor, dim: int | None, keepdim: bool, init: float | int, is_better: str) -> Tensor:
    if dim is None:
        a, dim, keepdim = ctx.writer.reshape(a, (math.prod(a.shape),)), 0, False
    return _extreme_with_place(ctx, a, dim, keepdim, init, is_better)[1]


@lowering("aten.argmax.default")
def _argmax(ctx: Context, a: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    return _place(ctx, a, dim, keepdim, lowest(a.dtype), "gt")


@lowering("aten.argmin.default")
def _argmin(ctx: Context, a: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    return _place(ctx, a, dim, keepdim, highest(a.dtype), "lt")


def _scanned(ctx: Context, a: Tensor, dim: int, init: float | int, combine: Callable[..., Scalar]) -> Tensor:
    """Each element as a reduction of its own: more work than a scan, but one plain reduction."""
    if a.rank == 0:
        return ctx.converted(a, ctx.dtype)
    dim %= a.rank
    if dim not in a.dims:
        a = ctx.writer.plain(a)
    wide = types.widened(ctx.dtype)
    element = types.computed(wide)
    source = [f"d{a.rank}" if d == dim else f"d{d}" for d in range(a.rank)]

    def body(b: Body, x: Scalar, so_far: Scalar) -> Scalar:
        x = b.cast(b.cast(x, types.computed(a.dtype)), element)
        later = b.emit(f"arith.cmpi ugt, {b.index(a.rank).name}, {b.index(dim).name} : index", "i1")
        return b.select(later, so_far, combine(b, x, so_far))

    result = ctx.writer.generic([(a, source)], "p" * a.rank + "r", a.shape, wide, body, init=init, results=[f"d{d}" for d in range(a.rank)])
    return ctx.converted(result, ctx.dtype)


@lowering("aten.cumsum.default")
def cumsum(ctx: Context, a: Tensor, dim: int, *, dtype: torch.dtype | None = None) -> Tensor:
    return _scanned(ctx, a, dim, 0, _ADD)


@lowering("aten.cumprod.default")
def _cumprod(ctx: Context, a: Tensor, dim: int, *, dtype: torch.dtype | None = None) -> Tensor:
    return _scanned(ctx, a, dim, 1, lambda b, x, so_far: b.mul(so_far, x))
