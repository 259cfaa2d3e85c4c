"""Operations on one element at a time: each is one linalg.generic."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from wafer.frontends import types
from wafer.frontends.body import Body, Scalar
from wafer.frontends.context import Context, Operand, common_dtype
from wafer.frontends.registry import lowering
from wafer.frontends.tensor import Tensor


def _float_dtype(*operands: Operand) -> torch.dtype:
    """The type in which PyTorch computes functions: integers become float32."""
    dtype = types.widened(common_dtype(*operands))
    return dtype if dtype.is_floating_point else torch.float32


def register(overload: str, body: Callable[..., Scalar], compute: Callable[..., object] | None) -> None:
    @lowering(overload)
    def lower(ctx: Context, *operands: Operand) -> Tensor:
        return ctx.elementwise(body, *operands, compute=compute(*operands) if compute else None)


def exact(overload: str, body: Callable[..., Scalar]) -> None:
    """A result that needs no rounding, or just one: computed in the type of the operands."""
    register(overload, body, common_dtype)


def _function(overload: str, body: Callable[..., Scalar]) -> None:
    """A function of real numbers."""
    register(overload, body, _float_dtype)


def _math(name: str) -> Callable[[Body, Scalar], Scalar]:
    return lambda b, x: b.apply(f"math.{name}", x)


def _relu(b: Body, x: Scalar) -> Scalar:
    return b.maximum(x, b.like(0, x))


def sigmoid(b: Body, x: Scalar) -> Scalar:
    one = b.like(1, x)
    return b.div(one, b.add(one, b.apply("math.exp", b.neg(x))))


def _sign(b: Body, x: Scalar) -> Scalar:
    zero, one = b.like(0, x), b.like(1, x)
    negative = b.select(b.compare("lt", x, zero), b.neg(one), zero)
    return b.select(b.compare("gt", x, zero), one, negative)


def _trunc(b: Body, x: Scalar) -> Scalar:
    return b.select(b.compare("lt", x, b.like(0, x)), b.apply("math.ceil", x), b.apply("math.floor", x)) if x.is_float else x


def _floor(b: Body, x: Scalar) -> Scalar:
    return b.apply("math.floor", x) if x.is_float else x


def _ceil(b: Body, x: Scalar) -> Scalar:
    return b.apply("math.ceil", x) if x.is_float else x


def _round(b: Body, x: Scalar) -> Scalar:
    return b.apply("math.roundeven", x) if x.is_float else x


def _floor_divide(b: Body, x: Scalar, y: Scalar) -> Scalar:
    return b.apply("math.floor", b.div(x, y)) if x.is_float else b.apply("arith.floordivsi", x, y)


def _remainder(b: Body, x: Scalar, y: Scalar) -> Scalar:
    """With the sign of the divisor, as in Python."""
    rest = b.apply("arith.remf" if x.is_float else "arith.remsi", x, y)
    zero = b.like(0, rest)
    differs = b.apply("arith.xori", b.compare("lt", rest, zero), b.compare("lt", y, zero))
    return b.select(b.apply("arith.andi", b.compare("ne", rest, zero), differs), b.add(rest, y), rest)


def _is_infinite(b: Body, x: Scalar) -> Scalar:
    return b.compare("eq", b.abs(x), b.like(math.inf, x)) if x.is_float else b.const(False, "i1")


exact("aten.relu.default", _relu)
exact("aten.neg.default", lambda b, x: b.neg(x))
exact("aten.abs.default", lambda b, x: b.abs(x))
exact("aten.sign.default", _sign)
exact("aten.floor.default", _floor)
exact("aten.ceil.default", _ceil)
exact("aten.round.default", _round)
exact("aten.trunc.default", _trunc)
exact("aten.minimum.default", lambda b, x, y: b.minimum(x, y))
exact("aten.maximum.default", lambda b, x, y: b.maximum(x, y))
exact("aten.isnan.default", lambda b, x: b.is_nan(x) if x.is_float else b.const(False, "i1"))
exact("aten.isinf.default", _is_infinite)

_function("aten.exp.default", _math("exp"))
_function("aten.expm1.default", _math("expm1"))
_function("aten.exp2.default", _math("exp2"))
_function("aten.log.default", _math("log"))
_function("aten.log2.default", _math("log2"))
_function("aten.log10.default", _math("log10"))
_function("aten.log1p.default", _math("log1p"))
_function("aten.sqrt.default", _math("sqrt"))
_function("aten.rsqrt.default", _math("rsqrt"))
_function("aten.sin.default", _math("sin"))
_function("aten.cos.default", _math("cos"))
_function("aten.tan.default", _math("tan"))
for _name in ("asin", "acos", "atan", "sinh", "cosh", "asinh", "acosh", "atanh"):
    _function(f"aten.{_name}.default", _math(_name))
_function("aten.tanh.default", _math("tanh"))
_function("aten.erf.default", _math("erf"))
_function("aten.sigmoid.default", sigmoid)
_function("aten.silu.default", lambda b, x: b.mul(x, sigmoid(b, x)))
_function("aten.reciprocal.default", lambda b, x: b.div(b.like(1, x), x))
_function("aten.square.default", lambda b, x: b.mul(x, x))
_function("aten.atan2.default", lambda b, x, y: b.apply("math.atan2", x, y))


# Arithmetic of two operands. A number is not rounded to 16 bits before it is used, so only sums of tensors stay narrow.


def _arithmetic(ctx: Context, body: Callable[..., Scalar], a: Operand, b: Operand) -> Tensor:
    narrow = all(isinstance(operand, Tensor) and operand.splat is None for operand in (a, b))
    return ctx.elementwise(body, a, b, compute=common_dtype(a, b) if narrow else None)


def _scaled(b: Body, x: Scalar, alpha: float | int) -> Scalar:
    return x if alpha == 1 else b.mul(x, b.like(alpha, x))


@lowering("aten.add.Tensor", "aten.add.Scalar")
def _add(ctx: Context, a: Operand, b: Operand, alpha: float | int = 1) -> Tensor:
    if alpha == 1:
        return _arithmetic(ctx, lambda w, x, y: w.add(x, y), a, b)
    return ctx.elementwise(lambda w, x, y: w.add(x, _scaled(w, y, alpha)), a, b)


@lowering("aten.sub.Tensor", "aten.sub.Scalar")
def _sub(ctx: Context, a: Operand, b: Operand, alpha: float | int = 1) -> Tensor:
    if alpha == 1:
        return _arithmetic(ctx, lambda w, x, y: w.sub(x, y), a, b)
    return ctx.elementwise(lambda w, x, y: w.sub(x, _scaled(w, y, alpha)), a, b)


@lowering("aten.rsub.Scalar", "aten.rsub.Tensor")
def _rsub(ctx: Context, a: Operand, b: Operand, alpha: float | int = 1) -> Tensor:
    return ctx.elementwise(lambda w, x, y: w.sub(y, _scaled(w, x, alpha)), a, b)


@lowering("aten.mul.Tensor", "aten.mul.Scalar")
def _mul(ctx: Context, a: Operand, b: Operand) -> Tensor:
    return _arithmetic(ctx, lambda w, x, y: w.mul(x, y), a, b)


@lowering("aten.div.Tensor", "aten.div.Scalar")
def _div(ctx: Context, a: Operand, b: Operand) -> Tensor:
    if common_dtype(a, b).is_floating_point:
        return _arithmetic(ctx, lambda w, x, y: w.div(x, y), a, b)
    return ctx.elementwise(lambda w, x, y: w.div(x, y), a, b, compute=torch.float32)


@lowering("aten.div.Tensor_mode", "aten.div.Scalar_mode")
def _div_mode(ctx: Context, a: Operand, b: Operand, rounding_mode: str | None = None) -> Tensor:
    if rounding_mode is None:
        return _div(ctx, a, b)
    if rounding_mode == "floor":
        return ctx.elementwise(_floor_divide, a, b)
    return ctx.elementwise(lambda w, x, y: _trunc(w, w.div(x, y)), a, b)


@lowering("aten.floor_divide.default")
def _floor_division(ctx: Context, a: Operand, b: Operand) -> Tensor:
    return ctx.elementwise(_floor_divide, a, b)


@lowering("aten.remainder.Tensor", "aten.remainder.Scalar")
def _remainder_op(ctx: Context, a: Operand, b: Operand) -> Tensor:
    return ctx.elementwise(_remainder, a, b)


@lowering("aten.fmod.Tensor", "aten.fmod.Scalar")
def _fmod(ctx: Context, a: Operand, b: Operand) -> Tensor:
    return ctx.elementwise(lambda w, x, y: w.apply("arith.remf" if x.is_float else "arith.remsi", x, y), a, b)


@lowering("aten.addcmul.default")
def _addcmul(ctx: Context, a: Tensor, b: Tensor, c: Tensor, value: float = 1) -> Tensor:
    return ctx.elementwise(lambda w, x, y, z: w.add(x, _scaled(w, w.mul(y, z), value)), a, b, c)


@lowering("aten.addcdiv.default")
def _addcdiv(ctx: Context, a: Tensor, b: Tensor, c: Tensor, value: float = 1) -> Tensor:
    return ctx.elementwise(lambda w, x, y, z: w.add(x, _scaled(w, w.div(y, z), value)), a, b, c)


@lowering("aten.lerp.Scalar", "aten.lerp.Tensor")
def _lerp(ctx: Context, a: Tensor, b: Tensor, weight: Operand) -> Tensor:
    return ctx.elementwise(lambda w, x, y, t: w.add(x, w.mul(t, w.sub(y, x))), a, b, weight)


@lowering("aten.pow.Tensor_Scalar")
def _pow_scalar(ctx: Context, a: Tensor, exponent: float | int) -> Tensor:
    def body(b: Body, x: Scalar) -> Scalar:
        # Small whole powers are products, with no library call.
        if exponent in (1, 2, 3):
            result = x
            for _ in range(int(exponent) - 1):
                result = b.mul(result, x)
            return result
        if exponent == 0:
            return b.like(1, x)
        if exponent == 0.5:
            return b.apply("math.sqrt", x)
        if exponent == -0.5:
            return b.apply("math.rsqrt", x)
        if exponent == -1:
            return b.div(b.like(1, x), x)
        return b.apply("math.powf", x, b.like(exponent, x))

    is_whole = exponent in (0, 1, 2, 3)
    return ctx.elementwise(body, a, compute=types.widened(common_dtype(a, exponent)) if is_whole else _float_dtype(a))


@lowering("aten.pow.Tensor_Tensor")
def _pow_tensor(ctx: Context, a: Tensor, exponent: Tensor) -> Tensor:
    return ctx.elementwise(lambda b, x, y: b.apply("math.powf", x, y), a, exponent, compute=_float_dtype(a, exponent))


@lowering("aten.pow.Scalar")
def _pow_of_scalar(ctx: Context, a: float | int, exponent: Tensor) -> Tensor:
    return ctx.elementwise(lambda b, x, y: b.apply("math.powf", x, y), a, exponent, compute=_float_dtype(exponent))


# Activations


@lowering("aten.gelu.default")
def _gelu(ctx: Context, a: Tensor, approximate: str = "none") -> Tensor:
    def exact(b: Body, x: Scalar) -> Scalar:
        erf = b.apply("math.erf", b.mul(x, b.like(math.sqrt(0.5), x)))
        return b.mul(b.mul(x, b.like(0.5, x)), b.add(b.like(1, x), erf))

    def by_tanh(b: Body, x: Scalar) -> Scalar:
        cube = b.mul(b.mul(x, x), x)
        inner = b.mul(b.like(math.sqrt(2 / math.pi), x), b.add(x, b.mul(b.like(0.044715, x), cube)))
        return b.mul(b.mul(b.like(0.5, x), x), b.add(b.like(1, x), b.apply("math.tanh", inner)))

    return ctx.elementwise(by_tanh if approximate == "tanh" else exact, a)


@lowering("aten.elu.default")
def _elu(ctx: Context, a: Tensor, alpha: float = 1, scale: float = 1, input_scale: float = 1) -> Tensor:
    def body(b: Body, x: Scalar) -> Scalar:
        negative = b.mul(b.like(alpha * scale, x), b.sub(b.apply("math.exp", _scaled(b, x, input_scale)), b.like(1, x)))
        return b.select(b.compare("gt", x, b.like(0, x)), _scaled(b, x, scale), negative)

    return ctx.elementwise(body, a)


@lowering("aten.leaky_relu.default")
def _leaky_relu(ctx: Context, a: Tensor, slope: float = 0.01) -> Tensor:
    return ctx.elementwise(lambda b, x: b.select(b.compare("gt", x, b.like(0, x)), x, b.mul(x, b.like(slope, x))), a)


def _log_of_one_plus(b: Body, y: Scalar) -> Scalar:
    """log(1 + y) for y in [0, 1]. What 1 + y rounds away of a small y comes back as a factor (Kahan)."""
    one = b.like(1, y)
    total = b.add(one, y)
    added = b.sub(total, one)
    return b.select(b.compare("eq", added, b.like(0, y)), y, b.mul(b.apply("math.log", total), b.div(y, added)))


@lowering("aten.softplus.default")
def _softplus(ctx: Context, a: Tensor, beta: float = 1, threshold: float = 20) -> Tensor:
    def body(b: Body, x: Scalar) -> Scalar:
        scaled = _scaled(b, x, beta)
        # log(1 + exp(x)) = max(x, 0) + log(1 + exp(-|x|)), which does not overflow.
        tail = _log_of_one_plus(b, b.apply("math.exp", b.neg(b.abs(scaled))))
        soft = b.div(b.add(b.maximum(scaled, b.like(0, x)), tail), b.like(beta, x))
        return b.select(b.compare("gt", scaled, b.like(threshold, x)), x, soft)

    return ctx.elementwise(body, a)


@lowering("aten.hardtanh.default")
def _hardtanh(ctx: Context, a: Tensor, low: float = -1, high: float = 1) -> Tensor:
    return _clamp(ctx, a, low, high)


@lowering("aten.relu6.default")
def _relu6(ctx: Context, a: Tensor) -> Tensor:
    return _clamp(ctx, a, 0, 6)


def _hard_sigmoid(b: Body, x: Scalar) -> Scalar:
    inner = b.minimum(b.maximum(b.add(x, b.like(3, x)), b.like(0, x)), b.like(6, x))
    return b.div(inner, b.like(6, x))


@lowering("aten.hardsigmoid.default")
def _hardsigmoid(ctx: Context, a: Tensor) -> Tensor:
    return ctx.elementwise(_hard_sigmoid, a)


@lowering("aten.hardswish.default")
def _hardswish(ctx: Context, a: Tensor) -> Tensor:
    return ctx.elementwise(lambda b, x: b.mul(x, _hard_sigmoid(b, x)), a)


@lowering("aten.clamp.default", "aten.clamp.Tensor")
def _clamp(ctx: Context, a: Tensor, low: Operand | None = None, high: Operand | None = None) -> Tensor:
    bounds = [bound for bound in (low, high) if bound is not None]

    def body(b: Body, x: Scalar, *given: Scalar) -> Scalar:
        remaining = iter(given)
        x = b.maximum(x, next(remaining)) if low is not None else x
        return b.minimum(x, next(remaining)) if high is not None else x

    return ctx.elementwise(body, a, *bounds)


# Conversions and copies


@lowering("aten._to_copy.default", "aten.to.dtype")
def _to_copy(ctx: Context, a: Tensor, *unused: object, **options: object) -> Tensor:
    return ctx.converted(a, ctx.dtype)


@lowering("aten.clone.default", "aten.alias.default", "aten.detach.default", "aten.contiguous.default", "aten.lift_fresh_copy.default")
def _same(ctx: Context, a: Tensor, **options: object) -> Tensor:
    return a


@lowering("prims.copy_strided.default")
def _with_strides(ctx: Context, a: Tensor, strides: Sequence[int]) -> Tensor:
    return a


@lowering("aten.native_dropout.default")
def _dropout(ctx: Context, a: Tensor, p: float, train: bool | None) -> tuple[Tensor, Tensor]:
    """The tensor with some elements zero and the others larger, and which were kept."""
    if train is False or p == 0:
        return a, Tensor.of_constant(torch.ones(a.shape, dtype=torch.bool))
    kept = ctx.random.kept(ctx.writer, a.shape, 1 - p)
    factor = 1 / (1 - p) if p < 1 else 0.0
    return ctx.elementwise(lambda b, x, keep: b.mul(b.mul(x, keep), b.like(factor, x)), a, kept), kept


@lowering("aten.bernoulli.p")
def _bernoulli(ctx: Context, a: Tensor, p: float = 0.5, generator: object = None) -> Tensor:
    return ctx.converted(ctx.random.kept(ctx.writer, a.shape, p), ctx.dtype)


@lowering("aten.fill.Scalar")
def _fill(ctx: Context, a: Tensor, value: float | int) -> Tensor:
    return Tensor.of_constant(torch.full(ctx.shape, value, dtype=ctx.dtype))


@lowering("aten.copy.default")
def _copy(ctx: Context, a: Tensor, b: Tensor, **options: object) -> Tensor:
    return ctx.converted(b, ctx.dtype).expanded(ctx.shape)
