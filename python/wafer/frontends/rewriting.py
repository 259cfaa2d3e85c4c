"""What changes of PyTorch's graphs have in common, before they are imported or differentiated."""

from __future__ import annotations

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
