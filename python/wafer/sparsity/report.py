"""What the zeros of a program's weights saved in its last run, layer by layer, and why others saved nothing."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy

from wafer import arrays

if TYPE_CHECKING:
    from wafer.program import Program

# What tells the compiler of zeros (wafer.frontends.zeros).
_ZEROS = re.compile(r", graph\.nonzeros = \d+ : i64(, graph\.encoding = #sparse_tensor\.encoding<\{.*?\}>)?")


@dataclasses.dataclass(frozen=True)
class LayerReport:
    """A weight that was streamed, or an activation that stood in for one."""

    name: str
    zeros: float | None  # share of zeros in the weight; None for an activation
    skips_input_zeros: bool  # whether weights are not multiplied by zeros of the layer's input
    skips_outputs: bool  # whether results that a mask hides are not computed
    wire: str  # format on the fabric, and on MemoryX's link where that is another one
    macs_dense: int  # if no weight were zero
    macs_theoretical: int  # by the weights that are not zero, and what they meet that is not
    macs_executed: int
    bytes: int
    bytes_dense: int
    reason: str  # why zeros were not skipped, if there are any


@dataclasses.dataclass(frozen=True)
class Report:
    """All layers on the wafer, in the order in which they ran, and what ran in MemoryX."""

    layers: tuple[LayerReport, ...]
    in_memoryx: tuple[tuple[str, str], ...]  # operation, and why
    cycles: int | None = None
    cycles_dense: int | None = None  # of the same program with wire formats that know no zeros

    @property
    def speedup(self) -> float | None:
        """By cycles of the cycle engine; None when it did not run."""
        return self.cycles_dense / self.cycles if self.cycles and self.cycles_dense else None

    def total(self, field: str) -> int:
        return sum(getattr(layer, field) for layer in self.layers)

    def json(self) -> str:
        values = {"layers": [dataclasses.asdict(layer) for layer in self.layers], "in_memoryx": [{"name": name, "reason": reason} for name, reason in self.in_memoryx]}
        values |= {field: self.total(field) for field in ("macs_dense", "macs_theoretical", "macs_executed", "bytes", "bytes_dense")}
        return json.dumps(values | {"cycles": self.cycles, "cycles_dense": self.cycles_dense, "speedup": self.speedup}, indent=2)

    def __str__(self) -> str:
        rows = [("layer", "zeros", "skipped", "wire", "MACs dense", "theoretical", "executed", "bytes", "of dense", "zeros that were sent")]
        for layer in self.layers:
            zeros = "" if layer.zeros is None else f"{100 * layer.zeros:.1f} %"
            counts = (layer.macs_dense, layer.macs_theoretical, layer.macs_executed, layer.bytes, layer.bytes_dense)
            rows.append((layer.name, zeros, _skipped(layer), layer.wire, *map(str, counts), layer.reason))
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
        lines = ["  ".join([*(cell.ljust(width) for cell, width in zip(row, widths)), row[-1]]).rstrip() for row in rows]
        executed, dense = self.total("macs_executed"), self.total("macs_dense")
        lines.append(f"MACs executed: {executed} of {dense} ({dense / max(1, executed):.2f} times fewer), theoretical {self.total('macs_theoretical')}")
        if self.speedup:
            lines.append(f"cycles: {self.cycles} beside {self.cycles_dense} without skipping, {self.speedup:.2f} times as fast")
        lines += [f"in MemoryX: {name}: {reason}" for name, reason in self.in_memoryx]
        return "\n".join(lines)


def report(program: Program, inputs: Sequence[object] | Mapping[str, object] | None = None) -> Report:
    """What the zeros in a program's weights saved.

    Args:    inputs: run the program on them on the cycle engine, and once more with wire formats that know no zeros, to say what that is in time. None:
             what the last run counted.
    Returns: the report; print it, or take its fields or `json()`.
    Raises:  RuntimeError before the first run.
    """
    cycles = cycles_dense = None
    if inputs is not None:
        program.run(inputs, engine="cycle")
        cycles = program.stats.cycles
        if program.source is not None and (text := without_zeros(program.mlir or "")) != program.mlir:
            dense = program.source.compile_text(text)
            dense._sessions.share_weights(program._sessions)
            dense.run(inputs, engine="cycle")
            cycles_dense = dense.stats.cycles
        else:
            cycles_dense = cycles
    kept = {name: _kept(pair) for name, pair in program._sessions.weights().items()}
    layers = [_layer(step, kept) for phase in program.stats.phases for step in phase.get("steps", [])]
    in_memoryx = tuple((op.name, op.reason) for op in program.stats.ops if op.placement == "memoryx")
    return Report(tuple(layers), in_memoryx, cycles, cycles_dense)


def without_zeros(text: str) -> str:
    """A program in MLIR that knows of no zeros in its weights."""
    return _ZEROS.sub("", text)


def _kept(pair: arrays.Pair) -> tuple[int, int]:
    array = arrays.array_of(pair)
    return int(numpy.count_nonzero(array)), array.size


def _layer(step: Mapping[str, object], kept: Mapping[str, tuple[int, int]]) -> LayerReport:
    count, size = kept.get(step["name"], (None, None))
    zeros = None if count is None or not size else 1 - count / size
    indexed = step["wire"].startswith("Indexed")
    theoretical = step["macs_dense"] if zeros is None else round(step["macs_dense"] * (1 - zeros))
    is_counted = indexed or step["skips_input_zeros"] or step["skips_outputs"]
    return LayerReport(
        step["name"], zeros, step["skips_input_zeros"], step["skips_outputs"], _wire(step), step["macs_dense"], step["macs"] if is_counted else theoretical,
        step["macs"], step["bytes"], step["bytes_dense"], _reason(zeros, indexed, step["wire"]),
    )  # fmt: skip


def _skipped(layer: LayerReport) -> str:
    return ", ".join(what for what, is_skipped in (("input", layer.skips_input_zeros), ("results", layer.skips_outputs)) if is_skipped)


def _wire(step: Mapping[str, object]) -> str:
    wire, link = step["wire"].lower(), step["link"].lower()
    return wire if link == "wavelets" else f"{wire}, {link}"


def _reason(zeros: float | None, indexed: bool, wire: str) -> str:
    if indexed or zeros == 0:
        return ""
    if zeros is None:
        return "an activation that is not known to have zeros"
    if wire == "Packed8":
        return "too few are zero for 8-bit weights, of which four take as long as one with its index"
    return "at most half are zero, and an index takes as long as a value or more" if zeros <= 0.5 else "the program was made before the weights had zeros"
