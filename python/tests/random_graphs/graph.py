"""A graph as text: settings, a line per input, weight and operation, and what is returned.

    machine odd, precision f16, threads 2
    x0 = normal(3, 7)
    w1 = normal(5, 7, scale=0.4)
    v2 = F.linear(x0, w1)
    return v2

Names begin with x (inputs of the model), w (its parameters) or v (what is computed). The values of an input come from its name, so that they stay when
other lines go.
"""

from __future__ import annotations

import ast
import dataclasses
import linecache
import math
import re
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import nn


@dataclasses.dataclass(frozen=True)
class Line:
    name: str
    expression: str

    def __str__(self) -> str:
        return f"{self.name} = {self.expression}"

    @property
    def is_given(self) -> bool:
        """An input or a weight, and not computed."""
        return self.name[0] in "xw"

    @property
    def uses(self) -> list[str]:
        """Names of other lines in the expression, each once."""
        return list(dict.fromkeys(re.findall(r"\b[xwv]\d+\b", self.expression)))


@dataclasses.dataclass(frozen=True)
class Graph:
    lines: tuple[Line, ...]
    outputs: tuple[str, ...]
    machine: str = "odd"
    precision: str = "f16"
    threads: int = 1

    def __str__(self) -> str:
        settings = f"machine {self.machine}, precision {self.precision}, threads {self.threads}"
        return "\n".join([settings, *map(str, self.lines), "return " + ", ".join(self.outputs)]) + "\n"

    @property
    def given(self) -> list[Line]:
        return [line for line in self.lines if line.is_given]

    @property
    def computed(self) -> list[Line]:
        return [line for line in self.lines if not line.is_given]

    def pruned(self) -> Graph:
        """Without lines that no output needs."""
        needed = set(self.outputs)
        for line in reversed(self.lines):
            if line.name in needed:
                needed.update(line.uses)
        return dataclasses.replace(self, lines=tuple(line for line in self.lines if line.name in needed))


def parse(text: str) -> Graph:
    """From the text of a graph; empty lines and lines that begin with # are left out."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    settings = dict(part.split() for part in lines[0].split(","))
    assert lines[-1].startswith("return "), f"found '{lines[-1]}' at the end of a graph, expected what it returns"
    split = (line.split(" = ", 1) for line in lines[1:-1])
    outputs = tuple(name.strip() for name in lines[-1].removeprefix("return ").split(","))
    return Graph(tuple(Line(*parts) for parts in split), outputs, settings["machine"], settings["precision"], int(settings["threads"]))


# Values of inputs and weights


def _normal(generator: torch.Generator, *shape: int, scale: float = 1.0) -> torch.Tensor:
    return torch.randn(shape, generator=generator) * scale


def _positive(generator: torch.Generator, *shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=generator) + 0.25


def _grid(generator: torch.Generator, *shape: int) -> torch.Tensor:
    """Multiples of 1/4, of which many are equal: no precision rounds them."""
    return torch.randint(-8, 9, shape, generator=generator) / 4


def _sparse(generator: torch.Generator, *shape: int) -> torch.Tensor:
    """Mostly zeros."""
    return torch.where(torch.rand(shape, generator=generator) < 0.2, torch.randn(shape, generator=generator), 0.0)


def _ids(generator: torch.Generator, high: int, *shape: int) -> torch.Tensor:
    return torch.randint(0, high, shape, generator=generator)


def _mask(generator: torch.Generator, *shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=generator) < 0.6


KINDS = {"normal": _normal, "positive": _positive, "grid": _grid, "sparse": _sparse, "ids": _ids, "mask": _mask}
EXACT_KINDS = ("grid", "ids", "mask")


def given_values(line: Line) -> torch.Tensor:
    """What an input or weight holds: f32, int64 or bool."""
    call = ast.parse(line.expression, mode="eval").body
    keywords = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
    generator = torch.Generator().manual_seed(1000 + int(line.name[1:]))
    return KINDS[call.func.id](generator, *map(ast.literal_eval, call.args), **keywords)


# PyTorch

NAMESPACE = {"torch": torch, "F": F, "math": math}


class Module(nn.Module):
    """The graph as a model: x lines are its arguments, w lines its parameters."""

    def __init__(self, graph: Graph):
        super().__init__()
        for line in graph.given:
            if line.name.startswith("w"):
                self.register_parameter(line.name, nn.Parameter(given_values(line), requires_grad=False))
        arguments = [line.name for line in graph.given if line.name.startswith("x")]
        body = [f"{line.name} = {line.expression}" for line in graph.computed]
        local = [f"{line.name} = self.{line.name}" for line in graph.given if line.name.startswith("w")]
        source = "\n    ".join([f"def forward({', '.join(['self', *arguments])}):", *local, *body, f"return ({', '.join(graph.outputs)},)"]) + "\n"
        # PyTorch and error messages find the lines of a function by the name of its file.
        file = f"<graph {hash(source) & 0xFFFFFFFF:08x}>"
        linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
        scope = dict(NAMESPACE)
        exec(compile(source, file, "exec"), scope)  # noqa: S102
        self._forward = scope["forward"]

    def forward(self, *inputs):
        return self._forward(self, *inputs)


def inputs_of(graph: Graph) -> list[torch.Tensor]:
    return [given_values(line) for line in graph.given if line.name.startswith("x")]


def evaluate(line: Line, values: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """What a computed line gives on these values."""
    return eval(compile(line.expression, "<graph>", "eval"), {**NAMESPACE, **{name: values[name] for name in line.uses}})  # noqa: S307


def names_of(lines: Sequence[Line]) -> set[str]:
    return {line.name for line in lines}
