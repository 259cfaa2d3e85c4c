"""Loops and branches. A loop is written step by step, which takes that its end is known; of a branch that data choose, both sides are computed."""

from __future__ import annotations

import torch

from wafer.frontends import deferred
from wafer.frontends.deferred import Any
from wafer.frontends.stablehlo_ops.operation import Operation
from wafer.frontends.stablehlo_ops.registry import operator

# Text and compile time grow with each step.
MOST_STEPS = 4096


@operator("stablehlo.while")
def _while(op: Operation, *values: Any) -> tuple[Any, ...]:
    for _ in range(MOST_STEPS):
        goes_on = deferred.known(op.run(0, values)[0])
        if goes_on is None:
            hint = "use lax.scan or lax.fori_loop, and jnp.where for what may stop earlier"
            raise op.refused(f"is a loop that ends when data says so, expected a count that is known; {hint}")
        if not goes_on.item():
            return values
        values = tuple(op.run(1, values))
    raise op.refused(f"is a loop of more than {MOST_STEPS} steps, expected fewer, since each is written out; call the program once for each step")


@operator("stablehlo.if")
def _if(op: Operation, condition: Any) -> tuple[Any, ...]:
    known = deferred.known(condition)
    if known is not None:
        return tuple(op.run(0 if known.item() else 1, ()))
    return _chosen(condition, op.run(0, ()), op.run(1, ()))


@operator("stablehlo.case")
def _case(op: Operation, index: Any) -> tuple[Any, ...]:
    last = len(op.op.regions) - 1
    known = deferred.known(index)
    if known is not None:
        return tuple(op.run(int(known) if 0 <= int(known) < last else last, ()))
    results = op.run(last, ())
    for i in range(last):
        results = _chosen(index == i, op.run(i, ()), results)
    return tuple(results)


def _chosen(condition: Any, then: list[Any], otherwise: list[Any]) -> tuple[Any, ...]:
    return tuple(torch.where(condition, a, b) for a, b in zip(then, otherwise, strict=True))
