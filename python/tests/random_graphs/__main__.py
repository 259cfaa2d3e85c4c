"""One graph: of a seed or of a file.

    PYTHONPATH=build/python:python/tests python -m random_graphs --seed 17 [--shrink] [--no-check]
    PYTHONPATH=build/python:python/tests python -m random_graphs python/tests/random_graphs/regressions/NAME.txt
"""

from __future__ import annotations

import argparse
import pathlib
import sys

from random_graphs.generate import graph_of_seed
from random_graphs.graph import Graph, parse
from random_graphs.shrink import shrink
from random_graphs.workers import Worker


def main() -> int:
    parser = argparse.ArgumentParser(prog="random_graphs", description="Check one graph on all engines and against PyTorch.")
    parser.add_argument("file", nargs="?", type=pathlib.Path, help="text of a graph")
    parser.add_argument("--seed", type=int, help="draw the graph from this seed")
    parser.add_argument("--shrink", action="store_true", help="if it fails, print a smaller graph that fails in the same way")
    parser.add_argument("--no-check", action="store_true", help="print the graph only")
    parser.add_argument("--limit", type=float, default=60, help="seconds after which a graph counts as hanging (default: %(default)s)")
    arguments = parser.parse_args()
    if (arguments.file is None) == (arguments.seed is None):
        parser.error("found neither or both of a file and --seed, expected one")
    graph = parse(arguments.file.read_text(encoding="utf-8")) if arguments.file else graph_of_seed(arguments.seed)
    print(graph, end="")
    if arguments.no_check:
        return 0
    worker = Worker(limit=arguments.limit)
    outcome = worker.check(str(graph))
    print(f"# {outcome.problem or 'right'}; largest error {outcome.largest_error:.2g} of the tolerance")
    if not outcome.ok and arguments.shrink:

        def fails(smaller: Graph) -> bool:
            return worker.check(str(smaller)).kind == outcome.kind

        smaller = shrink(graph, fails)
        print(f"\n{smaller}# {worker.check(str(smaller)).problem}")
    worker.close()
    return 0 if outcome.ok else 1


if __name__ == "__main__":
    sys.exit(main())
