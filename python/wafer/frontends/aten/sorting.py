"""Sorting by counting: the place of an element is the number of elements that come before it. More comparisons than a sort, but plain reductions."""

from __future__ import annotations

import torch

from wafer.frontends import types
from wafer.frontends.body import Body, Scalar
from wafer.frontends.context import Context
from wafer.frontends.registry import lowering
from wafer.frontends.tensor import Tensor


def _comes_before(b: Body, x: Scalar, y: Scalar, descending: bool) -> Scalar:
    """Whether x stands before y; a NaN is greater than any number, as in PyTorch."""
    if descending:
        x, y = y, x
    less = b.compare("lt", x, y)
    if not x.is_float:
        return less
    return b.apply("arith.ori", less, b.apply("arith.andi", b.is_nan(y), b.logical_not(b.is_nan(x))))


def _places(ctx: Context, a: Tensor, dim: int, descending: bool) -> Tensor:
    """Where each element of `a` goes along `dim`; equal elements keep their order."""
    loops = [f"d{d}" for d in range(a.rank)]
    others = [f"d{a.rank}" if d == dim else loop for d, loop in enumerate(loops)]
    element = types.computed(types.widened(a.dtype))

    def body(b: Body, x: Scalar, other: Scalar, count: Scalar) -> Scalar:
        x, other = (b.cast(b.cast(value, types.computed(a.dtype)), element) for value in (x, other))
        earlier = b.emit(f"arith.cmpi ult, {b.index(a.rank).name}, {b.index(dim).name} : index", "i1")
        not_after = b.logical_not(_comes_before(b, x, other, descending))
        before = b.select(earlier, not_after, _comes_before(b, other, x, descending))
        return b.add(count, b.cast(before, "i32"))

    return ctx.writer.generic([(a, loops), (a, others)], "p" * a.rank + "r", a.shape, torch.int32, body, init=0, results=loops)


def _arranged(ctx: Context, a: Tensor, places: Tensor, dim: int, count: int) -> tuple[Tensor, Tensor]:
    """The first `count` elements by their places, and the indices at which they stood."""
    shape = tuple(count if d == dim else size for d, size in enumerate(a.shape))
    source = [f"d{a.rank}" if d == dim else f"d{d}" for d in range(a.rank)]
    loops = [f"d{d}" for d in range(a.rank)]

    def is_here(b: Body, place: Scalar) -> Scalar:
        return b.compare("eq", place, b.cast(b.index(dim), "i32"))

    def value(b: Body, place: Scalar, x: Scalar, found: Scalar) -> Scalar:
        return b.select(is_here(b, place), x, found)

    def index(b: Body, place: Scalar, found: Scalar) -> Scalar:
        return b.select(is_here(b, place), b.cast(b.index(a.rank), "i32"), found)

    iterators = "p" * a.rank + "r"
    values = ctx.writer.generic([(places, source), (a, source)], iterators, shape, a.dtype, value, init=0, results=loops)
    return values, ctx.writer.generic([(places, source)], iterators, shape, torch.int64, index, init=0, results=loops)


def _sorted(ctx: Context, a: Tensor, dim: int, count: int | None, descending: bool) -> tuple[Tensor, Tensor]:
    if a.rank == 0:
        return a, Tensor.of_constant(torch.zeros((), dtype=torch.int64))
    dim %= a.rank
    if any(d is None for d in a.dims) or a.rank != len(a.dims):
        a = ctx.writer.plain(a)
    return _arranged(ctx, a, _places(ctx, a, dim, descending), dim, a.shape[dim] if count is None else count)


@lowering("aten.topk.default")
def _topk(ctx: Context, a: Tensor, count: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> tuple[Tensor, Tensor]:
    return _sorted(ctx, a, dim, count, descending=largest)


@lowering("aten.sort.default")
def _sort(ctx: Context, a: Tensor, dim: int = -1, descending: bool = False) -> tuple[Tensor, Tensor]:
    return _sorted(ctx, a, dim, None, descending)


@lowering("aten.sort.stable")
def _sort_stable(ctx: Context, a: Tensor, *, stable: bool | None = None, dim: int = -1, descending: bool = False) -> tuple[Tensor, Tensor]:
    return _sorted(ctx, a, dim, None, descending)
