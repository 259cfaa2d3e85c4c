"""Operations on one element at a time."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from wafer.frontends import types
from wafer.frontends.body import Body, Scalar
from wafer.frontends.deferred import Any, Deferred
from wafer.frontends.stablehlo_ops.operation import Operation, direction_of
from wafer.frontends.stablehlo_ops.registry import operator


def _register(name: str, compute: Callable[..., Any]) -> None:
    operator(name)(lambda op, *operands: compute(*operands))


def _or_for_bool(of_numbers: Callable[..., Any], of_bools: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, y: of_bools(x, y) if x.dtype == torch.bool else of_numbers(x, y)


def _divide(x: Any, y: Any) -> Any:
    return x / y if x.is_floating_point() else torch.div(x, y, rounding_mode="trunc")


def _round_half_away(x: Any) -> Any:
    # Not the floor of x + 0.5, which is 1 for the number just below 0.5.
    whole = torch.trunc(x)
    return torch.where(torch.abs(x - whole) >= 0.5, whole + torch.sign(x), whole)


def _cube_root(x: Any) -> Any:
    return torch.sign(x) * torch.pow(torch.abs(x), 1 / 3)


# M. Giles, "Approximating the erfinv function" (2010): two polynomials, the highest power first.
_ERF_INV_CENTRE = (2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503, -0.00417768164, 0.246640727, 1.50140941)
_ERF_INV_TAIL = (-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613, 0.00943887047, 1.00167406, 2.83297682)


def _erf_inv(x: Any) -> Any:
    def polynomial(w: Any, coefficients: tuple[float, ...]) -> Any:
        value = w * coefficients[0] + coefficients[1]
        for coefficient in coefficients[2:]:
            value = value * w + coefficient
        return value

    w = -torch.log1p(-x * x)
    value = x * torch.where(w < 5, polynomial(w - 2.5, _ERF_INV_CENTRE), polynomial(torch.sqrt(w) - 3, _ERF_INV_TAIL))
    return torch.where(torch.abs(x) == 1, x * math.inf, value)


for _name, _compute in {
    "add": _or_for_bool(torch.add, torch.logical_or),
    "subtract": torch.sub,
    "multiply": _or_for_bool(torch.mul, torch.logical_and),
    "atan2": torch.atan2,
    "and": torch.bitwise_and,
    "or": torch.bitwise_or,
    "xor": torch.bitwise_xor,
    "not": torch.bitwise_not,
    "abs": torch.abs,
    "negate": torch.neg,
    "sign": torch.sign,
    "floor": torch.floor,
    "ceil": torch.ceil,
    "round_nearest_even": torch.round,
    "round_nearest_afz": _round_half_away,
    "exponential": torch.exp,
    "exponential_minus_one": torch.expm1,
    "log": torch.log,
    "log_plus_one": torch.log1p,
    "logistic": torch.sigmoid,
    "tanh": torch.tanh,
    "tan": torch.tan,
    "sine": torch.sin,
    "cosine": torch.cos,
    "sqrt": torch.sqrt,
    "rsqrt": torch.rsqrt,
    "cbrt": _cube_root,
    "is_finite": torch.isfinite,
    "clamp": lambda low, x, high: torch.minimum(torch.maximum(x, low), high),
    "select": torch.where,
}.items():
    _register(f"stablehlo.{_name}", _compute)

for _name, _compute in {
    "erf": torch.erf,
    "erfc": lambda x: 1 - torch.erf(x),
    "erf_inv": _erf_inv,
    "square": torch.square,
    "tan": torch.tan,
    "sinh": lambda x: (torch.exp(x) - torch.exp(-x)) * 0.5,
    "cosh": lambda x: (torch.exp(x) + torch.exp(-x)) * 0.5,
    "asin": torch.asin,
    "acos": torch.acos,
    "atan": torch.atan,
    "asinh": torch.asinh,
    "acosh": torch.acosh,
    "atanh": torch.atanh,
    "is_inf": torch.isinf,
    "is_pos_inf": lambda x: x == math.inf,
    "is_neg_inf": lambda x: x == -math.inf,
}.items():
    _register(f"chlo.{_name}", _compute)


@operator("stablehlo.power")
def _power(op: Operation, x: Any, y: Any) -> Any:
    if not op.dtype.is_floating_point:
        raise op.refused("raises integers to a power, expected floats; write it as a product")
    exponent = y.flatten()[0].item() if type(y) is torch.Tensor and y.numel() and bool((y == y.flatten()[0]).all()) else None
    return torch.pow(x, y if exponent is None else exponent)


# Of bits


def _shifted(op: str) -> Callable[[Body, Scalar, Scalar], Scalar]:
    """By as many bits as there are or more, what comes in remains: zeros, or the sign."""

    def body(b: Body, x: Scalar, count: Scalar) -> Scalar:
        bits = types.bits(x.type)
        inside = b.emit(f"arith.cmpi ult, {count.name}, {b.const(bits, x.type).name} : {x.type}", "i1")
        most = b.const(bits - 1, x.type)
        shifted = b.apply(op, x, b.select(inside, count, most))
        return shifted if op == "arith.shrsi" else b.select(inside, shifted, b.const(0, x.type))

    return body


def _logical_shift_right(x: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
    bits = x.dtype.itemsize * 8
    return torch.where(count == 0, x, (x >> count) & ((1 << (bits - count)) - 1))


def _of_bits(name: str, body: Callable[..., Scalar], of_constants: Callable[..., Any] | None) -> None:
    @operator(f"stablehlo.{name}")
    def compute(op: Operation, *operands: Any) -> Any:
        if of_constants is not None and not any(isinstance(operand, Deferred) for operand in operands):
            return of_constants(*operands)
        return op.made(lambda ctx, *given: ctx.elementwise(body, *given, compute="own"), *operands)


_of_bits("shift_left", _shifted("arith.shli"), torch.bitwise_left_shift)
_of_bits("shift_right_logical", _shifted("arith.shrui"), _logical_shift_right)
_of_bits("shift_right_arithmetic", _shifted("arith.shrsi"), torch.bitwise_right_shift)
_of_bits("popcnt", lambda b, x: b.apply("math.ctpop", x), None)
_of_bits("count_leading_zeros", lambda b, x: b.apply("math.ctlz", x), None)


@operator("stablehlo.bitcast_convert")
def _bitcast_convert(op: Operation, x: Any) -> Any:
    wanted = types.stored(op.dtype)
    if torch.bool in (x.dtype, op.dtype) or x.dtype.itemsize != op.dtype.itemsize:
        raise op.refused(f"reads the bits of {str(x.dtype).removeprefix('torch.')} as {str(op.dtype).removeprefix('torch.')}, expected types of one size")
    if not isinstance(x, Deferred):
        return x.view(op.dtype)
    return op.made(lambda ctx, a: ctx.elementwise(lambda b, v: b.emit(f"arith.bitcast {v.name} : {v.type} to {wanted}", wanted), a, compute="own"), x)


@operator("stablehlo.reduce_precision")
def _reduce_precision(op: Operation, x: Any) -> Any:
    narrow = {(8, 23): torch.float32, (8, 7): torch.bfloat16}.get((op.number("exponent_bits"), op.number("mantissa_bits")))
    if narrow is None:
        raise op.refused("rounds to a format that is neither f32 nor bf16; convert with .astype")
    return x.to(narrow).to(op.dtype)


# Where it matters whether integers have a sign


def _of_sign(name: str, signed: Callable[..., Any], unsigned: Callable[[Body, Scalar, Scalar], Scalar]) -> None:
    @operator(f"stablehlo.{name}")
    def compute(op: Operation, x: Any, y: Any) -> Any:
        if op.is_unsigned:
            return op.made(lambda ctx, a, b: ctx.elementwise(unsigned, a, b, compute="own"), x, y)
        return signed(x, y)


_of_sign("divide", _divide, lambda b, x, y: b.apply("arith.divui", x, y))
_of_sign("remainder", torch.fmod, lambda b, x, y: b.apply("arith.remui", x, y))
_of_sign("maximum", _or_for_bool(torch.maximum, torch.logical_or), lambda b, x, y: b.apply("arith.maxui", x, y))
_of_sign("minimum", _or_for_bool(torch.minimum, torch.logical_and), lambda b, x, y: b.apply("arith.minui", x, y))


@operator("stablehlo.convert")
def _convert(op: Operation, x: Any) -> Any:
    if op.is_unsigned and op.dtype.is_floating_point:
        return op.made(lambda ctx, a: ctx.elementwise(lambda b, v: b.emit(f"arith.uitofp {v.name} : {v.type} to f32", "f32"), a, compute="own"), x)
    if op.is_unsigned and not isinstance(x, Deferred) and (x.dtype, op.dtype) == (torch.int32, torch.int64):
        return x.to(torch.int64) & 0xFFFFFFFF
    return x.to(op.dtype)


_COMPARISONS = {"EQ": torch.eq, "NE": torch.ne, "LT": torch.lt, "LE": torch.le, "GT": torch.gt, "GE": torch.ge}


@operator("stablehlo.compare")
def _compare(op: Operation, x: Any, y: Any) -> Any:
    if op.is_unsigned:
        # With the highest bit turned, unsigned integers have the order of signed ones.
        x, y = x ^ types.INT32_MIN, y ^ types.INT32_MIN
    return _COMPARISONS[direction_of(op.op)](x, y)


@operator("stablehlo.optimization_barrier")
def _same(op: Operation, *values: Any) -> tuple[Any, ...]:
    return values
