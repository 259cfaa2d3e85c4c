"""Operations that write elements at computed indices. Each element of the result looks through all that are written and takes those meant for it, in
their order: the last one stays, sums are added one after another."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import torch

from wafer.frontends import types
from wafer.frontends.aten.indexing import fetched, wrapped
from wafer.frontends.aten.reductions import cumsum, highest, lowest
from wafer.frontends.aten.scatter_loops import scattered
from wafer.frontends.body import Body, Scalar
from wafer.frontends.context import Context, Operand
from wafer.frontends.registry import lowering
from wafer.frontends.tensor import Tensor, broadcast_shapes

Combine = Callable[[Body, Scalar, Scalar], Scalar]  # of what is there and what is written


def _replace(b: Body, old: Scalar, new: Scalar) -> Scalar:
    return new


def _add(b: Body, old: Scalar, new: Scalar) -> Scalar:
    return b.add(old, new)


_REDUCTIONS: dict[str, Combine] = {
    "sum": _add,
    "add": _add,
    "prod": lambda b, old, new: b.mul(old, new),
    "multiply": lambda b, old, new: b.mul(old, new),
    "amax": lambda b, old, new: b.maximum(old, new),
    "amin": lambda b, old, new: b.minimum(old, new),
}


def _as_tensor(ctx: Context, value: Operand, dtype: torch.dtype) -> Tensor:
    return ctx.converted(value, dtype) if isinstance(value, Tensor) else Tensor.of_constant(torch.tensor(value, dtype=dtype))


def _is_at(b: Body, index: Scalar, size: int, loop: int) -> Scalar:
    """Whether an index, negative ones counted from the end, is the iteration of a loop."""
    wrapped = b.select(b.compare("lt", index, b.like(0, index)), b.add(index, b.like(size, index)), index)
    return b.compare("eq", wrapped, b.cast(b.index(loop), "i32"))


def _written(ctx: Context, a: Tensor, indices: dict[int, tuple[Tensor, Sequence[str]]], values: tuple[Tensor, Sequence[str]], loops: int, combine: Combine) -> Tensor:
    """`a` with `values` combined in where all `indices`, by dimension of `a`, point; `loops` are added to those of the result and run over what is written."""
    dims = list(indices)
    # 16-bit sums are kept in f32 and rounded once.
    wide = types.widened(a.dtype) if combine is not _replace else a.dtype
    element = types.computed(wide)

    def body(b: Body, *scalars: Scalar) -> Scalar:
        *chosen, value, old = scalars
        here = b.const(True, "i1")
        for d, index in zip(dims, chosen):
            here = b.apply("arith.andi", here, _is_at(b, index, a.shape[d], d))
        old, value = (b.cast(b.cast(scalar, types.computed(a.dtype)), element) for scalar in (old, value))
        return b.select(here, combine(b, old, value), old)

    result = ctx.writer.generic(
        [*indices.values(), values], "p" * a.rank + "r" * loops, a.shape, wide, body, init=ctx.converted(a, wide), results=[f"d{d}" for d in range(a.rank)]
    )
    return ctx.converted(result, a.dtype)


def _readable(ctx: Context, tensor: Tensor, needed: Sequence[int]) -> Tensor:
    """The tensor with each of the `needed` dimensions in its map, so that loops over them have a size."""
    return tensor if all(d in tensor.dims for d in needed) else ctx.writer.plain(tensor)


@lowering("aten.index_put.default", "aten._unsafe_index_put.default")
def _index_put(ctx: Context, a: Tensor, given: Sequence[Tensor | None], values: Tensor, accumulate: bool = False) -> Tensor:
    indexed = {d: index for d, index in enumerate(given) if index is not None}
    if any(index.dtype == torch.bool for index in indexed.values()):
        return _masked_put(ctx, a, indexed, values)
    common = broadcast_shapes(*(index.shape for index in indexed.values()))
    dims = sorted(indexed)
    adjacent = dims == list(range(dims[0], dims[-1] + 1))
    written = [f"d{a.rank + i}" for i in range(len(common))]
    kept = [d for d in range(a.rank) if d not in indexed]
    front = [d for d in kept if d < dims[0]] if adjacent else []
    loops = [f"d{d}" for d in front] + written + [f"d{d}" for d in kept if d not in front]
    shape = tuple(a.shape[d] for d in front) + common + tuple(a.shape[d] for d in kept if d not in front)
    if accumulate:
        return _added(ctx, a, indexed, _as_tensor(ctx, values, a.dtype).expanded(shape), common, len(front))
    values = _readable(ctx, _as_tensor(ctx, values, a.dtype).expanded(shape), range(len(front), len(front) + len(common)))
    return _written(ctx, a, {d: (index.expanded(common), written) for d, index in indexed.items()}, (values, loops), len(common), _replace)


def _added(ctx: Context, a: Tensor, indexed: dict[int, Tensor], values: Tensor, common: tuple[int, ...], first: int) -> Tensor:
    """The gradient of reading by index, for example of an embedding; loops `first`, ... run over the indices."""
    spread = {d: index.expanded(common) for d, index in indexed.items()}

    def places(b: Body, loops: list[Scalar], read) -> list[Scalar]:
        chosen_at = loops[first : first + len(common)]
        rest = iter(loops[:first] + loops[first + len(common) :])
        return [wrapped(b, read(spread[d], chosen_at), a.shape[d]) if d in spread else next(rest) for d in range(a.rank)]

    return scattered(ctx, a, values, places, list(spread.values()), add=True)


def _masked_put(ctx: Context, a: Tensor, indexed: dict[int, Tensor], values: Tensor) -> Tensor:
    """a[mask] = one value is a choice, element by element."""
    (first, mask), *more = indexed.items()
    if not more and first == 0 and mask.rank == a.rank and values.rank == 1 and values.shape != (1,):
        return _masked_scatter(ctx, a, mask, values)
    if more or first or values.shape not in ((), (1,)):
        raise ctx.unsupported("writes where a bool tensor says, expected one value and one mask over the first dimensions; use torch.where")
    mask = mask.with_units(mask.shape + (1,) * (a.rank - mask.rank))
    return ctx.elementwise(lambda b, here, new, old: b.select(here, b.cast(new, old.type), old), mask, values, a, compute="own")


def _scattered(ctx: Context, a: Tensor, dim: int, index: Tensor, values: Operand, combine: Combine) -> Tensor:
    """result[..., index[i], ...] = values[i] for each element i of `index`, whose other dimensions are no longer than those of `a`."""
    if a.rank == 0:
        return _written(ctx, a, {}, (_as_tensor(ctx, values, a.dtype).with_units(()), []), 0, combine)
    dim %= a.rank
    values = _as_tensor(ctx, values, a.dtype)
    if values.rank == index.rank and values.shape != index.shape:
        values = ctx.writer.extract_slice(values, [0] * index.rank, index.shape, [1] * index.rank)
    part = tuple(a.shape[d] if d == dim else size for d, size in enumerate(index.shape))
    target = a
    if part != a.shape:
        target = ctx.writer.extract_slice(ctx.writer.plain(a), [0] * a.rank, part, [1] * a.rank)
    loops = [f"d{a.rank}" if d == dim else f"d{d}" for d in range(a.rank)]
    index = _readable(ctx, index, [dim])
    result = _written(ctx, target, {dim: (index, loops)}, (values.expanded(index.shape), loops), 1, combine)
    if part == a.shape:
        return result
    whole, offsets = ctx.writer.plain(a), [0] * a.rank
    return ctx.writer.emit(
        f"tensor.insert_slice {result.name} into {whole.name}{offsets} {list(part)} {[1] * a.rank} : {result.type} into {whole.type}", a.shape, a.dtype
    )


@lowering("aten.scatter.src", "aten.scatter.value")
def _scatter(ctx: Context, a: Tensor, dim: int, index: Tensor, values: Operand) -> Tensor:
    return _scattered(ctx, a, dim, index, values, _replace)


@lowering("aten.scatter_add.default")
def _scatter_add(ctx: Context, a: Tensor, dim: int, index: Tensor, values: Tensor) -> Tensor:
    return _scattered(ctx, a, dim, index, values, _add)


@lowering("aten.scatter_reduce.two", "aten.scatter.reduce", "aten.scatter.value_reduce")
def _scatter_reduce(ctx: Context, a: Tensor, dim: int, index: Tensor, values: Operand, reduce: str, *, include_self: bool = True) -> Tensor:
    if reduce not in _REDUCTIONS and reduce != "mean":
        raise ctx.unsupported(f"has reduce='{reduce}', expected {', '.join(_REDUCTIONS)} or mean")
    if a.rank == 0:
        a, index = a.with_units((1,)), index.with_units((1,))
        values = values.with_units((1,)) if isinstance(values, Tensor) else values
    count = None
    if reduce == "mean" or not include_self:
        zeros = Tensor.of_constant(torch.zeros((), dtype=a.dtype).expand(a.shape))
        count = _scattered(ctx, zeros, dim, index, 1, _add)
    if not include_self:
        # What is written to begins with what changes nothing.
        neutral = {"prod": 1, "multiply": 1, "amax": lowest(a.dtype), "amin": highest(a.dtype)}.get(reduce, 0)
        a = ctx.elementwise(lambda b, x, n: b.select(b.compare("eq", n, b.like(0, n)), x, b.like(neutral, x)), a, count, dtype=a.dtype)
    result = _scattered(ctx, a, dim, index, values, _REDUCTIONS.get(reduce, _add))
    if reduce == "mean":

        def divided(b: Body, total: Scalar, n: Scalar) -> Scalar:
            n = b.add(n, b.like(1, n)) if include_self else b.maximum(n, b.like(1, n))
            return b.div(total, n) if total.is_float else b.apply("arith.floordivsi", total, n)

        result = ctx.elementwise(divided, result, count, dtype=a.dtype)
    return ctx.writer.reshape(result, ctx.shape)


@lowering("aten.masked_scatter.default")
def _masked_scatter(ctx: Context, a: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """The elements of the source, one after another, where the mask is true."""
    count, available = math.prod(ctx.shape), math.prod(source.shape)
    if not count or not available:
        return a.expanded(ctx.shape)
    flat = dataclasses.replace(ctx, results=(((count,), torch.int64),))
    mask = mask.expanded(ctx.shape)
    number = cumsum(flat, ctx.converted(ctx.writer.reshape(mask, (count,)), torch.int64), 0)

    def indices(b: Body, loops: list[Scalar], number: Scalar) -> list[Scalar]:
        place = b.sub(number, b.like(1, number))
        return [b.cast(b.minimum(b.maximum(place, b.like(0, place)), b.like(available - 1, place)), "index")]

    chosen = ctx.writer.reshape(fetched(flat, ctx.writer.reshape(source, (available,)), (count,), indices, (number, ["d0"])), ctx.shape)
    return ctx.elementwise(lambda b, here, new, old: b.select(b.cast(here, "i1"), b.cast(new, old.type), old), mask, chosen, a, compute="own", dtype=a.dtype)
