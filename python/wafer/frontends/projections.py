"""Linear layers of PyTorch's graphs, and their weights with features in another order."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import torch
from torch import fx

from wafer.frontends.layouts import Steps
from wafer.frontends.rewriting import Writer, shape

_ATEN = torch.ops.aten
# Where operations have input, weight and bias among their operands.
_OPERANDS = {_ATEN.linear.default: (0, 1, 2), _ATEN.addmm.default: (1, 2, 0), _ATEN.mm.default: (0, 1, None), _ATEN.matmul.default: (0, 1, None)}


@dataclasses.dataclass(frozen=True)
class Projection:
    """`input` [..., inputs] times a weight, [features, inputs] or transposed, plus a bias [features] if there is one."""

    product: fx.Node
    input: fx.Node
    weight: fx.Node  # a parameter
    is_transposed: bool
    bias: fx.Node | None = None

    @property
    def features(self) -> int:
        return shape(self.product)[-1]


def projection_of(node: fx.Node) -> Projection | None:
    """The projection whose result a node is."""
    if node.op != "call_function" or node.kwargs:
        return None
    if node.target is _ATEN.add.Tensor:
        for product, bias in (node.args, node.args[::-1]):
            found = projection_of(product) if isinstance(product, fx.Node) and product.target is not _ATEN.add.Tensor else None
            if found is not None and found.bias is None and _is_parameter(bias, 1) and shape(bias) == (found.features,):
                return dataclasses.replace(found, bias=bias)
        return None
    if node.target not in _OPERANDS:
        return None
    input_, weight, bias = (None if i is None or i >= len(node.args) else node.args[i] for i in _OPERANDS[node.target])
    is_transposed = node.target is not _ATEN.linear.default
    while weight.target in (_ATEN.t.default, _ATEN.transpose.int, _ATEN.permute.default) and len(shape(weight)) == 2:
        changes = weight.target is not _ATEN.permute.default or [dim % 2 for dim in weight.args[1]] == [1, 0]
        weight, is_transposed = weight.args[0], is_transposed != changes
    is_plain = _is_parameter(weight, 2) and len(shape(input_)) > 1 and (bias is None or (_is_parameter(bias, 1) and shape(bias) == shape(node)[-1:]))
    return Projection(node, input_, weight, is_transposed, bias) if is_plain else None


def _is_parameter(node: object, rank: int) -> bool:
    return isinstance(node, fx.Node) and node.op == "placeholder" and isinstance(node.meta.get("val"), torch.Tensor) and len(shape(node)) == rank


def change(projection: Projection, input_: fx.Node, weight: fx.Node) -> None:
    """Gives the product other operands of the same shapes; the weight as the operation reads it, [features, inputs] for linear and transposed for others."""
    args = list(projection.product.args)
    for place, operand in zip(_OPERANDS[projection.product.target], (input_, weight)):
        args[place] = operand
    projection.product.args = tuple(args)


def can_order(size: int, offset: int, steps: Steps) -> bool:
    """Whether `ordered` can take these steps through a dimension of this size."""
    for count, stride in _outermost_first(steps):
        if offset // stride + count > size // stride:
            return False
        size, offset = stride, offset % stride
    return True


def ordered(write: Writer, tensor: fx.Node, dim: int, offset: int, steps: Steps, *, is_last: bool = False) -> fx.Node:
    """The elements of a dimension that `steps` meet from `offset` on, in their order; a step of stride 0 repeats. The dimension comes first then, or last if asked for.

    Written as slices, one transposition and a repetition. Steps are those of a layout, for which `can_order` holds.
    """
    taken = _outermost_first(steps)
    place, size = dim, shape(tensor)[dim]
    for count, stride in taken:
        begin, end = offset // stride * stride, (offset // stride + count) * stride
        if (begin, end) != (0, size):
            tensor = write(_ATEN.slice.Tensor, tensor, place, begin, end)
        if stride > 1:
            sizes = shape(tensor)
            tensor = write(_ATEN.reshape.default, tensor, [*sizes[:place], count, stride, *sizes[place + 1 :]])
            place += 1
        size, offset = stride, offset % stride
    if size > 1:
        tensor = write(_ATEN.select.int, tensor, place, offset)
    moving = [dim + taken.index(step) for step in steps if step[1]]
    rest = [d for d in range(len(shape(tensor))) if d not in moving]
    others = [shape(tensor)[d] for d in rest]
    order = rest + moving if is_last else moving + rest
    if order != sorted(order):
        tensor = write(_ATEN.permute.default, tensor, order)
    sizes = [count for count, _ in steps]
    if len(moving) < len(steps):
        once = [count if stride else 1 for count, stride in steps]
        tensor = write(_ATEN.reshape.default, tensor, others + once if is_last else once + others)
        tensor = write(_ATEN.expand.default, tensor, others + sizes if is_last else sizes + others)
    features = math.prod(sizes)
    return write(_ATEN.reshape.default, tensor, [*others, features] if is_last else [features, *others])


def _outermost_first(steps: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    return sorted((step for step in steps if step[1]), key=lambda step: -step[1])
