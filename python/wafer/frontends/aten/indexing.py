"""Operations that read elements at computed indices: embeddings, gathers, indexing by tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from wafer.frontends import types
from wafer.frontends.body import Body, Scalar
from wafer.frontends.context import Context
from wafer.frontends.registry import lowering
from wafer.frontends.tensor import Tensor, broadcast_shapes

# Indices into a tensor, from the loops' indices and the elements that were read.
Indices = Callable[..., list[Scalar]]


def fetched(ctx: Context, table: Tensor, shape: tuple[int, ...], indices: Indices, *read: tuple[Tensor, Sequence[str]]) -> Tensor:
    """result[i] = table[indices(i, elements of `read` at i)]."""
    table = ctx.writer.plain(table)

    def body(b: Body, *elements: Scalar) -> Scalar:
        loops = [b.index(i) for i in range(len(shape))]
        chosen = indices(b, loops, *elements) if read else indices(b, loops)
        return b.emit(f"tensor.extract {table.name}[{', '.join(index.name for index in chosen)}] : {table.type}", table.element)

    return ctx.writer.generic(list(read), "p" * len(shape), shape, table.dtype, body)


def wrapped(b: Body, index: Scalar, size: int) -> Scalar:
    """An index as PyTorch means it: negative ones count from the end."""
    end = b.add(index, b.like(size, index))
    return b.cast(b.select(b.compare("lt", index, b.like(0, index)), end, index), "index")


def _loops(first: int, count: int) -> list[str]:
    return [f"d{i}" for i in range(first, first + count)]


@lowering("aten.embedding.default")
def _embedding(ctx: Context, table: Tensor, ids: Tensor, *unused: object) -> Tensor:
    def indices(b: Body, loops: list[Scalar], row: Scalar) -> list[Scalar]:
        return [b.cast(row, "index"), loops[-1]]

    return fetched(ctx, table, ctx.shape, indices, (ids, _loops(0, ids.rank)))


@lowering("aten.index_select.default")
def _index_select(ctx: Context, a: Tensor, dim: int, index: Tensor) -> Tensor:
    if a.rank == 0:
        return a
    dim %= a.rank

    def indices(b: Body, loops: list[Scalar], chosen: Scalar) -> list[Scalar]:
        return [b.cast(chosen, "index") if d == dim else loop for d, loop in enumerate(loops)]

    return fetched(ctx, a, ctx.shape, indices, (index, [f"d{dim}"] * index.rank))


@lowering("aten.gather.default")
def _gather(ctx: Context, a: Tensor, dim: int, index: Tensor, *, sparse_grad: bool = False) -> Tensor:
    if a.rank == 0:
        return a.expanded(ctx.shape)
    dim %= a.rank

    def indices(b: Body, loops: list[Scalar], chosen: Scalar) -> list[Scalar]:
        return [b.cast(chosen, "index") if d == dim else loop for d, loop in enumerate(loops)]

    return fetched(ctx, a, ctx.shape, indices, (index, _loops(0, a.rank)))


@lowering("aten.index.Tensor", "aten._unsafe_index.Tensor")
def _index(ctx: Context, a: Tensor, given: Sequence[Tensor | None]) -> Tensor:
    """NumPy's rules: the index tensors broadcast; their dimensions stand where the indexed ones stood, or first if those are not adjacent."""
    if any(index is not None and index.dtype == torch.bool for index in given):
        raise ctx.unsupported("indexes by a bool tensor, so that its shape depends on data; use torch.where")
    indexed = {d: index for d, index in enumerate(given) if index is not None}
    common = broadcast_shapes(*(index.shape for index in indexed.values()))
    dims = sorted(indexed)
    adjacent = dims == list(range(dims[0], dims[-1] + 1))
    first = dims[0] if adjacent else 0

    def loop_of(d: int) -> int:
        """The loop that runs over a dimension which is not indexed."""
        before = sum(1 for e in range(d) if e not in indexed)
        return before if adjacent and d < dims[0] else before + len(common)

    def indices(b: Body, loops: list[Scalar], *chosen: Scalar) -> list[Scalar]:
        remaining = iter(chosen)
        return [wrapped(b, next(remaining), a.shape[d]) if d in indexed else loops[loop_of(d)] for d in range(a.rank)]

    read = [(index.expanded(common), _loops(first, len(common))) for index in indexed.values()]
    return fetched(ctx, a, ctx.shape, indices, *read)


@lowering("aten.one_hot.default")
def _one_hot(ctx: Context, ids: Tensor, classes: int = -1) -> Tensor:
    rank = ids.rank

    def body(b: Body, chosen: Scalar) -> Scalar:
        return b.cast(b.compare("eq", chosen, b.cast(b.index(rank), "i32")), types.stored(torch.int64))

    return ctx.writer.generic([(ids, _loops(0, rank))], "p" * (rank + 1), ctx.shape, torch.int64, body)
