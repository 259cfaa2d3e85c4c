"""Writes at computed indices as loops over what is written, element after element in row-major order: for much that is written into much, as gradients are.

They run in MemoryX; sums have one order. (scatter.py writes plain operations, in which each result looks through everything that is written.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from wafer.frontends import types
from wafer.frontends.body import Body, Scalar
from wafer.frontends.context import Context
from wafer.frontends.registry import lowering
from wafer.frontends.tensor import Tensor

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


@lowering("aten.index_add.default")
def _index_add(ctx: Context, a: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: float = 1) -> Tensor:
    dim %= a.rank
    if alpha != 1:
        source = ctx.elementwise(lambda b, x: b.mul(x, b.like(alpha, x)), source)

    def places(b: Body, loops: list[Scalar], read) -> list[Scalar]:
        return [b.cast(read(index, [loop] if index.rank else []), "index") if d == dim else loop for d, loop in enumerate(loops)]

    return scattered(ctx, a, source, places, [index], add=True)


@lowering("aten.diagonal_scatter.default")
def _diagonal_scatter(ctx: Context, a: Tensor, part: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    dim1, dim2 = dim1 % a.rank, dim2 % a.rank

    def places(b: Body, loops: list[Scalar], read) -> list[Scalar]:
        along = {dim: b.add(loops[-1], b.const(max(shift, 0), "index")) for dim, shift in ((dim1, -offset), (dim2, offset))}
        rest = iter(loops[:-1])
        return [along[d] if d in along else next(rest) for d in range(a.rank)]

    return scattered(ctx, a, part, places, [], add=False)
