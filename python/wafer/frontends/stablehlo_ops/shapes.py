"""Operations that move elements."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F

from wafer.frontends.context import Context
from wafer.frontends.deferred import Any, Deferred
from wafer.frontends.stablehlo_ops.operation import Operation
from wafer.frontends.stablehlo_ops.registry import operator
from wafer.frontends.tensor import Tensor


def reshaped(x: Any, shape: Sequence[int]) -> Any:
    """The elements in row-major order; what differs by dimensions of size one only costs nothing."""
    shape = tuple(shape)
    long = [d for d, size in enumerate(shape) if size != 1]
    if x.shape == shape:
        return x
    if [size for size in x.shape if size != 1] != [shape[d] for d in long]:
        return x.reshape(shape)
    units = [d for d, size in enumerate(x.shape) if size == 1]
    x = torch.squeeze(x, units) if units else x
    for d, size in enumerate(shape):
        x = torch.unsqueeze(x, d) if size == 1 else x
    return x


def sliced(op: Operation, x: Any, starts: Sequence[int], limits: Sequence[int], steps: Sequence[int]) -> Any:
    sizes = [max(0, -((start - limit) // step)) for start, limit, step in zip(starts, limits, steps)]
    if not isinstance(x, Deferred):
        return x[tuple(slice(start, limit, step) for start, limit, step in zip(starts, limits, steps))]
    if tuple(sizes) == tuple(x.shape):
        return x
    if 0 in sizes:
        return torch.empty(sizes, dtype=x.dtype)
    return op.made(lambda ctx, a: ctx.writer.extract_slice(a, starts, sizes, steps), x)


def spread(x: Any, gaps: Sequence[int]) -> Any:
    """With `gaps` zeros between neighbours of each dimension."""
    for d, gap in enumerate(gaps):
        size = x.shape[d]
        if gap and size > 1:
            # Each element gets its zeros behind it, and the last ones go.
            x = F.pad(torch.unsqueeze(x, d + 1), [0, 0] * (x.dim() - d - 1) + [0, gap])
            x = x.reshape([*x.shape[:d], size * (gap + 1), *x.shape[d + 2 :]]).narrow(d, 0, size + (size - 1) * gap)
    return x


def padded(x: Any, low: Sequence[int], high: Sequence[int], value: float | int) -> Any:
    """With `value` around; negative numbers cut."""
    if not any((*low, *high)):
        return x
    return F.pad(x, [count for pair in zip(reversed(low), reversed(high)) for count in pair], value=value)


@operator("stablehlo.iota")
def _iota(op: Operation) -> Any:
    d = op.number("iota_dimension")
    line = torch.arange(op.shape[d]).to(op.dtype)
    return line.reshape([-1 if i == d else 1 for i in range(len(op.shape))]).expand(op.shape)


@operator("stablehlo.broadcast_in_dim")
def _broadcast_in_dim(op: Operation, x: Any) -> Any:
    dims = op.numbers("broadcast_dimensions")
    x = x.permute(sorted(range(len(dims)), key=lambda i: dims[i])) if dims != sorted(dims) else x
    for d in range(len(op.shape)):
        x = x if d in dims else torch.unsqueeze(x, d)
    return x.expand(op.shape)


@operator("stablehlo.reshape")
def _reshape(op: Operation, x: Any) -> Any:
    return reshaped(x, op.shape)


@operator("stablehlo.transpose")
def _transpose(op: Operation, x: Any) -> Any:
    return x.permute(op.numbers("permutation"))


@operator("stablehlo.slice")
def _slice(op: Operation, x: Any) -> Any:
    return sliced(op, x, op.numbers("start_indices"), op.numbers("limit_indices"), op.numbers("strides", [1] * x.dim()))


@operator("stablehlo.concatenate")
def _concatenate(op: Operation, *parts: Any) -> Any:
    return torch.cat(parts, op.number("dimension"))


@operator("stablehlo.reverse")
def _reverse(op: Operation, x: Any) -> Any:
    dims = op.numbers("dimensions")
    if not isinstance(x, Deferred):
        return torch.flip(x, dims)
    # Made when something reads it: a convolution with a reversed window need not.
    result = Deferred(op.emitter, op.shape, op.dtype, lambda: torch.flip(x, dims).value)
    result.reverse_of = (x, dims)
    return result


@operator("stablehlo.pad")
def _pad(op: Operation, x: Any, value: Any) -> Any:
    number = op.constant(value, "padding value").item()
    gaps = op.numbers("interior_padding")
    if any(gaps) and number:
        raise op.refused(f"puts {number} between elements, expected zero")
    return padded(spread(x, gaps), op.numbers("edge_padding_low"), op.numbers("edge_padding_high"), number)


# Slices at computed places


def _clamped(op: Operation, starts: Sequence[Any], whole: Sequence[int], part: Sequence[int]) -> list[int]:
    """Where a slice begins, so that all of it is inside."""
    return [min(max(int(op.constant(start, "start")), 0), size - length) for start, size, length in zip(starts, whole, part)]


def _are_known(starts: Sequence[Any]) -> bool:
    return not any(isinstance(start, Deferred) for start in starts)


def inside(b, index, most: int):
    """An index, clamped to 0 ... most."""
    return b.minimum(b.maximum(b.cast(index, "index"), b.const(0, "index")), b.const(most, "index"))


@operator("stablehlo.dynamic_slice")
def _dynamic_slice(op: Operation, x: Any, *starts: Any) -> Any:
    from wafer.frontends.aten.indexing import fetched

    if _are_known(starts):
        first = _clamped(op, starts, x.shape, op.shape)
        return sliced(op, x, first, [start + size for start, size in zip(first, op.shape)], [1] * x.dim())

    def lower(ctx: Context, a: Tensor, *firsts: Tensor) -> Tensor:
        def indices(b, loops, *given):
            return [b.apply("arith.addi", inside(b, start, a.shape[d] - op.shape[d]), loops[d]) for d, start in enumerate(given)]

        return fetched(ctx, a, op.shape, indices, *((first, []) for first in firsts))

    return op.made(lower, x, *starts)


@operator("stablehlo.dynamic_update_slice")
def _dynamic_update_slice(op: Operation, x: Any, part: Any, *starts: Any) -> Any:
    if not math.prod(part.shape):
        return x
    if _are_known(starts):
        first = _clamped(op, starts, x.shape, part.shape)
        return op.made(lambda ctx, a, p: _inserted(ctx, p, a, first), x, part)

    def lower(ctx: Context, a: Tensor, update: Tensor, *firsts: Tensor) -> Tensor:
        a, update = ctx.writer.read(a), ctx.writer.plain(update)

        def body(b, old, *given):
            here, places = b.const(True, "i1"), []
            for d, start in enumerate(given):
                place = b.sub(b.index(d), inside(b, start, a.shape[d] - update.shape[d]))
                for bound in (b.compare("ge", place, b.const(0, "index")), b.compare("lt", place, b.const(update.shape[d], "index"))):
                    here = b.apply("arith.andi", here, bound)
                places.append(inside(b, place, update.shape[d] - 1))
            new = b.emit(f"tensor.extract {update.name}[{', '.join(place.name for place in places)}] : {update.type}", update.element)
            return b.select(here, new, old)

        loops = [f"d{d}" for d in range(a.rank)]
        return ctx.writer.generic([(a, loops), *((first, []) for first in firsts)], "p" * a.rank, a.shape, a.dtype, body)

    return op.made(lower, x, part, *starts)


def _inserted(ctx: Context, part: Tensor, into: Tensor, offsets: Sequence[int]) -> Tensor:
    part, into = ctx.writer.plain(part), ctx.writer.plain(into)
    return ctx.writer.emit(
        f"tensor.insert_slice {part.name} into {into.name}{list(offsets)} {list(part.shape)} {[1] * into.rank} : {part.type} into {into.type}", into.shape, into.dtype
    )
