"""Attention of a sequence to itself whose queries, keys and values stay on the wafer.

Features are "d-major": each of the three parts (queries, keys, values, one after another) has heads * size of them, and number d * heads + head is element d of that
head. So a head's features are the same distance apart everywhere, and a column of cores that takes features in turn holds a head of all three parts. Where two columns
share a head, `across` is 2, elements lie two by two: number (d // 2 * heads + head) * 2 + d % 2.

Where there is a rotation, [batch or 1, tokens, 2 * heads * size], queries and keys are turned by their places first: element d becomes c[d] * x[d] + s[d] * x[d'], where d' is as far from the
begin of the other half of the head as d from that of its own; c is the first half of the rotation's features, s the second, both d-major. With half as many features it has c and s of heads' first
halves alone: the second halves have the same c, and s with the other sign.
"""

from __future__ import annotations

import torch

from wafer.frontends import types
from wafer.frontends.context import Context
from wafer.frontends.registry import lowering
from wafer.frontends.tensor import Tensor


@torch.library.custom_op("wafer::attend", mutates_args=())
def attend(qkv: torch.Tensor, rotation: torch.Tensor | None, heads: int, scale: float, is_causal: bool, across: int = 1) -> torch.Tensor:
    """softmax(scale * queries @ keys^T) @ values of each head, [batch, tokens, 3 * heads * size] to [batch, tokens, heads * size], d-major both.

    Args:   is_causal: whether a token sees none behind it. across: columns that share a head.
    Raises: RuntimeError when the features are not three parts of as many heads, each a multiple of `across`.
    """
    queries, keys, values = _turned(_apart(qkv, 3, heads, across), rotation, across)
    return _together((_probabilities(queries, keys, scale, is_causal) @ values).unsqueeze(0), across)


@torch.library.custom_op("wafer::attend_gradient", mutates_args=())
def attend_gradient(qkv: torch.Tensor, gradient: torch.Tensor, rotation: torch.Tensor | None, heads: int, scale: float, is_causal: bool, across: int = 1) -> torch.Tensor:
    """The gradient of `attend` by `qkv`, of the same shape, where `gradient` is that by its result. Raises as `attend` does."""
    queries, keys, values = _turned(_apart(qkv, 3, heads, across), rotation, across)
    (gradient,) = _apart(gradient, 1, heads, across)
    probabilities = _probabilities(queries, keys, scale, is_causal)
    deltas = gradient @ values.transpose(-2, -1)
    of_scores = scale * probabilities * (deltas - (probabilities * deltas).sum(-1, keepdim=True))
    made = torch.stack([of_scores @ keys, of_scores.transpose(-2, -1) @ queries, probabilities.transpose(-2, -1) @ gradient])
    return _together(_turned(made, rotation, across, back=True), across)


def _turned(parts: torch.Tensor, rotation: torch.Tensor | None, across: int, back: bool = False) -> torch.Tensor:
    """Queries, keys and values, [3, batch, heads, tokens, size], the first two turned, or turned back as gradients are."""
    if rotation is None:
        return parts
    cosines, sines = _apart(rotation, 2, parts.shape[2], across)
    if cosines.shape[-1] < parts.shape[-1]:
        cosines, sines = torch.cat([cosines, cosines], -1), torch.cat([sines, -sines], -1)
    other = lambda x: x.roll(x.shape[-1] // 2, -1)  # noqa: E731
    both = parts[:2]
    return torch.cat([cosines * both + (other(sines * both) if back else sines * other(both)), parts[2:]])


def _probabilities(queries: torch.Tensor, keys: torch.Tensor, scale: float, is_causal: bool) -> torch.Tensor:
    scores = scale * queries @ keys.transpose(-2, -1)
    if is_causal:
        scores = scores.masked_fill(~torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril(), -torch.inf)
    return torch.softmax(scores, -1)


def _apart(features: torch.Tensor, parts: int, heads: int, across: int) -> torch.Tensor:
    """[batch, tokens, parts * heads * size] as [parts, batch, heads, tokens, size]."""
    batch, tokens, _ = features.shape
    return features.reshape(batch, tokens, parts, -1, heads, across).permute(2, 0, 4, 1, 3, 5).flatten(-2)


def _together(heads: torch.Tensor, across: int) -> torch.Tensor:
    """The other way."""
    batch, tokens = heads.shape[1], heads.shape[3]
    return heads.unflatten(-1, (-1, across)).permute(1, 3, 0, 4, 2, 5).reshape(batch, tokens, -1)


@attend.register_fake
def _(qkv: torch.Tensor, rotation: torch.Tensor | None, heads: int, scale: float, is_causal: bool, across: int = 1) -> torch.Tensor:
    fits = qkv.dim() == 3 and qkv.shape[2] % (3 * heads * across) == 0
    torch._check(fits, lambda: f"found {list(qkv.shape)}, expected [batch, tokens, 3 * {heads} * size], and sizes that are a multiple of {across}")
    return qkv.new_empty((*qkv.shape[:2], qkv.shape[2] // 3))


@attend_gradient.register_fake
def _(qkv: torch.Tensor, gradient: torch.Tensor, rotation: torch.Tensor | None, heads: int, scale: float, is_causal: bool, across: int = 1) -> torch.Tensor:
    return torch.empty_like(qkv, memory_format=torch.contiguous_format)


def _keep(ctx: torch.autograd.function.FunctionCtx, inputs: tuple, output: torch.Tensor) -> None:
    qkv, rotation, *ctx.how = inputs
    ctx.save_for_backward(qkv, rotation)


def _backward(ctx: torch.autograd.function.FunctionCtx, gradient: torch.Tensor) -> tuple:
    qkv, rotation = ctx.saved_tensors
    return torch.ops.wafer.attend_gradient(qkv, gradient, rotation, *ctx.how), None, None, None, None, None


attend.register_autograd(_backward, setup_context=_keep)


@lowering("wafer.attend.default")
def _attend(ctx: Context, qkv: Tensor, rotation: Tensor | None, heads: int, scale: float, is_causal: bool, across: int = 1) -> Tensor:
    batch, tokens, features = ctx.shape
    ctx.writer.count_macs(2 * batch * tokens * tokens * features)  # scores, and values by probabilities
    return _written(ctx, "graph.attend", [qkv], rotation, features, heads, scale, is_causal, across)


@lowering("wafer.attend_gradient.default")
def _attend_gradient(ctx: Context, qkv: Tensor, gradient: Tensor, rotation: Tensor | None, heads: int, scale: float, is_causal: bool, across: int = 1) -> Tensor:
    batch, tokens, features = gradient.shape
    ctx.writer.count_macs(7 * batch * tokens * tokens * features)  # the forward pass once more, scores by its maximum and sum, deltas, and one for each part
    return _written(ctx, "graph.attend_gradient", [qkv, gradient], rotation, 3 * features, heads, scale, is_causal, across)


def _written(ctx: Context, name: str, operands: list[Tensor], rotation: Tensor | None, features: int, heads: int, scale: float, is_causal: bool, across: int) -> Tensor:
    """Batch entries are one after another in two-dimensional tensors."""
    batch, tokens, _ = ctx.shape
    flat = [ctx.writer.plain(ctx.writer.reshape(operand, (operand.shape[0] * tokens, operand.shape[-1]))) for operand in [*operands, *([] if rotation is None else [rotation])]]
    how = f"heads {heads}{f' across {across}' if across > 1 else ''} scale {types.literal(scale, 'f32')}{' causal' if is_causal else ''}{f' batches {batch}' if batch > 1 else ''}"
    names = [operand.name for operand in flat]
    given = ", ".join(names) if rotation is None else f"{', '.join(names[:-1])} rotated {names[-1]}"
    shape = (batch * tokens, features)
    text = f"{name} {how} {given} : {', '.join(operand.type for operand in flat)} -> {types.tensor_type(shape, flat[0].element)}"
    return ctx.writer.reshape(ctx.writer.emit(text, shape, operands[0].dtype), ctx.shape)
