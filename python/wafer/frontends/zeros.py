"""Zeros of weights: how many there are, and what they have in common."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch

# Patterns that are looked for: groups of so many neighbours, square blocks of this side.
_GROUPS = (4, 8, 16)
_BLOCKS = (64, 32, 16, 8, 4)
# Zeros that a pattern allows beside those that it asks for, as a part of what is not zero; more, and it is none.
_SLACK = 0.25


@dataclasses.dataclass(frozen=True)
class Zeros:
    """`kept` elements are not zero; `encoding`, a `#sparse_tensor.encoding`, says where they lie, if that is known."""

    kept: int
    encoding: str | None = None

    @property
    def attributes(self) -> str:
        """What an argument carries."""
        encoding = f", graph.encoding = {self.encoding}" if self.encoding else ""
        return f", graph.nonzeros = {self.kept} : i64{encoding}"


def zeros_of(data: torch.Tensor) -> Zeros | None:
    """The zeros of a matrix (or more), if any is zero: pruned weights are found without being told."""
    if data.dim() < 2 or data.is_meta:
        return None
    kept = int(torch.count_nonzero(data))
    if kept == data.numel():
        return None
    return Zeros(kept, (_structure(data != 0, kept) if 0 < 2 * kept <= data.numel() else None) or _anywhere(data.dim()))


def _structure(mask: torch.Tensor, kept: int) -> str | None:
    for side in _BLOCKS if mask.dim() == 2 else ():
        if (blocks := _kept_blocks(mask, side)) is not None and blocks * side**2 <= (1 + _SLACK) * kept:
            return _encoding(2, [f"d0 floordiv {side} : dense", f"d1 floordiv {side} : compressed", f"d0 mod {side} : dense", f"d1 mod {side} : dense"])
    for dim in (mask.dim() - 1, *range(mask.dim() - 1)):
        for size in _GROUPS:
            most = _most_in_group(mask, dim, size)
            if most and most < size and most / size * mask.numel() <= (1 + _SLACK) * kept:
                others = [f"d{d} : dense" for d in range(mask.dim()) if d != dim]
                return _encoding(mask.dim(), [*others, f"d{dim} floordiv {size} : dense", f"d{dim} mod {size} : structured[{most}, {size}]"])
    return None


def _kept_blocks(mask: torch.Tensor, side: int) -> int | None:
    """Square blocks in which something is kept; None where blocks do not divide the matrix."""
    rows, columns = mask.shape
    if rows % side or columns % side:
        return None
    return int(mask.reshape(rows // side, side, columns // side, side).any(3).any(1).sum())


def _most_in_group(mask: torch.Tensor, dim: int, size: int) -> int | None:
    """The most that a group of neighbours keeps; None where groups do not divide the dimension."""
    if mask.shape[dim] % size:
        return None
    return int(torch.count_nonzero(mask.unflatten(dim, (-1, size)), dim=dim + 1).max())


def _anywhere(rank: int) -> str:
    return _encoding(rank, [f"d{d} : {'compressed' if d == rank - 1 else 'dense'}" for d in range(rank)])


def _encoding(rank: int, levels: Sequence[str]) -> str:
    return f"#sparse_tensor.encoding<{{ map = ({', '.join(f'd{d}' for d in range(rank))}) -> ({', '.join(levels)}) }}>"
