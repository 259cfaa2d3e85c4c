"""Which ONNX operators the importer knows, and what each computes."""

from __future__ import annotations

import difflib
from collections.abc import Callable

Operator = Callable[..., object]

# Domains by the names that models use for the standard one.
STANDARD = ("", "ai.onnx")

_OPERATORS: dict[tuple[str, str], Operator] = {}


def operator(*names: str, domain: str = "") -> Callable[[Operator], Operator]:
    """Register a function for operators such as "Gemm".

    The function gets the node and its inputs, None for one that is left out, and returns a tensor or a tuple of them. Inputs are PyTorch tensors:
    plain ones hold constants, Deferred ones are values of the program.
    """

    def register(function: Operator) -> Operator:
        for name in names:
            assert (domain, name) not in _OPERATORS, f"{name} has two definitions"
            _OPERATORS[domain, name] = function
        return function

    return register


def find(domain: str, name: str) -> Operator | None:
    return _OPERATORS.get(("" if domain in STANDARD else domain, name))


def supported() -> list[str]:
    """All operators, sorted; those of other domains as "domain.Name"."""
    return sorted(f"{domain}.{name}" if domain else name for domain, name in _OPERATORS)


def nearest(name: str) -> list[str]:
    """Up to three supported operators with a name like it."""
    return difflib.get_close_matches(name, [known for _, known in _OPERATORS], n=3, cutoff=0.6)
