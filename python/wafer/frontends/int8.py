"""Contractions of 8-bit integers: exact sums in i32, scaled once.

What is dequantised is written in f32 and remembered with the integers that it was. A contraction of two such values is one of the integers; nothing then
reads the f32, which the compiler drops. Symmetric integers only: with a zero point, the numbers are computed in f32.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import torch

from wafer.frontends.body import Body, Scalar
from wafer.frontends.tensor import Tensor
from wafer.frontends.writer import Integers

if TYPE_CHECKING:
    from wafer.frontends.context import Context

LIMIT = 127  # -128 is not used, so that a product of two fits in 15 bits


def quantized(ctx: Context, x: Tensor, scale: float, low: int = -LIMIT, high: int = LIMIT, zero: int = 0, divide: bool = False) -> Tensor:
    """round(x / scale) + zero as int8, ties to even; what is too large becomes the largest. PyTorch multiplies by 1 / scale, ONNX divides."""

    def body(b: Body, value: Scalar) -> Scalar:
        steps = b.apply("math.roundeven", b.div(value, b.like(scale, value)) if divide else b.mul(value, b.like(1 / scale, value)))
        steps = b.add(steps, b.like(float(zero), value)) if zero else steps
        return b.minimum(b.maximum(steps, b.like(float(low), value)), b.like(float(high), value))

    with ctx.writer.part(".quantize", ctx.source):
        return ctx.elementwise(body, x, compute=torch.float32, dtype=torch.int8)


def dequantized(ctx: Context, values: Tensor, scale: float | Tensor, axis: int | None = None, zero: int = 0) -> Tensor:
    """(values - zero) * scale in f32; `scale` may be a vector along `axis`."""
    values = ctx.writer.plain(values)

    def body(b: Body, value: Scalar, *factor: Scalar) -> Scalar:
        value = b.cast(value, "f32")
        value = b.sub(value, b.like(float(zero), value)) if zero else value
        return b.mul(value, factor[0] if factor else b.like(scale, value))

    operands = [values] if axis is None else [values, _along(scale, axis, values.rank)]
    with ctx.writer.part(".dequantize", ctx.source):
        result = ctx.writer.plain(ctx.elementwise(body, *operands, compute="own", dtype=torch.float32))
    if not zero and values.dtype == torch.int8:
        ctx.writer.integers[result.name] = Integers(values, scale, axis)
    return result


def _along(vector: Tensor, axis: int, rank: int) -> Tensor:
    return vector.with_units(tuple(vector.shape[0] if d == axis else 1 for d in range(rank)))


@dataclasses.dataclass(frozen=True, eq=False)
class Factors:
    """What the exact sums of a contraction are to be multiplied with: a number, and vectors by dimension of the result."""

    number: float
    vectors: tuple[tuple[int, Tensor], ...]


def integers_of(ctx: Context, tensor: Tensor) -> tuple[Tensor, float | Tensor, int | None] | None:
    """The integers that a tensor stands for, read as it is, their scale, and the dimension that a vector of scales lies along."""
    found = ctx.writer.integers.get(tensor.name) if tensor.name else None
    if found is None:
        return None
    values = dataclasses.replace(tensor, name=found.values.name, dtype=torch.int8, constant=None, recipe=None)
    return values, found.scale, None if found.axis is None else tensor.dims[found.axis]


def as_integers(ctx: Context, a: Tensor, b: Tensor, places: tuple[dict[int, int], dict[int, int]]) -> tuple[Tensor, Tensor, Factors] | None:
    """Both operands as integers, if they are, and what to multiply the sums with. `places`: for each operand, where its dimensions are in the result."""
    number, vectors, values = 1.0, [], []
    for tensor, place in zip((a, b), places):
        found = integers_of(ctx, tensor)
        if found is None:
            return None
        integers, scale, axis = found
        values.append(integers)
        if not isinstance(scale, Tensor):
            number *= scale
        elif axis in place:
            vectors.append((place[axis], scale))
        else:
            return None  # each term of a sum has a scale of its own
    return values[0], values[1], Factors(number, tuple(vectors))


def rescaled(ctx: Context, sums: Tensor, factors: Factors, dtype: torch.dtype) -> Tensor:
    """Numbers again. They are computed in f32 whatever the precision, since sums are large."""
    with ctx.writer.part(".rescale", ctx.source):
        result = ctx.elementwise(lambda b, total: b.mul(b.cast(total, "f32"), b.const(factors.number, "f32")), sums, compute="own", dtype=torch.float32)
        for dim, vector in factors.vectors:
            result = ctx.elementwise(lambda b, x, s: b.mul(x, s), result, _along(vector, dim, sums.rank), compute=torch.float32, dtype=torch.float32)
    return ctx.converted(result, dtype)
