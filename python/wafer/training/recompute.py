"""Values of the forward pass that the backward pass computes again instead of keeping them.

What the backward pass reads of the forward pass leaves the wafer and comes back, two crossings of MemoryX's link. On a machine of many cores it costs far less to multiply once
more: the hidden numbers of a feed-forward part come from its input, which is narrower, and functions of single elements from what they are functions of. (Chen and others,
2016, trade memory for time in the same way.)
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import torch
from torch import fx

from wafer.frontends.aten import again, attend  # noqa: F401 - they define torch.ops.wafer.again and attend

_ATEN = torch.ops.aten
# Of its peak, what products reach, and then some: where arithmetic is not cheap beside crossings, less of it is better.
_EFFICIENCY = 0.075
# They give one element for each that they read, in the same order, but are not said to be pointwise.
_VIEWS = {_ATEN.view.default, _ATEN.reshape.default, _ATEN._unsafe_view.default, _ATEN.unsqueeze.default, _ATEN.squeeze.dim, _ATEN.squeeze.dims, _ATEN.alias.default, _ATEN.detach.default}
# Part of an input's features that may be zeros beside the others (`wafer.frontends.heads` has some): a result with so many fewer is not narrower.
_ZEROS = 1 / 4
_PRODUCTS = {_ATEN.mm.default: (0, 1), _ATEN.addmm.default: (1, 2)}  # where the activation and the weight are
_OF_WEIGHTS = _VIEWS | {
    _ATEN.permute.default, _ATEN.t.default, _ATEN.transpose.int, _ATEN._to_copy.default, _ATEN.clone.default, _ATEN.cat.default, _ATEN.slice.Tensor, _ATEN.expand.default,
}  # fmt: skip


def pays(machine: Mapping, tokens: int, features: int) -> bool:
    """Whether a product with `features` of input takes fewer cycles than its result takes to leave and come back, per feature of the result. `machine`: its description."""
    products = tokens * features / (_EFFICIENCY * machine["width"] * machine["height"] * machine["lanes"]["fmac_acc"]["bits16"])
    weights = features / (2 * machine["ingest_wavelets_per_cycle"])
    crossings = tokens * (0.5 / machine["ingest_wavelets_per_cycle"] + 0.5 / machine["egress_wavelets_per_cycle"])
    return products + weights < crossings


def recompute(graph: fx.Graph, loss: fx.Node, machine: Mapping, weights: Collection[fx.Node] = ()) -> None:
    """Changes the graph of both passes, in which all behind `loss` is the backward pass. `weights`: placeholders that are no inputs."""
    while loss.target in (_ATEN.detach.default, _ATEN.alias.default):
        loss = loss.args[0]
    nodes = list(graph.nodes)
    place = {node: i for i, node in enumerate(nodes)}
    backward = [node for node in nodes[place[loss] + 1 :] if node.op != "output"]
    choice = _Choice(nodes[: place[loss] + 1], set(backward), machine, weights)
    copies: dict[fx.Node, fx.Node] = {}

    def copy_of(node: fx.Node) -> fx.Node:
        """The value in the backward pass; made in front of its first reader."""
        if node in choice.free:
            return node
        if node not in copies:
            if node in choice.again:
                copies[node] = graph.node_copy(node, copy_of)
            else:
                copies[node] = graph.call_function(torch.ops.wafer.again.default, (node,))
            copies[node].meta = dict(node.meta)
        return copies[node]

    for node in backward:
        wanted = [argument for argument in node.all_input_nodes if argument in choice.again]
        for argument in wanted:
            with graph.inserting_before(node):
                copied = copy_of(argument)
            node.replace_input_with(argument, copied)


class _Choice:
    """Which values of the forward pass are computed again."""

    def __init__(self, forward: Iterable[fx.Node], backward: set[fx.Node], machine: Mapping, weights: Collection[fx.Node]):
        self.again: set[fx.Node] = set()
        self.free: set[fx.Node] = set()  # weights, inputs, and views of those, which MemoryX has, and what it computes from weights or nothing
        self._constant: set[fx.Node] = set(weights)
        self._saved: set[fx.Node] = set()
        self._needs: dict[fx.Node, frozenset[fx.Node]] = {}  # of a value that may be computed again, the others that have to be there
        self._machine = machine
        for node in forward:
            self._look_at(node, any(user in backward for user in node.users))

    def _look_at(self, node: fx.Node, is_read: bool) -> None:
        if node.op == "call_function" and all(argument in self._constant for argument in node.all_input_nodes):
            self._constant.add(node)
        if node.op in ("placeholder", "get_attr") or node in self._constant or (node.target in _OF_WEIGHTS and all(argument in self.free for argument in node.all_input_nodes)):
            self.free.add(node)
            return
        needs = self._needs_of(node)
        if is_read and (needs is None or sum(_size(need) for need in needs - self._saved) >= _size(node)):
            self._saved.add(node)  # what it comes from and is not kept anyway is no less than it is
            return
        if needs is not None:
            self._needs[node] = needs
            if is_read:
                self._saved |= needs
                self._choose(node)

    def _needs_of(self, node: fx.Node) -> frozenset[fx.Node] | None:
        """What has to be there to compute a value again; None if it is not to be."""
        sources = self._sources(node)
        return None if sources is None else frozenset().union(*(self._needs.get(source, frozenset((source,))) for source in sources if source not in self.free))

    def _choose(self, node: fx.Node) -> None:
        if node in self.again or node in self.free or node not in self._needs:
            return
        self.again.add(node)
        for source in node.all_input_nodes:
            self._choose(source)

    def _sources(self, node: fx.Node) -> list[fx.Node] | None:
        """What a value is cheap to compute from; None if it is not."""
        if node.op != "call_function" or not isinstance(node.meta.get("val"), torch.Tensor):
            return None
        if node.target in _PRODUCTS:
            input_, weight = (node.args[i] for i in _PRODUCTS[node.target])
            tokens, features = input_.meta["val"].shape
            narrows = weight not in self.free or (1 + _ZEROS) * weight.meta["val"].shape[1] < features
            return node.all_input_nodes if not narrows and pays(self._machine, tokens, features) else None
        if node.target is torch.ops.wafer.attend.default:
            batch, tokens, _ = node.args[0].meta["val"].shape
            return node.all_input_nodes if pays(self._machine, batch * tokens, 2 * tokens) else None
        # Means of tokens and the like are as cheap to keep, random numbers would be others, and what is moved in MemoryX would be moved once more.
        is_pointwise = isinstance(node.target, torch._ops.OpOverload) and torch.Tag.pointwise in node.target.tags
        return node.all_input_nodes if (is_pointwise or node.target in _VIEWS) and node.meta["val"].is_floating_point() else None


def _size(node: fx.Node) -> int:
    value = node.meta.get("val")
    return value.numel() if isinstance(value, torch.Tensor) else 1
