"""Attention whose heads lie in columns of cores.

A projection deals its features to the columns of the wafer in turn, while attention wants all features of a head in one place: queries, keys and values leave the wafer to
be put in order, and so does what attention gives. Rows of weights may come in any order for nothing that crosses. So self-attention is written as one projection that makes
queries, keys and values "d-major" (see aten/attend.py), the attention of those, and the projection behind it, whose columns are in that order too.

Where a head in one column leaves room for few tokens in a core, two columns share it: twice as many tokens are then more of the lanes at work in all products of the layer.

Keys and values that heads share are projected once, in the projections' own order, where that is cheaper: a product with one weight in each row copies them to all heads, d-major.

Columns divide the heads, and groups of so many columns seldom fill the width of the wafer. A few heads more, of zeros, make groups wider: all other products of the layer then have fewer features in a core.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping

import torch
from torch import fx

from wafer.frontends import rotations
from wafer.frontends.aten import attend, selection  # noqa: F401 - they define torch.ops.wafer.attend and selection
from wafer.frontends.layouts import Steps
from wafer.frontends.projections import Projection, can_order, change, ordered
from wafer.frontends.rewriting import Writer, shape
from wafer.frontends.self_attention import Behind, Finder, SelfAttention, origin_of, projection_behind
from wafer.training import attention

_ATEN = torch.ops.aten
# Columns hold up to so many heads each.
_HEADS_OF_COLUMN = 4
# What the gradient of attention keeps in a core, at most, of an element of a head and a token, in f32 and with operands and result; and its code, with more for each head.
_BYTES_OF_ELEMENT, _BYTES_OF_CODE, _BYTES_OF_HEAD = 80, 5200, 1600
# Of the groups of columns that fit side by side, the part that has to have an entry: with less of the wafer at work, streaming keys and values to all of it is faster.
_LEAST_GROUPS = 1 / 3
# Of an entry: with fewer tokens there is little that attention would send, and heads in columns are a narrow grid for the products around it.
_LEAST_TOKENS = 64
# Heads of zeros, as part of the others: rows of projections grow with them as columns do, so that these take about as long as before, but they take more of the link; and with few, other products gain little.
_LEAST_MORE_HEADS, _MOST_MORE_HEADS = 1 / 8, 1 / 4
# Cores for each wavelet that enters in a cycle: with fewer, nothing waits long for the link, and what a ring costs besides products is more.
_LEAST_CORES = 256


def columns_of_head(machine: Mapping, batch: int, tokens: int, heads: int, size: int) -> int:
    """How many columns share a head where attention in columns is the better way, and 0 where it is not: each entry has a group of columns and rows that hold its tokens, a good
    part of the groups has an entry, and the link is narrow beside the cores. `machine`: its description. A first rule: it looks at no cycles but those by which probabilities are
    worth computing again."""
    is_narrow = machine["width"] * machine["height"] >= _LEAST_CORES * machine["ingest_wavelets_per_cycle"] and attention.pays(machine, size)
    if tokens < _LEAST_TOKENS or not is_narrow:
        return 0
    rooms = {1: _room(machine, tokens, heads, size)}
    if size % 4 == 0:  # a rotation wants both halves of a head alike in all columns
        rooms[2] = _room(machine, tokens, 2 * heads, size // 2)
    lanes = machine["lanes"]["fmac_acc"]["bits16"]
    across = max(rooms, key=lambda across: min(rooms[across][1], lanes))
    columns, tokens_of_core = rooms[across]
    return across if tokens_of_core and batch >= _LEAST_GROUPS * (machine["width"] // columns) else 0


def heads_in_columns(machine: Mapping, batch: int, tokens: int, heads: int, size: int, across: int) -> int:
    """Heads with those of zeros that fill the width of the wafer, where each group of columns has an entry and a column no more than a head: as many as a group of the widest columns that there can be as many of has room for."""
    columns, t = _room(machine, tokens, heads * across, size // across)
    most = machine["width"] // max(columns, 1)
    if columns != heads * across or t == 0 or batch < most:
        return heads
    groups = max(number for number in range(1, most + 1) if batch % number == 0)
    # Sums of gradients are added in as many rows below the grid as a group has columns.
    below = machine["height"] % (tokens // t) or machine["width"]
    more = min(machine["width"] // groups // across, below // across, int(heads * (1 + _MOST_MORE_HEADS)))
    return more if more >= heads * (1 + _LEAST_MORE_HEADS) else heads


def _room(machine: Mapping, tokens: int, parts: int, size: int) -> tuple[int, int]:
    """Columns that heads of an entry lie in, or parts of heads of `size` elements, and the most tokens that a core has room for; 0: none."""
    columns = next((parts // m for m in range(1, _HEADS_OF_COLUMN + 1) if parts % m == 0 and parts // m <= machine["width"]), 0)
    most = machine["accumulator_bytes"] // 12  # tokens of a core: two sums of 32 bits for each do not fill the cache
    parts_of_column = parts // max(columns, 1)

    def fits(t: int) -> bool:
        used = _BYTES_OF_ELEMENT * parts_of_column * size * t + _BYTES_OF_CODE + _BYTES_OF_HEAD * parts_of_column
        return tokens % t == 0 and tokens // t <= machine["height"] and used <= machine["sram_bytes"]

    return columns, max((t for t in range(1, most + 1) if columns and fits(t)), default=0)


def rewrite(
    graph: fx.Graph,
    machine: Mapping,
    rotated: Mapping[fx.Node, rotations.Rotation],
    *,
    constants: Mapping[str, torch.Tensor] | None = None,
    is_sparse: Callable[[str], bool] = lambda name: False,
) -> int:
    """Changes the graph; nodes that are new have values without data as others have. Returns the number of attentions that it wrote.

    `rotated`: what `rotations.rewrite` gave for the graph. `constants`: values of placeholders that do not change, by the names of their nodes, so that masks are known.
    `is_sparse`: whether zeros of the weight of this placeholder are not streamed. Its attention stays as it is, because zeros of stacked weights are not known.
    """
    finder = Finder(graph, rotated, constants or {}, is_sparse)
    found = {each: across for node in graph.nodes if (each := finder.match(node)) is not None and (across := _columns_of_head(each, machine))}
    rewriter = _Rewriter(graph, machine, constants or {})
    for each, across in found.items():
        rewriter.replace(each, across)
    if found:
        graph.eliminate_dead_code()
        for each in found:
            graph.erase_node(each.node)  # which is not taken for dead, because with dropout it would draw numbers
        graph.eliminate_dead_code()
        graph.lint()
    return len(found)


def _columns_of_head(found: SelfAttention, machine: Mapping) -> int:
    """One where features are not in an order that two can share."""
    batch, heads, tokens, size = shape(found.node)
    across = columns_of_head(machine, batch, tokens, heads, size)
    if across < 2:
        return across
    behind = projection_behind(found.node)
    orders = [(part.projection.features, part.layout.offset, part.steps(across)) for part in found.parts] + ([] if behind is None else [(heads * size, 0, behind.steps(across))])
    return across if all(steps is not None and can_order(features, offset, steps) for features, offset, steps in orders) else 1


class _Rewriter:
    def __init__(self, graph: fx.Graph, machine: Mapping, constants: Mapping[str, torch.Tensor]):
        self._graph, self._machine, self._constants = graph, machine, constants
        self._place = {node: i for i, node in enumerate(graph.nodes)}
        self._first = next(node for node in graph.nodes if node.op != "placeholder")
        self._tables: dict[tuple[object, ...], fx.Node] = {}
        self._selections: dict[tuple[object, ...], fx.Node] = {}

    def replace(self, found: SelfAttention, across: int) -> None:
        node, projected = found.node, found.parts[0].projection
        batch, heads, tokens, size = shape(node)
        behind = projection_behind(node)
        all_heads = heads if behind is None else heads_in_columns(self._machine, batch, tokens, heads, size, across)
        more = (all_heads - heads, heads, across)
        inputs = shape(projected.input)[-1]
        write = Writer(self._graph, projected.product)
        selection = self._selection(found, across, all_heads) if _pays_to_copy(found, across, self._machine) else None
        with self._graph.inserting_before(self._first):
            stacked = _stacked(write, found, _pieces(found, across) if selection is None else _whole(found))
            stacked = [_with_more(write, each, 0, *more) for each in stacked] if selection is None else stacked
        with self._graph.inserting_before(node):
            x = write(_ATEN.reshape.default, origin_of(projected.input), [tokens, batch, inputs] if found.tokens_first else [batch, tokens, inputs])
            x = write(_ATEN.permute.default, x, [1, 0, 2]) if found.tokens_first else x
            qkv = write(_ATEN.linear.default, x, *stacked)
            qkv = qkv if selection is None else write(_ATEN.linear.default, qkv, selection)
            mixed = Writer(self._graph, node)(torch.ops.wafer.attend.default, qkv, self._table(found, across, all_heads), all_heads, found.scale, found.is_causal, across)
        if behind is None:
            self._put_in_order(mixed, node, across)
        else:
            self._project(mixed, behind, across, more)

    def _table(self, found: SelfAttention, across: int, heads: int) -> fx.Node | None:
        """By which queries and keys are turned; made once for all layers."""
        rotation = found.parts[0].rotation
        if rotation is None:
            return None
        key = (rotation.cosines, rotation.sines, heads, across)
        if key not in self._tables:
            last = max(rotation.cosines, rotation.sines, key=self._place.__getitem__)
            with self._graph.inserting_before(self._first if last.op == "placeholder" else last.next):
                are_alike = all(rotations.has_alike_halves(table, self._constants) for table in (rotation.cosines, rotation.sines))
                self._tables[key] = _table(Writer(self._graph, last), rotation.cosines, rotation.sines, heads, across, are_alike)
        return self._tables[key]

    def _selection(self, found: SelfAttention, across: int, all_heads: int) -> fx.Node:
        """By which features that were projected once come to all heads that read them, [3 * features, features of the projections], and nothing to those of zeros; made once for all layers."""
        projections = _projections(found)
        begins = dict(zip(projections, itertools.accumulate((each.features for each in projections), initial=0)))
        pieces = tuple((projection.features, begins[projection], offset, steps) for projection, offset, steps in _pieces(found, across))
        dtype = found.node.meta["val"].dtype
        heads = shape(found.node)[1]
        key = (pieces, all_heads, dtype)
        if key not in self._selections:
            write = Writer(self._graph, found.node)
            with self._graph.inserting_before(self._first):
                places = [ordered(write, write(_ATEN.arange.start, begin, begin + features, dtype=torch.int64), 0, offset, steps) for features, begin, offset, steps in pieces]
                columns, rows = sum(each.features for each in projections), _joined(write, places)
                self._selections[key] = write(torch.ops.wafer.selection.default, _with_more(write, rows, 0, all_heads - heads, heads, across, selection.NOWHERE), columns, shape(rows)[0], dtype)
        return self._selections[key]

    def _project(self, mixed: fx.Node, behind: Behind, across: int, more: tuple[int, int, int]) -> None:
        """The projection's weight gets the order that the features are in."""
        product, weight = behind.projection.product, behind.projection.weight
        write = Writer(self._graph, product)
        is_linear = product.target is _ATEN.linear.default
        with self._graph.inserting_before(self._first):
            weight = ordered(write, weight, 0 if behind.projection.is_transposed else 1, 0, behind.steps(across), is_last=is_linear)
            weight = _with_more(write, weight, len(shape(weight)) - 1 if is_linear else 0, *more)
        with self._graph.inserting_before(product):
            mixed = write(_ATEN.permute.default, mixed, [1, 0, 2]) if behind.tokens_first else mixed
            change(behind.projection, write(_ATEN.reshape.default, mixed, [*shape(behind.projection.input)[:-1], shape(mixed)[-1]]), weight)

    def _put_in_order(self, mixed: fx.Node, node: fx.Node, across: int) -> None:
        """What is no projection gets heads as it did, in memory as PyTorch's own attention gives them."""
        batch, heads, tokens, size = shape(node)
        write = Writer(self._graph, node)
        with self._graph.inserting_before(node):
            apart = write(_ATEN.permute.default, write(_ATEN.reshape.default, mixed, [batch, tokens, size // across, heads, across]), [0, 1, 3, 2, 4])
            apart = write(_ATEN.clone.default, apart, memory_format=torch.contiguous_format)
            apart = write(_ATEN.reshape.default, apart, [batch, tokens, heads, size])
            node.replace_all_uses_with(write(_ATEN.permute.default, apart, [0, 2, 1, 3]))


def _pays_to_copy(found: SelfAttention, across: int, machine: Mapping) -> bool:
    """Whether fewer cycles go to keys and values that are projected once for all heads that read them, and copied by a product with one weight in each row."""
    _, heads, tokens, size = shape(found.node)
    projected, read = sum(each.features for each in _projections(found)), 3 * found.features
    columns, t = _room(machine, tokens, heads * across, size // across)
    products = shape(found.parts[0].projection.input)[-1] / max(columns, 1) * t / machine["lanes"]["fmac_acc"]["bits16"]
    row = t + 2 * (machine["vector_setup_cycles"] + t / machine["lanes"]["vector"]["bits32"])  # passed on, and added by its owner
    return (read - projected) * products > projected * row


def _projections(found: SelfAttention) -> list[Projection]:
    return list(dict.fromkeys(part.projection for part in found.parts))


def _whole(found: SelfAttention) -> list[tuple[Projection, int, Steps]]:
    """Projections' features as they are."""
    return [(projection, 0, ((projection.features, 1),)) for projection in _projections(found)]


def _stacked(write: Writer, found: SelfAttention, pieces: list[tuple[Projection, int, Steps]]) -> list[fx.Node]:
    """The weight of these features of projections, [features, inputs], and their bias if any has one."""
    weights = [ordered(write, projection.weight, int(projection.is_transposed), offset, steps) for projection, offset, steps in pieces]
    biases = [None if projection.bias is None else ordered(write, projection.bias, 0, offset, steps) for projection, offset, steps in pieces]
    if all(bias is None for bias in biases):
        return [_joined(write, weights)]
    none = lambda weight: write(_ATEN.full.default, [shape(weight)[0]], 0.0, dtype=found.node.meta["val"].dtype)  # noqa: E731
    return [_joined(write, weights), _joined(write, [none(weight) if bias is None else bias for weight, bias in zip(weights, biases)])]


def _pieces(found: SelfAttention, across: int) -> list[tuple[Projection, int, Steps]]:
    """Steps through the features of projections: of one that makes all three, where they are as far from each other, or of each."""
    first, second, third = found.parts
    distance = second.layout.offset - first.layout.offset
    steps = ((3, distance), *first.steps(across))
    is_one = first.projection == second.projection == third.projection and first.steps() == second.steps() == third.steps() and third.layout.offset - second.layout.offset == distance
    if is_one and distance > 0 and can_order(first.projection.features, first.layout.offset, steps):
        return [(first.projection, first.layout.offset, steps)]
    return [(part.projection, part.layout.offset, part.steps(across)) for part in found.parts]


def _with_more(write: Writer, tensor: fx.Node, dim: int, more: int, heads: int, across: int, value: float = 0) -> fx.Node:
    """A tensor whose features, d-major, lie along a dimension, with so many heads more."""
    if more == 0:
        return tensor
    sizes = shape(tensor)
    outer = sizes[dim] // (heads * across)
    apart = write(_ATEN.reshape.default, tensor, [*sizes[:dim], outer, heads, across, *sizes[dim + 1 :]])
    others = write(_ATEN.full.default, [*sizes[:dim], outer, more, across, *sizes[dim + 1 :]], value, dtype=tensor.meta["val"].dtype)
    return write(_ATEN.reshape.default, write(_ATEN.cat.default, [apart, others], dim + 1), [*sizes[:dim], outer * (heads + more) * across, *sizes[dim + 1 :]])


def _joined(write: Writer, parts: list[fx.Node]) -> fx.Node:
    return parts[0] if len(parts) == 1 else write(_ATEN.cat.default, parts)


def _table(write: Writer, cosines: fx.Node, sines: fx.Node, heads: int, across: int, are_alike: bool) -> fx.Node:
    """[batch or 1, tokens, 2 * features], d-major: cosines, and sines as rotate_half has them, of which the first half of a head has the other sign; of first halves only if both `are_alike`."""
    *_, tokens, size = shape(cosines)
    batch = max(shape(table)[0] if len(shape(table)) > 2 else 1 for table in (cosines, sines))

    def repeated(table: fx.Node) -> fx.Node:
        entries, elements = math.prod(shape(table)[:-2]), shape(table)[-1]
        apart = write(_ATEN.reshape.default, table, [entries, tokens, elements // across, 1, across])
        return write(_ATEN.reshape.default, write(_ATEN.expand.default, apart, [batch, tokens, elements // across, heads, across]), [batch, tokens, elements * heads])

    def half(table: fx.Node, begin: int) -> fx.Node:
        return write(_ATEN.slice.Tensor, table, len(shape(table)) - 1, begin, begin + size // 2)

    turned = write(_ATEN.neg.default, half(sines, 0))
    if are_alike:
        return write(_ATEN.cat.default, [repeated(half(cosines, 0)), repeated(turned)], 2)
    signed = write(_ATEN.cat.default, [turned, half(sines, size // 2)], len(shape(sines)) - 1)
    return write(_ATEN.cat.default, [repeated(cosines), repeated(signed)], 2)
