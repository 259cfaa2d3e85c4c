"""Reading slices at computed places."""

from __future__ import annotations

from jaxlib.mlir.dialects import stablehlo

from wafer.frontends import deferred
from wafer.frontends.aten.indexing import fetched
from wafer.frontends.context import Context
from wafer.frontends.deferred import Any
from wafer.frontends.stablehlo_ops.operation import Operation
from wafer.frontends.stablehlo_ops.registry import operator
from wafer.frontends.stablehlo_ops.shapes import inside, reshaped, sliced
from wafer.frontends.tensor import Tensor


def components(ctx: Context, indices: Tensor, vector_dim: int, count: int) -> list[Tensor]:
    """The numbers of all index vectors, one tensor for each place in the vector, without the dimension of the vectors."""
    if vector_dim == indices.rank:
        return [indices]
    shape = indices.shape[:vector_dim] + indices.shape[vector_dim + 1 :]
    if count == 1:
        return [ctx.writer.reshape(indices, shape)]
    sizes = [1 if d == vector_dim else size for d, size in enumerate(indices.shape)]
    offsets = [[k if d == vector_dim else 0 for d in range(indices.rank)] for k in range(count)]
    return [ctx.writer.reshape(ctx.writer.extract_slice(indices, offset, sizes, [1] * indices.rank), shape) for offset in offsets]


@operator("stablehlo.gather")
def _gather(op: Operation, x: Any, indices: Any) -> Any:
    dims = stablehlo.GatherDimensionNumbers(op.attribute("dimension_numbers"))
    sizes, mapped, vector_dim = op.numbers("slice_sizes"), list(dims.start_index_map), dims.index_vector_dim
    known = deferred.known(indices)
    if known is not None and known.numel() == len(mapped) and not list(dims.operand_batching_dims):
        # One place: a slice.
        starts = [0] * x.dim()
        for d, start in zip(mapped, known.flatten().tolist()):
            starts[d] = min(max(start, 0), x.shape[d] - sizes[d])
        return reshaped(sliced(op, x, starts, [start + size for start, size in zip(starts, sizes)], [1] * x.dim()), op.shape)
    offset_dims = list(dims.offset_dims)
    batch = [d for d in range(len(op.shape)) if d not in offset_dims]
    dropped, batching = list(dims.collapsed_slice_dims), list(dims.operand_batching_dims)
    kept = [d for d in range(x.dim()) if d not in dropped and d not in batching]
    offset_of = dict(zip(kept, offset_dims))
    # A batching dimension of the indices stands in the result where the batch dimension of its number does.
    batch_of = {d: batch[i - (i > vector_dim)] for d, i in zip(batching, dims.start_indices_batching_dims)}

    def lower(ctx: Context, a: Tensor, given: Tensor) -> Tensor:
        def at(b, loops, *starts):
            chosen = []
            for d in range(a.rank):
                place = loops[offset_of[d]] if d in offset_of and sizes[d] > 1 else None
                if d in batch_of:
                    place = loops[batch_of[d]]
                if d in mapped:
                    start = inside(b, starts[mapped.index(d)], a.shape[d] - sizes[d])
                    place = start if place is None else b.apply("arith.addi", start, place)
                chosen.append(b.const(0, "index") if place is None else place)
            return chosen

        read = [f"d{d}" for d in batch]
        return fetched(ctx, a, op.shape, at, *((part, read) for part in components(ctx, given, vector_dim, len(mapped))))

    return op.made(lower, x, indices)
