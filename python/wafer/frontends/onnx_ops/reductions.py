"""Operators that combine elements along axes, and the places of extremes."""

from __future__ import annotations

import torch

from wafer.frontends.deferred import Any
from wafer.frontends.onnx_ops.node import Node
from wafer.frontends.onnx_ops.registry import operator


def _prod(x: Any, dims: list[int], keep: bool) -> Any:
    for d in sorted((d % x.dim() for d in dims), reverse=True) if x.dim() else []:
        x = torch.prod(x, d, keepdim=keep, dtype=x.dtype)
    return x


def _log_sum_exp(x: Any, dims: list[int], keep: bool) -> Any:
    top = torch.amax(x, dims, keepdim=True)
    top = torch.where(torch.isfinite(top), top, torch.zeros((), dtype=x.dtype))
    result = torch.log(torch.sum(torch.exp(x - top), dims, keepdim=True)) + top
    return result if keep else result.reshape([size for d, size in enumerate(x.shape) if d not in {e % x.dim() for e in dims}])


_REDUCTIONS = {
    "ReduceSum": lambda x, dims, keep: torch.sum(x, dims, keepdim=keep, dtype=x.dtype),
    "ReduceMean": lambda x, dims, keep: torch.mean(x, dims, keepdim=keep),
    "ReduceMax": lambda x, dims, keep: torch.amax(x, dims, keepdim=keep),
    "ReduceMin": lambda x, dims, keep: torch.amin(x, dims, keepdim=keep),
    "ReduceProd": _prod,
    "ReduceL1": lambda x, dims, keep: torch.sum(torch.abs(x), dims, keepdim=keep, dtype=x.dtype),
    "ReduceL2": lambda x, dims, keep: torch.sqrt(torch.sum(x * x, dims, keepdim=keep, dtype=x.dtype)),
    "ReduceSumSquare": lambda x, dims, keep: torch.sum(x * x, dims, keepdim=keep, dtype=x.dtype),
    "ReduceLogSum": lambda x, dims, keep: torch.log(torch.sum(x, dims, keepdim=keep)),
    "ReduceLogSumExp": _log_sum_exp,
}

# What an empty set reduces to.
_OF_NOTHING = {"ReduceMax": -torch.inf, "ReduceMin": torch.inf, "ReduceProd": 1, "ReduceLogSum": -torch.inf, "ReduceLogSumExp": -torch.inf}


def _reduce(node: Node, x: Any, axes: Any | None = None) -> Any:
    dims = node.setting("axes", axes)
    if not dims and node.attribute("noop_with_empty_axes", 0):
        dims = [] if axes is None else dims
        return _without_axes(node.op, x)
    dims = list(range(x.dim())) if not dims else dims
    keep = bool(node.attribute("keepdims", 1))
    if 0 in x.shape:
        shape = [1 if d in {e % x.dim() for e in dims} else size for d, size in enumerate(x.shape)]
        shape = shape if keep else [size for d, size in enumerate(x.shape) if d not in {e % x.dim() for e in dims}]
        if 0 not in shape:
            return torch.full(shape, _of_nothing(node.op, x.dtype), dtype=x.dtype)
    if not dims:
        return _without_axes(node.op, x)
    if x.dtype == torch.bool:
        return (torch.amax if node.op == "ReduceMax" else torch.amin)(x, dims, keepdim=keep)
    if node.op in ("ReduceMean", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp") and not x.is_floating_point():
        return _REDUCTIONS[node.op](x.to(torch.float32), dims, keep).to(x.dtype)
    return _REDUCTIONS[node.op](x, dims, keep)


def _without_axes(op: str, x: Any) -> Any:
    """Each element is reduced alone."""
    if op in ("ReduceL1", "ReduceL2"):
        return torch.abs(x)
    return x * x if op == "ReduceSumSquare" else torch.log(x) if op == "ReduceLogSum" else x


def _of_nothing(op: str, dtype: torch.dtype) -> float | int:
    value = _OF_NOTHING.get(op, 0)
    if dtype == torch.bool:
        return value > 0
    if not dtype.is_floating_point and abs(value) == torch.inf:
        return torch.iinfo(torch.int32 if dtype == torch.int64 else dtype).max if value > 0 else torch.iinfo(torch.int32 if dtype == torch.int64 else dtype).min
    return value


for _name in _REDUCTIONS:
    operator(_name)(_reduce)


def _place(node: Node, x: Any, function) -> Any:
    axis, keep = node.attribute("axis", 0), bool(node.attribute("keepdims", 1))
    if not node.attribute("select_last_index", 0):
        return function(x, axis, keepdim=keep)
    return x.shape[axis] - 1 - function(torch.flip(x, [axis]), axis, keepdim=keep)


@operator("ArgMax")
def _arg_max(node: Node, x: Any) -> Any:
    return _place(node, x, torch.argmax)


@operator("ArgMin")
def _arg_min(node: Node, x: Any) -> Any:
    return _place(node, x, torch.argmin)


@operator("Hardmax")
def _hardmax(node: Node, x: Any) -> Any:
    axis = node.attribute("axis", -1 if node.version >= 13 else 1)
    flat = x if node.version >= 13 else x.reshape(_product(x.shape[:axis]), -1)
    axis = axis % x.dim() if node.version >= 13 else 1
    places = torch.argmax(flat, axis, keepdim=True)
    line = torch.arange(flat.shape[axis]).reshape([-1 if d == axis else 1 for d in range(flat.dim())])
    return torch.eq(places, line).to(x.dtype).reshape(x.shape)


def _product(sizes) -> int:
    result = 1
    for size in sizes:
        result *= size
    return result


@operator("TopK")
def _top_k(node: Node, x: Any, count: Any | None = None) -> tuple[Any, Any]:
    count = node.attribute("k") if count is None else node.numbers(count, "k")[0]
    return tuple(torch.topk(x, count, node.attribute("axis", -1), bool(node.attribute("largest", 1))))


@operator("CumSum")
def _cum_sum(node: Node, x: Any, axis: Any) -> Any:
    axis = node.numbers(axis, "axis")[0] % x.dim()
    x = torch.flip(x, [axis]) if node.attribute("reverse", 0) else x
    result = torch.cumsum(x, axis, dtype=x.dtype)
    if node.attribute("exclusive", 0):
        result = result - x
    return torch.flip(result, [axis]) if node.attribute("reverse", 0) else result


@operator("CumProd")
def _cum_prod(node: Node, x: Any, axis: Any) -> Any:
    axis = node.numbers(axis, "axis")[0] % x.dim()
    parts = list(torch.unbind(x, axis))
    parts = parts[::-1] if node.attribute("reverse", 0) else parts
    so_far, results = None, []
    for part in parts:
        before = so_far
        so_far = part if so_far is None else so_far * part
        results.append((torch.ones(part.shape, dtype=x.dtype) if before is None else before) if node.attribute("exclusive", 0) else so_far)
    return torch.stack(results[::-1] if node.attribute("reverse", 0) else results, axis)
