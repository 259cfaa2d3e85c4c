"""Resizing of images: weights and places are known at import time, so that nearest is a gather and all else a contraction per dimension. Sampling at
places that data gives is a gather of neighbours."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from wafer.frontends import deferred
from wafer.frontends.deferred import Any
from wafer.frontends.onnx_ops.node import Node
from wafer.frontends.onnx_ops.registry import operator


def _places(node: Node, size: int, out: int, scale: float, start: float, end: float) -> torch.Tensor:
    """For each element of the result the place in the input that it stands for."""
    mode = node.attribute("coordinate_transformation_mode", "half_pixel" if node.version >= 11 else "asymmetric")
    line = torch.arange(out, dtype=torch.float64)
    wide = size * scale
    if mode == "asymmetric":
        return line / scale
    if mode == "align_corners":
        return line * (size - 1) / (wide - 1) if wide != 1 else line * 0
    if mode == "pytorch_half_pixel":
        return (line + 0.5) / scale - 0.5 if wide > 1 else line * 0 - 0.5
    if mode == "tf_half_pixel_for_nn":
        return (line + 0.5) / scale
    if mode == "tf_crop_and_resize":
        return start * (size - 1) + line * (end - start) * (size - 1) / (wide - 1) if wide > 1 else 0.5 * (start + end) * (size - 1) + line * 0
    if mode == "half_pixel_symmetric":
        return size / 2 * (1 - out / wide) + (line + 0.5) / scale - 0.5
    if mode == "half_pixel":
        return (line + 0.5) / scale - 0.5
    raise node.refused(f"has coordinate_transformation_mode '{mode}', expected one of the standard")


def _nearest(node: Node, places: torch.Tensor, size: int) -> torch.Tensor:
    mode = node.attribute("nearest_mode", "round_prefer_floor" if node.version >= 11 else "floor")
    rounded = {
        "round_prefer_floor": lambda p: torch.ceil(p - 0.5),
        "round_prefer_ceil": lambda p: torch.floor(p + 0.5),
        "floor": torch.floor,
        "ceil": torch.ceil,
    }[mode](places)
    return rounded.clamp(0, size - 1).to(torch.int64)


def _cubic(distance: torch.Tensor, a: float) -> torch.Tensor:
    d = distance.abs()
    near = (a + 2) * d**3 - (a + 3) * d**2 + 1
    far = a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
    return torch.where(d <= 1, near, torch.where(d < 2, far, torch.zeros_like(d)))


def _matrix(node: Node, places: torch.Tensor, size: int, scale: float) -> torch.Tensor:
    """Row o holds how much each input element weighs in element o of the result."""
    mode, antialias = node.attribute("mode"), node.attribute("antialias", 0) and scale < 1
    stretch = scale if antialias else 1.0
    cubic = mode == "cubic"
    reach = (2 if cubic else 1) / stretch
    first, last = torch.floor(places - reach).to(torch.int64), int(2 * reach) + 2
    taps = first.unsqueeze(1) + torch.arange(last + 1)
    distance = (taps - places.unsqueeze(1)) * stretch
    weights = _cubic(distance, node.attribute("cubic_coeff_a", -0.75)) if cubic else (1 - distance.abs()).clamp(min=0)
    if node.attribute("exclude_outside", 0):
        weights = torch.where((taps >= 0) & (taps < size), weights, torch.zeros_like(weights))
    if antialias or node.attribute("exclude_outside", 0):
        weights = weights / weights.sum(1, keepdim=True)
    result = torch.zeros(len(places), size, dtype=torch.float64)
    # What lies outside counts for the element at the edge.
    return result.scatter_add(1, taps.clamp(0, size - 1), weights)


@operator("Resize", "Upsample")
def _resize(node: Node, x: Any, roi: Any | None = None, scales: Any | None = None, sizes: Any | None = None) -> Any:
    if len(node.proto.input) < 3:
        roi, scales = None, roi
    axes = [d % x.dim() for d in node.attribute("axes", list(range(x.dim())))]
    given = None if scales is None or scales.numel() == 0 else node.numbers(scales, "scales")
    given = node.attribute("scales") if given is None and sizes is None else given
    if sizes is not None and sizes.numel():
        wanted = node.numbers(sizes, "sizes")
        factors = [want / x.shape[d] for d, want in zip(axes, wanted)]
        policy = node.attribute("keep_aspect_ratio_policy", "stretch")
        if policy != "stretch":
            factor = (min if policy == "not_larger" else max)(factors)
            factors = [factor] * len(axes)
            wanted = [int(x.shape[d] * factor + 0.5) for d in axes]
    elif given is not None:
        factors, wanted = given, [int(x.shape[d] * factor) for d, factor in zip(axes, given)]
    else:
        raise node.refused("has neither scales nor sizes, expected one of them")
    corners = [0.0] * len(axes) + [1.0] * len(axes) if roi is None or roi.numel() == 0 else node.numbers(roi, "roi")
    outside = None
    crop = node.attribute("coordinate_transformation_mode") == "tf_crop_and_resize"
    mode = node.attribute("mode", "nearest")
    for i, (d, out, factor) in enumerate(zip(axes, wanted, factors)):
        size = x.shape[d]
        if (out, factor) == (size, 1) and not crop:
            continue
        places = _places(node, size, out, factor, corners[i], corners[len(axes) + i])
        if crop:
            beyond = ((places < 0) | (places > size - 1)).reshape([-1 if e == d else 1 for e in range(x.dim())])
            outside = beyond if outside is None else outside | beyond
        if mode == "nearest":
            x = _repeated(x, d, _nearest(node, places, size), factor)
        else:
            matrix = _matrix(node, places, size, factor).to(x.dtype)
            labels = "abcdefgh"[: x.dim()]
            x = deferred.contract(f"{labels},z{labels[d]}->{labels.replace(labels[d], 'z')}", x, matrix)
    if outside is not None and bool(outside.any()):
        x = torch.where(outside, torch.full((), node.attribute("extrapolation_value", 0.0), dtype=x.dtype), x)
    return x


@operator("GridSample")
def _grid_sample(node: Node, x: Any, grid: Any) -> Any:
    modes = {"linear": "bilinear", "cubic": "bicubic"}
    mode = node.attribute("mode", "linear" if node.version >= 20 else "bilinear")
    return F.grid_sample(x, grid, modes.get(mode, mode), node.attribute("padding_mode", "zeros"), bool(node.attribute("align_corners", 0)))


def _repeated(x: Any, d: int, index: torch.Tensor, factor: float) -> Any:
    """Whole factors repeat each element, which costs nothing to read."""
    times = int(factor)
    if times == factor and times >= 1 and torch.equal(index, torch.arange(x.shape[d]).repeat_interleave(times)):
        repeated = x.unsqueeze(d + 1)
        repeated = repeated.expand(*repeated.shape[: d + 1], times, *repeated.shape[d + 2 :])
        return repeated.reshape(*x.shape[:d], x.shape[d] * times, *x.shape[d + 1 :])
    return torch.index_select(x, d, index)
