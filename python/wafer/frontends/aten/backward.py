"""Operations that only occur in backward passes, where PyTorch has no decomposition of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from wafer.frontends import types
from wafer.frontends.aten import reductions
from wafer.frontends.aten.indexing import fetched
from wafer.frontends.aten.convolution import convolved
from wafer.frontends.aten.pooling import averaged, window_sizes
from wafer.frontends.aten.scatter_loops import scattered
from wafer.frontends.aten.shapes import inserted, padded
from wafer.frontends.body import Body, Scalar
from wafer.frontends.context import Context
from wafer.frontends.registry import lowering
from wafer.frontends.tensor import Tensor


def _per_dimension(values: Sequence[int], count: int) -> list[int]:
    return list(values) * count if len(values) == 1 else list(values)


def _spread(ctx: Context, a: Tensor, stride: Sequence[int]) -> Tensor:
    """The last dimensions with stride - 1 zeros between elements."""
    lead = a.rank - len(stride)
    for d, step in enumerate(stride, lead):
        if step > 1 and a.shape[d] > 1:
            shape = tuple((size - 1) * step + 1 if i == d else size for i, size in enumerate(a.shape))
            a = inserted(ctx, a, ctx.writer.filled(0, shape, a.dtype), d, 0, step)
    return a


def _against_window(
    ctx: Context, gradient: Tensor, sizes: Sequence[int], kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int]
) -> Tensor:
    """The gradient laid out so that pixel i got a share from element i + (kernel - 1 - k) * dilation for each k of the window."""
    gradient = _spread(ctx, gradient, stride)
    lead = gradient.rank - len(kernel)
    low = [(k - 1) * d - p for k, d, p in zip(kernel, dilation, padding)]
    high = [size + (k - 1) * d - l - found for size, k, d, l, found in zip(sizes, kernel, dilation, low, gradient.shape[lead:])]
    return padded(ctx, gradient, [0] * lead + low, [0] * lead + high, 0)


# Convolution: both gradients are contractions, over (channel, window) and over (batch, pixel), of what MemoryX gathers for them.


def _gradient_of_input(ctx: Context, gradient: Tensor, weight: Tensor, shape: tuple[int, ...], stride, padding, dilation, groups: int) -> Tensor:
    spatial = weight.rank - 2
    kernel, sizes = weight.shape[2:], shape[2:]
    batch, out_channels, in_channels = shape[0], weight.shape[0], weight.shape[1]
    padded_gradient = _against_window(ctx, gradient, sizes, kernel, stride, padding, dilation)
    # [batch, pixels, out channels, window]
    gathered_shape = (batch, *sizes, out_channels, *kernel)

    def indices(b: Body, loops: list[Scalar]) -> list[Scalar]:
        pixels, window = loops[1 : 1 + spatial], loops[2 + spatial :]
        places = []
        for pixel, k, size, step in zip(pixels, window, kernel, dilation):
            back = b.apply("arith.subi", b.const(size - 1, "index"), k)
            places.append(b.apply("arith.addi", pixel, b.apply("arith.muli", back, b.const(step, "index"))))
        return [loops[0], loops[1 + spatial], *places]

    gathered = fetched(ctx, padded_gradient, gathered_shape, indices)
    # Group after the pixels: [batch, pixels, group, out channels of the group, window].
    gathered = ctx.writer.reshape(gathered, (batch, *sizes, groups, out_channels // groups, *kernel))
    weight = ctx.writer.reshape(weight, (groups, out_channels // groups, in_channels, *kernel)) if groups > 1 else weight.with_units((1, *weight.shape))
    n, g, c, o = "ngco"
    pixels, window = "uvw"[:spatial], "xyz"[:spatial]
    if groups == 1:
        gathered, weight, g = gathered.with_units((batch, *sizes, out_channels, *kernel)), weight.with_units(weight.shape[1:]), ""
    result = ctx.contract(f"{n}{pixels}{g}{o}{window},{g}{o}{c}{window}->{n}{pixels}{g}{c}", gathered, weight, dtype=gradient.dtype)
    result = ctx.writer.reshape(result, (batch, *sizes, groups * in_channels))
    return result.permuted([0, result.rank - 1, *range(1, result.rank - 1)])


def _gradient_of_weight(ctx: Context, gradient: Tensor, a: Tensor, shape: tuple[int, ...], stride, padding, dilation, groups: int) -> Tensor:
    spatial = len(shape) - 2
    kernel, out = shape[2:], gradient.shape[2:]
    batch, channels, out_channels = a.shape[0], a.shape[1], shape[0]
    a = padded(ctx, a, [0, 0, *padding], [0, 0, *padding], 0)
    used = [(o - 1) * s + (k - 1) * d + 1 for o, s, k, d in zip(out, stride, kernel, dilation)]
    a = ctx.writer.extract_slice(a, [0] * a.rank, [*a.shape[:2], *used], [1] * a.rank)
    # [batch, pixels, channels, window]
    pixels = [f"d{1 + i}" for i in range(spatial)]
    channel = f"d{1 + spatial}"
    window = [f"d{2 + spatial + i}" for i in range(spatial)]
    read = ["d0", channel] + [f"{p} * {s} + {w} * {d}" for p, s, w, d in zip(pixels, stride, window, dilation)]
    patches_shape = (batch, *out, channels, *kernel)
    size_of_window = ctx.writer.empty(tuple(kernel), a.dtype)
    patches = ctx.writer.generic([(a, read), (size_of_window, window)], "p" * len(patches_shape), patches_shape, a.dtype, lambda b, x, unread: x)
    n, g, c, o = "ngco"
    pixel_labels, window_labels = "uvw"[:spatial], "xyz"[:spatial]
    if groups > 1:
        patches = ctx.writer.reshape(patches, (batch, *out, groups, channels // groups, *kernel))
        gradient = ctx.writer.reshape(gradient, (batch, groups, out_channels // groups, *out))
    else:
        g = ""
    result = ctx.contract(f"{n}{g}{o}{pixel_labels},{n}{pixel_labels}{g}{c}{window_labels}->{g}{o}{c}{window_labels}", gradient, patches, dtype=gradient.dtype)
    return ctx.writer.reshape(result, shape)


@lowering("aten.convolution_backward.default")
def _convolution_backward(
    ctx: Context, gradient: Tensor, a: Tensor, weight: Tensor, bias_sizes: Sequence[int] | None, stride: Sequence[int], padding: Sequence[int],
    dilation: Sequence[int], transposed: bool, output_padding: Sequence[int], groups: int, wanted: Sequence[bool],
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:  # fmt: skip
    spatial = weight.rank - 2
    stride, padding, dilation = (_per_dimension(values, spatial) for values in (stride, padding, dilation))
    if transposed:
        # A transposed convolution is the gradient of a plain one, of which gradient and input change places.
        of_input = convolved(ctx, gradient, weight, stride, padding, dilation, groups, a.shape) if wanted[0] else None
        of_weight = _gradient_of_weight(ctx, a, gradient, weight.shape, stride, padding, dilation, groups) if wanted[1] else None
    else:
        of_input = _gradient_of_input(ctx, gradient, weight, a.shape, stride, padding, dilation, groups) if wanted[0] else None
        of_weight = _gradient_of_weight(ctx, gradient, a, weight.shape, stride, padding, dilation, groups) if wanted[1] else None
    of_bias = None
    if wanted[2]:
        of_bias = ctx.converted(reductions.total(ctx, gradient, [d for d in range(gradient.rank) if d != 1]), gradient.dtype)
    return of_input, of_weight, of_bias


# Pooling


def _max_pool_backward(ctx: Context, spatial: int, gradient: Tensor, a: Tensor, indices: Tensor) -> Tensor:
    """Each element of the gradient goes to the place of its maximum; places count along the pooled dimensions as one."""
    lead = a.shape[:-spatial]
    lines = (*lead, math.prod(a.shape[-spatial:]))
    flat_shape = (*lead, math.prod(gradient.shape[-spatial:]))
    places_of = ctx.writer.plain(ctx.writer.reshape(indices, flat_shape))

    def places(b: Body, loops: list[Scalar], read) -> list[Scalar]:
        return [*loops[:-1], b.cast(read(places_of, loops), "index")]

    zeros = ctx.writer.filled(0, lines, gradient.dtype)
    return ctx.writer.reshape(scattered(ctx, zeros, ctx.writer.reshape(gradient, flat_shape), places, [places_of], add=True), a.shape)


@lowering("aten.max_pool2d_with_indices_backward.default")
def _max_pool2d_backward(ctx: Context, gradient: Tensor, a: Tensor, kernel, stride, padding, dilation, ceil_mode: bool, indices: Tensor) -> Tensor:
    return _max_pool_backward(ctx, 2, gradient, a, indices)


@lowering("aten.max_pool3d_with_indices_backward.default")
def _max_pool3d_backward(ctx: Context, gradient: Tensor, a: Tensor, kernel, stride, padding, dilation, ceil_mode: bool, indices: Tensor) -> Tensor:
    return _max_pool_backward(ctx, 3, gradient, a, indices)


def _spread_averages(
    ctx: Context, gradient: Tensor, a: Tensor, kernel, stride, padding, ceil_mode: bool, count_include_pad: bool, divisor: int | None
) -> Tensor:
    spatial = len(kernel)
    numbers = window_sizes(ctx, a.shape[-spatial:], gradient.shape[-spatial:], kernel, stride, padding, ceil_mode, count_include_pad, divisor)
    gradient = ctx.elementwise(lambda b, x, n: b.div(x, n), gradient, numbers, dtype=gradient.dtype)
    spread = _against_window(ctx, gradient, a.shape[-spatial:], kernel, stride, padding, [1] * spatial)
    lead = a.rank - spatial
    pixels = [f"d{lead + i}" for i in range(spatial)]
    window = [f"d{lead + spatial + i}" for i in range(spatial)]
    read = [f"d{i}" for i in range(lead)] + [f"{p} + {w}" for p, w in zip(pixels, window)]
    shape_of_window = ctx.writer.empty(tuple(kernel), torch.float32)
    total = ctx.writer.generic(
        [(spread, read), (shape_of_window, window)], "p" * a.rank + "r" * spatial, a.shape, torch.float32,
        lambda b, x, unread, total: b.add(b.cast(x, types.computed(torch.float32)), total), init=0,
    )  # fmt: skip
    return ctx.converted(total, ctx.dtype)


def _avg_pool_backward(
    ctx: Context, spatial: int, gradient: Tensor, a: Tensor, kernel, stride, padding, ceil_mode: bool, count_include_pad: bool, divisor: int | None
) -> Tensor:
    kernel, padding = _per_dimension(kernel, spatial), _per_dimension(padding, spatial)
    return _spread_averages(ctx, gradient, a, kernel, _per_dimension(stride, spatial) if stride else kernel, padding, ceil_mode, count_include_pad, divisor)


@lowering("aten.avg_pool2d_backward.default")
def _avg_pool2d_backward(ctx: Context, *arguments) -> Tensor:
    return _avg_pool_backward(ctx, 2, *arguments)


@lowering("aten.avg_pool3d_backward.default")
def _avg_pool3d_backward(ctx: Context, *arguments) -> Tensor:
    return _avg_pool_backward(ctx, 3, *arguments)


def _adaptive_avg_pool_backward(ctx: Context, spatial: int, gradient: Tensor, a: Tensor) -> Tensor:
    sizes, out = a.shape[-spatial:], gradient.shape[-spatial:]
    if any(size % count for size, count in zip(sizes, out)):
        return averaged(ctx, gradient, sizes, backward=True)
    kernel = [size // count for size, count in zip(sizes, out)]
    return _spread_averages(ctx, gradient, a, kernel, kernel, [0] * spatial, False, True, None)


@lowering("aten._adaptive_avg_pool2d_backward.default")
def _adaptive_avg_pool2d_backward(ctx: Context, gradient: Tensor, a: Tensor) -> Tensor:
    return _adaptive_avg_pool_backward(ctx, 2, gradient, a)


@lowering("aten._adaptive_avg_pool3d_backward.default")
def _adaptive_avg_pool3d_backward(ctx: Context, gradient: Tensor, a: Tensor) -> Tensor:
    return _adaptive_avg_pool_backward(ctx, 3, gradient, a)
