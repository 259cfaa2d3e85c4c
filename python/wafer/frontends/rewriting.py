"""What changes of PyTorch's graphs have in common, before they are imported or differentiated."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import fx

_ATEN = torch.ops.aten
VIEWS = {_ATEN.view.default, _ATEN.reshape.default, _ATEN._unsafe_view.default}


def shape(node: fx.Node) -> tuple[int, ...]:
    return tuple(node.meta["val"].shape)


class Writer:
    """New nodes where the graph inserts, with the place in the source of `like`, and values without data as others have."""

    def __init__(self, graph: fx.Graph, like: fx.Node):
        self._graph, self._like = graph, like

    def __call__(self, target: torch._ops.OpOverload, *args: object, **kwargs: object) -> fx.Node:
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


def value_of(node: fx.Node, constants: Mapping[str, torch.Tensor]) -> torch.Tensor | None:
    """What a node always is, where it depends on nothing but `constants`, which are values of placeholders by their names; else None."""
    values: dict[fx.Node, object] = {}
    work = [node]
    while work:
        last = work[-1]
        missing = [source for source in last.all_input_nodes if source not in values]
        if missing:
            work += missing
            continue
        work.pop()
        if last.op == "placeholder" and last.name in constants:
            values[last] = constants[last.name]
        elif last.op == "call_function" and torch.Tag.nondeterministic_seeded not in getattr(last.target, "tags", ()):
            args, kwargs = fx.node.map_arg((last.args, last.kwargs), values.__getitem__)
            with torch.no_grad():
                values[last] = last.target(*args, **kwargs)
        else:
            return None
    return values[node]
