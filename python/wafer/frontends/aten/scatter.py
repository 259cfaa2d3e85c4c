"""Operations that write elements at computed indices. Each element of the result looks through all that are written and takes those meant for it, in
their order: the last one stays, sums are added one after another."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from wafer.frontends import types
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
    values = _readable(ctx, _as_tensor(ctx, values, a.dtype).expanded(shape), range(len(front), len(front) + len(common)))
    return _written(ctx, a, {d: (index.expanded(common), written) for d, index in indexed.items()}, (values, loops), len(common), _add if accumulate else _replace)


def _masked_put(ctx: Context, a: Tensor, indexed: dict[int, Tensor], values: Tensor) -> Tensor:
    """a[mask] = one value is a choice, element by element."""
    (first, mask), *more = indexed.items()
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
def scatter_add(ctx: Context, a: Tensor, dim: int, index: Tensor, values: Tensor) -> Tensor:
    return _scattered(ctx, a, dim, index, values, _add)


@lowering("aten.scatter_reduce.two", "aten.scatter.reduce", "aten.scatter.value_reduce")
def _scatter_reduce(ctx: Context, a: Tensor, dim: int, index: Tensor, values: Operand, reduce: str, *, include_self: bool = True) -> Tensor:
    if reduce not in _REDUCTIONS or not include_self:
        raise ctx.unsupported(f"has reduce='{reduce}' and include_self={include_self}, expected {', '.join(_REDUCTIONS)} with include_self=True")
    return _scattered(ctx, a, dim, index, values, _REDUCTIONS[reduce])


@lowering("aten.index_add.default")
def _index_add(ctx: Context, a: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: float = 1) -> Tensor:
    if alpha != 1:
        source = ctx.elementwise(lambda b, x: b.mul(x, b.like(alpha, x)), source)
    return _index_put(ctx, a, [None] * (dim % a.rank) + [index if index.rank else index.with_units((1,))], source, True)
