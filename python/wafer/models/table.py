"""Every family beside PyTorch, as a table: what `python -m wafer compare` prints."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence

import torch

import wafer
from wafer.comparison import TOLERANCES, relative_error
from wafer.models import Family

# Least part of the multiply-accumulates that the wafer has to do, by kind.
LEAST_SHARE = {"transformer": 0.99, "convolutional": 0.99}


@dataclasses.dataclass(frozen=True)
class Measurement:
    """One family in one precision. Seconds are the least of two runs, the first of which also compiles what MemoryX does; `error` is the largest of an output's."""

    family: Family
    precision: str
    parameters: int
    compile_seconds: float
    wafer_share: float | None
    bytes_streamed: int
    engine_seconds: float
    torch_seconds: float
    error: float

    @property
    def problems(self) -> list[str]:
        found = []
        if not self.error <= TOLERANCES[self.precision]:
            found.append(f"{self.family.name} in {self.precision} differs by {self.error:.2e}, expected at most {TOLERANCES[self.precision]:g}")
        least = LEAST_SHARE.get(self.family.kind, 0.0)
        if self.wafer_share is not None and self.wafer_share < least:
            found.append(f"{self.family.name} in {self.precision} has {100 * self.wafer_share:.2f} % of its MACs on the wafer, expected at least {100 * least:g} %")
        return found

    def cells(self) -> tuple[str, ...]:
        share = "" if self.wafer_share is None else f"{100 * self.wafer_share:.2f} %"
        return (
            self.family.name, self.precision, f"{self.parameters:,}", f"{self.compile_seconds:.2f}", share, f"{self.bytes_streamed:,}", f"{self.engine_seconds:.3f}",
            f"{self.torch_seconds:.4f}", f"{self.error:.1e}",
        )  # fmt: skip


HEADER = ("family", "precision", "parameters", "compile s", "MACs on the wafer", "bytes streamed", "engine s", "PyTorch s", "largest error")
WIDTHS = (12, 9, 11, 9, 17, 14, 9, 9, 13)


def measure(family: Family, size: str, precision: str, machine: str = "small", threads: int = 1) -> Measurement:
    """Compile and run a family, and run PyTorch, with as many threads each."""
    model, inputs = family.build(size)
    started = time.perf_counter()
    program = wafer.compile(model, inputs, machine=machine, precision=precision, threads=threads, progress=False)
    compile_seconds = time.perf_counter() - started
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.no_grad():
            wanted, torch_seconds = _timed(lambda: model(*inputs), 5)
    finally:
        torch.set_num_threads(before)
    found, engine_seconds = _timed(lambda: program(*inputs), 2)
    error = max(relative_error(a, b) for a, b in zip(_tuple(found), _tuple(wanted), strict=True))
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return Measurement(family, precision, parameters, compile_seconds, program.wafer_share, program.stats.bytes_streamed, engine_seconds, torch_seconds, error)


def _timed(run: Callable[[], object], times: int) -> tuple[object, float]:
    """The last result and the least time."""
    least = float("inf")
    for _ in range(times):
        started = time.perf_counter()
        result = run()
        least = min(least, time.perf_counter() - started)
    return result, least


def _tuple(results: object) -> tuple[torch.Tensor, ...]:
    return results if isinstance(results, tuple) else (results,)


def compare_families(
    families: Sequence[Family], size: str, precisions: Sequence[str], *, machine: str, threads: int, markdown: bool, say: Callable[[str], None]
) -> list[str]:
    """Measure all and say a row each. Returns what is not as it should be."""
    say(_line(HEADER, markdown))
    if markdown:
        say("|" + "|".join("---" if i < 2 else "---:" for i in range(len(HEADER))) + "|")
    problems = []
    for family in families:
        if not family.is_available:
            continue
        for precision in precisions:
            measurement = measure(family, size, precision, machine, threads)
            say(_line(measurement.cells(), markdown))
            problems += measurement.problems
    return problems


def _line(cells: Sequence[str], markdown: bool) -> str:
    if markdown:
        return f"| {' | '.join(cells)} |"
    return "  ".join(cell.ljust(width) if i < 2 else cell.rjust(width) for i, (cell, width) in enumerate(zip(cells, WIDTHS))).rstrip()


def page(command: str, machine: str, size: str, threads: int) -> str:
    """What stands above the table in docs/models.md."""
    return "\n".join(
        [
            "# Model families",
            "",
            f"Written by `{command}`, by hand when something changes. Times differ from run to run and host to host: read them as orders of magnitude.",
            "",
            f"Families of `wafer.models` at size `{size}`, on machine `{machine}`, functional engine; engine and PyTorch with {threads} thread{'s' if threads > 1 else ''} each, on",
            "the same host one after the other. The error is the norm of the difference from PyTorch's f32 result over that result's norm; at most 1e-5 in f32 and 2e-3 in",
            "f16. MACs on the wafer are those of all contractions (linear layers, attention, convolutions), of which at least 99 % for transformers and convolutional models.",
            "What remains in MemoryX moves data or has no kernel: `program.report()` names it.",
            "",
        ]
    )
