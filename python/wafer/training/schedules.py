"""Hyperparameters as functions of the step, 0 for the first. Any function of an int will do; these are the usual ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

Schedule = Callable[[int], float]


def linear(start: float, end: float, steps: int) -> Schedule:
    """From `start` at step 0 to `end` at step `steps`, and `end` from there on."""
    return lambda step: start + (end - start) * min(step / steps, 1.0)


def cosine(peak: float, steps: int, *, warmup: int = 0, floor: float = 0.0) -> Schedule:
    """Up to `peak` in `warmup` steps of equal size, then down half a cosine to `floor` at step `steps`, and `floor` from there on."""

    def value(step: int) -> float:
        if step < warmup:
            return peak * (step + 1) / warmup
        done = min((step - warmup) / max(steps - warmup, 1), 1.0)
        return floor + (peak - floor) * 0.5 * (1 + math.cos(math.pi * done))

    return value


def exponential(start: float, factor: float) -> Schedule:
    """start * factor ** step."""
    return lambda step: start * factor**step


def piecewise(first: float, later: Mapping[int, float]) -> Schedule:
    """`first`, and from each step in `later` on the value given there."""
    begins = sorted(later)
    return lambda step: later[max(b for b in begins if b <= step)] if begins and step >= begins[0] else first
