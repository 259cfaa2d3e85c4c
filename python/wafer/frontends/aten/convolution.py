"""Convolutions as one linalg.generic over batch, channels, pixels and window; padding is a tensor.pad before it.

A transposed convolution is a product with all windows at once, whose results are then added where windows overlap.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch

from wafer.frontends import int8, types
from wafer.frontends.aten.shapes import padded
from wafer.frontends.body import Body, Scalar
from wafer.frontends.context import Context
from wafer.frontends.registry import lowering
from wafer.frontends.tensor import Tensor


def _per_dimension(values: Sequence[int], count: int) -> list[int]:
    return list(values) * count if len(values) == 1 else list(values)


@lowering("aten.convolution.default")
def _convolution(
    ctx: Context,
    a: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> Tensor:
    spatial = weight.rank - 2
    batched = a.rank == weight.rank
    if not batched:
        a = a.with_units((1,) + a.shape)
    stride, padding, dilation = (_per_dimension(values, spatial) for values in (stride, padding, dilation))
    out_spatial = ctx.shape[-spatial:] if spatial else ()
    integers = None if transposed or groups > 1 else int8.as_integers(ctx, a, weight, ({}, {0: 1}))
    if integers:
        a, weight, factors = integers
        sums = convolved(ctx, a, weight, stride, padding, dilation, groups, (a.shape[0], weight.shape[0], *out_spatial), torch.int32)
        result = int8.rescaled(ctx, sums, factors, ctx.dtype)
    elif transposed:
        result = _transposed(ctx, a, weight, stride, padding, dilation, groups, out_spatial)
    else:
        result = convolved(ctx, a, weight, stride, padding, dilation, groups, (a.shape[0], weight.shape[0], *out_spatial))
    return _finished(ctx, result, bias, spatial, batched)


def convolved(
    ctx: Context, a: Tensor, weight: Tensor, stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int], groups: int, result_shape: tuple[int, ...],
    dtype: torch.dtype | None = None,
) -> Tensor:
    """A plain convolution of a batch, without a bias; of type `dtype`, default that of `a`."""
    spatial, out_spatial, dtype = weight.rank - 2, result_shape[2:], dtype or a.dtype
    a = padded(ctx, a, [0, 0, *padding], [0, 0, *padding], 0)
    batch, channels_out = a.shape[0], weight.shape[0]
    # What a stride leaves over at the end is cut, so that the map stays inside.
    used = [(o - 1) * s + (k - 1) * d + 1 for o, s, k, d in zip(out_spatial, stride, weight.shape[2:], dilation)]
    a = ctx.writer.extract_slice(a, [0] * a.rank, [*a.shape[:2], *used], [1] * a.rank)

    # Every loop needs an operand that has its size, so what only repeats is spelled out.
    a, weight = (tensor if set(range(tensor.rank)) <= set(tensor.dims) else ctx.writer.plain(tensor) for tensor in (a, weight))

    # Loops: batch, group, output channel in the group, output pixels; input channel in the group, window.
    grouped = groups > 1
    lead = ["d0", "d1", "d2"] if grouped else ["d0", "d1"]
    pixels = [f"d{len(lead) + i}" for i in range(spatial)]
    channel = f"d{len(lead) + spatial}"
    window = [f"d{len(lead) + spatial + 1 + i}" for i in range(spatial)]
    read = [p + (f" * {s}" if s != 1 else "") + " + " + w + (f" * {d}" if d != 1 else "") for p, s, w, d in zip(pixels, stride, window, dilation)]
    shape = (batch, channels_out, *out_spatial)
    if grouped:
        a = ctx.writer.reshape(a, (batch, groups, a.shape[1] // groups, *a.shape[2:]))
        weight = ctx.writer.reshape(weight, (groups, channels_out // groups, *weight.shape[1:]))
        shape = (batch, groups, channels_out // groups, *out_spatial)
        inputs = [(a, ["d0", "d1", channel, *read]), (weight, ["d1", "d2", channel, *window])]
    else:
        inputs = [(a, ["d0", channel, *read]), (weight, ["d1", channel, *window])]

    sum_dtype = torch.float32 if dtype.is_floating_point else torch.int32
    element = types.computed(sum_dtype)

    def body(b: Body, x: Scalar, w: Scalar, total: Scalar) -> Scalar:
        return b.add(total, b.mul(b.cast(x, element), b.cast(w, element)))

    result = ctx.writer.generic(inputs, "p" * len(shape) + "r" * (1 + spatial), shape, sum_dtype, body, init=0)
    ctx.writer.count_macs(math.prod(shape) * math.prod(weight.shape[-1 - spatial :]))
    return ctx.writer.reshape(ctx.converted(result, dtype), (batch, channels_out, *out_spatial))


def _finished(ctx: Context, result: Tensor, bias: Tensor | None, spatial: int, batched: bool) -> Tensor:
    """With the bias, and without the batch that was added."""
    if bias is not None:
        bias = bias.with_units(bias.shape + (1,) * spatial)
        result = ctx.elementwise(lambda b, x, y: b.add(x, y), result, bias, compute=ctx.dtype)
    return result if batched else result.with_units(ctx.shape)


def _transposed(
    ctx: Context, a: Tensor, weight: Tensor, stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int], groups: int, out_spatial: Sequence[int]
) -> Tensor:
    """`a` is [batch, in, pixels], `weight` [in, out of a group, window]; the result is [batch, out, pixels], without a bias."""
    batch, channels_in, *pixels = a.shape
    window = weight.shape[2:]
    channels_out = groups * weight.shape[1]
    a = ctx.writer.reshape(a, (batch, groups, channels_in // groups, math.prod(pixels)))
    weight = ctx.writer.reshape(weight, (groups, channels_in // groups, math.prod(weight.shape[1:])))
    if groups == 1:
        products = ctx.contract("bip,in->bpn", a.with_units((batch, channels_in, a.shape[3])), weight.with_units(weight.shape[1:]), dtype=torch.float32)
        products = products.permuted([0, 2, 1])
    else:
        products = ctx.contract("bgip,gin->gbpn", a, weight, dtype=torch.float32).permuted([1, 0, 3, 2])
    products = ctx.writer.reshape(products, (batch, channels_out, *window, *pixels))
    full = tuple((n - 1) * s + (k - 1) * d + 1 for n, s, k, d in zip(pixels, stride, window, dilation))
    if tuple(stride) == tuple(window) and set(dilation) == {1}:
        # Windows lie side by side: a pixel of the result is one of a window, [.., pixel, place in the window].
        order = [0, 1] + [axis for i in range(len(window)) for axis in (2 + len(window) + i, 2 + i)]
        result = ctx.writer.reshape(products.permuted(order), (batch, channels_out, *full))
    else:
        result = _overlapping(ctx, products, stride, dilation, full)
    high = [out + p - size for out, p, size in zip(out_spatial, padding, full)]
    return ctx.converted(padded(ctx, result, [0, 0] + [-p for p in padding], [0, 0, *high], 0), ctx.dtype)


def _overlapping(ctx: Context, products: Tensor, stride: Sequence[int], dilation: Sequence[int], full: tuple[int, ...]) -> Tensor:
    """The sum of all windows, each place of the window added at once: its pixels lie `stride` apart in the result."""
    spatial = len(full)
    batch, channels, *window = products.shape[: 2 + spatial]
    pixels = products.shape[2 + spatial :]
    result = ctx.writer.filled(0, (batch, channels, *full), torch.float32)
    strides = [1, 1, *stride]
    for place in itertools.product(*map(range, window)):
        part = ctx.writer.extract_slice(products, [0, 0, *place, *[0] * spatial], [batch, channels, *[1] * spatial, *pixels], [1] * products.rank)
        part = part.with_units((batch, channels, *pixels))
        offsets = [0, 0, *(k * d for k, d in zip(place, dilation))]
        there = ctx.writer.extract_slice(result, offsets, part.shape, strides)
        total = ctx.writer.plain(ctx.elementwise(lambda b, x, y: b.add(x, y), there, part, dtype=torch.float32))
        result = ctx.writer.emit(
            f"tensor.insert_slice {total.name} into {result.name}{offsets} {list(part.shape)} {strides} : {total.type} into {result.type}", result.shape, torch.float32
        )
    return result
