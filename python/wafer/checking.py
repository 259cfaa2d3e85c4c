"""What would run where, for a model that need not be complete: every operation that has no lowering is named, not the first one only."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence

from wafer import cache
from wafer.errors import CompileError, Diagnostic, ExecutableError
from wafer.precision import Precision, text_of
from wafer.stats import OpStats


@dataclasses.dataclass(frozen=True)
class Check:
    """What wafer.check found. `ops` is where each operation would run and why; `problems` is why the model does not compile, empty when it does."""

    ops: tuple[OpStats, ...]
    problems: tuple[Diagnostic, ...]
    wafer_share: float | None  # of the multiply-accumulates of contractions

    @property
    def ok(self) -> bool:
        """Whether the model compiles."""
        return not self.problems

    def __str__(self) -> str:
        from wafer.program import table_of_ops

        lines = [str(problem) for problem in self.problems]
        if self.ops:
            on_wafer = sum(op.placement == "wafer" for op in self.ops)
            share = "" if self.wafer_share is None else f", {100 * self.wafer_share:.2f} % of the MACs of contractions"
            lines += [f"operations on the wafer: {on_wafer} of {len(self.ops)}{share}", *table_of_ops(self.ops)]
        return "\n".join(lines)


def check(
    model: object,
    inputs: Sequence[object] | None = None,
    *,
    machine: str | os.PathLike = "small",
    precision: Precision = "f16",
    kwargs: Mapping[str, object] | None = None,
) -> Check:
    """Say what of a model would run on the wafer, what in MemoryX, and what not at all, with reasons and source lines.

    Args:    as for wafer.compile. Operations that the importer does not know are left out, their results become inputs, and the rest is placed as it
             would be without them. Nothing is run and no weights are read.
    Returns: placements and problems. Raises nothing for a model that cannot be compiled: that is an answer.
    """
    import torch

    from wafer.compiler import diagnostic_of
    from wafer.frontends.lenient import import_what_can_be
    from wafer.program import Program, share_of_macs

    if isinstance(inputs, torch.Tensor):
        inputs = (inputs,)
    try:
        imported, refused = import_what_can_be(model, inputs or (), kwargs)
    except CompileError as error:
        return Check((), tuple(error.diagnostics), None)
    problems = [diagnostic for error in refused for diagnostic in error.diagnostics]
    executable, diagnostics = cache.compile_text(imported.text, os.fspath(machine), text_of(precision), ["forward"])
    problems += [diagnostic for diagnostic in map(diagnostic_of, diagnostics) if diagnostic.severity == "error"]
    if executable is None:
        return Check((), tuple(problems) or (Diagnostic("error", "the compiler gave no reason"),), None)
    try:
        ops = Program(executable).ops
    except ExecutableError as error:
        return Check((), (*problems, Diagnostic("error", str(error))), None)
    return Check(ops, tuple(problems), share_of_macs(ops, imported.macs))
