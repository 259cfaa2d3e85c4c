"""A value of the graph while it is imported.

A Tensor is an SSA value of the IR read through a map: transposes, broadcasts and dimensions of size one change the map and emit nothing, and
the operation that reads the tensor puts the map into its own indexing maps. So no parameter is ever transposed.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable

import torch

from wafer.frontends import types
from wafer.frontends.constants import distinct

# Elements of a constant that is part of the program; what is larger, such as the mask of a long sequence, is computed when it runs.
MOST_CONSTANTS = 1 << 18


@dataclasses.dataclass(frozen=True, eq=False)
class Recipe:
    """How a tensor was computed: body(b, x, y) on elements of operands that broadcast to `shape`, in the type `compute`."""

    body: Callable[..., object]
    operands: tuple[object, ...]
    compute: torch.dtype
    shape: tuple[int, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Tensor:
    """Element i of the tensor is element (i[d] for d in dims) of the SSA value, where a d of None stands for index 0."""

    name: str | None  # SSA name; None: a constant that no operation has needed yet
    stored: tuple[int, ...]  # shape of the SSA value
    shape: tuple[int, ...]
    dims: tuple[int | None, ...]  # for each dimension of the SSA value
    dtype: torch.dtype
    constant: torch.Tensor | None = None
    recipe: Recipe | None = None  # of a comparison, so that a choice by it can be one operation

    @staticmethod
    def of(name: str, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        shape = tuple(shape)
        return Tensor(name, shape, shape, tuple(range(len(shape))), dtype)

    @staticmethod
    def of_constant(data: torch.Tensor) -> Tensor:
        shape = tuple(data.shape)
        return Tensor(None, shape, shape, tuple(range(len(shape))), data.dtype, data.detach())

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def element(self) -> str:
        return types.stored(self.dtype)

    @property
    def type(self) -> str:
        """MLIR type of the SSA value."""
        return types.tensor_type(self.stored, self.element)

    @property
    def is_plain(self) -> bool:
        return self.shape == self.stored and self.dims == tuple(range(self.rank))

    @functools.cached_property
    def splat(self) -> float | int | bool | None:
        """The number that all elements of a constant are, if it is one."""
        if self.constant is None or self.constant.numel() == 0:
            return None
        # Repeated elements are looked at once: a number that fills a large tensor is one.
        elements = distinct(self.constant)
        first = elements.flatten()[0]
        same = torch.isnan(elements).all() if torch.isnan(first) else (elements == first).all()
        return first.item() if same else None

    def map_results(self, indices: list[str]) -> list[str]:
        """Results of the affine map that reads the SSA value where the tensor is read at `indices`."""
        assert len(indices) == self.rank
        return ["0" if d is None else indices[d] for d in self.dims]

    def permuted(self, order: list[int]) -> Tensor:
        """Dimension i of the result is dimension order[i]."""
        place = {old: new for new, old in enumerate(order)}
        dims = tuple(None if d is None else place[d] for d in self.dims)
        return dataclasses.replace(self, shape=tuple(self.shape[d] for d in order), dims=dims)

    def expanded(self, shape: tuple[int, ...]) -> Tensor:
        """Broadcast to `shape`: dimensions are added in front, those of size one repeat."""
        added = len(shape) - self.rank
        dims = []
        for d in self.dims:
            repeats = d is not None and self.shape[d] == 1 and shape[d + added] != 1
            dims.append(None if d is None or repeats else d + added)
        return dataclasses.replace(self, shape=tuple(shape), dims=tuple(dims))

    def with_units(self, shape: tuple[int, ...]) -> Tensor | None:
        """The same elements under `shape` if the two shapes differ by dimensions of size one only."""
        old = [d for d, size in enumerate(self.shape) if size != 1]
        new = [d for d, size in enumerate(shape) if size != 1]
        if [self.shape[d] for d in old] != [shape[d] for d in new]:
            return None
        place = dict(zip(old, new))
        # A dimension of size one is read at 0 wherever it went; keep the identity where a shape has a dimension for it, for plain results.
        dims = [place.get(d) if d is not None else None for d in self.dims]
        return dataclasses.replace(self, shape=tuple(shape), dims=tuple(dims))._with_plain_units()

    def _with_plain_units(self) -> Tensor:
        """Reads dimensions of size one by an index instead of 0 where that makes the tensor plain."""
        identity = tuple(range(self.rank))
        if self.stored != self.shape:
            return self
        fits = all(d == i or (d is None and self.stored[i] == 1) for i, d in enumerate(self.dims))
        return dataclasses.replace(self, dims=identity) if fits else self


def broadcast_shapes(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """Shape to which all broadcast; sizes are known to fit, PyTorch checked them."""
    reversed_sizes = itertools.zip_longest(*(reversed(shape) for shape in shapes), fillvalue=1)
    return tuple(reversed([next((size for size in sizes if size != 1), 1) for sizes in reversed_sizes]))
