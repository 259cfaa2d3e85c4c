"""Sums of products over tokens where both operands are, for each batch entry."""

from __future__ import annotations

import math

import torch

from wafer.frontends.context import Context
from wafer.frontends.registry import lowering
from wafer.frontends.tensor import Tensor


@torch.library.custom_op("wafer::token_sums", mutates_args=())
def token_sums(rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """rows^T @ columns of each entry, [..., tokens, n] and [..., tokens, k] to [..., n, k]. On the wafer neither operand leaves for it: cores add what they hold."""
    return rows.transpose(-2, -1) @ columns


@token_sums.register_fake
def _(rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    return rows.new_empty((*rows.shape[:-2], rows.shape[-1], columns.shape[-1]))


@lowering("wafer.token_sums.default")
def _token_sums(ctx: Context, rows: Tensor, columns: Tensor) -> Tensor:
    entries, (tokens, n), k = math.prod(rows.shape[:-2]), rows.shape[-2:], columns.shape[-1]
    flat = [ctx.writer.reshape(ctx.writer.plain(operand), (entries * tokens, size)) for operand, size in ((rows, n), (columns, k))]
    ctx.writer.count_macs(entries * tokens * n * k)
    operands, types = (", ".join(texts) for texts in zip(*((operand.name, operand.type) for operand in flat)))
    batches = f"batches {entries} " if entries > 1 else ""
    made = ctx.writer.emit(f"graph.sample {batches}{operands} : {types} -> tensor<{entries}x{n}x{k}xf32>", (entries, n, k), torch.float32)
    return ctx.writer.reshape(made, ctx.shape)
