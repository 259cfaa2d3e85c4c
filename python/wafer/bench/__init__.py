"""`python -m wafer bench AREA`: what was measured, with the goal beside it. An area is a module of this package, but for those with a leading underscore, whose `rows()` runs the measurements."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import statistics
import time
from collections.abc import Callable, Iterator, Sequence


@dataclasses.dataclass(frozen=True)
class Row:
    """A line of the table: what was measured, the figure, the goal (or the published figure it stands beside) and the command that prints it alone."""

    what: str
    found: str
    goal: str
    command: str


def median_seconds(call: Callable[[], object], repeats: int = 5) -> float:
    """Of `repeats` calls after one that warms up."""
    call()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def areas() -> list[str]:
    """Names of the areas, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))


def rows(area: str) -> Iterator[Row]:
    """Runs the measurements of an area, one after the other."""
    yield from importlib.import_module(f"{__name__}.{area}").rows()


def show(chosen: Sequence[str]) -> None:
    """Prints the rows of the areas as they come, as a table in Markdown."""
    print("| what | found | goal | command |\n|---|---|---|---|")
    for area in chosen:
        for row in rows(area):
            print(f"| {row.what} | {row.found} | {row.goal} | `{row.command}` |", flush=True)
