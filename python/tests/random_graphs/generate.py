"""Draws a graph. All that is random comes from `choose(n)`, a number below n: of a seed, or of hypothesis, which then knows how to make a graph smaller."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Sequence

import torch

from random_graphs import numbers
from random_graphs.graph import Graph, Line

Choose = Callable[[int], int]

SIZES = (1, 2, 3, 5, 7, 4, 1, 8, 13, 6, 17, 11, 2, 33)
MACHINES = ("odd", "tiny", "small")
PRECISIONS = ("f16", "f32", "bf16", "f32", "f16")
MOST_ELEMENTS = 3000


class Skip(Exception):  # noqa: N818 - nothing is wrong
    """An operation finds nothing that it could be applied to."""


@dataclasses.dataclass(frozen=True)
class Operand:
    """A value of the graph, with what one wants to write about it."""

    name: str
    tensor: torch.Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.tensor.shape)

    @property
    def rank(self) -> int:
        return self.tensor.dim()

    def __str__(self) -> str:
        return self.name


class Builder:
    """A graph that grows by a line at a time. Operations ask it for operands and choices."""

    def __init__(self, choose: Choose, precision: str):
        self.choose = choose
        self.precision = precision
        self.lines: list[Line] = []
        self.values = numbers.Values(precision)
        self._added: list[Line] = []  # inputs and weights of the operation at hand

    # Choices

    def pick(self, options: Sequence):
        return options[self.choose(len(options))]

    def flag(self, of: int = 2) -> bool:
        """True once in `of` times, on average."""
        return self.choose(of) == of - 1

    def size(self) -> int:
        return self.pick(SIZES)

    def shape(self, rank: int) -> tuple[int, ...]:
        sizes = [self.size() for _ in range(rank)]
        while _product(sizes) > MOST_ELEMENTS:
            sizes[sizes.index(max(sizes))] = 2
        return tuple(sizes)

    def dim(self, rank: int) -> int:
        """A dimension, counted from either side."""
        if not rank:
            raise Skip
        return self.choose(2 * rank) - rank

    def dims(self, rank: int) -> tuple[int, ...]:
        """At least one dimension, none twice."""
        if not rank:
            raise Skip
        chosen = [d for d in range(rank) if self.flag()] or [self.choose(rank)]
        return tuple(d - rank if self.flag() else d for d in chosen)

    # Operands

    def given(self, letter: str, expression: str) -> Operand:
        """A new input (x) or weight (w)."""
        line = Line(f"{letter}{len(self.lines) + len(self._added)}", expression)
        value = self.values.add(line)
        self._added.append(line)
        return Operand(line.name, value.clean)

    def weight(self, *shape: int, scale: float = 1.0) -> Operand:
        kind = "sparse" if self.flag(6) else "normal"
        return self.given("w", f"{kind}({_sizes(shape)}{f', scale={scale:.3g}' if kind == 'normal' and scale != 1 else ''})")

    def parameter(self, *shape: int) -> Operand:
        """Positive numbers that a model would hold."""
        return self.given("w", f"positive({_sizes(shape)})")

    def input(self, *shape: int) -> Operand:
        return self.given("x", f"{self.pick(('normal', 'grid', 'normal', 'positive', 'normal'))}({_sizes(shape)})")

    def ids(self, high: int, *shape: int) -> Operand:
        return self.given("x", f"ids({', '.join(map(str, (high, *shape)))})")

    def mask(self, *shape: int) -> Operand:
        return self.given("x", f"mask({_sizes(shape)})")

    def value(self, least: int = 0, most: int = 4, kind: str = "float") -> Operand:
        """One of the graph, more often a late one, or a new input; with so many dimensions."""
        fits = [name for name, value in self.values.of.items() if _kind(value.clean) == kind and least <= value.clean.dim() <= most and name[0] != "w"]
        # The first choice, which is what hypothesis makes a graph smaller to, is the latest value.
        if fits and not self.flag(8):
            late = fits[-1 - min(self.choose(len(fits)), self.choose(len(fits)))]
            return Operand(late, self.values.of[late].clean)
        rank = least + self.choose(most - least + 1)
        if kind == "float":
            return self.input(*self.shape(rank))
        return self.mask(*self.shape(rank)) if kind == "bool" else self.ids(5, *self.shape(rank))

    def like(self, operand: Operand, fits: Callable[[tuple[int, ...]], bool], otherwise: Sequence[int]) -> Operand:
        """Another float value whose shape fits, or a new one of this shape."""
        names = [
            name for name, value in self.values.of.items() if name != operand.name and value.is_float and name[0] != "w" and fits(tuple(value.clean.shape))
        ]
        if names and self.flag():
            name = names[-1 - self.choose(len(names))]
            return Operand(name, self.values.of[name].clean)
        if _product(otherwise) > MOST_ELEMENTS:
            raise Skip
        return self.weight(*otherwise) if self.flag() else self.input(*otherwise)

    # Growing

    def try_operation(self, operation: Callable[[Builder], str | Sequence[str]]) -> list[str]:
        """Adds what `operation` writes if its values are fit; gives the names of the new lines."""
        before = len(self.lines), set(self.values.of)
        self._added = []
        new = []
        try:
            written = operation(self)
            self.lines += self._added
            for expression in [written] if isinstance(written, str) else written:
                line = Line(f"v{len(self.lines)}", expression)
                value = self.values.add(line)
                if value.clean.numel() > MOST_ELEMENTS or value.clean.dim() > 5 or numbers.why_unfit(value, self.precision):
                    raise Skip
                self.lines.append(line)
                new.append(line.name)
            return new
        except (Skip, RuntimeError, TypeError, ValueError, IndexError):  # of PyTorch, which refuses the operation
            del self.lines[before[0] :]
            for name in set(self.values.of) - before[1]:
                del self.values.of[name]
            return []


def graph(choose: Choose, most_operations: int = 20) -> Graph:
    """A graph of 1 to `most_operations` operations that returns everything nobody else reads."""
    from random_graphs.operations import OPERATIONS

    machine, precision, threads = MACHINES[choose(3)], PRECISIONS[choose(5)], 1 + choose(3)
    builder = Builder(choose, precision)
    # More often few than many, since it is the combination of two or three that fails.
    wanted, tries = 1 + min(choose(most_operations), choose(most_operations)), 0
    done = 0
    while done < wanted and tries < 4 * wanted + 20:
        tries += 1
        done += bool(builder.try_operation(builder.pick(OPERATIONS)))
    read = {name for line in builder.lines for name in line.uses}
    free = [line.name for line in builder.lines if not line.is_given and line.name not in read]
    return Graph(tuple(builder.lines), tuple(free), machine, precision, threads).pruned()


def graph_of_seed(seed: int, most_operations: int = 20, choices: list[tuple[int, int]] | None = None) -> Graph:
    """The graph of a seed. `choices` receives what was chosen: the number, and below which."""
    numbers_of_seed = random.Random(seed)

    def choose(n: int) -> int:
        chosen = numbers_of_seed.randrange(n)
        if choices is not None:
            choices.append((chosen, n))
        return chosen

    return graph(choose, most_operations)


def _product(sizes: Sequence[int]) -> int:
    product = 1
    for size in sizes:
        product *= size
    return product


def _sizes(shape: Sequence[int]) -> str:
    return ", ".join(map(str, shape))


def _kind(tensor: torch.Tensor) -> str:
    return "float" if tensor.is_floating_point() else "bool" if tensor.dtype == torch.bool else "int"
