#!/usr/bin/env python3
"""Random operator graphs of PyTorch on both engines and against PyTorch: how many, of what, and how many are wrong.

    PYTHONPATH=build/python python benchmarks/random_graphs.py [--count 10000] [--first 0] [--jobs 2] [--keep DIR]

A graph is drawn from its seed; `python -m random_graphs --seed N` runs one (python/tests/random_graphs).
"""

import argparse
import collections
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "python" / "tests"))

from random_graphs.generate import graph_of_seed
from random_graphs.graph import parse
from random_graphs.shrink import shrink
from random_graphs.workers import Worker, check_all


def text_of(seed: int) -> str:
    return str(graph_of_seed(seed))


def keep(folder: pathlib.Path, seed: int, text: str, kind: str) -> None:
    """Writes a small graph that fails in the same way."""
    worker = Worker()
    smaller = shrink(parse(text), lambda graph: worker.check(str(graph)).kind == kind)
    worker.close()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"seed-{seed}.txt").write_text(f"# {kind}\n{smaller}", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare the engines with each other and with PyTorch on random graphs.")
    parser.add_argument("--count", type=int, default=10000, help="graphs (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="seed of the first one (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default: %(default)s)")
    parser.add_argument("--keep", type=pathlib.Path, help="folder for the text of graphs that fail, made smaller")
    arguments = parser.parse_args()

    start, largest = time.monotonic(), 0.0
    totals: collections.Counter[str] = collections.Counter()
    failures: dict[int, tuple[str, str, str]] = {}
    settings: collections.Counter[str] = collections.Counter()
    for seed, text, outcome in check_all(range(arguments.first, arguments.first + arguments.count), arguments.jobs, text_of):
        totals["graphs"] += 1
        if text:
            graph = parse(text)
            totals["lines"] += len(graph.computed)
            settings[f"{graph.machine} {graph.precision}"] += 1
        for name in ("operations", "on_wafer", "macs", "macs_on_wafer", "both_engines"):
            totals[name] += getattr(outcome, name)
        if not outcome.ok:
            failures[seed] = (text, outcome.kind, outcome.problem)
            print(f"seed {seed}: {outcome.problem}", flush=True)
        else:
            largest = max(largest, outcome.largest_error)
        if totals["graphs"] % 500 == 0:
            print(f"{totals['graphs']} graphs, {len(failures)} open, {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)

    seconds = time.monotonic() - start
    print(f"graphs                       {totals['graphs']}  ({', '.join(f'{name} {count}' for name, count in sorted(settings.items()))})")
    print(f"operations of PyTorch        {totals['lines']}")
    print(f"parts after compilation      {totals['operations']}, on the wafer {100 * totals['on_wafer'] / max(1, totals['operations']):.1f} %")
    print(f"MACs of contractions         {totals['macs']}, on the wafer {100 * totals['macs_on_wafer'] / max(1, totals['macs']):.1f} %")
    print(f"run on the cycle engine too  {totals['both_engines']}")
    print(f"largest error                {largest:.2f} of the tolerance")
    print(f"seconds                      {seconds:.0f}, {seconds * arguments.jobs / max(1, totals['graphs']):.3f} a graph and process")
    print(f"open                         {len(failures)}")
    for kind, count in collections.Counter(kind for _, kind, _ in failures.values()).most_common():
        print(f"  {count} x {kind}")
    if arguments.keep:
        seen = set()
        for seed, (text, kind, _) in failures.items():
            if text and kind not in seen:
                seen.add(kind)
                keep(arguments.keep, seed, text, kind)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
