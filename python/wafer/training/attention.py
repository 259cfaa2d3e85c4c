"""Attention whose probabilities are computed again in the backward pass instead of kept.

Probabilities are tokens x tokens for each head. On a machine of many cores it costs far more to send them to MemoryX and back, five times in all, than to multiply
queries and keys once more (FlashAttention, Dao and others, 2022, does the same for another memory). In the backward pass queries are in place, while keys and values
are streamed. The gradients of those are sums over queries, made where the operands are; where queries cannot be divided among rows of cores, probabilities are
computed once more with keys and values in place.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch

from wafer.frontends.aten import token_sums  # noqa: F401 - it defines torch.ops.wafer.token_sums

# Of its peak, what products of heads reach: for the choice only.
_EFFICIENCY = 0.2


def pays(machine: Mapping, features: int) -> bool:
    """Whether recomputing takes fewer cycles than sending, per probability. `machine`: its description; `features`: of a head."""
    lanes = machine["lanes"]["fmac_acc"]["bits16"]
    products = 3 * features / (_EFFICIENCY * machine["width"] * machine["height"] * lanes)
    crossings = 5 / (2 * machine["ingest_wavelets_per_cycle"])
    return products < crossings


def sums_fit(machine: Mapping, tokens: int) -> bool:
    """Whether a column of cores can hold this many tokens of one entry, each core as many, so that sums over them leave it once."""
    most = machine["accumulator_bytes"] // (2 * 4)  # two sums of f32 for each
    return any(tokens % block == 0 and tokens // block <= machine["height"] for block in range(1, most + 1))


class Recomputed(torch.autograd.Function):
    """softmax(query @ key^T * scale + bias) @ value, [batch, heads, tokens, features]; `bias`: [..., tokens, keys], minus infinity where a key is not seen, and the same
    as [..., keys, tokens], None where gradients of keys and values are sums over queries; or None."""

    @staticmethod
    def forward(ctx, query, key, value, bias, bias_by_key, scale, sums):
        ctx.save_for_backward(query, key, value, bias, bias_by_key)
        ctx.scale, ctx.sums = scale, sums
        scores = (query @ key.transpose(-2, -1)) * scale
        probabilities = torch.softmax(scores, -1) if bias is None else torch.ops.aten._safe_softmax(scores + bias, -1)
        return probabilities @ value

    @staticmethod
    def backward(ctx, gradient):
        query, key, value, bias, bias_by_key = ctx.saved_tensors
        # Queries in place. What has to be brought into order comes first, so that nothing lies between the products. The scores are written in another way than in
        # the forward pass, or the compiler would find that it has them already.
        deltas = gradient @ value.transpose(-2, -1)
        scaled = query * ctx.scale
        scores = scaled @ key.transpose(-2, -1)
        if bias is not None:
            scores = scores + bias
        # Any number near the maximum will do; a whole one crosses to MemoryX as it is, also in 16 bits (up to 2048). A query that sees no key has none.
        most = scores.amax(-1, keepdim=True).round()
        if bias is not None:
            most = torch.where(most == -math.inf, 0.0, most)
        powers = (scores - most).exp()
        total = powers.sum(-1, keepdim=True)
        if bias is not None:
            total = torch.where(total == 0, 1.0, total)
        probabilities = powers / total
        mean = (probabilities * deltas).sum(-1, keepdim=True)
        score_gradient = probabilities * (deltas - mean)
        query_gradient = (score_gradient @ key) * ctx.scale
        if ctx.sums:
            key_gradient, value_gradient = (torch.ops.wafer.token_sums(*pair) for pair in ((score_gradient, scaled), (probabilities, gradient)))
            return query_gradient, key_gradient, value_gradient, None, None, None, None
        # Keys and values in place: what belongs to a query comes with it, as more features, the logarithm in two numbers that 16 bits hold. All that is streamed is
        # there before the first product, so that nothing comes between them.
        logarithm = total.log()
        coarse = (logarithm * 16).round() / 16
        one = torch.ones_like(key[..., :1])
        keys, values = torch.cat([key, one, one, one], -1), torch.cat([value, one], -1)
        queries, gradients = torch.cat([scaled, -most, -coarse, coarse - logarithm], -1), torch.cat([gradient, -mean], -1)
        scores = keys @ queries.transpose(-2, -1)
        probabilities = (scores if bias is None else scores + bias_by_key).exp()
        value_gradient = probabilities @ gradient
        key_gradient = (probabilities * (values @ gradients.transpose(-2, -1))) @ scaled
        return query_gradient, key_gradient, value_gradient, None, None, None, None


def attention(machine: Mapping, query, key, value, mask=None, dropout=0.0, is_causal=False, *, scale=None, enable_gqa=False):
    """As aten.scaled_dot_product_attention; None where it cannot be computed again."""
    if dropout or query.dim() != 4 or (mask is not None and mask.requires_grad):
        return None
    if enable_gqa and query.shape[1] != key.shape[1]:
        repeats = query.shape[1] // key.shape[1]
        key, value = key.repeat_interleave(repeats, 1), value.repeat_interleave(repeats, 1)
    bias = by_key = None
    sums = sums_fit(machine, query.shape[-2])
    if is_causal:
        tokens, keys = query.shape[-2], key.shape[-2]
        bias = _bias(torch.ones(tokens, keys, dtype=torch.bool).tril(), query)
        by_key = None if sums else _bias(torch.ones(keys, tokens, dtype=torch.bool).triu(), query)
    elif mask is not None:
        bias = _bias(mask, query) if mask.dtype == torch.bool else mask
        by_key = None if sums else bias.transpose(-2, -1)
    return Recomputed.apply(query, key, value, bias, by_key, 1 / math.sqrt(query.shape[-1]) if scale is None else scale, sums)


def _bias(seen: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return torch.zeros(seen.shape, dtype=like.dtype).masked_fill(~seen, -math.inf)
