"""Which operations of StableHLO the importer knows, and what each computes."""

from __future__ import annotations

import difflib
from collections.abc import Callable

Operator = Callable[..., object]

_OPERATORS: dict[str, Operator] = {}

# What is refused although one might expect it, and what to do instead.
_INSTEAD = {
    "stablehlo.custom_call": "is a routine outside of the program, expected operations of StableHLO; compute what it gives outside and pass it in",
    "stablehlo.rng": "draws random numbers, which a program does not; draw them outside and pass them in",
    "stablehlo.rng_bit_generator": "draws random numbers, which a program does not; draw them outside and pass them in",
}


def operator(*names: str) -> Callable[[Operator], Operator]:
    """Register a function for operations such as "stablehlo.add".

    The function gets the Operation and its operands and returns a tensor or a tuple of them. Operands are PyTorch tensors: plain ones hold constants,
    Deferred ones are values of the program.
    """

    def register(function: Operator) -> Operator:
        for name in names:
            assert name not in _OPERATORS, f"{name} has two definitions"
            _OPERATORS[name] = function
        return function

    return register


def find(name: str) -> Operator | None:
    return _OPERATORS.get(name)


def supported() -> list[str]:
    """All operations, sorted."""
    return sorted(_OPERATORS)


def why_not(name: str) -> str:
    """What to say of an operation that is not known."""
    if name in _INSTEAD:
        return _INSTEAD[name]
    if ".dynamic_" in name or name in ("stablehlo.real_dynamic_slice", "stablehlo.set_dimension_size"):
        return "has a shape that depends on data, expected static shapes"
    near = difflib.get_close_matches(name, supported(), n=3, cutoff=0.7)
    return "has no lowering; " + (f"nearest supported operations: {', '.join(near)}" if near else f"{len(supported())} operations are supported")
