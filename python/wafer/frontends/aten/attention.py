"""Scaled dot-product attention, kept whole by the importer and written out here."""

from __future__ import annotations

import math

import torch

from wafer.frontends.aten.normalization import softmax
from wafer.frontends.body import Body, Scalar
from wafer.frontends.context import Context
from wafer.frontends.registry import lowering
from wafer.frontends.tensor import MOST_CONSTANTS, Tensor

_BATCH = "abcdefg"


def _causal_mask(ctx: Context, rows: int, columns: int) -> Tensor:
    """Which keys are not behind the query; a large one is made when the program runs, as 0 and minus infinity."""
    if rows * columns <= MOST_CONSTANTS:
        return Tensor.of_constant(torch.ones(rows, columns, dtype=torch.bool).tril())

    def seen(b: Body) -> Scalar:
        visible = b.compare("le", b.cast(b.index(1), "i32"), b.cast(b.index(0), "i32"))
        return b.select(visible, b.const(0.0, "f32"), b.const(-math.inf, "f32"))

    return ctx.writer.generic([], "pp", (rows, columns), torch.float32, seen)


def _masked(ctx: Context, scores: Tensor, mask: Tensor | None) -> Tensor:
    """Scores with minus infinity where a key is not seen, or with the mask added."""
    if mask is None:
        return scores
    if mask.dtype == torch.bool and mask.constant is not None:
        # As PyTorch does it; sums with constants run on the wafer.
        mask = Tensor.of_constant(torch.zeros(mask.shape).masked_fill(~mask.constant, -math.inf))
    if mask.dtype != torch.bool:
        return ctx.elementwise(lambda b, x, m: b.add(x, m), scores, mask, compute=torch.float32, dtype=torch.float32)

    def hide(b: Body, x: Scalar, seen: Scalar) -> Scalar:
        return b.select(seen, x, b.like(-math.inf, x))

    return ctx.elementwise(hide, scores, mask, compute="own", dtype=torch.float32)


def _without_empty_rows(ctx: Context, probabilities: Tensor, mask: Tensor | None) -> Tensor:
    """A query that sees no key gets zeros, as in PyTorch; only a boolean mask can ask for that."""
    if mask is None or mask.dtype != torch.bool or (mask.constant is not None and bool(mask.constant.any(-1).all())):
        return probabilities
    return ctx.elementwise(lambda b, x: b.select(b.is_nan(x), b.like(0, x), x), probabilities, compute="own", dtype=torch.float32)


@lowering("aten.scaled_dot_product_attention.default")
def _attention(
    ctx: Context,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None = None,
    dropout: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    if dropout:
        raise ctx.unsupported("has dropout, which draws random numbers; call model.eval() before compiling")
    heads, shape = query.shape[-3] if query.rank > 2 else 1, query.shape
    groups = heads // key.shape[-3] if enable_gqa and query.rank > 2 else 1
    if groups > 1:
        # Query heads that share a key head become a dimension of their own; keys and values are read in place for all of them.
        query = ctx.writer.reshape(query, query.shape[:-3] + (heads // groups, groups) + query.shape[-2:])
    # Before the scores, so that it does not come between them and what they are for.
    seen = _causal_mask(ctx, query.shape[-2], key.shape[-2]) if is_causal else None
    labels = _BATCH[: query.rank - 2]
    shared = labels[:-1] if groups > 1 else labels
    queries, queries_of_key = f"{labels}tk", f"{shared}sk"
    scores = ctx.contract(f"{queries},{queries_of_key}->{labels}ts", query, key, dtype=torch.float32)
    factor = 1 / math.sqrt(shape[-1]) if scale is None else scale
    scores = ctx.elementwise(lambda b, x: b.mul(x, b.like(factor, x)), scores, dtype=torch.float32)
    if groups > 1 and mask is not None and mask.rank > 2:
        if mask.shape[-3] != 1:
            mask = ctx.writer.reshape(mask, mask.shape[:-3] + (heads // groups, groups) + mask.shape[-2:])
        else:
            mask = mask.with_units(mask.shape[:-3] + (1, 1) + mask.shape[-2:])
    probabilities = softmax(ctx, _masked(ctx, scores, mask if seen is None else seen), -1, torch.float32)
    probabilities = ctx.converted(_without_empty_rows(ctx, probabilities, mask), ctx.dtype)
    result = ctx.contract(f"{labels}ts,{shared}sv->{labels}tv", probabilities, value)
    return ctx.writer.reshape(result, shape[:-1] + (value.shape[-1],))
