"""Reductions over dimensions, and sorting."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from wafer.frontends import deferred
from wafer.frontends.deferred import Any
from wafer.frontends.stablehlo_ops.operation import Operation, direction_of
from wafer.frontends.stablehlo_ops.registry import find, operator


def lowest(dtype: torch.dtype) -> float | int | bool:
    return False if dtype == torch.bool else -math.inf if dtype.is_floating_point else torch.iinfo(dtype).min


def highest(dtype: torch.dtype) -> float | int | bool:
    return True if dtype == torch.bool else math.inf if dtype.is_floating_point else torch.iinfo(dtype).max


def _product(x: Any, dims: list[int]) -> Any:
    for d in sorted(dims, reverse=True):
        x = torch.prod(x, d, dtype=x.dtype)
    return x


# By the operation that combines: of numbers, of bools, and what changes nothing.
_REDUCTIONS: dict[str, tuple[Callable[..., Any] | None, Callable[..., Any] | None, Callable[[torch.dtype], object]]] = {
    "add": (lambda x, dims: torch.sum(x, dims, dtype=x.dtype), torch.any, lambda dtype: 0),
    "multiply": (_product, torch.all, lambda dtype: 1),
    "maximum": (torch.amax, torch.any, lowest),
    "minimum": (torch.amin, torch.all, highest),
    "or": (None, torch.any, lambda dtype: 0),
    "and": (None, torch.all, lambda dtype: 1),
}


@operator("stablehlo.reduce")
def _reduce(op: Operation, *operands: Any) -> Any:
    dims = op.numbers("dimensions")
    count = len(operands) // 2
    if count == 2:
        return _extreme_with_place(op, operands[0], operands[1], dims)
    if count != 1:
        raise op.refused(f"reduces {count} arrays together, expected one, or values with their places as in argmax")
    x, init = operands
    name = op.combination()
    of_numbers, of_bools, neutral = _REDUCTIONS.get(name, (None, None, None))
    reduction = of_bools if x.dtype == torch.bool else of_numbers
    if reduction is None:
        raise op.refused(f"reduces {str(x.dtype).removeprefix('torch.')} by '{name}', expected {', '.join(_REDUCTIONS)}")
    result = reduction(x, dims) if dims else x
    known = deferred.known(init)
    if known is not None and known.item() == neutral(x.dtype):
        return result
    return find(f"stablehlo.{name}")(op, result, init.expand(result.shape))


def _extreme_with_place(op: Operation, x: Any, places: Any, dims: list[int]) -> tuple[Any, Any]:
    """argmax and argmin, as JAX writes them: pairs of a value and its place, of which the better goes on."""
    known = deferred.known(places)
    first = next(iter(op.op.regions[0].blocks[0].operations))
    direction = direction_of(first) if first.operation.name == "stablehlo.compare" else ""
    if len(dims) != 1 or direction not in ("GT", "LT") or known is None or not _counts_along(known, dims[0]):
        raise op.refused("reduces two arrays together by a function that is neither that of argmax nor of argmin; use jnp.argmax or jnp.argmin")
    best, place = (torch.amax, torch.argmax) if direction == "GT" else (torch.amin, torch.argmin)
    return best(x, dims[0]), place(x, dims[0]).to(op.results[1][1])


def _counts_along(places: torch.Tensor, d: int) -> bool:
    line = torch.arange(places.shape[d]).reshape([-1 if i == d else 1 for i in range(places.dim())])
    return bool((places == line).all())


@operator("stablehlo.sort")
def _sort(op: Operation, *operands: Any) -> tuple[Any, ...]:
    d = op.number("dimension")
    block = op.op.regions[0].blocks[0]
    # JAX compares the keys from the first to the last; what is read is a key. Before floats are compared in total order, zeros and NaNs become one each.
    keys = [i for i in range(len(operands)) if list(block.arguments[2 * i].uses)]
    compared = [o for o in block.operations if o.operation.name == "stablehlo.compare" and "TOTALORDER" in str(o.attributes["compare_type"] if "compare_type" in o.attributes else "")]
    directions = {direction_of(o) for o in compared or block.operations if o.operation.name == "stablehlo.compare"} - ({"EQ"} if len(keys) > 1 else set())
    if directions not in ({"LT"}, {"GT"}):
        raise op.refused("sorts by a function of its own, expected keys in rising or falling order; use jnp.sort, jnp.argsort or lax.sort")
    values = list(operands)
    for key in reversed(keys):  # sorts are stable
        order = torch.sort(values[key], dim=d, descending=directions == {"GT"}, stable=True)
        values = [order[0] if i == key else torch.gather(value, d, order[1]) for i, value in enumerate(values)]
    return tuple(values)


@operator("chlo.top_k")
def _top_k(op: Operation, x: Any) -> tuple[Any, Any]:
    values, places = torch.topk(x, op.number("k"))
    return values, places.to(op.results[1][1])
