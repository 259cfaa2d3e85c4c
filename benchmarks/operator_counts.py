"""What counts of operators share: where a program runs, whether results are right, and the table at the end."""

from __future__ import annotations

import argparse
import collections
import dataclasses
import json
import pathlib
import sys
import time

import numpy
import wafer

WAFER, MEMORYX, FOLDED = "on the wafer alone", "in MemoryX, or in part", "at import"
PLACES = (WAFER, MEMORYX, FOLDED)


def place_of(program: wafer.Program) -> str:
    if "linalg." not in program.mlir and "tensor." not in program.mlir:
        return FOLDED
    return WAFER if {op.placement for op in program.ops} == {"wafer"} else MEMORYX


def matches(found: numpy.ndarray, wanted: numpy.ndarray, rtol: float, atol: float) -> bool:
    if found.shape != wanted.shape:
        return False
    return bool(numpy.allclose(found.astype(numpy.float64), wanted.astype(numpy.float64), rtol=rtol, atol=atol, equal_nan=True))


def arguments_of(description: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--filter", default="", help="only cases with this word in their name")
    parser.add_argument("--failures", action="store_true", help="print why each failing case fails")
    parser.add_argument("--json", type=pathlib.Path, help="file for the outcome of each case")
    return parser.parse_args()


@dataclasses.dataclass
class Count:
    """The outcomes of cases, by operator."""

    arguments: argparse.Namespace
    passed: dict[str, list[str]] = dataclasses.field(default_factory=lambda: collections.defaultdict(list))
    failed: dict[str, list[str]] = dataclasses.field(default_factory=lambda: collections.defaultdict(list))
    outcomes: dict[str, dict] = dataclasses.field(default_factory=dict)
    start: float = dataclasses.field(default_factory=time.monotonic)

    def add(self, case: str, operator: str, outcome) -> None:
        """`outcome`() says whether the case passes, and where it ran or why not."""
        try:
            good, why = outcome()
        except Exception as error:  # noqa: BLE001 - a crash of ours is a failure of the case, and the count goes on
            good, why = False, f"{type(error).__name__}: {error}".splitlines()[0]
        (self.passed if good else self.failed)[operator].append(why)
        self.outcomes[case] = {"operator": operator, "passes": good, "where" if good else "why": why}
        if not good and self.arguments.failures:
            print(f"{case}: {why}", file=sys.stderr, flush=True)

    def print(self) -> None:
        if self.arguments.json:
            self.arguments.json.write_text(json.dumps(self.outcomes, indent=1) + "\n")
        passed, failed = self.passed, self.failed
        operators = sorted(passed.keys() | failed.keys())
        whole = [op for op in operators if op in passed and op not in failed]
        print(f"cases:     {sum(map(len, passed.values()))} of {len(self.outcomes)} give right results ({time.monotonic() - self.start:.0f} s)")
        print(f"operators: {len(whole)} of {len(operators)} in all of their cases ({len(whole) / max(len(operators), 1):.1%}), {len(passed)} in some")
        for place in PLACES:
            ops = [op for op in whole if max(passed[op], key=passed[op].count) == place]
            print(f"  mostly {place}: {len(ops)}")
        shares = (f"{op} {len(passed.get(op, []))}/{len(passed.get(op, [])) + len(failed[op])}" for op in operators if op in failed)
        print("not in all cases:", ", ".join(shares) or "none")
