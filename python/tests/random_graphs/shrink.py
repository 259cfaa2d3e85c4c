"""Makes a graph that fails smaller while it fails in the same way: fewer outputs and lines, plainer settings and inputs, smaller sizes."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator

from random_graphs.graph import Graph, Line
from random_graphs.numbers import values_of

Fails = Callable[[Graph], bool]


def shrink(graph: Graph, fails: Fails, most: int = 150) -> Graph:
    """`fails` says whether a graph fails as the first one does; it is asked up to `most` times."""
    tried: set[str] = set()
    again = True
    while again:
        again = False
        for smaller in _smaller(graph):
            if str(smaller) in tried:
                continue
            tried.add(str(smaller))
            if len(tried) > most:
                return graph
            if _is_valid(smaller) and fails(smaller):
                graph, again = smaller, True
                break
    return graph


def _smaller(graph: Graph) -> Iterator[Graph]:
    for count in (1, 2):
        if len(graph.outputs) > count:
            for start in range(0, len(graph.outputs), count):
                yield dataclasses.replace(graph, outputs=graph.outputs[start : start + count]).pruned()
    if len(graph.outputs) > 2:
        for name in graph.outputs:
            yield dataclasses.replace(graph, outputs=tuple(other for other in graph.outputs if other != name)).pruned()
    values = values_of(graph)
    # A computed value as an input cuts off what made it; a part as an output cuts off what follows.
    for line in reversed(graph.computed):
        yield _replaced(graph, line, f"{_input_like(values.of[line.name].clean)}", "x").pruned()
    for line in graph.computed:
        if line.name not in graph.outputs:
            yield dataclasses.replace(graph, outputs=(line.name,)).pruned()
    for line in graph.computed:
        for operand in line.uses:
            if values.of[operand].clean.shape == values.of[line.name].clean.shape and values.of[operand].clean.dtype == values.of[line.name].clean.dtype:
                yield _without(graph, line, operand).pruned()
    for change in ({"threads": 1}, {"precision": "f32"}, {"machine": "tiny"}):
        yield dataclasses.replace(graph, **change)
    for line in graph.given:
        if not line.expression.startswith("normal") and "ids" not in line.expression and "mask" not in line.expression:
            yield _replaced(graph, line, re.sub(r"^\w+", "normal", line.expression), line.name[0])
    for line in graph.given:
        if line.name.startswith("w"):
            yield _replaced(graph, line, line.expression, "x").pruned()
    # One size everywhere.
    sizes = sorted({int(size) for line in graph.given for size in re.findall(r"\b\d+\b", line.expression)}, reverse=True)
    for size in sizes:
        for other in (1, 2, size // 2):
            if other < size:
                yield dataclasses.replace(graph, lines=tuple(Line(line.name, re.sub(rf"\b{size}\b(?!\.)", str(other), line.expression)) for line in graph.lines))


def _is_valid(graph: Graph) -> bool:
    try:
        values_of(graph)
    except Exception:  # whatever PyTorch raises
        return False
    return bool(graph.computed) and len(set(graph.outputs)) == len(graph.outputs)


def _input_like(tensor) -> str:
    shape = ", ".join(map(str, tensor.shape))
    if tensor.is_floating_point():
        return f"normal({shape})"
    return f"mask({shape})" if str(tensor.dtype) == "torch.bool" else f"ids({', '.join(filter(None, ('5', shape)))})"


def _replaced(graph: Graph, line: Line, expression: str, letter: str) -> Graph:
    name = letter + line.name[1:]
    lines = [Line(name, expression) if other is line else Line(other.name, re.sub(rf"\b{line.name}\b", name, other.expression)) for other in graph.lines]
    outputs = tuple(output for output in graph.outputs if output != line.name)
    return dataclasses.replace(graph, lines=tuple(lines), outputs=outputs)


def _without(graph: Graph, line: Line, operand: str) -> Graph:
    lines = [Line(other.name, re.sub(rf"\b{line.name}\b", operand, other.expression)) for other in graph.lines if other is not line]
    outputs = dict.fromkeys(operand if output == line.name else output for output in graph.outputs)
    return dataclasses.replace(graph, lines=tuple(lines), outputs=tuple(output for output in outputs if output[0] == "v"))
