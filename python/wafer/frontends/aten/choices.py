"""Comparisons, truth values and choices by them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import torch

from wafer.frontends import types
from wafer.frontends.aten.elementwise import exact, register
from wafer.frontends.body import Body, Scalar
from wafer.frontends.context import Context, Operand, common_dtype
from wafer.frontends.registry import lowering
from wafer.frontends.tensor import Recipe, Tensor


def _register_comparison(predicate: str) -> None:
    @lowering(f"aten.{predicate}.Tensor", f"aten.{predicate}.Scalar")
    def lower(ctx: Context, x: Operand, y: Operand) -> Tensor:
        compute = common_dtype(x, y)
        body = lambda b, x, y: b.compare(predicate, x, y)  # noqa: E731
        result = ctx.elementwise(body, x, y, compute=compute)
        return dataclasses.replace(result, recipe=Recipe(body, (x, y), compute, result.shape))


for _predicate in ("eq", "ne", "lt", "le", "gt", "ge"):
    _register_comparison(_predicate)


def _logical(overload: str, body: Callable[..., Scalar]) -> None:
    register(overload, body, lambda *operands: torch.bool)


_logical("aten.logical_and.default", lambda b, x, y: b.apply("arith.andi", x, y))
_logical("aten.logical_or.default", lambda b, x, y: b.apply("arith.ori", x, y))
_logical("aten.logical_xor.default", lambda b, x, y: b.apply("arith.xori", x, y))
_logical("aten.logical_not.default", lambda b, x: b.logical_not(x))

for _name, _op in (("and", "arith.andi"), ("or", "arith.ori"), ("xor", "arith.xori")):
    for _overload in ("Tensor", "Scalar"):
        exact(f"aten.bitwise_{_name}.{_overload}", lambda b, x, y, op=_op: b.apply(op, x, y))
exact("aten.bitwise_left_shift.Tensor", lambda b, x, y: b.apply("arith.shli", x, y))
exact("aten.bitwise_right_shift.Tensor", lambda b, x, y: b.apply("arith.shrsi", x, y))
exact("aten.bitwise_not.default", lambda b, x: b.logical_not(x) if x.type == "i1" else b.apply("arith.xori", x, b.like(-1, x)))


def _is_finite(b: Body, x: Scalar) -> Scalar:
    return b.compare("lt", b.abs(x), b.like(math.inf, x)) if x.is_float else b.const(True, "i1")


@lowering("aten.isfinite.default")
def _isfinite(ctx: Context, a: Tensor) -> Tensor:
    return ctx.elementwise(_is_finite, a, compute=a.dtype)


@lowering("aten.where.self", "aten.where.ScalarOther", "aten.where.ScalarSelf")
def _where(ctx: Context, condition: Tensor, a: Operand, b: Operand) -> Tensor:
    wanted = types.computed(ctx.dtype)
    choices = [operand if isinstance(operand, Tensor) else Tensor.of_constant(torch.tensor(operand, dtype=ctx.dtype)) for operand in (a, b)]
    recipe = condition.recipe
    if recipe is not None and condition.is_plain and condition.shape == recipe.shape and recipe.compute.is_floating_point and condition.constant is None:
        # Compares again instead of reading bools, so that there is no tensor of bools and the choice can run on the wafer.
        compared = types.computed(recipe.compute)
        numbers = [o if isinstance(o, Tensor) else Tensor.of_constant(torch.tensor(o, dtype=recipe.compute)) for o in recipe.operands]

        def choose(w: Body, x: Scalar, y: Scalar, then: Scalar, otherwise: Scalar) -> Scalar:
            return w.select(recipe.body(w, w.cast(x, compared), w.cast(y, compared)), w.cast(then, wanted), w.cast(otherwise, wanted))

        return ctx.elementwise(choose, *numbers, *choices, compute="own")
    return ctx.elementwise(lambda w, c, x, y: w.select(w.cast(c, "i1"), w.cast(x, wanted), w.cast(y, wanted)), condition, *choices, compute="own")


@lowering("aten.masked_fill.Scalar", "aten.masked_fill.Tensor")
def _masked_fill(ctx: Context, a: Tensor, mask: Tensor, value: Operand) -> Tensor:
    return _where(ctx, mask, value, a)
