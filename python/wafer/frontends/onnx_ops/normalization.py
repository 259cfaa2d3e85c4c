"""Softmax and normalisations."""

from __future__ import annotations

import math

import torch

from wafer.frontends import deferred
from wafer.frontends.deferred import Any
from wafer.frontends.onnx_ops.node import Node
from wafer.frontends.onnx_ops.registry import operator

aten = torch.ops.aten


def _along(node: Node, x: Any, function) -> Any:
    """Along one axis; before opset 13 along all from `axis` on, taken as one."""
    if node.version >= 13:
        return function(x, node.attribute("axis", -1))
    axis = node.attribute("axis", 1) % max(x.dim(), 1)
    if axis == x.dim() - 1:
        return function(x, axis)
    return function(x.reshape(math.prod(x.shape[:axis]), -1), 1).reshape(x.shape)


@operator("Softmax")
def _softmax(node: Node, x: Any) -> Any:
    return _along(node, x, torch.softmax)


@operator("LogSoftmax")
def _log_softmax(node: Node, x: Any) -> Any:
    return _along(node, x, torch.log_softmax)


@operator("LayerNormalization")
def _layer_norm(node: Node, x: Any, scale: Any, bias: Any | None = None) -> object:
    axis, eps = node.attribute("axis", -1) % x.dim(), node.attribute("epsilon", 1e-5)
    shape = list(x.shape[axis:])
    result, average, inverse = deferred.whole(
        aten.native_layer_norm.default, x, shape, _of_shape(scale, shape), None if bias is None else _of_shape(bias, shape), eps
    )
    return (result, average, inverse) if node.wants(1) or node.wants(2) else result


def _of_shape(parameter: Any, shape: list[int]) -> Any:
    """A scale or bias that broadcasts, as one of the whole normalised shape."""
    return parameter if list(parameter.shape) == shape else parameter.expand(shape)


@operator("RMSNormalization")
@operator("SimplifiedLayerNormalization")
@operator("SimplifiedLayerNormalization", domain="com.microsoft")
def _rms_norm(node: Node, x: Any, scale: Any) -> Any:
    axis, eps = node.attribute("axis", -1) % x.dim(), node.attribute("epsilon", 1e-5)
    shape = list(x.shape[axis:])
    return deferred.whole(aten._fused_rms_norm.default, x, shape, _of_shape(scale, shape), eps)[0]


@operator("SkipLayerNormalization", domain="com.microsoft")
def _skip_layer_norm(node: Node, x: Any, skip: Any, scale: Any, beta: Any | None = None, bias: Any | None = None) -> object:
    total = x + skip if bias is None else x + skip + bias
    result, average, inverse = deferred.whole(aten.native_layer_norm.default, total, [x.shape[-1]], scale, beta, node.attribute("epsilon", 1e-12))
    return (result, average, inverse, total) if node.wants(1) or node.wants(2) or node.wants(3) else result


@operator("SkipSimplifiedLayerNormalization", domain="com.microsoft")
def _skip_rms_norm(node: Node, x: Any, skip: Any, scale: Any, bias: Any | None = None) -> object:
    total = x + skip if bias is None else x + skip + bias
    result, inverse = deferred.whole(aten._fused_rms_norm.default, total, [x.shape[-1]], scale, node.attribute("epsilon", 1e-12))
    return (result, inverse, inverse, total) if node.wants(1) or node.wants(2) or node.wants(3) else result


@operator("BatchNormalization")
def _batch_norm(node: Node, x: Any, scale: Any, bias: Any, average: Any, spread: Any) -> object:
    if node.attribute("training_mode", 0):
        return _batch_norm_of_batch(node, x, scale, bias, average, spread)
    if not node.attribute("spatial", 1):
        raise node.refused("normalises each place on its own (spatial=0), expected one average per channel")
    return deferred.whole(aten._native_batch_norm_legit_no_training.default, x, scale, bias, average, spread, 0.1, node.attribute("epsilon", 1e-5))[0]


def _batch_norm_of_batch(node: Node, x: Any, scale: Any, bias: Any, average: Any, spread: Any) -> tuple[Any, Any, Any]:
    """By the batch's own average and variance, which are mixed into the running ones."""
    dims, momentum = [d for d in range(x.dim()) if d != 1], node.attribute("momentum", 0.9)
    here = torch.mean(x, dims)
    centred = x - here.reshape(-1, *[1] * (x.dim() - 2))
    around = torch.mean(centred * centred, dims)
    result = deferred.whole(aten._native_batch_norm_legit_no_training.default, x, scale, bias, here, around, 0.1, node.attribute("epsilon", 1e-5))[0]
    return result, average * momentum + here * (1 - momentum), spread * momentum + around * (1 - momentum)


@operator("InstanceNormalization")
def _instance_norm(node: Node, x: Any, scale: Any, bias: Any) -> Any:
    channels = x.shape[1]
    return deferred.whole(
        aten.native_group_norm.default, x, scale, bias, x.shape[0], channels, math.prod(x.shape[2:]), channels, node.attribute("epsilon", 1e-5)
    )[0]


@operator("GroupNormalization")
def _group_norm(node: Node, x: Any, scale: Any, bias: Any) -> Any:
    groups, channels = node.attribute("num_groups"), x.shape[1]
    if node.version < 21 and groups != channels:
        # One number per group at first, later one per channel.
        scale, bias = (p.unsqueeze(1).expand(groups, channels // groups).reshape(channels) for p in (scale, bias))
    return deferred.whole(
        aten.native_group_norm.default, x, scale, bias, x.shape[0], channels, math.prod(x.shape[2:]), groups, node.attribute("epsilon", 1e-5)
    )[0]


@operator("MeanVarianceNormalization")
def _mean_variance_norm(node: Node, x: Any) -> Any:
    axes = node.attribute("axes", [0, 2, 3])
    centred = x - torch.mean(x, axes, keepdim=True)
    return centred / (torch.sqrt(torch.mean(centred * centred, axes, keepdim=True)) + 1e-9)


@operator("LpNormalization")
def _lp_norm(node: Node, x: Any) -> Any:
    axis, p = node.attribute("axis", -1), node.attribute("p", 2)
    total = torch.sum(torch.abs(x), [axis], keepdim=True) if p == 1 else torch.sqrt(torch.sum(x * x, [axis], keepdim=True))
    # Nothing but zeros stays so.
    return x / torch.where(torch.eq(total, 0), torch.ones((), dtype=x.dtype), total)


@operator("LRN")
def _lrn(node: Node, x: Any) -> Any:
    size, alpha, beta, bias = node.attribute("size"), node.attribute("alpha", 1e-4), node.attribute("beta", 0.75), node.attribute("bias", 1.0)
    before = (size - 1) // 2
    squares = (x * x).reshape(x.shape[0], 1, x.shape[1], -1)
    squares = torch.constant_pad_nd(squares, [0, 0, before, size - 1 - before])
    total = torch.nn.functional.avg_pool2d(squares, [size, 1], 1) * size
    return x / torch.pow(bias + (alpha / size) * total.reshape(x.shape), beta)
