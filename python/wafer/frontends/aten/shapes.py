"""Views, slices and everything else that moves elements."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from wafer.frontends import types
from wafer.frontends.body import Body, Scalar
from wafer.frontends.context import Context
from wafer.frontends.registry import lowering
from wafer.frontends.tensor import MOST_CONSTANTS, Tensor


@lowering("aten.view.default", "aten._unsafe_view.default", "aten.reshape.default")
def _view(ctx: Context, a: Tensor, size: Sequence[int]) -> Tensor:
    return ctx.writer.reshape(a, ctx.shape)


@lowering("aten.unsqueeze.default", "aten.squeeze.default", "aten.squeeze.dim", "aten.squeeze.dims")
def _units(ctx: Context, a: Tensor, *dims: object) -> Tensor:
    return a.with_units(ctx.shape)


@lowering("aten.permute.default")
def _permute(ctx: Context, a: Tensor, order: Sequence[int]) -> Tensor:
    return a.permuted([d % a.rank for d in order])


@lowering("aten.transpose.int")
def _transpose(ctx: Context, a: Tensor, first: int, second: int) -> Tensor:
    order = list(range(a.rank))
    order[first], order[second] = order[second], order[first]
    return a.permuted(order)


@lowering("aten.t.default")
def _t(ctx: Context, a: Tensor) -> Tensor:
    return a.permuted(list(reversed(range(a.rank))))


@lowering("aten.expand.default")
def _expand(ctx: Context, a: Tensor, size: Sequence[int], *, implicit: bool = False) -> Tensor:
    return a.expanded(ctx.shape)


@lowering("aten.repeat.default")
def _repeat(ctx: Context, a: Tensor, repeats: Sequence[int]) -> Tensor:
    """[4] repeated 3 times is [1, 4] expanded to [3, 4] and read as [12]."""
    shape = (1,) * (len(repeats) - a.rank) + a.shape
    spread = a.with_units(tuple(size for s in shape for size in (1, s)))
    spread = spread.expanded(tuple(size for times, s in zip(repeats, shape) for size in (times, s)))
    return ctx.writer.reshape(spread, ctx.shape)


@lowering("aten.as_strided.default")
def _as_strided(ctx: Context, a: Tensor, size: Sequence[int], strides: Sequence[int], offset: int | None = None) -> Tensor:
    """Only what PyTorch writes after a mean over all pixels of an image whose channels come last: the same elements, with strides that suit their shape."""
    count = 1
    for n, stride in zip(reversed(size), reversed(strides)):
        if tuple(size) != a.shape or offset or (n > 1 and stride != count):
            raise ctx.unsupported(f"reads {list(a.shape)} as {list(size)} with strides {list(strides)}; write it with reshape, slices and unfold")
        count *= n
    return a


# Slices


def sliced(ctx: Context, a: Tensor, dim: int, start: int, size: int, step: int = 1) -> Tensor:
    dim %= a.rank
    offsets, sizes, strides = [0] * a.rank, list(a.shape), [1] * a.rank
    offsets[dim], sizes[dim], strides[dim] = start, size, step
    return ctx.writer.extract_slice(a, offsets, sizes, strides)


@lowering("aten.slice.Tensor")
def _slice(ctx: Context, a: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Tensor:
    first, last, step = slice(start, end, step).indices(a.shape[dim])
    size = max(0, -((first - last) // step))
    return sliced(ctx, a, dim, first if size else 0, size, step)  # a slice of nothing may begin at the end, which MLIR refuses


@lowering("aten.select.int")
def _select(ctx: Context, a: Tensor, dim: int, index: int) -> Tensor:
    return sliced(ctx, a, dim, index % a.shape[dim], 1).with_units(ctx.shape)


@lowering("aten.split_with_sizes.default")
def _split_with_sizes(ctx: Context, a: Tensor, sizes: Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    return tuple(sliced(ctx, a, dim, start, size) for start, size in zip(starts, sizes))


@lowering("aten.split.Tensor")
def _split(ctx: Context, a: Tensor, size: int, dim: int = 0) -> tuple[Tensor, ...]:
    whole = a.shape[dim]
    return tuple(sliced(ctx, a, dim, start, min(size, whole - start)) for start in range(0, whole, size))


@lowering("aten.unbind.int")
def _unbind(ctx: Context, a: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    dim %= a.rank
    shape = a.shape[:dim] + a.shape[dim + 1 :]
    return tuple(sliced(ctx, a, dim, i, 1).with_units(shape) for i in range(a.shape[dim]))


@lowering("aten.diagonal.default", "aten.diagonal_copy.default")
def _diagonal(ctx: Context, a: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    dim1, dim2 = dim1 % a.rank, dim2 % a.rank
    loops = [d for d in range(a.rank) if d not in (dim1, dim2)]
    last = f"d{len(loops)}"
    place = {d: f"d{i}" for i, d in enumerate(loops)}
    place[dim1] = f"{last} + {max(-offset, 0)}"
    place[dim2] = f"{last} + {max(offset, 0)}"
    # Where the map reads along two dimensions at once, the slice must be as long as the diagonal.
    length = ctx.shape[-1]
    a = sliced(ctx, a, dim1, max(-offset, 0), length)
    a = sliced(ctx, a, dim2, max(offset, 0), length)
    place[dim1] = place[dim2] = last
    return ctx.writer.generic([(a, [place[d] for d in range(a.rank)])], "p" * len(ctx.shape), ctx.shape, a.dtype, lambda b, x: x)


@lowering("aten.unfold.default")
def _unfold(ctx: Context, a: Tensor, dim: int, size: int, step: int) -> Tensor:
    dim %= a.rank
    used = (ctx.shape[dim] - 1) * step + size
    a = sliced(ctx, a, dim, 0, used)
    indices = [f"d{d} * {step} + d{a.rank}" if d == dim else f"d{d}" for d in range(a.rank)]
    return ctx.writer.generic([(a, indices)], "p" * (a.rank + 1), ctx.shape, a.dtype, lambda b, x: x)


# Joining


@lowering("aten.cat.default")
def _cat(ctx: Context, tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    # PyTorch takes an empty tensor of rank 1 for nothing.
    parts = [ctx.converted(t, ctx.dtype) for t in tensors if not (t.rank == 1 and t.shape == (0,) and len(ctx.shape) != 1)]
    dim %= len(ctx.shape)
    result = ctx.writer.empty(ctx.shape, ctx.dtype)
    start = 0
    for part in parts:
        size = part.shape[dim]
        if size:
            result = inserted(ctx, part, result, dim, start)
        start += size
    return result


def inserted(ctx: Context, part: Tensor, into: Tensor, dim: int, start: int, step: int = 1) -> Tensor:
    """`into` with `part` at `start` along `dim`."""
    part, into = ctx.writer.plain(part), ctx.writer.plain(into)
    offsets = [start if d == dim else 0 for d in range(into.rank)]
    strides = [step if d == dim else 1 for d in range(into.rank)]
    return ctx.writer.emit(
        f"tensor.insert_slice {part.name} into {into.name}{offsets} {list(part.shape)} {strides} : {part.type} into {into.type}", into.shape, into.dtype
    )


@lowering("aten.stack.default")
def _stack(ctx: Context, tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    dim %= len(ctx.shape)
    return _cat(ctx, [t.with_units(t.shape[:dim] + (1,) + t.shape[dim:]) for t in tensors], dim)


@lowering("aten.slice_scatter.default")
def _slice_scatter(ctx: Context, a: Tensor, part: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Tensor:
    dim %= a.rank
    first, _, step = slice(start, end, step).indices(a.shape[dim])
    return inserted(ctx, part, a, dim, first, step) if 0 not in part.shape else a


@lowering("aten.select_scatter.default")
def _select_scatter(ctx: Context, a: Tensor, part: Tensor, dim: int, index: int) -> Tensor:
    dim %= a.rank
    part = part.with_units(part.shape[:dim] + (1,) + part.shape[dim:])
    return inserted(ctx, part, a, dim, index % a.shape[dim])


# Rearranging


def padded(ctx: Context, a: Tensor, low: Sequence[int], high: Sequence[int], value: float | int) -> Tensor:
    """`a` with `value` around it; negative numbers cut."""
    if any(count < 0 for count in (*low, *high)):
        offsets = [max(-count, 0) for count in low]
        sizes = [size - max(-l, 0) - max(-h, 0) for size, l, h in zip(a.shape, low, high)]
        a = ctx.writer.extract_slice(a, offsets, sizes, [1] * a.rank)
        low, high = [max(count, 0) for count in low], [max(count, 0) for count in high]
    if not any((*low, *high)):
        return a
    a = ctx.writer.plain(a)
    shape = tuple(size + l + h for size, l, h in zip(a.shape, low, high))
    return ctx.writer.pad(a, low, high, value, shape)


@lowering("aten.constant_pad_nd.default")
def _constant_pad(ctx: Context, a: Tensor, pad: Sequence[int], value: float | int = 0) -> Tensor:
    low, high = [0] * a.rank, [0] * a.rank
    for i in range(len(pad) // 2):
        low[a.rank - 1 - i], high[a.rank - 1 - i] = pad[2 * i], pad[2 * i + 1]
    return padded(ctx, a, low, high, value)


@lowering("aten.flip.default")
def _flip(ctx: Context, a: Tensor, dims: Sequence[int]) -> Tensor:
    flipped = {d % a.rank for d in dims}
    # A map with a negative factor is not allowed in linalg: the elements are fetched by index.
    from wafer.frontends.aten.indexing import fetched

    def indices(b, loops):
        return [b.apply("arith.subi", b.const(a.shape[d] - 1, "index"), loop) if d in flipped else loop for d, loop in enumerate(loops)]

    return fetched(ctx, a, ctx.shape, indices)


@lowering("aten.roll.default")
def _roll(ctx: Context, a: Tensor, shifts: Sequence[int], dims: Sequence[int] = ()) -> Tensor:
    if not dims:
        line = ctx.writer.reshape(a, (math.prod(a.shape),))
        return ctx.writer.reshape(_rolled(ctx, line, shifts[0], 0), a.shape)
    for shift, dim in zip(shifts, dims):
        a = _rolled(ctx, a, shift, dim % a.rank)
    return a


def _rolled(ctx: Context, a: Tensor, shift: int, dim: int) -> Tensor:
    size = a.shape[dim]
    shift = shift % size if size else 0
    if not shift:
        return a
    result = ctx.writer.empty(a.shape, a.dtype)
    result = inserted(ctx, sliced(ctx, a, dim, size - shift, shift), result, dim, 0)
    return inserted(ctx, sliced(ctx, a, dim, 0, size - shift), result, dim, shift)


def _triangle(ctx: Context, a: Tensor, diagonal: int, lower: bool) -> Tensor:
    if math.prod(a.shape[-2:]) > MOST_CONSTANTS:

        def keep(b: Body, x: Scalar) -> Scalar:
            row, column = b.cast(b.index(a.rank - 2), "i32"), b.cast(b.index(a.rank - 1), "i32")
            return b.select(b.compare("le" if lower else "ge", column, b.add(row, b.const(diagonal, "i32"))), x, b.like(0, x))

        return ctx.elementwise(keep, a, compute="own")
    ones = torch.ones(a.shape[-2:], dtype=torch.bool)
    kept = Tensor.of_constant(ones.tril(diagonal) if lower else ones.triu(diagonal))
    element = types.computed(a.dtype)
    return ctx.elementwise(lambda b, keep, x: b.select(keep, x, b.const(0, element)), kept, a, compute="own")


@lowering("aten.tril.default")
def _tril(ctx: Context, a: Tensor, diagonal: int = 0) -> Tensor:
    return _triangle(ctx, a, diagonal, lower=True)


@lowering("aten.triu.default")
def _triu(ctx: Context, a: Tensor, diagonal: int = 0) -> Tensor:
    return _triangle(ctx, a, diagonal, lower=False)
