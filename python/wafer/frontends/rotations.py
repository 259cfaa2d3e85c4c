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

_ATEN = torch.ops.aten
_VIEWS = {_ATEN.view.default, _ATEN.reshape.default, _ATEN._unsafe_view.default}


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
class _Rotation:
    """x * cosines + rotate_half(x) * sines, where x is `source`, [batch, tokens, heads * size], taken apart."""

    node: fx.Node
    source: fx.Node
    apart: fx.Node  # x
    cosines: fx.Node
    sines: fx.Node


def rewrite(graph: fx.Graph, machine: Mapping) -> int:
    """Changes the graph; nodes that are new have values without data as others have. Returns the number of rotations that it found."""
    found = [rotation for node in graph.nodes if (rotation := _match(node)) is not None and _pays_here(rotation, machine)]
    matrices: dict[tuple[int, int], fx.Node] = {}
    tables: dict[tuple[fx.Node, int], fx.Node] = {}
    for rotation in found:
        _replace(graph, rotation, matrices, tables)
    if found:
        graph.eliminate_dead_code()
        graph.lint()
    return len(found)


def _shape(node: fx.Node) -> tuple[int, ...]:
    return tuple(node.meta["val"].shape)


def _pays_here(rotation: _Rotation, machine: Mapping) -> bool:
    batch, tokens, features = _shape(rotation.source)
    return pays(machine, batch * tokens, features)


def _match(node: fx.Node) -> _Rotation | None:
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
            if source is not None and isinstance(cosines, fx.Node) and _shape(node) == _shape(apart) and _is_table(cosines, apart) and _is_table(sines, apart):
                return _Rotation(node, source, apart, cosines, sines)
    return None


def _halves_of(node: fx.Node) -> fx.Node | None:
    """x of cat([-x[..., half:], x[..., :half]], -1)."""
    if node.target is not _ATEN.cat.default or len(node.args[0]) != 2 or (node.args[1] if len(node.args) > 1 else 0) % len(_shape(node)) != len(_shape(node)) - 1:
        return None
    negative, first = node.args[0]
    if negative.target is not _ATEN.neg.default:
        return None
    second, first = _part(negative.args[0]), _part(first)
    size = _shape(node)[-1]
    if second is None or first is None or second[0] is not first[0] or _shape(first[0]) != _shape(node):
        return None
    return first[0] if size % 2 == 0 and first[1:] == (0, size // 2) and second[1:] == (size // 2, size) else None


def _part(node: fx.Node) -> tuple[fx.Node, int, int] | None:
    """Which part of the last dimension of what a slice is."""
    if node.target is _ATEN.slice.Tensor and len(node.args) < 5:
        source, dim, begin, end = (*node.args, *(0, 0, None)[len(node.args) - 1 :])[:4]
        size = _shape(source)[dim]
        begin, end = (begin or 0), size if end is None else min(end, size)
        return (source, begin, end) if dim % len(_shape(source)) == len(_shape(source)) - 1 else None
    parts = node.args[0] if node.op == "call_function" and getattr(node.target, "__name__", "") == "getitem" else None
    if isinstance(parts, fx.Node) and parts.target in (_ATEN.split_with_sizes.default, _ATEN.split.Tensor):
        source, sizes = parts.args[0], parts.args[1]
        dim = parts.args[2] if len(parts.args) > 2 else 0
        if isinstance(sizes, int):
            sizes = [sizes] * (_shape(source)[dim] // sizes)
        begin = sum(sizes[: node.args[1]])
        return (source, begin, begin + sizes[node.args[1]]) if dim % len(_shape(source)) == len(_shape(source)) - 1 else None
    return None


def _together(apart: fx.Node) -> fx.Node | None:
    """[batch, tokens, heads * size] of heads that were taken apart, [batch, heads, tokens, size]."""
    is_transposed = (apart.target is _ATEN.permute.default and list(apart.args[1]) == [0, 2, 1, 3]) or (
        apart.target is _ATEN.transpose.int and len(_shape(apart)) == 4 and {dim % 4 for dim in apart.args[1:3]} == {1, 2}
    )
    view = apart.args[0] if is_transposed else None
    if view is None or view.target not in _VIEWS:
        return None
    batch, tokens, heads, size = _shape(view)
    source = view.args[0]
    while source.target in _VIEWS and _shape(source) != (batch, tokens, heads * size):
        source = source.args[0]
    return source if isinstance(source, fx.Node) and source.op != "placeholder" and _shape(source) == (batch, tokens, heads * size) else None


def _is_table(node: fx.Node, apart: fx.Node) -> bool:
    """Whether all heads share it."""
    if not isinstance(node.meta.get("val"), torch.Tensor):
        return False
    shape, whole = _shape(node), _shape(apart)
    return 2 <= len(shape) <= 4 and shape[-2:] == whole[-2:] and (len(shape) < 3 or shape[-3] == 1) and (len(shape) < 4 or shape[0] in (1, whole[0]))


class _Writer:
    """New nodes in front of another one, with the values that they have there."""

    def __init__(self, graph: fx.Graph, like: fx.Node):
        self._graph, self._like = graph, like

    def __call__(self, target, *args, **kwargs) -> fx.Node:
        node = self._graph.call_function(target, args, kwargs)
        node.meta = {key: value for key, value in self._like.meta.items() if key in ("stack_trace", "nn_module_stack", "source_fn_stack")}
        read = lambda value: value.meta["val"] if isinstance(value, fx.Node) else value  # noqa: E731
        values, named = fx.node.map_aggregate(args, read), fx.node.map_aggregate(kwargs, read)
        mode = getattr(self._like.meta["val"], "fake_mode", None)
        with torch.no_grad():
            if mode is None:
                node.meta["val"] = target(*values, **named)
            else:
                with mode:
                    node.meta["val"] = target(*values, **named)
        return node


def _replace(graph: fx.Graph, rotation: _Rotation, matrices: dict[tuple[int, int], fx.Node], tables: dict[tuple[fx.Node, int], fx.Node]) -> None:
    node, source = rotation.node, rotation.source
    batch, heads, tokens, size = _shape(rotation.apart)
    dtype = source.meta["val"].dtype
    write = _Writer(graph, node)
    first = next(other for other in graph.nodes if other.op != "placeholder")
    with graph.inserting_before(first):
        if (heads, size) not in matrices:
            matrices[heads, size] = _matrix(write, heads * size, size, dtype)
    for table in (rotation.cosines, rotation.sines):
        if (table, heads) not in tables:
            with graph.inserting_before(table.next):
                tables[table, heads] = _repeated(write, table, heads)
    with graph.inserting_before(node):
        turned = write(_ATEN.mm.default, write(_ATEN.reshape.default, source, [batch * tokens, heads * size]), matrices[heads, size])
        turned = write(_ATEN.reshape.default, turned, [batch, tokens, heads * size])
        result = write(
            _ATEN.add.Tensor, write(_ATEN.mul.Tensor, source, tables[rotation.cosines, heads]), write(_ATEN.mul.Tensor, turned, tables[rotation.sines, heads])
        )
        result = write(_ATEN.permute.default, write(_ATEN.reshape.default, result, [batch, tokens, heads, size]), [0, 2, 1, 3])
    node.replace_all_uses_with(result)


def _matrix(write: _Writer, features: int, size: int, dtype: torch.dtype) -> fx.Node:
    """[features, features]: column n has a 1 where rotate_half takes its element n from, or a -1."""
    half = size // 2
    places = write(_ATEN.arange.default, features, dtype=torch.int64)
    column = write(_ATEN.unsqueeze.default, places, 0)
    is_first = write(_ATEN.lt.Scalar, write(_ATEN.remainder.Scalar, column, size), half)
    origin = write(_ATEN.where.self, is_first, write(_ATEN.add.Scalar, column, half), write(_ATEN.sub.Scalar, column, half))
    one = lambda value: write(_ATEN.full.default, [1, 1], value, dtype=dtype)  # noqa: E731
    sign = write(_ATEN.where.self, is_first, one(-1.0), one(1.0))
    return write(_ATEN.where.self, write(_ATEN.eq.Tensor, write(_ATEN.unsqueeze.default, places, 1), origin), sign, one(0.0))


def _repeated(write: _Writer, table: fx.Node, heads: int) -> fx.Node:
    """[tokens, size] as [tokens, heads * size], with a batch in front if it has one."""
    *batch, tokens, size = _shape(table)
    batch = batch[:1] if len(batch) == 2 else []
    apart = write(_ATEN.reshape.default, table, [*batch, tokens, 1, size])
    return write(_ATEN.reshape.default, write(_ATEN.expand.default, apart, [*batch, tokens, heads, size]), [*batch, tokens, heads * size])
