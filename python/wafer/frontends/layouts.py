"""Where the elements of a tensor lie in another one, of which it is nothing but elements in another order: taken apart, transposed, sliced or repeated."""

from __future__ import annotations

import dataclasses
import itertools
import math
import operator
from collections.abc import Iterable, Sequence

import torch
from torch import fx

from wafer.frontends.rewriting import VIEWS, shape

_ATEN = torch.ops.aten
Steps = tuple[tuple[int, int], ...]  # sizes and strides, outermost first

_SAME_ORDER = VIEWS | {
    _ATEN.flatten.using_ints, _ATEN.unflatten.int, _ATEN.unsqueeze.default, _ATEN.squeeze.default, _ATEN.squeeze.dim, _ATEN.squeeze.dims,
    _ATEN.clone.default, _ATEN.contiguous.default, _ATEN.alias.default,
}  # fmt: skip
_SPLITS = {_ATEN.split.Tensor, _ATEN.split_with_sizes.default, _ATEN.chunk.default, _ATEN.unbind.int}


@dataclasses.dataclass(frozen=True)
class Layout:
    """A dimension has several steps where it is made of dimensions that do not lie one after another, and a step with stride 0 where it repeats."""

    dims: tuple[Steps, ...]
    offset: int = 0

    @staticmethod
    def of(sizes: Sequence[int]) -> Layout:
        """Of the other tensor itself."""
        return Layout(tuple(merged([(size, math.prod(sizes[d + 1 :]))]) for d, size in enumerate(sizes)))

    def viewed(self, sizes: Sequence[int]) -> Layout | None:
        """The same elements in row-major order under another shape; None where no steps say it."""
        left = [step for steps in self.dims for step in steps][::-1]
        dims = []
        for size in sizes:
            taken = []
            while size > 1:
                count, stride = left.pop()
                inner = 1 if size % count == 0 else count // size if count % size == 0 else None
                if inner is None:
                    return None
                if inner > 1:
                    left.append((inner, stride))
                taken.append((count // inner, stride * inner))
                size //= count // inner
            dims.append(merged(taken))
        return Layout(tuple(dims), self.offset)

    def permuted(self, order: Sequence[int]) -> Layout:
        return Layout(tuple(self.dims[d] for d in order), self.offset)

    def part(self, dim: int, begin: int, size: int) -> Layout | None:
        """`size` elements of a dimension from `begin` on; None where no steps say it."""
        offset, steps, kept = self.offset, list(self.dims[dim]), []
        while steps:
            (count, stride), inner = steps.pop(0), math.prod(count for count, _ in steps)
            if begin % inner == 0 and size % inner == 0:
                kept, offset = [(size // inner, stride), *steps], offset + begin // inner * stride
                break
            if begin // inner != (begin + size - 1) // inner:
                return None
            offset, begin = offset + begin // inner * stride, begin % inner
        return Layout((*self.dims[:dim], merged(kept), *self.dims[dim + 1 :]), offset)

    def expanded(self, sizes: Sequence[int]) -> Layout:
        """With dimensions in front, and others of size one, that repeat."""
        dims = ((),) * (len(sizes) - len(self.dims)) + self.dims
        return Layout(tuple(steps or merged([(size, 0)]) for size, steps in zip(sizes, dims, strict=True)), self.offset)

    def repeated(self, dim: int, times: int) -> Layout:
        """Each element of a dimension several times, one after another."""
        return Layout((*self.dims[:dim], merged([*self.dims[dim], (times, 0)]), *self.dims[dim + 1 :]), self.offset)


def merged(steps: Iterable[tuple[int, int]]) -> Steps:
    """The same steps, as few as say it."""
    fewest: list[tuple[int, int]] = []
    for count, stride in steps:
        if count != 1 and fewest and fewest[-1][1] == count * stride:
            fewest[-1] = (fewest[-1][0] * count, stride)
        elif count != 1:
            fewest.append((count, stride))
    return tuple(fewest)


def source_of(node: fx.Node) -> fx.Node | None:
    """The tensor whose elements a node gives in another order; None if it computes something."""
    if node.op != "call_function":
        return None
    if node.target is operator.getitem:
        return node.args[0].args[0] if node.args[0].target in _SPLITS else None
    others = {_ATEN.permute.default, _ATEN.transpose.int, _ATEN.t.default, _ATEN.slice.Tensor, _ATEN.select.int, _ATEN.expand.default, _ATEN.repeat_interleave.self_int}
    return node.args[0] if node.target in _SAME_ORDER | others else None


def moved(layout: Layout, node: fx.Node) -> Layout | None:
    """The layout of a node by that of `source_of(node)`; None where no steps say it."""
    rank = len(layout.dims)
    if node.target in _SAME_ORDER:
        return layout.viewed(shape(node))
    if node.target is _ATEN.permute.default:
        return layout.permuted([d % rank for d in node.args[1]])
    if node.target in (_ATEN.transpose.int, _ATEN.t.default):
        order = list(range(rank))
        first, second = node.args[1:] if node.target is _ATEN.transpose.int else (0, rank - 1)
        order[first], order[second] = order[second], order[first]
        return layout.permuted(order)
    if node.target is _ATEN.expand.default:
        return layout.expanded(shape(node))
    if node.target is _ATEN.repeat_interleave.self_int:
        dim = node.args[2] if len(node.args) > 2 else node.kwargs.get("dim")
        return None if dim is None else layout.repeated(dim % rank, node.args[1])
    part = part_of(node)
    found = None if part is None else layout.part(*part[1:])
    return found if found is None or len(shape(node)) == rank else found.viewed(shape(node))


def part_of(node: fx.Node) -> tuple[fx.Node, int, int, int] | None:
    """Of what a node is a part without gaps: the tensor, the dimension, where in it the part begins and how much of it it has."""
    if node.target is _ATEN.slice.Tensor and len(node.args) < 5:
        source, dim, begin, end = (*node.args, *(0, None, None)[len(node.args) - 1 :])
        begin, end, _ = slice(begin, end).indices(shape(source)[dim])
        return source, dim % len(shape(source)), begin, end - begin
    if node.target is _ATEN.select.int:
        source, dim, index = node.args
        return source, dim % len(shape(source)), index % shape(source)[dim], 1
    parts = node.args[0] if node.target is operator.getitem else None
    if isinstance(parts, fx.Node) and parts.target in _SPLITS:
        source, index, values = parts.args[0], node.args[1], parts.meta["val"]
        at = 1 if parts.target is _ATEN.unbind.int else 2
        dim = (parts.args[at] if len(parts.args) > at else parts.kwargs.get("dim", 0)) % len(shape(source))
        sizes = [1 if parts.target is _ATEN.unbind.int else value.shape[dim] for value in values]
        return source, dim, list(itertools.accumulate(sizes, initial=0))[index], sizes[index]
    return None
