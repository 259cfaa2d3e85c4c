"""Quantised operators.

Symmetric int8 tensors keep their integers for the contractions that read them (wafer.frontends.int8). Everything else is computed in floating point:
integers of 8 bits are exact in f32, and so are their sums up to 2^24.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from onnx import TensorProto

from wafer.frontends import int8, onnx_model
from wafer.frontends.context import Context
from wafer.frontends.deferred import Any, Deferred, known
from wafer.frontends.onnx_ops.contractions import matmul
from wafer.frontends.onnx_ops.node import Node
from wafer.frontends.onnx_ops.registry import operator
from wafer.frontends.onnx_ops.windows import convolution
from wafer.frontends.tensor import Tensor
from wafer.frontends.writer import Integers


def _per_axis(node: Node, x: Any, parameter: Any | None) -> Any | None:
    """A scale or zero point so that it broadcasts: one number, one per place along `axis`, or one per block."""
    if parameter is None or parameter.numel() == 1:
        return None if parameter is None else parameter.reshape(())
    axis, block = node.attribute("axis", 1) % x.dim(), node.attribute("block_size", 0)
    if block:
        repeated = parameter.unsqueeze(axis + 1)
        repeated = repeated.expand(*repeated.shape[: axis + 1], block, *repeated.shape[axis + 2 :])
        repeated = repeated.reshape(*parameter.shape[:axis], parameter.shape[axis] * block, *parameter.shape[axis + 1 :])
        return torch.narrow(repeated, axis, 0, x.shape[axis])
    return parameter.reshape([-1 if d == axis else 1 for d in range(x.dim())])


def _range(node: Node, element: int) -> tuple[int, int]:
    if element not in onnx_model.RANGES:
        raise node.refused(f"quantises to {onnx_model.type_name(element)}, expected {', '.join(map(onnx_model.type_name, onnx_model.RANGES))}")
    return onnx_model.RANGES[element]


def quantized(x: Any, scale: Any, zero: Any | None, bounds: tuple[int, int], dtype: torch.dtype) -> Any:
    steps = torch.round(x.to(torch.float32) / scale.to(torch.float32))
    steps = steps if zero is None else steps + zero.to(torch.float32)
    return torch.clamp(steps, *bounds).to(dtype)


def dequantized(x: Any, scale: Any, zero: Any | None) -> Any:
    shifted = x.to(torch.float32) if zero is None else x.to(torch.float32) - zero.to(torch.float32)
    return shifted * scale


def _one_number(scale: Any) -> float | None:
    number = known(scale)
    return number.item() if number is not None and number.numel() == 1 and number.item() > 0 else None


def _is_zero(zero: Any | None) -> bool:
    return zero is None or (known(zero) is not None and not known(zero).any())


def _made(like: Deferred, dtype: torch.dtype, make: Callable[[Context], Tensor]) -> Deferred:
    """A tensor of the same shape that `make` writes."""
    emitter, shape = like._emitter, tuple(like.shape)
    return Deferred(emitter, shape, dtype, lambda: make(emitter.context(((shape, dtype),))))


def _symmetric(node: Node, x: Any, scale: Any, zero: Any | None) -> Any | None:
    """Computed numbers that remember their integers; None where there is a zero point."""
    if known(x) is not None or x.dtype != torch.int8 or scale.dtype != torch.float32 or not _is_zero(zero) or not (step := _one_number(scale)):
        return None
    return _made(x, torch.float32, lambda ctx: int8.dequantized(ctx, x.value, step))


def remember_integers(node: Node, numbers: Deferred) -> Deferred:
    """A parameter that a node dequantised at import, which remembers its integers if they are symmetric: a contraction may take them instead."""
    if node.op != "DequantizeLinear" or len(node.inputs) < 2:
        return numbers
    x, scale, zero = (*node.inputs, None)[:3]
    if not isinstance(x, Deferred) or x.dtype != torch.int8 or scale.dtype != torch.float32 or not _is_zero(zero) or node.attribute("block_size", 0):
        return numbers
    step, axis = _one_number(scale), node.attribute("axis", 1) % x.dim()
    if not step and (scale.dim() != 1 or not isinstance(scale, Deferred)):
        return numbers

    def make() -> Tensor:
        value = numbers.value
        numbers._emitter.writer.integers[value.name] = Integers(x.value, step) if step else Integers(x.value, scale.value, axis)
        return value

    return Deferred(numbers._emitter, numbers.shape, numbers.dtype, make, numbers.known)


@operator("QuantizeLinear")
def _quantize(node: Node, x: Any, scale: Any, zero: Any | None = None) -> Any:
    element = onnx_model.element_of(zero) if zero is not None else node.attribute("output_dtype", 0) or TensorProto.UINT8
    if element == TensorProto.INT8 and isinstance(x, Deferred) and x.dtype == torch.float32 and (step := _one_number(scale)) and _is_zero(zero):
        return _made(x, torch.int8, lambda ctx: int8.quantized(ctx, x.value, step, -128, 127, divide=True))
    return quantized(x, _per_axis(node, x, scale), _per_axis(node, x, zero), _range(node, element), onnx_model.DTYPES[element])


@operator("DequantizeLinear")
def _dequantize(node: Node, x: Any, scale: Any, zero: Any | None = None) -> Any:
    if (symmetric := _symmetric(node, x, scale, zero)) is not None:
        return symmetric
    given = [x, scale] + ([] if zero is None else [zero])
    if all(known(value) is not None for value in given):
        # Weights: the program gets them as numbers.
        x, scale, zero = known(x), known(scale), None if zero is None else known(zero)
    result = dequantized(x, _per_axis(node, x, scale), _per_axis(node, x, zero))
    return result.to(scale.dtype)


@operator("DynamicQuantizeLinear")
def _dynamic_quantize(node: Node, x: Any) -> tuple[Any, Any, Any]:
    low, high = torch.clamp(torch.amin(x), max=0), torch.clamp(torch.amax(x), min=0)
    scale = (high - low) / 255
    zero = torch.clamp(torch.round(-low / scale), 0, 255)
    return torch.clamp(torch.round(x / scale) + zero, 0, 255).to(torch.int16), scale, zero.to(torch.int16)


def _centred(x: Any, zero: Any | None, rows: bool = False) -> Any:
    x = x.to(torch.float32)
    if zero is None:
        return x
    zero = zero.to(torch.float32)
    if rows and zero.dim() == 1 and zero.numel() > 1:
        zero = zero.unsqueeze(-1)
    return x - zero


@operator("MatMulInteger")
def _matmul_integer(node: Node, a: Any, b: Any, a_zero: Any | None = None, b_zero: Any | None = None) -> Any:
    return matmul(_centred(a, a_zero, rows=True), _centred(b, b_zero)).to(torch.int32)


@operator("QLinearMatMul")
def _qlinear_matmul(node: Node, a: Any, a_scale: Any, a_zero: Any, b: Any, b_scale: Any, b_zero: Any, scale: Any, zero: Any) -> Any:
    product = matmul(_centred(a, a_zero, rows=True), _centred(b, b_zero))
    a_scale = a_scale.unsqueeze(-1) if a_scale.dim() == 1 and a_scale.numel() > 1 else a_scale
    product = product * (a_scale * b_scale).to(torch.float32)
    return quantized(product, scale, zero, _range(node, onnx_model.element_of(zero)), zero.dtype)


def _per_channel(parameter: Any, rank: int) -> Any:
    return parameter if parameter.numel() == 1 else parameter.reshape(-1, *[1] * (rank - 1))


@operator("ConvInteger")
def _conv_integer(node: Node, x: Any, weight: Any, x_zero: Any | None = None, w_zero: Any | None = None) -> Any:
    w_zero = None if w_zero is None else _per_channel(w_zero, weight.dim())
    return convolution(node, _centred(x, x_zero), _centred(weight, w_zero), None).to(torch.int32)


@operator("QLinearConv")
def _qlinear_conv(node: Node, x: Any, x_scale: Any, x_zero: Any, weight: Any, w_scale: Any, w_zero: Any, scale: Any, zero: Any, bias: Any | None = None) -> Any:
    product = convolution(node, _centred(x, x_zero), _centred(weight, _per_channel(w_zero, weight.dim())), None if bias is None else bias.to(torch.float32))
    factor = x_scale * (w_scale if w_scale.numel() == 1 else w_scale.reshape(-1, *[1] * (weight.dim() - 2)))
    return quantized(product * factor, scale, zero, _range(node, onnx_model.element_of(zero)), zero.dtype)
