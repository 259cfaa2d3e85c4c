"""Reductions over windows, and what their gradients need."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import torch

from wafer.frontends import deferred, types
from wafer.frontends.aten.pooling import _pooled
from wafer.frontends.aten.shapes import padded as padded_in_ir
from wafer.frontends.body import Body, Scalar
from wafer.frontends.context import Context
from wafer.frontends.deferred import Any, Deferred
from wafer.frontends.stablehlo_ops.operation import Operation
from wafer.frontends.stablehlo_ops.reductions import highest, lowest
from wafer.frontends.stablehlo_ops.registry import operator
from wafer.frontends.stablehlo_ops.shapes import inside, padded, spread
from wafer.frontends.tensor import Tensor

# The element of nothing, and what combines two.
_COMBINATIONS: dict[str, tuple[Callable[[torch.dtype], object], Callable[[Body, Scalar, Scalar], Scalar], Callable[..., Any]]] = {
    "add": (lambda dtype: 0, lambda b, x, total: b.add(x, total), torch.sum),
    "maximum": (lowest, lambda b, x, total: b.maximum(x, total), torch.amax),
    "minimum": (highest, lambda b, x, total: b.minimum(x, total), torch.amin),
    "multiply": (lambda dtype: 1, lambda b, x, total: b.mul(x, total), None),
}


def _windowed(kernel: Sequence[int], strides: Sequence[int], low: Sequence[int], high: Sequence[int]) -> tuple[list[int], list[int]]:
    """The dimensions over which windows go, and an order with them last."""
    dims = [d for d in range(len(kernel)) if (kernel[d], strides[d], low[d], high[d]) != (1, 1, 0, 0)]
    return dims, [d for d in range(len(kernel)) if d not in dims] + dims


def _back(order: Sequence[int]) -> list[int]:
    return [order.index(d) for d in range(len(order))]


@operator("stablehlo.reduce_window")
def _reduce_window(op: Operation, *operands: Any) -> Any:
    if len(operands) != 2:
        raise op.refused(f"reduces {len(operands) // 2} arrays together, expected one")
    x, init = operands
    rank = x.dim()
    name, ones = op.combination(), [1] * rank
    if name not in _COMBINATIONS or x.dtype == torch.bool:
        raise op.refused(f"reduces windows of {str(x.dtype).removeprefix('torch.')} by '{name}', expected numbers and {', '.join(_COMBINATIONS)}")
    neutral, combine, of_constants = _COMBINATIONS[name]
    first = op.constant(init, "first value").flatten()[0].item()
    if first != neutral(x.dtype):
        raise op.refused(f"begins with {first}, expected {neutral(x.dtype)}, which changes nothing")
    kernel, strides = op.numbers("window_dimensions"), op.numbers("window_strides", ones)
    dilations, gaps = op.numbers("window_dilations", ones), [n - 1 for n in op.numbers("base_dilations", ones)]
    low, high = op.pairs("padding", rank)
    if any(gaps) and first:
        raise op.refused(f"puts {first} between elements, expected zero")
    x = spread(x, gaps)
    dims, order = _windowed(kernel, strides, low, high)
    if not dims:
        return x
    if not isinstance(x, Deferred) and of_constants is not None and x.dtype != torch.bool:
        return _of_constant(x, kernel, strides, dilations, low, high, first, of_constants)
    shape = tuple(op.shape[d] for d in order)
    dtype = types.widened(x.dtype)

    def lower(ctx: Context, a: Tensor) -> Tensor:
        along = [[values[d] for d in dims] for values in (kernel, strides, low, dilations)]
        return ctx.converted(_pooled(ctx, a.permuted(order), *along, first, combine, dtype), x.dtype)

    return op.made(lower, x, results=((shape, x.dtype),)).permute(_back(order))


def _of_constant(x: torch.Tensor, kernel, strides, dilations, low, high, first, reduction) -> torch.Tensor:
    x = padded(x, low, high, first)
    for d, (size, step, dilation) in enumerate(zip(kernel, strides, dilations)):
        windows = x.unfold(d, (size - 1) * dilation + 1, step)[..., ::dilation]
        x = reduction(windows, -1).to(x.dtype)
    return x


@operator("stablehlo.select_and_scatter")
def _select_and_scatter(op: Operation, x: Any, source: Any, init: Any) -> Any:
    """The gradient of a maximum over windows: what `source` holds for a window goes to the first of its greatest elements."""
    rank = x.dim()
    if op.comparison(0) != "GE" or op.combination(1) != "add" or op.constant(init, "first value").item() != 0:
        raise op.refused("chooses or adds in another way than the gradient of a maximum over windows does")
    kernel, strides = op.numbers("window_dimensions", [1] * rank), op.numbers("window_strides", [1] * rank)
    low, high = op.pairs("padding", rank)
    dims, order = _windowed(kernel, strides, low, high)
    kernel, strides, low, high = ([values[d] for d in dims] for values in (kernel, strides, low, high))
    lead = rank - len(dims)
    loops = [f"d{i}" for i in range(rank)]
    window = [f"d{rank + i}" for i in range(len(dims))]
    iterators = "p" * rank + "r" * len(dims)

    def number(b: Body) -> Scalar:
        """Of the window's element, counted row by row."""
        result = b.const(0, "index")
        for i, size in enumerate(kernel):
            result = b.add(b.mul(result, b.const(size, "index")), b.index(rank + i))
        return b.cast(result, "i32")

    def first_greatest(ctx: Context, a: Tensor, out: Tensor) -> Tensor:
        used = [(o - 1) * s + k for o, s, k in zip(out.shape[lead:], strides, kernel)]
        after = [u - size - l for u, size, l in zip(used, a.shape[lead:], low)]
        best = _pooled(dataclasses.replace(ctx, results=((out.shape, a.dtype),)), a, kernel, strides, low, [1] * len(dims), lowest(a.dtype), lambda b, x, total: b.maximum(x, total), a.dtype)
        a = padded_in_ir(ctx, a, [0] * lead + low, [0] * lead + after, lowest(a.dtype))
        read = loops[:lead] + [f"{p} * {s} + {w}" for p, s, w in zip(loops[lead:], strides, window)]

        def body(b: Body, element: Scalar, greatest: Scalar, unread: Scalar, first: Scalar) -> Scalar:
            found = b.apply("arith.ori", b.compare("eq", element, greatest), b.is_nan(element))
            return b.minimum(first, b.select(found, number(b), b.const(types.INT32_MAX, "i32")))

        shape_of_window = ctx.writer.empty(tuple(kernel), a.dtype)
        return ctx.writer.generic([(a, read), (best, loops), (shape_of_window, window)], iterators, out.shape, torch.int32, body, init=types.INT32_MAX)

    def lower(ctx: Context, a: Tensor, out: Tensor) -> Tensor:
        a, out = a.permuted(order), ctx.writer.plain(out.permuted(order))
        places = ctx.writer.plain(first_greatest(ctx, a, out))

        def body(b: Body, unread: Scalar, total: Scalar) -> Scalar:
            # The window that has this element as its element number k, if there is one.
            inside_all, index = b.const(True, "i1"), [b.index(i) for i in range(lead)]
            for i, (step, before) in enumerate(zip(strides, low)):
                distance = b.sub(b.add(b.index(lead + i), b.const(before, "index")), b.index(rank + i))
                begin = b.maximum(distance, b.const(0, "index"))
                place = b.div(begin, b.const(step, "index"))
                exact = b.compare("eq", b.mul(place, b.const(step, "index")), distance)
                small = b.compare("lt", place, b.const(out.shape[lead + i], "index"))
                inside_all = b.apply("arith.andi", inside_all, b.apply("arith.andi", exact, small))
                index.append(inside(b, place, out.shape[lead + i] - 1))
            at = ", ".join(scalar.name for scalar in index)
            chosen = b.emit(f"tensor.extract {places.name}[{at}] : {places.type}", "i32")
            value = b.cast(b.emit(f"tensor.extract {out.name}[{at}] : {out.type}", out.element), total.type)
            here = b.apply("arith.andi", inside_all, b.compare("eq", chosen, number(b)))
            return b.add(total, b.select(here, value, b.like(0, value)))

        shape_of_window = ctx.writer.empty(tuple(kernel), a.dtype)
        total = ctx.writer.generic([(shape_of_window, window)], iterators, a.shape, types.widened(a.dtype), body, init=0)
        return ctx.converted(total, a.dtype)

    shape = tuple(op.shape[d] for d in order)
    return op.made(lower, x, source, results=((shape, x.dtype),)).permute(_back(order))
