"""Quantised programs as PyTorch writes them."""

from __future__ import annotations

import torch

from wafer.frontends import int8
from wafer.frontends.context import Context
from wafer.frontends.registry import lowering
from wafer.frontends.tensor import Tensor


@lowering("quantized_decomposed.quantize_per_tensor.default")
def _quantize(ctx: Context, x: Tensor, scale: float, zero: int, low: int, high: int, dtype: torch.dtype) -> Tensor:
    return int8.quantized(ctx, x, scale, low, high, zero)


@lowering("quantized_decomposed.dequantize_per_tensor.default")
def _dequantize(ctx: Context, x: Tensor, scale: float, zero: int, low: int, high: int, dtype: torch.dtype, *, out_dtype: torch.dtype | None = None) -> Tensor:
    return ctx.converted(int8.dequantized(ctx, x, scale, zero=zero), out_dtype or torch.float32)


@lowering("quantized_decomposed.dequantize_per_channel.default")
def _dequantize_per_channel(
    ctx: Context, x: Tensor, scales: Tensor, zeros: Tensor | None, axis: int, low: int, high: int, dtype: torch.dtype, *, out_dtype: torch.dtype | None = None
) -> Tensor:
    if zeros is not None and zeros.splat != 0:
        raise ctx.unsupported("has zero points, expected symmetric weights")
    return ctx.converted(int8.dequantized(ctx, x, scales, axis % x.rank), out_dtype or torch.float32)
