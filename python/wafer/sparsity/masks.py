"""Which elements of a tensor are kept."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence

import numpy

from wafer.errors import RuntimeError  # noqa: A004


def chosen(names: Iterable[str], include: Sequence[str], exclude: Sequence[str]) -> list[str]:
    """Names that fit a pattern of `include` and none of `exclude`. Raises RuntimeError for a pattern that fits none."""
    names = list(names)
    for pattern in (*include, *exclude):
        if not any(fnmatch.fnmatchcase(name, pattern) for name in names):
            raise RuntimeError(f"found the pattern '{pattern}', which fits no weight; there are {', '.join(names[:5])}{' ...' if len(names) > 5 else ''}")
    included = [name for name in names if any(fnmatch.fnmatchcase(name, pattern) for pattern in include)]
    return [name for name in included if not any(fnmatch.fnmatchcase(name, pattern) for pattern in exclude)]


def check(sparsity: float) -> float:
    """Raises RuntimeError for what is no share of zeros."""
    if not 0 <= sparsity < 1:
        raise RuntimeError(f"found sparsity {sparsity}, expected a share of zeros from 0 to below 1")
    return sparsity


def kept_count(size: int, sparsity: float) -> int:
    return size - int(size * sparsity)


def largest(scores: numpy.ndarray, count: int) -> numpy.ndarray:
    """A mask of the `count` largest scores; of equals the first."""
    if count == 0:
        return numpy.zeros(scores.shape, bool)
    # Smallest first, so that what is not a number comes last. No order among equals is left to the host.
    values = -scores.ravel()
    last = numpy.partition(values, count - 1)[count - 1]
    mask = values < last if last == last else ~numpy.isnan(values)
    equal = numpy.flatnonzero(values == last if last == last else numpy.isnan(values))
    mask[equal[: count - numpy.count_nonzero(mask)]] = True
    return mask.reshape(scores.shape)


def largest_of_all(scores: Mapping[str, numpy.ndarray], sparsity: float) -> dict[str, numpy.ndarray]:
    """Masks of the largest scores of all tensors together."""
    flat = numpy.concatenate([array.ravel() for array in scores.values()])
    mask = largest(flat, kept_count(flat.size, sparsity))
    ends = numpy.cumsum([array.size for array in scores.values()])
    return {name: part.reshape(scores[name].shape) for name, part in zip(scores, numpy.split(mask, ends[:-1]))}


def n_of_m(scores: numpy.ndarray, n: int, m: int) -> numpy.ndarray:
    """Of each m neighbours in the last dimension the n largest."""
    if scores.shape[-1] % m:
        raise RuntimeError(f"found {scores.shape[-1]} features for the pattern {n}:{m}, expected a multiple of {m}")
    groups = scores.reshape(-1, m)
    order = numpy.argsort(-groups, axis=1, kind="stable")[:, :n]
    mask = numpy.zeros(groups.shape, bool)
    numpy.put_along_axis(mask, order, True, axis=1)
    return mask.reshape(scores.shape)


def blocks(scores: numpy.ndarray, rows: int, columns: int, sparsity: float) -> numpy.ndarray:
    """Whole blocks of a matrix, those with the largest sums."""
    if scores.shape[0] % rows or scores.shape[1] % columns:
        raise RuntimeError(f"found a weight of {scores.shape[0]} x {scores.shape[1]}, expected multiples of the block's {rows} x {columns}")
    sums = scores.reshape(scores.shape[0] // rows, rows, scores.shape[1] // columns, columns).sum((1, 3))
    return numpy.kron(largest(sums, kept_count(sums.size, sparsity)), numpy.ones((rows, columns), bool))


def by_pattern(scores: numpy.ndarray, pattern: str, sparsity: float) -> numpy.ndarray:
    """A mask of a matrix: "unstructured", "2:4" (n of m neighbours), or blocks such as "4x4"."""
    if pattern == "unstructured":
        return largest(scores, kept_count(scores.size, sparsity))
    for separator in ":x":
        first, found, second = pattern.partition(separator)
        if found and first.isdigit() and second.isdigit() and int(first) and int(second):
            return n_of_m(scores, int(first), int(second)) if separator == ":" else blocks(scores, int(first), int(second), sparsity)
    raise RuntimeError(f"found the pattern '{pattern}', expected \"unstructured\", one such as \"2:4\" or blocks such as \"4x4\"")
