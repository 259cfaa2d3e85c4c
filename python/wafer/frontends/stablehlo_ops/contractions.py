"""Matrix products and convolutions."""

from __future__ import annotations

import string

import torch
from jaxlib.mlir import ir
from jaxlib.mlir.dialects import stablehlo

from wafer.frontends import deferred
from wafer.frontends.deferred import Any, Deferred
from wafer.frontends.stablehlo_ops.operation import Operation
from wafer.frontends.stablehlo_ops.registry import operator
from wafer.frontends.stablehlo_ops.shapes import padded, reshaped, spread


@operator("stablehlo.dot_general")
def _dot_general(op: Operation, a: Any, b: Any) -> Any:
    dims = stablehlo.DotDimensionNumbers(op.attribute("dot_dimension_numbers"))
    letters = iter(string.ascii_letters)
    labels_a, labels_b = [""] * a.dim(), [""] * b.dim()
    for i, j in zip(
        [*dims.lhs_batching_dimensions, *dims.lhs_contracting_dimensions], [*dims.rhs_batching_dimensions, *dims.rhs_contracting_dimensions], strict=True
    ):
        labels_a[i] = labels_b[j] = next(letters)
    free_a, free_b = ([i for i, label in enumerate(labels) if not label] for labels in (labels_a, labels_b))
    for labels, free in ((labels_a, free_a), (labels_b, free_b)):
        for i in free:
            labels[i] = next(letters)
    result = [labels_a[i] for i in dims.lhs_batching_dimensions] + [labels_a[i] for i in free_a] + [labels_b[i] for i in free_b]
    equation = f"{''.join(labels_a)},{''.join(labels_b)}->{''.join(result)}"
    if not isinstance(a, Deferred) and not isinstance(b, Deferred):
        return torch.einsum(equation, a.to(op.dtype), b.to(op.dtype))
    return op.made(lambda ctx, x, y: ctx.contract(equation, x, y), a, b)


@operator("stablehlo.convolution")
def _convolution(op: Operation, x: Any, given: Any) -> Any:
    dims = stablehlo.ConvDimensionNumbers(op.attribute("dimension_numbers"))
    x = x.permute([dims.input_batch_dimension, dims.input_feature_dimension, *dims.input_spatial_dimensions])
    weight = given.permute([dims.kernel_output_feature_dimension, dims.kernel_input_feature_dimension, *dims.kernel_spatial_dimensions])
    count = x.dim() - 2
    ones = [1] * count
    groups, batch_groups = op.number("feature_group_count"), op.number("batch_group_count")
    reversed_dims = op.attribute("window_reversal")
    flipped = [d + 2 for d, flag in enumerate(ir.DenseBoolArrayAttr(reversed_dims) if reversed_dims else []) if flag]
    if flipped:
        weight = torch.flip(weight, flipped)
    strides, dilations, gaps = (op.numbers(name, ones) for name in ("window_strides", "rhs_dilation", "lhs_dilation"))
    low, high = op.pairs("padding", count)
    unreversed, reversed_in = getattr(given, "reverse_of", (None, ()))
    if sorted(reversed_in) == sorted(dims.kernel_spatial_dimensions) and groups == batch_groups == 1 and strides == ones and not flipped:
        # The gradient of a convolution: each element of x times the whole window, as it was before it was reversed.
        weight = unreversed.permute([dims.kernel_input_feature_dimension, dims.kernel_output_feature_dimension, *dims.kernel_spatial_dimensions])
        result = deferred.whole(torch.ops.aten.convolution.default, x, weight.to(x.dtype), None, gaps, [0] * count, dilations, True, [0] * count, 1)
        reach = [(k - 1) * d for k, d in zip(weight.shape[2:], dilations)]
        result = padded(result, [0, 0, *(l - r for l, r in zip(low, reach))], [0, 0, *(h - r for h, r in zip(high, reach))], 0)
        return _in_order(result, dims)
    if batch_groups > 1:
        # The groups of the batch are groups of channels with a batch of their own.
        batch, channels, *pixels = x.shape
        x = x.reshape([batch_groups, batch // batch_groups, channels, *pixels]).transpose(0, 1)
        x, groups = reshaped(x, [batch // batch_groups, batch_groups * channels, *pixels]), batch_groups
    x = padded(spread(x, [0, 0, *(n - 1 for n in gaps)]), [0, 0, *low], [0, 0, *high], 0)
    result = deferred.whole(torch.ops.aten.convolution.default, x, weight.to(x.dtype), None, strides, [0] * count, dilations, False, [0] * count, groups)
    return _in_order(result, dims)


def _in_order(result: Any, dims: stablehlo.ConvDimensionNumbers) -> Any:
    """Batch, channels, pixels as the operation wants them."""
    order = [dims.output_batch_dimension, dims.output_feature_dimension, *dims.output_spatial_dimensions]
    return result.permute([order.index(d) for d in range(len(order))])
