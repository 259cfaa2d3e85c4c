"""Graphs as a strategy of hypothesis, which then makes one that fails smaller by itself."""

from __future__ import annotations

from hypothesis import strategies

from random_graphs.generate import graph
from random_graphs.graph import Graph


@strategies.composite
def graphs(draw: strategies.DrawFn, most_operations: int = 20) -> Graph:
    return graph(lambda n: draw(strategies.integers(0, n - 1)), most_operations)
