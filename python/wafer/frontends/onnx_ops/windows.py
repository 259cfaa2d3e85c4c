"""Operators over windows: convolutions and pooling."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F

from wafer.frontends import deferred
from wafer.frontends.deferred import Any
from wafer.frontends.onnx_ops.node import Node
from wafer.frontends.onnx_ops.registry import operator

aten = torch.ops.aten


def window(node: Node, kernel: Sequence[int]) -> tuple[list[int], list[int]]:
    """Strides and dilations."""
    ones = [1] * len(kernel)
    return node.attribute("strides", ones), node.attribute("dilations", ones)


def pads(node: Node, sizes: Sequence[int], kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]) -> tuple[list[int], list[int]]:
    """How many elements are added before and after each dimension."""
    mode, count = node.attribute("auto_pad", "NOTSET"), len(kernel)
    if mode == "VALID":
        return [0] * count, [0] * count
    if mode == "NOTSET":
        given = node.attribute("pads", [0] * 2 * count)
        return given[:count], given[count:]
    totals = [max((math.ceil(n / s) - 1) * s + (k - 1) * d + 1 - n, 0) for n, k, s, d in zip(sizes, kernel, strides, dilations)]
    small, large = [total // 2 for total in totals], [total - total // 2 for total in totals]
    return (small, large) if mode == "SAME_UPPER" else (large, small)


def padded(x: Any, low: Sequence[int], high: Sequence[int], value: float = 0) -> Any:
    """With `value` around the last dimensions."""
    if not any((*low, *high)):
        return x
    return F.pad(x, [count for pair in zip(reversed(low), reversed(high)) for count in pair], value=value)


def convolution(node: Node, x: Any, weight: Any, bias: Any | None) -> Any:
    kernel = list(weight.shape[2:])
    strides, dilations = window(node, kernel)
    low, high = pads(node, x.shape[2:], kernel, strides, dilations)
    if low != high:
        x, low = padded(x, low, high), [0] * len(kernel)
    return deferred.whole(aten.convolution.default, x, weight, bias, strides, low, dilations, False, [0] * len(kernel), node.attribute("group", 1))


@operator("Conv")
def _conv(node: Node, x: Any, weight: Any, bias: Any | None = None) -> Any:
    return convolution(node, x, weight, bias)


@operator("ConvTranspose")
def _conv_transpose(node: Node, x: Any, weight: Any, bias: Any | None = None) -> Any:
    """The whole of what the windows touch, then what `pads` cut and `output_padding` adds."""
    kernel = list(weight.shape[2:])
    count = len(kernel)
    strides, dilations = window(node, kernel)
    added, mode = node.attribute("output_padding", [0] * count), node.attribute("auto_pad", "NOTSET")
    full = [(n - 1) * s + (k - 1) * d + 1 for n, k, s, d in zip(x.shape[2:], kernel, strides, dilations)]
    wanted = node.attribute("output_shape")
    if wanted is None and mode.startswith("SAME"):
        wanted = [n * s for n, s in zip(x.shape[2:], strides)]
    if wanted is not None:
        totals = [max(size + extra - want, 0) for size, extra, want in zip(full, added, wanted[-count:])]
        small, large = [total // 2 for total in totals], [total - total // 2 for total in totals]
        low, high = (small, large) if mode == "SAME_UPPER" else (large, small)
        high = [h + size + extra - want - l - h for size, extra, want, l, h in zip(full, added, wanted[-count:], low, high)]
    else:
        low, high = pads(node, x.shape[2:], kernel, strides, dilations)
    result = deferred.whole(
        aten.convolution.default, x, weight, bias if not any(added) else None, strides, [0] * count, dilations, True, [0] * count, node.attribute("group", 1)
    )
    result = padded(result, [-count for count in low], [extra - count for extra, count in zip(added, high)])
    if bias is not None and any(added):
        result = result + bias.reshape(-1, *[1] * count)
    return result


# Pooling


def _out_sizes(
    node: Node, sizes: Sequence[int], kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int], low: Sequence[int], high: Sequence[int]
) -> list[int]:
    """Windows along each dimension; with ceil_mode the last may end outside, if it begins inside."""
    result = []
    for n, k, s, d, l, h in zip(sizes, kernel, strides, dilations, low, high):
        span = n + l + h - (k - 1) * d - 1
        windows = (-(-span // s) if node.attribute("ceil_mode", 0) else span // s) + 1
        if node.attribute("ceil_mode", 0) and (windows - 1) * s >= n + l:
            windows -= 1
        result.append(windows)
    return result


def _whole_windows(node: Node, x: Any, outside: float) -> tuple[Any, list[int], list[int], list[int], list[int]]:
    """`x` padded so that windows fill it exactly; kernel, strides, dilations, padding in front."""
    kernel = node.attribute("kernel_shape")
    strides, dilations = window(node, kernel)
    sizes = x.shape[2:]
    low, high = pads(node, sizes, kernel, strides, dilations)
    out = _out_sizes(node, sizes, kernel, strides, dilations, low, high)
    high = [(o - 1) * s + (k - 1) * d + 1 - n - l for o, n, k, s, d, l in zip(out, sizes, kernel, strides, dilations, low)]
    return padded(x, low, high, outside), kernel, strides, dilations, low


def _lowest(dtype: torch.dtype) -> float | int:
    return -math.inf if dtype.is_floating_point else torch.iinfo(dtype).min


def _max_windows(x: Any, kernel: list[int], strides: list[int], dilations: list[int]) -> Any:
    if len(kernel) == 1:
        return _max_windows(x.unsqueeze(2), [1, *kernel], [1, *strides], [1, *dilations]).squeeze(2)
    if len(kernel) == 2:
        return aten.max_pool2d_with_indices.default(x, kernel, strides, 0, dilations)[0]
    if len(kernel) == 3:
        return aten.max_pool3d_with_indices.default(x, kernel, strides, 0, dilations)[0]
    raise ValueError(f"pooling of {len(kernel)} dimensions")


@operator("MaxPool")
def _max_pool(node: Node, x: Any) -> object:
    whole, kernel, strides, dilations, low = _whole_windows(node, x, _lowest(x.dtype))
    if not x.is_floating_point():
        # PyTorch pools floats; integers of 8 bits are exact in them.
        best = _max_windows(whole.to(torch.float32), kernel, strides, dilations).to(x.dtype)
    else:
        best = _max_windows(whole, kernel, strides, dilations)
    if not node.wants(1):
        return best
    return best, _places(node, x, whole, best, kernel, strides, dilations, low)


def _places(node: Node, x: Any, whole: Any, best: Any, kernel: list[int], strides: list[int], dilations: list[int], low: list[int]) -> Any:
    """The first element of each window that is its maximum, as a number in the whole tensor."""
    sizes, out, count = x.shape[2:], best.shape[2:], len(kernel)
    steps = [math.prod(sizes[i + 1 :]) for i in range(count)] if not node.attribute("storage_order", 0) else [math.prod(sizes[:i]) for i in range(count)]
    result = None
    for taps in itertools.product(*(range(k) for k in kernel)):
        index, place = [slice(None)] * 2, torch.zeros((), dtype=torch.int64)
        for i, (tap, s, d, o) in enumerate(zip(taps, strides, dilations, out)):
            first = tap * d
            index.append(slice(first, first + (o - 1) * s + 1, s))
            line = (torch.arange(o) * s + first - low[i]) * steps[i]
            place = place + line.reshape([-1 if j == i else 1 for j in range(count)])
        here = torch.eq(whole[tuple(index)], best)
        numbers = torch.where(here, place, torch.full((), 2**31 - 1))
        result = numbers if result is None else torch.minimum(result, numbers)
    channels = math.prod(sizes) * torch.arange(math.prod(x.shape[:2])).reshape(*x.shape[:2], *[1] * count)
    return result + channels


@operator("MaxUnpool")
def _max_unpool(node: Node, x: Any, places: Any, shape: Any | None = None) -> Any:
    kernel = node.attribute("kernel_shape")
    strides, given = window(node, kernel)[0], node.attribute("pads", [0] * 2 * len(kernel))
    sizes = [(n - 1) * s + k - l - h for n, s, k, l, h in zip(x.shape[2:], strides, kernel, given, given[len(kernel) :])]
    whole = torch.zeros(math.prod(x.shape[:2]) * math.prod(sizes), dtype=x.dtype)
    result = torch.scatter(whole, 0, places.reshape(-1).to(torch.int64), x.reshape(-1)).reshape(*x.shape[:2], *sizes)
    wanted = sizes if shape is None else node.numbers(shape, "output_shape")[2:]
    return padded(result, [0] * len(sizes), [want - size for want, size in zip(wanted, sizes)])


def _sums(x: Any, kernel: list[int], strides: list[int], dilations: list[int]) -> Any:
    """The sum of each window. Windows with holes are summed tap by tap."""
    if all(d == 1 for d in dilations) and len(kernel) <= 3:
        pool = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}[len(kernel)]
        return pool(x, kernel, strides) * math.prod(kernel)
    out = [(n - (k - 1) * d - 1) // s + 1 for n, k, s, d in zip(x.shape[2:], kernel, strides, dilations)]
    result = None
    for taps in itertools.product(*(range(k) for k in kernel)):
        part = x[(slice(None), slice(None), *(slice(t * d, t * d + (o - 1) * s + 1, s) for t, s, d, o in zip(taps, strides, dilations, out)))]
        result = part if result is None else result + part
    return result


@operator("AveragePool")
def _average_pool(node: Node, x: Any) -> Any:
    whole, kernel, strides, dilations, low = _whole_windows(node, x, 0)
    simple = tuple(whole.shape) == tuple(x.shape) and all(d == 1 for d in dilations) and len(kernel) <= 3
    if simple:
        return {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}[len(kernel)](x, kernel, strides)
    # How many elements of a window count: those of the tensor, or with count_include_pad those of `pads` too, never what ceil_mode adds.
    counted = torch.ones(1, 1, *x.shape[2:])
    if node.attribute("count_include_pad", 0):
        before, after = pads(node, x.shape[2:], kernel, strides, dilations)
        counted = padded(counted, before, after, 1)
        counted = padded(counted, [0] * len(kernel), [w - n for w, n in zip(whole.shape[2:], counted.shape[2:])])
    else:
        counted = padded(counted, low, [w - n - l for w, n, l in zip(whole.shape[2:], x.shape[2:], low)])
    return _sums(whole, kernel, strides, dilations) / torch.round(_sums(counted, kernel, strides, dilations)).to(x.dtype)


@operator("LpPool")
def _lp_pool(node: Node, x: Any) -> Any:
    p = node.attribute("p", 2)
    whole, kernel, strides, dilations, _ = _whole_windows(node, x, 0)
    return torch.pow(_sums(torch.pow(torch.abs(whole), p), kernel, strides, dilations), 1 / p)


@operator("GlobalAveragePool")
def _global_average_pool(node: Node, x: Any) -> Any:
    return torch.mean(x, list(range(2, x.dim())), keepdim=True)


@operator("GlobalMaxPool")
def _global_max_pool(node: Node, x: Any) -> Any:
    return torch.amax(x, list(range(2, x.dim())), keepdim=True)


@operator("GlobalLpPool")
def _global_lp_pool(node: Node, x: Any) -> Any:
    p = node.attribute("p", 2)
    return torch.pow(torch.sum(torch.pow(torch.abs(x), p), list(range(2, x.dim())), keepdim=True), 1 / p)
