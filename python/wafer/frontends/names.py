"""Names of inputs, outputs and weights, of which each may be there once."""

from __future__ import annotations

from collections.abc import Collection


def unique(name: str, taken: Collection[str]) -> str:
    """The name, or the first of name_1, name_2, ... that is not taken."""
    count, free = 0, name
    while free in taken:
        count += 1
        free = f"{name}_{count}"
    return free
