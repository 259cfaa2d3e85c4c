"""Batches for training, in an order that is a function of the epoch, so that a run that goes on finds its place."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator, Sequence

import torch

from wafer.errors import RuntimeError  # noqa: A004

Batch = tuple[torch.Tensor, ...]


class Batches:
    """Whole batches of tensors that have one element per sample along their first dimension; what is left over of an epoch is dropped.

    Args: shuffle: in an order that `seed` and the epoch decide, else as they are.
    """

    def __init__(self, *tensors: torch.Tensor, batch: int, shuffle: bool = False, seed: int = 0):
        sizes = {len(tensor) for tensor in tensors}
        if len(sizes) != 1 or not 1 <= batch <= min(sizes):
            raise RuntimeError(f"found tensors of {', '.join(map(str, sorted(sizes))) or 'no'} samples and batches of {batch}, expected one number of samples, at least a batch")
        self._tensors, self._batch, self._shuffle, self._seed = tensors, batch, shuffle, seed

    def __len__(self) -> int:
        return len(self._tensors[0]) // self._batch

    def epoch(self, number: int) -> Iterator[Batch]:
        count = len(self._tensors[0])
        order = torch.randperm(count, generator=torch.Generator().manual_seed(self._seed + number)) if self._shuffle else torch.arange(count)
        for places in order[: len(self) * self._batch].split(self._batch):
            yield tuple(tensor[places] for tensor in self._tensors)

    def __iter__(self) -> Iterator[Batch]:
        return self.epoch(0)


def digits(batch: int = 32, held_out: int = 360, seed: int = 0) -> tuple[Batches, Batches]:
    """scikit-learn's handwritten digits, 8 x 8 pixels from 0 to 1 in a row: batches to train with, and held-out ones."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    found = load_digits()
    parts = train_test_split((found.data / 16).astype("float32"), found.target, test_size=held_out, random_state=0)
    x_train, x, y_train, y = map(torch.from_numpy, parts)
    return Batches(x_train, y_train, batch=batch, shuffle=True, seed=seed), Batches(x, y, batch=min(held_out, 120))


def characters(files: Sequence[str], context: int, batch: int, held_out: float = 0.05, seed: int = 0) -> tuple[Batches, Batches]:
    """A text as windows of `context` characters and the same windows one character on: batches to train with, and those of the text's end."""
    text = "".join(pathlib.Path(file).read_text(encoding="utf-8") for file in files)
    number_of = {character: number for number, character in enumerate(sorted(set(text)))}
    ids = torch.tensor([number_of[character] for character in text])
    windows = ids[: (len(ids) - 1) // context * context].view(-1, context), ids[1:][: (len(ids) - 1) // context * context].view(-1, context)
    split = len(windows[0]) - max(batch, round(held_out * len(windows[0])))
    return (
        Batches(*(part[:split] for part in windows), batch=batch, shuffle=True, seed=seed),
        Batches(*(part[split:] for part in windows), batch=batch),
    )
