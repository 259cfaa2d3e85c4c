"""Pooling: reductions over windows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F

from wafer.frontends import types
from wafer.frontends.aten import reductions
from wafer.frontends.aten.shapes import padded
from wafer.frontends.body import Body, Scalar
from wafer.frontends.context import Context
from wafer.frontends.registry import lowering
from wafer.frontends.tensor import Tensor


def _pooled(
    ctx: Context, a: Tensor, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int],
    init: float | int, combine: Callable[..., Scalar], dtype: torch.dtype,
) -> Tensor:  # fmt: skip
    """Combines the elements of each window; `init` also fills what lies outside of the tensor."""
    spatial = len(kernel)
    lead = a.rank - spatial
    out = ctx.shape[lead:]
    # A window of ceil_mode may begin inside and end outside.
    used = [(o - 1) * s + (k - 1) * d + 1 for o, s, k, d in zip(out, stride, kernel, dilation)]
    high = [u - size - p for u, size, p in zip(used, a.shape[lead:], padding)]
    a = padded(ctx, a, [0] * lead + list(padding), [0] * lead + high, init)
    pixels = [f"d{lead + i}" for i in range(spatial)]
    window = [f"d{lead + spatial + i}" for i in range(spatial)]
    read = [f"d{i}" for i in range(lead)] + [f"{p} * {s} + {w} * {d}" for p, s, w, d in zip(pixels, stride, window, dilation)]
    # The size of the window is that of an operand that is not read.
    shape_of_window = ctx.writer.empty(tuple(kernel), dtype)
    element = types.computed(dtype)
    return ctx.writer.generic(
        [(a, read), (shape_of_window, window)],
        "p" * (lead + spatial) + "r" * spatial,
        tuple(a.shape[:lead]) + tuple(out),
        dtype,
        lambda b, x, unread, total: combine(b, b.cast(x, element), total),
        init=init,
    )


def _list(values: Sequence[int] | int, count: int) -> list[int]:
    values = [values] if isinstance(values, int) else list(values)
    return values * count if len(values) == 1 else values


def _places_of_maxima(
    ctx: Context, a: Tensor, best: Tensor, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int]
) -> Tensor:
    """For each window the first element that is its maximum, or NaN: its number among the elements of the spatial dimensions."""
    spatial = len(kernel)
    lead = a.rank - spatial
    sizes, out = a.shape[lead:], best.shape[lead:]
    used = [(o - 1) * s + (k - 1) * d + 1 for o, s, k, d in zip(out, stride, kernel, dilation)]
    high = [u - size - p for u, size, p in zip(used, sizes, padding)]
    around = padded(ctx, a, [0] * lead + list(padding), [0] * lead + high, reductions.lowest(a.dtype))
    pixels = [f"d{lead + i}" for i in range(spatial)]
    window = [f"d{lead + spatial + i}" for i in range(spatial)]
    read = [f"d{i}" for i in range(lead)] + [f"{p} * {s} + {w} * {d}" for p, s, w, d in zip(pixels, stride, window, dilation)]
    shape_of_window = ctx.writer.empty(tuple(kernel), a.dtype)

    def body(b: Body, x: Scalar, unread: Scalar, top: Scalar, first: Scalar) -> Scalar:
        x, top = (b.cast(value, types.computed(types.widened(a.dtype))) for value in (x, top))
        found = b.compare("eq", x, top)
        if x.is_float:
            found = b.apply("arith.ori", found, b.is_nan(x))
        place = b.const(0, "i32")
        for i, size in enumerate(sizes):
            pixel, k = b.cast(b.index(lead + i), "i32"), b.cast(b.index(lead + spatial + i), "i32")
            at = b.add(b.mul(pixel, b.const(stride[i], "i32")), b.mul(k, b.const(dilation[i], "i32")))
            at = b.sub(at, b.const(padding[i], "i32"))
            inside = b.apply("arith.andi", b.compare("ge", at, b.const(0, "i32")), b.compare("lt", at, b.const(size, "i32")))
            found = b.apply("arith.andi", found, inside)
            place = b.add(b.mul(place, b.const(size, "i32")), at)
        return b.minimum(first, b.select(found, place, b.const(types.INT32_MAX, "i32")))

    inputs = [(around, read), (shape_of_window, window), (best, [f"d{i}" for i in range(a.rank)])]
    return ctx.writer.generic(inputs, "p" * a.rank + "r" * spatial, best.shape, torch.int64, body, init=types.INT32_MAX)


def _max_pool(
    ctx: Context, spatial: int, a: Tensor, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int]
) -> tuple[Tensor, Tensor | None]:
    kernel, padding, dilation = (_list(values, spatial) for values in (kernel, padding, dilation))
    stride = _list(stride, spatial) if stride else kernel
    best = _pooled(ctx, a, kernel, stride, padding, dilation, reductions.lowest(a.dtype), lambda b, x, total: b.maximum(x, total), a.dtype)
    return best, _places_of_maxima(ctx, a, best, kernel, stride, padding, dilation) if 1 in ctx.used else None


@lowering("aten.max_pool2d_with_indices.default")
def _max_pool2d(ctx: Context, a: Tensor, kernel, stride=(), padding=0, dilation=1, ceil_mode: bool = False) -> tuple[Tensor, Tensor | None]:
    return _max_pool(ctx, 2, a, kernel, stride, padding, dilation)


@lowering("aten.max_pool3d_with_indices.default")
def _max_pool3d(ctx: Context, a: Tensor, kernel, stride=(), padding=0, dilation=1, ceil_mode: bool = False) -> tuple[Tensor, Tensor | None]:
    return _max_pool(ctx, 3, a, kernel, stride, padding, dilation)


def _avg_pool(ctx: Context, spatial: int, a: Tensor, kernel, stride, padding, ceil_mode: bool, count_include_pad: bool, divisor: int | None) -> Tensor:
    kernel, padding = _list(kernel, spatial), _list(padding, spatial)
    stride = _list(stride, spatial) if stride else kernel
    total = _pooled(ctx, a, kernel, stride, padding, [1] * spatial, 0, lambda b, x, t: b.add(x, t), types.widened(a.dtype))
    numbers = window_sizes(ctx, a.shape[-spatial:], ctx.shape[-spatial:], kernel, stride, padding, ceil_mode, count_include_pad, divisor)
    return ctx.elementwise(lambda b, x, n: b.div(x, n), total, numbers)


def window_sizes(
    ctx: Context, sizes: Sequence[int], out: Sequence[int], kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int],
    ceil_mode: bool, count_include_pad: bool, divisor: int | None,
) -> Tensor:  # fmt: skip
    """By what the sum of each window is divided: one number, or one per window."""
    spatial = len(kernel)
    if divisor or (not ceil_mode and (count_include_pad or not any(padding))):
        return Tensor.of_constant(torch.tensor(float(divisor or math.prod(kernel))))
    # How many elements a window holds differs at the edges: PyTorch says, by averaging the place's own share.
    ones = torch.ones(1, 1, *sizes)
    pool = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}[spatial]
    share = pool(ones, kernel, stride, padding, ceil_mode, count_include_pad)
    count_inside = pool(ones, kernel, stride, padding, ceil_mode, True, 1) if spatial > 1 else pool(ones, kernel, stride, padding, ceil_mode, True) * kernel[0]
    return Tensor.of_constant((count_inside / share).round().reshape(tuple(out)))


@lowering("aten.avg_pool2d.default")
def _avg_pool2d(ctx: Context, a: Tensor, kernel, stride=(), padding=0, ceil_mode: bool = False, count_include_pad: bool = True, divisor_override: int | None = None) -> Tensor:
    return _avg_pool(ctx, 2, a, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override)


@lowering("aten.avg_pool3d.default")
def _avg_pool3d(ctx: Context, a: Tensor, kernel, stride=(), padding=0, ceil_mode: bool = False, count_include_pad: bool = True, divisor_override: int | None = None) -> Tensor:
    return _avg_pool(ctx, 3, a, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override)


@lowering("aten.avg_pool1d.default")
def _avg_pool1d(ctx: Context, a: Tensor, kernel, stride=(), padding=0, ceil_mode: bool = False, count_include_pad: bool = True) -> Tensor:
    return _avg_pool(ctx, 1, a, kernel, stride, padding, ceil_mode, count_include_pad, None)


def _shares(size: int, out: int) -> Tensor:
    """How much of each pixel is in each average: [out, size]."""
    result = torch.zeros(out, size)
    for i in range(out):
        first, end = i * size // out, -(-(i + 1) * size // out)
        result[i, first:end] = 1 / (end - first)
    return Tensor.of_constant(result)


def averaged(ctx: Context, a: Tensor, sizes: Sequence[int], backward: bool = False) -> Tensor:
    """The last dimensions averaged to `sizes` where windows differ in length: a product with a matrix for each dimension. `backward`: the gradient, whose
    dimensions become `sizes`."""
    result, labels = a, "abcdefg"[: a.rank]
    for d, size in enumerate(sizes, a.rank - len(sizes)):
        label = labels[d]
        if result.shape[d] != size:
            shares = _shares(size, result.shape[d]) if backward else _shares(result.shape[d], size)
            matrix = f"{label}z" if backward else f"z{label}"
            result = ctx.contract(f"{labels},{matrix}->{labels.replace(label, 'z')}", result, shares, dtype=torch.float32)
    return ctx.converted(result, ctx.dtype)


@lowering("aten._adaptive_avg_pool2d.default", "aten._adaptive_avg_pool3d.default")
def _adaptive_avg_pool(ctx: Context, a: Tensor, sizes: Sequence[int]) -> Tensor:
    spatial = len(sizes)
    if 0 in ctx.shape or any(size % out for size, out in zip(a.shape[-spatial:], sizes)):
        return averaged(ctx, a, sizes)
    kernel = [size // out for size, out in zip(a.shape[-spatial:], sizes)]
    return _avg_pool(ctx, spatial, a, kernel, kernel, 0, False, True, None)
