"""Operations on one element at a time."""

from __future__ import annotations

from collections.abc import Callable

import torch

from wafer.frontends.deferred import Any
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


for _name, _compute in {
    "add": _or_for_bool(torch.add, torch.logical_or),
    "subtract": torch.sub,
    "multiply": _or_for_bool(torch.mul, torch.logical_and),
    "divide": _divide,
    "maximum": _or_for_bool(torch.maximum, torch.logical_or),
    "minimum": _or_for_bool(torch.minimum, torch.logical_and),
    "remainder": torch.fmod,
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
    "square": torch.square,
    "tan": torch.tan,
    "sinh": lambda x: (torch.exp(x) - torch.exp(-x)) * 0.5,
    "cosh": lambda x: (torch.exp(x) + torch.exp(-x)) * 0.5,
    "is_inf": torch.isinf,
}.items():
    _register(f"chlo.{_name}", _compute)


@operator("stablehlo.power")
def _power(op: Operation, x: Any, y: Any) -> Any:
    if not op.dtype.is_floating_point:
        raise op.refused("raises integers to a power, expected floats; write it as a product")
    exponent = y.flatten()[0].item() if type(y) is torch.Tensor and y.numel() and bool((y == y.flatten()[0]).all()) else None
    return torch.pow(x, y if exponent is None else exponent)


@operator("stablehlo.convert")
def _convert(op: Operation, x: Any) -> Any:
    return x.to(op.dtype)


_COMPARISONS = {"EQ": torch.eq, "NE": torch.ne, "LT": torch.lt, "LE": torch.le, "GT": torch.gt, "GE": torch.ge}


@operator("stablehlo.compare")
def _compare(op: Operation, x: Any, y: Any) -> Any:
    return _COMPARISONS[direction_of(op.op)](x, y)


@operator("stablehlo.optimization_barrier")
def _same(op: Operation, *values: Any) -> tuple[Any, ...]:
    return values
