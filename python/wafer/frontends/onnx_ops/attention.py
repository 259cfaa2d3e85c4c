"""Attention and rotary positions."""

from __future__ import annotations

import functools
import math

import torch

from wafer.frontends import deferred
from wafer.frontends.deferred import Any
from wafer.frontends.onnx_ops.node import Node
from wafer.frontends.onnx_ops.registry import operator

aten = torch.ops.aten


@operator("Attention")
def _attention(
    node: Node, q: Any, k: Any, v: Any, mask: Any | None = None, past_key: Any | None = None, past_value: Any | None = None, lengths: Any | None = None
) -> object:
    flat = q.dim() == 3
    if flat:
        heads, key_heads = node.attribute("q_num_heads"), node.attribute("kv_num_heads")
        q, k, v = (t.reshape(t.shape[0], t.shape[1], count, -1).permute(0, 2, 1, 3) for t, count in ((q, heads), (k, key_heads), (v, key_heads)))
    if past_key is not None:
        k, v = torch.cat([past_key, k], 2), torch.cat([past_value, v], 2)
    batch, heads, length, size = q.shape
    keys = k.shape[2]
    scale, cap = node.attribute("scale", 1 / math.sqrt(size)), node.attribute("softcap", 0.0)
    mask = _whole_mask(node, q, keys, mask, past_key, lengths)
    if not cap and not node.wants(3) and _is_simple(mask):
        result = deferred.whole(aten.scaled_dot_product_attention.default, q, k, v, mask, 0.0, False, scale=scale, enable_gqa=heads != k.shape[1])
        scores = None
    else:
        groups = heads // k.shape[1]
        grouped = q.reshape(batch, k.shape[1], groups, length, size)
        scores = deferred.contract("bgntd,bgsd->bgnts", grouped, k, torch.float32).reshape(batch, heads, length, keys) * scale
        stages = [scores]
        stages.append(torch.tanh(scores / cap) * cap if cap else scores)
        stages.append(stages[1] if mask is None else _masked(stages[1], mask))
        probabilities = torch.softmax(stages[2], -1)
        if mask is not None:
            probabilities = torch.where(torch.isnan(probabilities), torch.zeros(()), probabilities)
        probabilities = probabilities.to(q.dtype)
        scores = [*stages, probabilities][node.attribute("qk_matmul_output_mode", 0)].to(q.dtype)
        result = deferred.contract("bgnts,bgsv->bgntv", probabilities.reshape(batch, k.shape[1], groups, length, keys), v).reshape(
            batch, heads, length, v.shape[3]
        )
    if flat:
        result = result.permute(0, 2, 1, 3).reshape(batch, length, -1)
    outputs = (result, k, v, scores)
    return outputs[: max(i + 1 for i in range(4) if i == 0 or node.wants(i))]


def _is_simple(mask: Any | None) -> bool:
    """Whether PyTorch's attention does with a mask what ONNX asks for: a query that sees no key gets zeros."""
    if mask is None or isinstance(mask, deferred.Deferred):
        return mask is None or mask.dtype == torch.bool
    seen = mask if mask.dtype == torch.bool else torch.isfinite(mask)
    return bool(seen.any(-1).all())


def _whole_mask(node: Node, q: Any, keys: int, mask: Any | None, past: Any | None, lengths: Any | None) -> Any | None:
    """All that says which keys a query sees, as one mask: bool, or numbers to be added."""
    length = q.shape[2]
    if mask is not None and mask.shape[-1] < keys:
        hidden = False if mask.dtype == torch.bool else -math.inf
        mask = torch.constant_pad_nd(mask, [0, keys - mask.shape[-1]], hidden)
    # Place of each key, and of each query among them.
    line = torch.arange(keys)
    rows = torch.arange(length).unsqueeze(1) + (0 if past is None else past.shape[2])
    if lengths is not None:
        lengths = lengths.reshape(-1, 1, 1, 1).to(torch.int64)
        rows = rows + (lengths - length) if past is None else rows
    left, right = node.attribute("left_window_size", -1), node.attribute("right_window_size", -1)
    rules = []
    if node.attribute("is_causal", 0):
        rules.append(torch.le(line, rows))
    if lengths is not None:
        rules.append(torch.lt(line, lengths))
    if left >= 0:
        rules.append(torch.ge(line, rows - left))
    if right >= 0:
        rules.append(torch.le(line, rows + right))
    seen = functools.reduce(torch.logical_and, rules) if rules else None
    if seen is None or mask is None:
        return seen if mask is None else mask
    if mask.dtype == torch.bool:
        return torch.logical_and(mask, seen)
    return torch.where(seen, mask, torch.full((), -math.inf, dtype=mask.dtype))


def _masked(scores: Any, mask: Any) -> Any:
    if mask.dtype == torch.bool:
        return torch.where(mask, scores, torch.full((), -math.inf, dtype=scores.dtype))
    return scores + mask


@operator("RotaryEmbedding")
def _rotary(node: Node, x: Any, cosine: Any, sine: Any, positions: Any | None = None) -> Any:
    shape = x.shape
    if x.dim() == 3:
        heads = node.attribute("num_heads", 0)
        x = x.reshape(shape[0], shape[1], heads, -1).permute(0, 2, 1, 3)
    size = node.attribute("rotary_embedding_dim", 0) or x.shape[-1]
    turned, rest = torch.narrow(x, -1, 0, size), torch.narrow(x, -1, size, x.shape[-1] - size)
    if positions is not None:
        cosine, sine = (torch.index_select(t, 0, positions.reshape(-1)).reshape(*positions.shape, t.shape[-1]) for t in (cosine, sine))
    cosine, sine = (torch.narrow(t, -1, 0, size // 2).unsqueeze(1) for t in (cosine, sine))
    if node.attribute("interleaved", 0):
        pairs = turned.reshape(*turned.shape[:-1], size // 2, 2)
        first, second = torch.select(pairs, -1, 0), torch.select(pairs, -1, 1)
        result = torch.stack([first * cosine - second * sine, first * sine + second * cosine], -1).reshape(turned.shape)
    else:
        first, second = torch.split(turned, size // 2, -1)
        result = torch.cat([first * cosine - second * sine, first * sine + second * cosine], -1)
    result = torch.cat([result, rest], -1) if rest.shape[-1] else result
    return result.permute(0, 2, 1, 3).reshape(shape) if len(shape) == 3 else result
