"""Writing slices at computed places. Each element of the result looks through all slices and takes those that cover it, in their order."""

from __future__ import annotations

from collections.abc import Callable

from jaxlib.mlir.dialects import stablehlo

from wafer.frontends import types
from wafer.frontends.body import Body, Scalar
from wafer.frontends.context import Context
from wafer.frontends.deferred import Any
from wafer.frontends.stablehlo_ops.indexing import components
from wafer.frontends.stablehlo_ops.operation import Operation
from wafer.frontends.stablehlo_ops.registry import operator
from wafer.frontends.stablehlo_ops.shapes import inside
from wafer.frontends.tensor import Tensor

# Of what is there and what is written.
_COMBINATIONS: dict[str, Callable[[Body, Scalar, Scalar], Scalar]] = {
    "second": lambda b, old, new: new,
    "add": lambda b, old, new: b.add(old, new),
    "multiply": lambda b, old, new: b.mul(old, new),
    "maximum": lambda b, old, new: b.maximum(old, new),
    "minimum": lambda b, old, new: b.minimum(old, new),
}


@operator("stablehlo.scatter")
def _scatter(op: Operation, *operands: Any) -> Any:
    if len(operands) != 3:
        raise op.refused(f"writes into {(len(operands) - 1) // 2} arrays together, expected one")
    name = op.combination()
    if name not in _COMBINATIONS:
        raise op.refused(f"combines by '{name}', expected {', '.join(_COMBINATIONS)}")
    x, indices, updates = operands
    if 0 in updates.shape:
        return x
    return op.made(_Scatter(op, name, x.dim(), indices.dim(), updates.shape).lower, x, indices, updates)


class _Scatter:
    """The dimensions of one scatter, by what they stand for, and its lowering."""

    def __init__(self, op: Operation, name: str, rank: int, indices_rank: int, updates_shape: tuple[int, ...]):
        dims = stablehlo.ScatterDimensionNumbers(op.attribute("scatter_dimension_numbers"))
        self._name, self._rank = name, rank
        self._vector_dim = dims.index_vector_dim
        self._mapped = list(dims.scattered_dims_to_operand_dims)
        self._batching = list(dims.input_batching_dims)
        window_dims = list(dims.update_window_dims)
        in_window = [d for d in range(rank) if d not in dims.inserted_window_dims and d not in self._batching]
        self._window = dict(zip(in_window, window_dims))  # the dimension of the updates for each of the operand's
        self._sizes = {d: updates_shape[place] for d, place in self._window.items()}
        # The loops of the updates' other dimensions: that of the result for a batching one, else one more.
        batch_of = {i: d for d, i in zip(self._batching, dims.scatter_indices_batching_dims)}
        positions = [i for i in range(indices_rank) if i != self._vector_dim]
        written = [d for d in range(len(updates_shape)) if d not in window_dims]
        self._loops: list[int] = []
        added = 0
        for i in positions:
            self._loops.append(batch_of.get(i, rank + added))
            added += i not in batch_of
        self._added = added
        self._loop_of_update = dict(zip(written, self._loops))

    def lower(self, ctx: Context, a: Tensor, indices: Tensor, updates: Tensor) -> Tensor:
        wide = types.widened(a.dtype) if self._name != "second" else a.dtype
        element = types.computed(wide)
        read = [f"d{loop}" for loop in self._loops]
        starts = []
        for part in components(ctx, indices, self._vector_dim, len(self._mapped)):
            # Loops over what is written need an operand that has their size.
            needed = [d for d, loop in enumerate(self._loops) if loop >= self._rank]
            starts.append((part if all(d in part.dims for d in needed) else ctx.writer.plain(part), read))
        whole = {d: place for d, place in self._window.items() if d not in self._mapped and self._sizes[d] == a.shape[d]}
        by_map = whole.keys() == self._window.keys()
        if by_map:
            # Every slice is whole where it is not indexed: the updates are read by a map.
            loops = self._loop_of_update | {place: d for d, place in whole.items()}
            starts.append((updates, [f"d{loops[d]}" for d in range(updates.rank)]))
        else:
            updates = ctx.writer.plain(updates)
            if not starts:
                raise ctx.unsupported("writes a part without an index, expected an index")

        def body(b: Body, *scalars: Scalar) -> Scalar:
            *given, old = scalars
            here, places = b.const(True, "i1"), {}
            for d in range(self._rank):
                if d in whole or d in self._batching:
                    places[d] = b.index(d)
                    continue
                place = b.index(d)
                if d in self._mapped:
                    place = b.sub(place, b.cast(given[self._mapped.index(d)], "index"))
                size = self._sizes.get(d, 1)
                for bound in (b.compare("ge", place, b.const(0, "index")), b.compare("lt", place, b.const(size, "index"))):
                    here = b.apply("arith.andi", here, bound)
                places[d] = inside(b, place, size - 1)
            if by_map:
                new = given[-1]
            else:
                index = {place: places[d] for d, place in self._window.items()} | {d: b.index(loop) for d, loop in self._loop_of_update.items()}
                at = ", ".join(index[d].name for d in range(updates.rank))
                new = b.emit(f"tensor.extract {updates.name}[{at}] : {updates.type}", updates.element)
            old, new = (b.cast(b.cast(scalar, types.computed(a.dtype)), element) for scalar in (old, new))
            return b.select(here, _COMBINATIONS[self._name](b, old, new), old)

        identity = [f"d{d}" for d in range(self._rank)]
        result = ctx.writer.generic(starts, "p" * self._rank + "r" * self._added, a.shape, wide, body, init=ctx.converted(a, wide), results=identity)
        return ctx.converted(result, a.dtype)
