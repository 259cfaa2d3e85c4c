"""Random numbers as a function of a seed, of the place that draws them and of the element: the same for any engine, thread count and order.

A draw hashes three numbers with 32-bit multiplications and shifts (the finaliser of Wellons' "lowbias32", twice). It is made to decide which elements
dropout keeps and not to keep secrets.
"""

from __future__ import annotations

import dataclasses

import torch

from wafer.frontends.body import Body, Scalar
from wafer.frontends.tensor import Tensor
from wafer.frontends.writer import FunctionWriter

_GOLDEN = 0x9E3779B9


def _word(value: int) -> int:
    """A 32-bit number as MLIR writes an i32."""
    value &= 0xFFFFFFFF
    return value - 2**32 if value >= 2**31 else value


def _mixed(b: Body, x: Scalar) -> Scalar:
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B), (16, None)):
        x = b.apply("arith.xori", x, b.apply("arith.shrui", x, b.const(shift, "i32")))
        if factor is not None:
            x = b.mul(x, b.const(_word(factor), "i32"))
    return x


@dataclasses.dataclass
class RandomNumbers:
    """One per function; each draw gets a number of its own."""

    seed: Tensor  # two i32
    draws: int = 0

    def kept(self, writer: FunctionWriter, shape: tuple[int, ...], probability: float) -> Tensor:
        """A bool tensor, true with this probability, independently for each element."""
        self.draws += 1
        draw = self.draws
        strides = [1] * len(shape)
        for d in range(len(shape) - 2, -1, -1):
            strides[d] = strides[d + 1] * shape[d + 1]

        def body(b: Body, low: Scalar, high: Scalar) -> Scalar:
            place = b.const(0, "i32")
            for d, stride in enumerate(strides):
                place = b.add(place, b.mul(b.cast(b.index(d), "i32"), b.const(stride, "i32")))
            key = _mixed(b, b.apply("arith.xori", _mixed(b, b.add(low, b.const(_word(draw * _GOLDEN), "i32"))), high))
            bits = _mixed(b, b.apply("arith.xori", key, b.mul(place, b.const(_word(_GOLDEN), "i32"))))
            # 24 bits are exact in f32.
            uniform = b.mul(b.cast(b.apply("arith.shrui", bits, b.const(8, "i32")), "f32"), b.const(2.0**-24, "f32"))
            return b.compare("lt", uniform, b.const(probability, "f32"))

        return writer.generic([(self.seed, ["0"]), (self.seed, ["1"])], "p" * len(shape), shape, torch.bool, body)
