"""Self-attention in PyTorch's graphs: queries, keys and values that are projections of one tensor, however they were taken apart into heads."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping

import torch
from torch import fx

from wafer.frontends.constants import distinct
from wafer.frontends.layouts import Layout, Steps, merged, moved, source_of
from wafer.frontends.projections import Projection, can_order, projection_of
from wafer.frontends.rewriting import shape, value_of
from wafer.frontends.rotations import Rotation

_ATEN = torch.ops.aten


@dataclasses.dataclass(frozen=True)
class Part:
    """Queries, keys or values, as [batch, heads, tokens, size] of what a projection makes."""

    projection: Projection
    layout: Layout
    rotation: Rotation | None

    def steps(self, across: int = 1) -> Steps | None:
        """Through the projection's features, d-major; None where none say it."""
        return _d_major(self.layout.dims[3], self.layout.dims[1], across)


@dataclasses.dataclass(frozen=True)
class SelfAttention:
    node: fx.Node
    parts: tuple[Part, Part, Part]
    scale: float
    is_causal: bool
    tokens_first: bool  # what it projects is [tokens, batch, inputs]

    @property
    def features(self) -> int:
        return shape(self.node)[1] * shape(self.node)[3]


class Finder:
    def __init__(self, graph: fx.Graph, rotated: Mapping[fx.Node, Rotation], constants: Mapping[str, torch.Tensor], is_sparse: Callable[[str], bool]):
        self._place = {node: i for i, node in enumerate(graph.nodes)}
        self._rotated, self._constants, self._is_sparse = rotated, constants, is_sparse

    def match(self, node: fx.Node) -> SelfAttention | None:
        if node.target is not _ATEN.scaled_dot_product_attention.default or len(shape(node)) != 4:
            return None
        query, key, value, mask, dropout, is_causal = (*node.args, *(None, 0.0, False)[len(node.args) - 3 :])
        batch, heads, tokens, size = shape(node)
        if dropout or shape(query) != (batch, heads, tokens, size) or any(shape(operand)[2:] != (tokens, size) for operand in (key, value)):
            return None
        if mask is not None:
            if is_causal or not self._is_triangle(mask, tokens):
                return None
            is_causal = True
        parts = tuple(self._part(operand, node) for operand in (query, key, value))
        tokens_first = None if None in parts else _order_of_tokens(parts, batch, tokens)
        if tokens_first is None or parts[2].rotation or _tables(parts[0].rotation) != _tables(parts[1].rotation):
            return None
        scale = node.kwargs.get("scale")
        return SelfAttention(node, parts, 1 / math.sqrt(size) if scale is None else scale, bool(is_causal), tokens_first)

    def _part(self, operand: fx.Node, attention: fx.Node) -> Part | None:
        _, heads, _, size = shape(attention)
        made, moves = _behind_moves(operand)
        rotation = self._rotated.get(made)
        if rotation is not None:
            of_rotation = _through(shape(made), moves)
            if of_rotation is None or not _has_whole_heads(of_rotation, rotation, size):
                return None
            made, earlier = _behind_moves(rotation.source)
            moves = earlier + moves
        projection = projection_of(made)
        if projection is None or self._is_sparse(projection.weight.name) or not self._is_only_for(projection.product, attention):
            return None
        layout = _through(shape(made), moves)
        if layout is None:
            return None
        if shape(operand)[1] != heads:  # enable_gqa
            layout = layout.repeated(1, heads // shape(operand)[1])
        part = Part(projection, layout, rotation)
        dtypes = {node.meta["val"].dtype for node in (projection.product, projection.input, projection.weight, attention)}
        return part if len(dtypes) == 1 and can_order(projection.features, layout.offset, part.steps()) else None

    def _is_only_for(self, node: fx.Node, attention: fx.Node) -> bool:
        """Whether nothing else reads it: it would be computed twice."""
        return all(user is attention or (self._place[user] < self._place[attention] and self._is_only_for(user, attention)) for user in node.users) and bool(node.users)

    def _is_triangle(self, mask: fx.Node, tokens: int) -> bool:
        """Whether a mask is a constant by which tokens see themselves and those before. A sum with the least number of a type hides as minus infinity does."""
        value = value_of(mask, self._constants) if shape(mask)[-2:] == (tokens, tokens) else None
        if value is None:
            return False
        value = distinct(value)
        triangle = torch.ones(tokens, tokens, dtype=torch.bool).tril()
        if value.dtype == torch.bool:
            return bool((value == triangle).all())
        return bool(torch.where(triangle, value == 0, value <= torch.finfo(value.dtype).min).all())


def _behind_moves(node: fx.Node) -> tuple[fx.Node, list[fx.Node]]:
    """What computes the elements that a node has, and the nodes by which they come there, in order."""
    moves = []
    while (source := source_of(node)) is not None:
        moves.insert(0, node)
        node = source
    return node, moves


def _through(sizes: tuple[int, ...], moves: list[fx.Node]) -> Layout | None:
    layout = Layout.of(sizes)
    for node in moves:
        layout = None if layout is None else moved(layout, node)
    return layout


def _tables(rotation: Rotation | None) -> tuple[fx.Node, fx.Node] | None:
    return None if rotation is None else (rotation.cosines, rotation.sines)


def _has_whole_heads(layout: Layout, rotation: Rotation, size: int) -> bool:
    """Whether the heads of an attention are those that were rotated, element by element."""
    starts = [layout.offset, *(stride for _, stride in layout.dims[1])]
    return shape(rotation.apart)[-1] == size and layout.dims[3] == ((size, 1),) and all(start % size == 0 for start in starts)


def _order_of_tokens(parts: tuple[Part, ...], batch: int, tokens: int) -> bool | None:
    """Whether the parts are projections of one tensor that is [tokens, batch, inputs], or else [batch, tokens, inputs]; None: they are of no such tensor."""
    if len({origin_of(part.projection.input) for part in parts}) > 1 or len({shape(part.projection.input)[-1] for part in parts}) > 1:
        return None
    for tokens_first, (outer, inner) in ((False, (batch, tokens)), (True, (tokens, batch))):
        wanted = {part: Layout.of((outer, inner, part.projection.features)).dims for part in parts}
        if all((part.layout.dims[2], part.layout.dims[0])[:: 1 if tokens_first else -1] == wanted[part][:2] for part in parts):
            return tokens_first
    return None


def origin_of(node: fx.Node) -> fx.Node:
    """What has the same elements in the same order."""
    while (source := source_of(node)) is not None and (layout := moved(Layout.of(shape(source)), node)) is not None and _is_whole(layout, shape(source)):
        node = source
    return node


def _is_whole(layout: Layout, sizes: tuple[int, ...]) -> bool:
    return layout.offset == 0 and merged(step for steps in layout.dims for step in steps) == merged([(math.prod(sizes), 1)])


@dataclasses.dataclass(frozen=True)
class Behind:
    """The projection of what an attention gives, with steps through its inputs, by element of a head and by head."""

    projection: Projection
    elements: Steps
    heads: Steps
    tokens_first: bool  # it gets [tokens, batch, heads * size], or a view of that

    def steps(self, across: int = 1) -> Steps | None:
        """That make its inputs d-major; None where none do."""
        return _d_major(self.elements, self.heads, across)


def _d_major(elements: Steps, heads: Steps, across: int) -> Steps | None:
    """By element of a head, then by head, `across` elements side by side."""
    if across == 1:
        return (*elements, *heads)
    count, stride = elements[-1] if elements else (1, 0)
    return None if count % across else (*merged([*elements[:-1], (count // across, stride * across)]), *heads, (across, stride))


def projection_behind(attention: fx.Node) -> Behind | None:
    """The projection that all of an attention's result goes to, and nothing else does; None: something else reads it."""
    batch, heads, tokens, size = shape(attention)
    layout, node = Layout.of(shape(attention)), attention
    while len(node.users) == 1 and source_of(user := next(iter(node.users))) is node:
        node, layout = user, moved(layout, user)
        if layout is None:
            return None
    projection = projection_of(next(iter(node.users))) if len(node.users) == 1 else None
    if projection is None or projection.input is not node:
        return None
    *outer, features = layout.dims
    of_batch, of_tokens = (batch, heads * tokens * size), (tokens, size)
    orders = {False: merged([of_batch, of_tokens]), True: merged([of_tokens, of_batch])}
    tokens_first = next((first for first, order in orders.items() if merged(step for steps in outer for step in steps) == order), None)
    # Where each step through the heads, or through an element's place in its head, is among the projection's inputs.
    places = [(stride, (count, math.prod(count for count, _ in features[i + 1 :]))) for i, (count, stride) in enumerate(features)]
    steps = [place for stride, place in sorted(places, reverse=True) if stride < size], [place for stride, place in sorted(places, reverse=True) if stride >= tokens * size]
    is_whole = [math.prod(count for count, _ in each) for each in steps] == [size, heads] and all(stride for _, stride in features)
    return Behind(projection, merged(steps[0]), merged(steps[1]), tokens_first) if tokens_first is not None and is_whole else None
