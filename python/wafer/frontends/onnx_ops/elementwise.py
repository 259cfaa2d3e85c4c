"""Operators on one element at a time."""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from onnx import TensorProto

from wafer.frontends import deferred, onnx_model
from wafer.frontends.deferred import Any
from wafer.frontends.onnx_ops.node import Node
from wafer.frontends.onnx_ops.registry import operator

_UNARY = {
    "Abs": torch.abs, "Neg": torch.neg, "Sign": torch.sign, "Ceil": torch.ceil, "Floor": torch.floor, "Round": torch.round,
    "Reciprocal": torch.reciprocal, "Sqrt": torch.sqrt, "Exp": torch.exp, "Log": torch.log, "Erf": torch.erf,
    "Sin": torch.sin, "Cos": torch.cos, "Tan": torch.tan, "Asin": torch.asin, "Acos": torch.acos, "Atan": torch.atan,
    "Sinh": torch.sinh, "Cosh": torch.cosh, "Tanh": torch.tanh, "Asinh": torch.asinh, "Acosh": torch.acosh, "Atanh": torch.atanh,
    "Relu": torch.relu, "Sigmoid": torch.sigmoid, "Softplus": F.softplus, "HardSwish": F.hardswish, "Mish": lambda x: x * torch.tanh(F.softplus(x)),
    "IsNaN": torch.isnan, "Not": torch.logical_not, "BitwiseNot": torch.bitwise_not, "Identity": lambda x: x,
}  # fmt: skip

_BINARY = {
    "Add": torch.add, "Sub": torch.sub, "Mul": torch.mul,
    "Equal": torch.eq, "Less": torch.lt, "LessOrEqual": torch.le, "Greater": torch.gt, "GreaterOrEqual": torch.ge,
    "And": torch.logical_and, "Or": torch.logical_or, "Xor": torch.logical_xor,
    "BitwiseAnd": torch.bitwise_and, "BitwiseOr": torch.bitwise_or, "BitwiseXor": torch.bitwise_xor,
}  # fmt: skip

_VARIADIC = {"Sum": torch.add, "Max": torch.maximum, "Min": torch.minimum}

for _name, _function in _UNARY.items():
    operator(_name)(lambda node, x, function=_function: function(x))
for _name, _function in _BINARY.items():
    operator(_name)(lambda node, a, b, function=_function: function(*_in_old_broadcast(node, a, b)))
for _name, _function in _VARIADIC.items():
    operator(_name)(lambda node, *xs, function=_function: functools.reduce(function, xs))


def _in_old_broadcast(node: Node, a: Any, b: Any) -> tuple[Any, Any]:
    """Before opset 7 the dimension of `a` at which `b` begins could be given."""
    axis = node.attribute("axis")
    return (a, b) if axis is None else (a, b.reshape(*b.shape, *[1] * (a.dim() - b.dim() - axis)))


def number(value: Any | None, default: float | None = None) -> object:
    """A constant of one element as a number, anything else as it is."""
    if value is None:
        return default
    found = value if isinstance(value, deferred.Deferred) else deferred.known(value)
    return found.item() if not isinstance(found, deferred.Deferred) and found.numel() == 1 else value


@operator("Mean")
def _mean(node: Node, *xs: Any) -> Any:
    return functools.reduce(torch.add, xs) / len(xs)


@operator("Div")
def _div(node: Node, a: Any, b: Any) -> Any:
    return torch.div(a, b) if a.is_floating_point() else torch.div(a, b, rounding_mode="trunc")


@operator("Mod")
def _mod(node: Node, a: Any, b: Any) -> Any:
    return torch.fmod(a, b) if node.attribute("fmod", 0) else torch.remainder(a, b)


@operator("Pow")
def _pow(node: Node, a: Any, exponent: Any) -> Any:
    power = number(exponent)
    if a.is_floating_point():
        return torch.pow(a, power if isinstance(power, (int, float)) or power.is_floating_point() else power.to(a.dtype))
    if isinstance(power, int) and power in (0, 1, 2, 3):
        return torch.pow(a, power)
    result = torch.pow(a.to(torch.float32), power if isinstance(power, (int, float)) else power.to(torch.float32))
    return (torch.round(result) if not exponent.is_floating_point() else result).to(a.dtype)


@operator("BitShift")
def _bit_shift(node: Node, a: Any, count: Any) -> Any:
    """By as many bits as there are, more, or less than none: nothing but the sign is left. An int64 has 32 bits here."""
    bits = 8 * min(a.dtype.itemsize, 4)
    inside = torch.logical_and(torch.ge(count, 0), torch.lt(count, bits))
    few = torch.where(inside, count, torch.zeros((), dtype=count.dtype))
    zero = torch.zeros((), dtype=a.dtype)
    if node.attribute("direction") == "LEFT":
        return torch.where(inside, torch.bitwise_left_shift(a, few), zero)
    return torch.where(inside, torch.bitwise_right_shift(a, few), torch.where(a < 0, zero - 1, zero))


@operator("IsInf")
def _is_inf(node: Node, x: Any) -> Any:
    low, high = node.attribute("detect_negative", 1), node.attribute("detect_positive", 1)
    if low and high:
        return torch.isinf(x)
    if not (low or high):
        return torch.zeros(x.shape, dtype=torch.bool)
    return torch.eq(x, float("-inf") if low else float("inf"))


# Types


@operator("Cast")
def _cast(node: Node, x: Any) -> Any:
    return cast(node, x, node.attribute("to"))


def cast(node: Node, x: Any, element: int) -> Any:
    if element not in onnx_model.DTYPES:
        raise node.refused(f"converts to {onnx_model.type_name(element)}, expected {onnx_model.type_names()}")
    unsigned = onnx_model.UNSIGNED.get(element)
    if unsigned and x.dtype != torch.bool:
        # What does not fit wraps around, as in C.
        return torch.bitwise_and(x.to(torch.int64), unsigned).to(onnx_model.DTYPES[element]) if unsigned < 2**31 else x.to(torch.int64)
    if element == TensorProto.INT4:
        return (torch.bitwise_xor(torch.bitwise_and(x.to(torch.int32), 15), 8) - 8).to(torch.int8)
    return x.to(onnx_model.DTYPES[element])


@operator("CastLike")
def _cast_like(node: Node, x: Any, like: Any) -> Any:
    return cast(node, x, onnx_model.element_of(like))


# Choices and bounds


@operator("Where")
def _where(node: Node, condition: Any, a: Any, b: Any) -> Any:
    return torch.where(condition, a, b)


@operator("Clip")
def _clip(node: Node, x: Any, low: Any | None = None, high: Any | None = None) -> Any:
    low, high = number(low, node.attribute("min")), number(high, node.attribute("max"))
    if low is None and high is None:
        return x
    if isinstance(low, torch.Tensor) or isinstance(high, torch.Tensor):
        x = x if low is None else torch.maximum(x, low if isinstance(low, torch.Tensor) else torch.tensor(low, dtype=x.dtype))
        return x if high is None else torch.minimum(x, high if isinstance(high, torch.Tensor) else torch.tensor(high, dtype=x.dtype))
    return torch.clamp(x, low, high)


@operator("Dropout")
def _dropout(node: Node, x: Any, ratio: Any | None = None, training: Any | None = None) -> tuple[Any, Any]:
    probability = node.attribute("ratio", 0.5) if ratio is None else node.numbers(ratio, "ratio")[0]
    if training is not None and node.constant(training, "training_mode").item() and probability != 0:
        raise node.refused("draws random numbers; export the model in eval mode")
    return x, torch.ones(x.shape, dtype=torch.bool)


# Activations


@operator("LeakyRelu")
def _leaky_relu(node: Node, x: Any) -> Any:
    return F.leaky_relu(x, node.attribute("alpha", 0.01))


@operator("PRelu")
def _prelu(node: Node, x: Any, slope: Any) -> Any:
    return torch.where(x >= 0, x, x * slope)


@operator("ThresholdedRelu")
def _thresholded_relu(node: Node, x: Any) -> Any:
    return torch.where(x > node.attribute("alpha", 1.0), x, torch.zeros((), dtype=x.dtype))


@operator("Elu")
def _elu(node: Node, x: Any) -> Any:
    return F.elu(x, node.attribute("alpha", 1.0))


@operator("Selu")
def _selu(node: Node, x: Any) -> Any:
    alpha, gamma = node.attribute("alpha", 1.67326319217681884765625), node.attribute("gamma", 1.05070102214813232421875)
    return F.elu(x, alpha) * gamma


@operator("Celu")
def _celu(node: Node, x: Any) -> Any:
    alpha = node.attribute("alpha", 1.0)
    return torch.clamp(x, min=0) + torch.clamp(alpha * (torch.exp(x / alpha) - 1), max=0)


@operator("HardSigmoid")
def _hard_sigmoid(node: Node, x: Any) -> Any:
    return torch.clamp(x * node.attribute("alpha", 0.2) + node.attribute("beta", 0.5), 0, 1)


@operator("Softsign")
def _softsign(node: Node, x: Any) -> Any:
    return x / (1 + torch.abs(x))


@operator("Shrink")
def _shrink(node: Node, x: Any) -> Any:
    bias, bound = node.attribute("bias", 0.0), node.attribute("lambd", 0.5)
    zero = torch.zeros((), dtype=x.dtype)
    return torch.where(x < -bound, x + bias, torch.where(x > bound, x - bias, zero)).to(x.dtype)


@operator("Gelu")
@operator("Gelu", domain="com.microsoft")
def _gelu(node: Node, x: Any) -> Any:
    return F.gelu(x, approximate=node.attribute("approximate", "none"))


@operator("Swish")
def _swish(node: Node, x: Any) -> Any:
    alpha = node.attribute("alpha", 1.0)
    return F.silu(x) if alpha == 1 else x * torch.sigmoid(alpha * x)


@operator("QuickGelu", domain="com.microsoft")
def _quick_gelu(node: Node, x: Any) -> Any:
    return x * torch.sigmoid(node.attribute("alpha", 1.702) * x)


@operator("FastGelu", domain="com.microsoft")
def _fast_gelu(node: Node, x: Any, bias: Any | None = None) -> Any:
    return F.gelu(x if bias is None else x + bias, approximate="tanh")


@operator("BiasGelu", domain="com.microsoft")
def _bias_gelu(node: Node, x: Any, bias: Any) -> Any:
    return F.gelu(x + bias)
