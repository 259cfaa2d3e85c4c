"""Convolutions as one linalg.generic over batch, channels, pixels and window; padding is a tensor.pad before it."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from wafer.frontends import types
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
    if transposed:
        raise ctx.unsupported("is a transposed convolution, expected a plain one; use an upsampling and a convolution")
    spatial = weight.rank - 2
    batched = a.rank == weight.rank
    if not batched:
        a = a.with_units((1,) + a.shape)
    stride, padding, dilation = (_per_dimension(values, spatial) for values in (stride, padding, dilation))
    a = padded(ctx, a, [0, 0, *padding], [0, 0, *padding], 0)
    out_spatial = ctx.shape[-spatial:] if spatial else ()
    batch, channels_out = a.shape[0], weight.shape[0]
    # What a stride leaves over at the end is cut, so that the map stays inside.
    used = [(o - 1) * s + (k - 1) * d + 1 for o, s, k, d in zip(out_spatial, stride, weight.shape[2:], dilation)]
    a = ctx.writer.extract_slice(a, [0] * a.rank, [*a.shape[:2], *used], [1] * a.rank)

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

    sum_dtype = torch.float32 if ctx.dtype.is_floating_point else torch.int32
    element = types.computed(sum_dtype)

    def body(b: Body, x: Scalar, w: Scalar, total: Scalar) -> Scalar:
        return b.add(total, b.mul(b.cast(x, element), b.cast(w, element)))

    result = ctx.writer.generic(inputs, "p" * len(shape) + "r" * (1 + spatial), shape, sum_dtype, body, init=0)
    result = ctx.writer.reshape(ctx.converted(result, ctx.dtype), (batch, channels_out, *out_spatial))
    if bias is not None:
        bias = bias.with_units(bias.shape + (1,) * spatial)
        result = ctx.elementwise(lambda b, x, y: b.add(x, y), result, bias, compute=ctx.dtype)
    return result if batched else result.with_units(ctx.shape)
