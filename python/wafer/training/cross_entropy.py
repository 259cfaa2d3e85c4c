"""Cross entropy whose logits stay on the wafer.

Which logit is the target's differs from token to token, and no core can look up an element by a number that comes with a token: where MemoryX does that, logits cross to it and
their gradient comes back, of a whole vocabulary for each token. Here each class has a number, and is the target's where the difference of the two numbers is 0. In two digits, so
that a number of 16 bits has each of them as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from wafer.frontends.aten import again  # noqa: F401 - it defines torch.ops.wafer.again

_BASE = 256
# The largest class numbers that bfloat16 has in two digits. Of float16 they could be eight times larger.
_MOST_CLASSES = 256 * _BASE
# Cycles for the few kernels more that a segment has then, and for each class, whose digits are streamed twice.
_CYCLES, _CYCLES_OF_CLASS = 10000, 1
# Stands for a logit of minus infinity, of which 0 times would be no number. Any number format of the machine has it.
_LOWEST = -65504.0


def pays(machine: Mapping, tokens: int, classes: int) -> bool:
    """Whether it takes fewer cycles than two crossings of the logits each way. `machine`: its description."""
    crossings = tokens * classes * (0.5 / machine["ingest_wavelets_per_cycle"] + 0.5 / machine["egress_wavelets_per_cycle"])
    return classes <= _MOST_CLASSES and crossings > _CYCLES + classes * _CYCLES_OF_CLASS


class OnWafer(torch.autograd.Function):
    """Sum of counted * -log(softmax(logits)[target]), divided by count: logits [tokens, classes], and whole numbers [tokens, 1], of which `counted` is 0 or 1 and `count` the same for
    all. The target of a token that is not counted need not be a class.

    A target whose logit is minus infinity has a loss of 65504 instead of infinity; a token that is not counted makes the loss NaN if its logits have one.
    """

    @staticmethod
    def forward(ctx, logits, *numbers):
        high, low, counted, count = (number.to(logits.dtype) for number in numbers)
        shifted = logits - logits.amax(-1, keepdim=True)
        powers = shifted.exp()
        total = powers.sum(-1, keepdim=True)
        losses = total.log() - (_hits(logits, high, low) * shifted.clamp(min=_LOWEST)).sum(-1, keepdim=True)
        ctx.save_for_backward(powers, total, high, low, counted, count)
        return (losses * counted).sum() / numbers[3][0, 0].to(logits.dtype)

    @staticmethod
    def backward(ctx, gradient):
        powers, total, high, low, counted, count = ctx.saved_tensors
        # Digits that are not known to be the same, or the hits of the forward pass would be kept.
        hits = _hits(powers, *map(torch.ops.wafer.again, (high, low)))
        return (powers / total - hits) * (counted * gradient / count), None, None, None, None


def _hits(logits: torch.Tensor, high: torch.Tensor, low: torch.Tensor) -> torch.Tensor:
    """One where a class is the target, whose digits are [tokens, 1], else 0."""
    number = torch.arange(logits.shape[-1])

    def equal(digit: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        return (1 - (digit.to(logits.dtype) + (0 - wanted)).abs()).relu()

    return equal(number // _BASE, high) * equal(number % _BASE, low)


def cross_entropy(machine: Mapping, logits, target, weight=None, reduction=1, ignore_index=-100, label_smoothing=0.0):
    """As aten.cross_entropy_loss; None where MemoryX has to look the targets up, or does it as well."""
    if logits.dim() != 2 or target.dim() != 1 or target.is_floating_point() or weight is not None or label_smoothing or reduction not in (1, 2) or not pays(machine, *logits.shape):
        return None
    # Whole numbers, which MemoryX computes, of the target alone: it is not asked for anything between the passes.
    target = target.unsqueeze(-1)
    counted = (target != ignore_index).to(torch.int32)
    count = counted.sum(dtype=torch.int32).expand_as(counted) if reduction == 1 else torch.ones_like(counted)
    return OnWafer.apply(logits, target // _BASE, target % _BASE, counted, count)
