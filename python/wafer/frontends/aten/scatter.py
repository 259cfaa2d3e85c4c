"""Operations that write elements at computed indices. They run in MemoryX, element after element in row-major order, so that sums have one order."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from wafer.frontends import types
from wafer.frontends.body import Body, Scalar
from wafer.frontends.context import Context
from wafer.frontends.registry import lowering
from wafer.frontends.tensor import Tensor, broadcast_shapes

# Indices into the tensor that is written, from the loops' indices and a function that reads a tensor at indices.
Places = Callable[[Body, list[Scalar], Callable[[Tensor, list[Scalar]], Scalar]], list[Scalar]]


def scattered(ctx: Context, into: Tensor, updates: Tensor, places: Places, reads: Sequence[Tensor], add: bool) -> Tensor:
    """`into`, where each element of `updates` is written or added at its place. `reads`: what `places` reads."""
    if 0 in updates.shape or 0 in into.shape:
        return into
    updates = ctx.writer.plain(updates)
    plain = {id(tensor): ctx.writer.plain(tensor) for tensor in reads}
    wide = types.computed(types.widened(into.dtype))

    def body(b: Body, loops: list[Scalar], current: str) -> str:
        def extract(name: str, tensor: Tensor, indices: list[Scalar]) -> Scalar:
            return b.emit(f"tensor.extract {name}[{', '.join(index.name for index in indices)}] : {tensor.type}", tensor.element)

        def read(tensor: Tensor, indices: list[Scalar]) -> Scalar:
            return extract(plain[id(tensor)].name, plain[id(tensor)], indices)

        place = places(b, loops, read)
        value = b.cast(extract(updates.name, updates, loops), wide)
        if add:
            value = b.add(b.cast(extract(current, into_plain, place), wide), value)
        value = b.cast(value, into_plain.element)
        return b.emit(f"tensor.insert {value.name} into {current}[{', '.join(index.name for index in place)}] : {into_plain.type}", into_plain.type).name

    into_plain = ctx.writer.plain(into)
    if not updates.shape:
        # One element: a loop of one iteration.
        updates = ctx.writer.reshape(updates, (1,))
        inner = places
        places = lambda b, loops, read: inner(b, [], read)  # noqa: E731
        return ctx.writer.loop_nest(into_plain, (1,), body)
    return ctx.writer.loop_nest(into_plain, updates.shape, body)


def _wrapped(b: Body, index: Scalar, size: int) -> Scalar:
    """An index as PyTorch means it: negative ones count from the end."""
    end = b.add(index, b.like(size, index))
    return b.cast(b.select(b.compare("lt", index, b.like(0, index)), end, index), "index")


def _along(ctx: Context, a: Tensor, dim: int, index: Tensor, updates: Tensor, add: bool) -> Tensor:
    dim %= max(a.rank, 1)

    def places(b: Body, loops: list[Scalar], read) -> list[Scalar]:
        chosen = b.cast(read(index, loops), "index")
        return [chosen if d == dim else loop for d, loop in enumerate(loops)]

    # Only the part of the updates that has an index counts.
    updates = ctx.writer.extract_slice(updates, [0] * updates.rank, index.shape, [1] * updates.rank) if updates.shape != index.shape else updates
    return scattered(ctx, a, updates, places, [index], add)


@lowering("aten.scatter.value")
def _scatter_value(ctx: Context, a: Tensor, dim: int, index: Tensor, value: float | int) -> Tensor:
    if index.rank and index.shape[dim % index.rank] == 1:
        # One place per line, as in the gradient of cross entropy: a comparison of each element with it, without loops.
        dim %= index.rank
        sizes = [index.shape[d] == a.shape[d] for d in range(a.rank) if d != dim]
        if all(sizes):
            loops = [f"d{d}" for d in range(a.rank)]

            def body(b: Body, chosen: Scalar, x: Scalar) -> Scalar:
                here = b.compare("eq", chosen, b.cast(b.index(dim), "i32"))
                return b.select(here, b.const(value, a.element), x)

            return ctx.writer.generic([(index.expanded(a.shape), loops), (a, loops)], "p" * a.rank, a.shape, a.dtype, body)
    updates = Tensor.of_constant(torch.full(index.shape, value, dtype=a.dtype))
    return _along(ctx, a, dim, index, updates, add=False)


@lowering("aten.scatter.src")
def _scatter(ctx: Context, a: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    return _along(ctx, a, dim, index, source, add=False)


@lowering("aten.scatter_add.default")
def _scatter_add(ctx: Context, a: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    return _along(ctx, a, dim, index, source, add=True)


@lowering("aten.index_add.default")
def _index_add(ctx: Context, a: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: float = 1) -> Tensor:
    dim %= a.rank
    if alpha != 1:
        source = ctx.elementwise(lambda b, x: b.mul(x, b.like(alpha, x)), source)

    def places(b: Body, loops: list[Scalar], read) -> list[Scalar]:
        return [b.cast(read(index, [loop] if index.rank else []), "index") if d == dim else loop for d, loop in enumerate(loops)]

    return scattered(ctx, a, source, places, [index], add=True)


@lowering("aten.index_put.default", "aten._unsafe_index_put.default")
def _index_put(ctx: Context, a: Tensor, given: Sequence[Tensor | None], values: Tensor, accumulate: bool = False) -> Tensor:
    """NumPy's rules, as for aten.index.Tensor."""
    if any(index is not None and index.dtype == torch.bool for index in given):
        raise ctx.unsupported("writes where a bool tensor is true; use torch.where")
    indexed = {d: index for d, index in enumerate(given) if index is not None}
    common = broadcast_shapes(*(index.shape for index in indexed.values()))
    dims = sorted(indexed)
    adjacent = dims == list(range(dims[0], dims[-1] + 1))
    first = dims[0] if adjacent else 0
    others = [d for d in range(a.rank) if d not in indexed]
    sizes = [a.shape[d] for d in others]
    shape = tuple(sizes[:first]) + common + tuple(sizes[first:]) if adjacent else common + tuple(sizes)
    spread = {d: index.expanded(common) for d, index in indexed.items()}

    def places(b: Body, loops: list[Scalar], read) -> list[Scalar]:
        chosen_at = loops[first : first + len(common)]
        rest = iter(loops[:first] + loops[first + len(common) :])
        return [_wrapped(b, read(spread[d], chosen_at), a.shape[d]) if d in indexed else next(rest) for d in range(a.rank)]

    return scattered(ctx, a, values.expanded(shape), places, list(spread.values()), accumulate)


@lowering("aten.diagonal_scatter.default")
def _diagonal_scatter(ctx: Context, a: Tensor, part: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    dim1, dim2 = dim1 % a.rank, dim2 % a.rank

    def places(b: Body, loops: list[Scalar], read) -> list[Scalar]:
        along = {dim: b.add(loops[-1], b.const(max(shift, 0), "index")) for dim, shift in ((dim1, -offset), (dim2, offset))}
        rest = iter(loops[:-1])
        return [along[d] if d in along else next(rest) for d in range(a.rank)]

    return scattered(ctx, a, part, places, [], add=False)
