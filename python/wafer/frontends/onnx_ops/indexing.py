"""Operators that read or write elements at computed indices."""

from __future__ import annotations

import math

import torch

from wafer.frontends.deferred import Any, known
from wafer.frontends.onnx_ops.node import Node
from wafer.frontends.onnx_ops.registry import operator


def _from_start(index: Any, size: int) -> Any:
    """Indices without those that count from the end."""
    return torch.where(index < 0, index + size, index)


@operator("Gather")
def _gather(node: Node, x: Any, index: Any) -> Any:
    axis = node.attribute("axis", 0) % x.dim()
    if known(index) is not None and index.numel() == 1:
        # One place: a slice.
        place = known(index).item()
        part = torch.narrow(x, axis, place % x.shape[axis], 1)
        return part.reshape([*x.shape[:axis], *index.shape, *x.shape[axis + 1 :]])
    result = torch.index_select(x, axis, _from_start(index, x.shape[axis]).reshape(-1))
    return result.reshape([*x.shape[:axis], *index.shape, *x.shape[axis + 1 :]])


@operator("GatherElements")
def _gather_elements(node: Node, x: Any, index: Any) -> Any:
    axis = node.attribute("axis", 0)
    return torch.gather(x, axis, _from_start(index, x.shape[axis]).to(torch.int64))


@operator("GatherND")
def _gather_nd(node: Node, x: Any, index: Any) -> Any:
    batch, depth = node.attribute("batch_dims", 0), index.shape[-1]
    lead = [torch.arange(size).reshape([-1 if d == i else 1 for d in range(index.dim() - 1)]) for i, size in enumerate(x.shape[:batch])]
    given = [torch.select(index, -1, i).to(torch.int64) for i in range(depth)]
    return torch.ops.aten.index.Tensor(x, lead + given)


_REDUCTIONS = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}


@operator("ScatterElements", "Scatter")
def _scatter_elements(node: Node, x: Any, index: Any, updates: Any) -> Any:
    axis, reduction = node.attribute("axis", 0), node.attribute("reduction", "none")
    index = _from_start(index, x.shape[axis]).to(torch.int64)
    if reduction == "none":
        return torch.scatter(x, axis, index, updates)
    return torch.scatter_reduce(x, axis, index, updates, _REDUCTIONS[reduction])


@operator("ScatterND")
def _scatter_nd(node: Node, x: Any, index: Any, updates: Any) -> Any:
    """As writes along one dimension: the indexed ones are taken together."""
    depth, reduction = index.shape[-1], node.attribute("reduction", "none")
    sizes, rest = list(x.shape[:depth]), math.prod(x.shape[depth:])
    place = None
    for i, size in enumerate(sizes):
        here = _from_start(torch.select(index, -1, i), size).to(torch.int64)
        place = here if place is None else place * size + here
    lines = x.reshape(math.prod(sizes), rest)
    index = place.reshape(-1, 1).expand(-1, rest)
    updates = updates.reshape(index.shape)
    if reduction == "none":
        result = torch.scatter(lines, 0, index, updates)
    else:
        result = torch.scatter_reduce(lines, 0, index, updates, _REDUCTIONS[reduction])
    return result.reshape(x.shape)


@operator("TensorScatter")
def _tensor_scatter(node: Node, past: Any, update: Any, first: Any | None = None) -> Any:
    """Writes `update` into a cache, for each batch from a place of its own on."""
    axis = node.attribute("axis", -2) % past.dim()
    size, count = past.shape[axis], update.shape[axis]
    steps = torch.arange(count).reshape([-1 if d == axis else 1 for d in range(past.dim())])
    starts = torch.zeros(past.shape[0], dtype=torch.int64) if first is None else first
    place = starts.reshape(-1, *[1] * (past.dim() - 1)).to(torch.int64) + steps
    if node.attribute("mode", "linear") == "circular":
        place = torch.remainder(place, size)
    return torch.scatter(past, axis, place.expand(update.shape), update)


@operator("OneHot")
def _one_hot(node: Node, index: Any, depth: Any, values: Any) -> Any:
    axis, count = node.attribute("axis", -1), int(node.numbers(depth, "depth")[0])
    rank = index.dim() + 1
    axis = axis % rank
    index = index.to(torch.int64) if index.dtype != torch.int64 else index
    places = _from_start(index, count).unsqueeze(axis)
    line = torch.arange(count).reshape([-1 if d == axis else 1 for d in range(rank)])
    off, on = (torch.select(values, 0, i) for i in range(2))
    return torch.where(torch.eq(places, line), on, off)


@operator("ArrayFeatureExtractor", domain="ai.onnx.ml")
def _array_feature_extractor(node: Node, x: Any, index: Any) -> Any:
    return torch.index_select(x, -1, index.reshape(-1))
