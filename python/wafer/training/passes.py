"""The gradients programs of a training step, one for each size that a shard of a batch has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch.utils import _pytree as pytree

from wafer.compiler import nothing_for
from wafer.errors import RuntimeError  # noqa: A004
from wafer.training.joint import Gradients
from wafer.training.programs import Host, Sessions
from wafer.training.subject import Subject


class Shards:
    """A batch cut into parts along the first dimension of its tensors, the larger ones first; their sizes differ by one at the most."""

    def __init__(self, batch: Sequence[object], count: int):
        self.samples = samples_of(batch)
        self.count = count
        self._batch = tuple(batch)
        targets = [leaf for leaf in pytree.tree_leaves(self._batch[-1]) if isinstance(leaf, torch.Tensor)]
        # Whole numbers: classes, of which a sequence has one for each token.
        self.targets = targets[0].numel() if targets and not targets[0].is_floating_point() else self.samples
        # Where each begins, and the end.
        self._begins = [number * (self.samples // count) + min(number, self.samples % count) for number in range(count + 1)]

    def size(self, number: int) -> int:
        return self._begins[number + 1] - self._begins[number]

    def sizes(self) -> set[int]:
        return {self.size(number) for number in range(self.count)}

    def part(self, number: int) -> tuple[object, ...]:
        chosen = slice(self._begins[number], self._begins[number + 1])
        return pytree.tree_map(lambda leaf: leaf[chosen] if isinstance(leaf, torch.Tensor) and leaf.dim() else leaf, self._batch)


def samples_of(batch: Sequence[object]) -> int:
    if not isinstance(batch, (tuple, list)) or len(batch) < 2:
        raise RuntimeError("found no pair of inputs and target, expected (x, target)")
    sizes = {leaf.shape[0] for leaf in pytree.tree_leaves(tuple(batch)) if isinstance(leaf, torch.Tensor) and leaf.dim()}
    if not sizes:
        raise RuntimeError("found no tensor in the batch, expected PyTorch tensors")
    if len(sizes) > 1:
        raise RuntimeError(f"found tensors with first dimensions {sorted(sizes)}, expected one size, that of the batch")
    return sizes.pop()


class Passes:
    """Forward and backward pass of a model, for shards of any size."""

    def __init__(self, subject: Subject, precision: str, host: Host, kept: Mapping[str, int]):
        """`kept`: elements of sparse parameters that are not zero."""
        self._subject, self._precision, self._host = subject, precision, host
        self._kept = kept
        self._machine = nothing_for(host.machine).machine_description
        self._made: dict[int, tuple[Gradients, Sessions]] = {}

    def prepare(self, shards: Shards) -> None:
        """Makes the programs that a batch needs."""
        for number in range(shards.count):
            if shards.size(number) not in self._made:
                self._made[shards.size(number)] = self._make(shards.part(number))

    def of(self, size: int) -> tuple[Gradients, Sessions]:
        return self._made[size]

    @property
    def first(self) -> tuple[Gradients, Sessions]:
        """Those of the first shard of the example."""
        return next(iter(self._made.values()))

    def _make(self, part: Sequence[object]) -> tuple[Gradients, Sessions]:
        gradients = self._subject.differentiate(part, self._precision == "f16", self._kept, self._machine)
        return gradients, Sessions(gradients.imported.text, "gradients", self._precision, self._host)
