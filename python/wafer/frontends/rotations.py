"""Rotations of positions (RoPE) without movement of data.

A model writes x * cos + rotate_half(x) * sin on heads, [batch, heads, tokens, size], where rotate_half exchanges the halves of a head and changes a sign. Moving halves is MemoryX's,
so that on a machine of many cores what costs is the way there and back. The same numbers come from a product of the features of all heads, before they are taken apart, with a matrix of one
1 or -1 in each column: a contraction like others, beside the projection that makes x. Tables of cosines and sines are repeated for the heads.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import torch
from torch import fx

from wafer.frontends.layouts import Layout, moved, part_of, source_of
from wafer.frontends.rewriting import VIEWS, Writer, shape, value_of

_ATEN = torch.ops.aten


def pays(machine: Mapping, tokens: int, features: int) -> bool:
    """Whether a product with one weight in each row takes fewer cycles than three crossings of x. `machine`: its description."""
    cores = machine["width"] * machine["height"]
    micro_batches = -(-tokens * features // (cores * machine["sram_bytes"] // 16))  # eight values of 16 bits at a time
    tokens_of_core = machine["accumulator_bytes"] // 8  # two sums of 32 bits
    row = tokens_of_core + 2 * (machine["vector_setup_cycles"] + tokens_of_core // machine["lanes"]["vector"]["bits32"])  # passed on, and added by its owner
    products = row * features * micro_batches
    crossings = 3 * tokens * features / (2 * machine["ingest_wavelets_per_cycle"])
    return products < crossings


@dataclasses.dataclass(frozen=True)
class Rotation:
    """x * cosines + rotate_half(x) * sines, where x is `source`, [batch, tokens, heads * size], taken apart. Tables are [tokens, size], with dimensions of size one, or
    the batch, in front."""

    node: fx.Node
    source: fx.Node
    apart: fx.Node  # x
    cosines: fx.Node
    sines: fx.Node


def rewrite(graph: fx.Graph, machine: Mapping) -> dict[fx.Node, Rotation]:
    """Changes the graph; nodes that are new have values without data as others have. Returns the rotations that it wrote, by their results on the features of all heads."""
    found = [rotation for node in graph.nodes if (rotation := _match(node)) is not None and _pays_here(rotation, machine)]
    matrices: dict[tuple[int, int], fx.Node] = {}
    tables: dict[tuple[fx.Node, int], fx.Node] = {}
    written = {_replace(graph, rotation, matrices, tables): rotation for rotation in found}
    if found:
        graph.eliminate_dead_code()
        graph.lint()
    return written


def _pays_here(rotation: Rotation, machine: Mapping) -> bool:
    batch, tokens, features = shape(rotation.source)
    return pays(machine, batch * tokens, features)


def _match(node: fx.Node) -> Rotation | None:
    if node.target is not _ATEN.add.Tensor or len(node.args) != 2 or node.kwargs or not all(isinstance(term, fx.Node) for term in node.args):
        return None
    for straight, turned in (node.args, node.args[::-1]):
        if straight.target is not _ATEN.mul.Tensor or turned.target is not _ATEN.mul.Tensor:
            continue
        for half, sines in (turned.args, turned.args[::-1]):
            apart = _halves_of(half) if isinstance(half, fx.Node) else None
            if apart is None or apart not in straight.args or not isinstance(sines, fx.Node):
                continue
            cosines = straight.args[1 - straight.args.index(apart)]
            source = _together(apart)
            if source is not None and isinstance(cosines, fx.Node) and shape(node) == shape(apart) and _is_table(cosines, apart) and _is_table(sines, apart):
                return Rotation(node, source, apart, cosines, sines)
    return None


def _halves_of(node: fx.Node) -> fx.Node | None:
    """x of cat([-x[..., half:], x[..., :half]], -1)."""
    if node.target is not _ATEN.cat.default or len(node.args[0]) != 2 or (node.args[1] if len(node.args) > 1 else 0) % len(shape(node)) != len(shape(node)) - 1:
        return None
    negative, first = node.args[0]
    if negative.target is not _ATEN.neg.default:
        return None
    second, first = part_of(negative.args[0]), part_of(first)
    last, size = len(shape(node)) - 1, shape(node)[-1]
    if second is None or first is None or second[0] is not first[0] or shape(first[0]) != shape(node):
        return None
    return first[0] if size % 2 == 0 and first[1:] == (last, 0, size // 2) and second[1:] == (last, size // 2, size // 2) else None


def _together(apart: fx.Node) -> fx.Node | None:
    """[batch, tokens, heads * size] of heads that were taken apart, [batch, heads, tokens, size]."""
    is_transposed = (apart.target is _ATEN.permute.default and list(apart.args[1]) == [0, 2, 1, 3]) or (
        apart.target is _ATEN.transpose.int and len(shape(apart)) == 4 and {dim % 4 for dim in apart.args[1:3]} == {1, 2}
    )
    view = apart.args[0] if is_transposed else None
    if view is None or view.target not in VIEWS:
        return None
    batch, tokens, heads, size = shape(view)
    source = view.args[0]
    while source.target in VIEWS and shape(source) != (batch, tokens, heads * size):
        source = source.args[0]
    return source if isinstance(source, fx.Node) and source.op != "placeholder" and shape(source) == (batch, tokens, heads * size) else None


def _is_table(node: fx.Node, apart: fx.Node) -> bool:
    """Whether all heads share it."""
    if not isinstance(node.meta.get("val"), torch.Tensor):
        return False
    sizes, whole = shape(node), shape(apart)
    return 2 <= len(sizes) <= 4 and sizes[-2:] == whole[-2:] and (len(sizes) < 3 or sizes[-3] == 1) and (len(sizes) < 4 or sizes[0] in (1, whole[0]))


def has_alike_halves(table: fx.Node, constants: Mapping[str, torch.Tensor]) -> bool:
    """Whether both halves of a table's last dimension are known to be the same, as of angles that a model writes one behind the other. `constants`: values of placeholders, by their names."""
    if (value := value_of(table, constants)) is not None:
        first, second = value.chunk(2, -1)
        return torch.equal(first, second)
    while table.op == "call_function":
        last = len(shape(table)) - 1
        if table.target is _ATEN.cat.default and (table.args[1] if len(table.args) > 1 else 0) % (last + 1) == last:
            return len(table.args[0]) == 2 and table.args[0][0] is table.args[0][1]
        if table.target is _ATEN.repeat.default and len(table.args[1]) == last + 1 and table.args[1][-1] == 2:
            return True
        source = source_of(table)
        if source is not None:
            layout = moved(Layout.of(shape(source)), table)
            if layout is None or layout.dims[-1] != Layout.of(shape(source)).dims[-1] or shape(source)[-1] != shape(table)[-1]:
                return False
        elif torch.Tag.pointwise in getattr(table.target, "tags", ()) and len(table.all_input_nodes) == 1:
            source = table.all_input_nodes[0]
        else:
            return False
        table = source
    return False


def _replace(graph: fx.Graph, rotation: Rotation, matrices: dict[tuple[int, int], fx.Node], tables: dict[tuple[fx.Node, int], fx.Node]) -> fx.Node:
    node, source = rotation.node, rotation.source
    batch, heads, tokens, size = shape(rotation.apart)
    dtype = source.meta["val"].dtype
    write = Writer(graph, node)
    first = next(other for other in graph.nodes if other.op != "placeholder")
    with graph.inserting_before(first):
        if (heads, size) not in matrices:
            matrices[heads, size] = _matrix(write, heads * size, size, dtype)
    for table in (rotation.cosines, rotation.sines):
        if (table, heads) not in tables:
            with graph.inserting_before(first if table.op == "placeholder" else table.next):
                tables[table, heads] = _repeated(write, table, heads)
    with graph.inserting_before(node):
        turned = write(_ATEN.mm.default, write(_ATEN.reshape.default, source, [batch * tokens, heads * size]), matrices[heads, size])
        turned = write(_ATEN.reshape.default, turned, [batch, tokens, heads * size])
        result = write(
            _ATEN.add.Tensor, write(_ATEN.mul.Tensor, source, tables[rotation.cosines, heads]), write(_ATEN.mul.Tensor, turned, tables[rotation.sines, heads])
        )
        node.replace_all_uses_with(write(_ATEN.permute.default, write(_ATEN.reshape.default, result, [batch, tokens, heads, size]), [0, 2, 1, 3]))
    return result


def _matrix(write: Writer, features: int, size: int, dtype: torch.dtype) -> fx.Node:
    """[features, features]: column n has a 1 where rotate_half takes its element n from, or a -1."""
    half = size // 2
    places = write(_ATEN.arange.default, features, dtype=torch.int64)
    column = write(_ATEN.unsqueeze.default, places, 0)
    is_first = write(_ATEN.lt.Scalar, write(_ATEN.remainder.Scalar, column, size), half)
    origin = write(_ATEN.where.self, is_first, write(_ATEN.add.Scalar, column, half), write(_ATEN.sub.Scalar, column, half))
    one = lambda value: write(_ATEN.full.default, [1, 1], value, dtype=dtype)  # noqa: E731
    sign = write(_ATEN.where.self, is_first, one(-1.0), one(1.0))
    return write(_ATEN.where.self, write(_ATEN.eq.Tensor, write(_ATEN.unsqueeze.default, places, 1), origin), sign, one(0.0))


def _repeated(write: Writer, table: fx.Node, heads: int) -> fx.Node:
    """[tokens, size] as [tokens, heads * size], with a batch in front if it has one."""
    *batch, tokens, size = shape(table)
    batch = batch[:1] if len(batch) == 2 else []
    apart = write(_ATEN.reshape.default, table, [*batch, tokens, 1, size])
    return write(_ATEN.reshape.default, write(_ATEN.expand.default, apart, [*batch, tokens, heads, size]), [*batch, tokens, heads * size])
