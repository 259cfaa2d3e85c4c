"""Everything this package raises on purpose.

All classes derive from WaferError. Messages begin with the place in the user's source when it is known, and end with that line itself.
"""

from __future__ import annotations

import builtins
import dataclasses
import linecache
import os


class WaferError(Exception):
    """Base of all errors of this package."""


@dataclasses.dataclass(frozen=True)
class SourceLocation:
    """A place in a source file. Lines and columns count from 1; a column of 0 is not known."""

    file: str
    line: int
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" + (f":{self.column}" if self.column else "")

    def excerpt(self) -> str:
        """The source line with a mark under the column, or "" when the file cannot be read."""
        text = linecache.getline(os.path.abspath(self.file), self.line).rstrip()
        if not text.strip():
            return ""
        indent = len(text) - len(text.lstrip())
        column = min(max(self.column - 1, indent), len(text))
        return f"    {text.lstrip()}\n    {' ' * (column - indent)}^"


@dataclasses.dataclass(frozen=True)
class Diagnostic:
    """A message about the model, with the place it is about and the notes that belong to it."""

    severity: str
    message: str
    location: SourceLocation | None = None
    notes: tuple["Diagnostic", ...] = ()

    def __str__(self) -> str:
        prefix = f"{self.location}: " if self.location else ""
        excerpt = self.location.excerpt() if self.location else ""
        lines = [f"{prefix}{self.severity}: {self.message}"] + ([excerpt] if excerpt else [])
        return "\n".join(lines + [str(note) for note in self.notes])


class CompileWarning(UserWarning):
    """The compiler had something to say about a model that it compiled."""


class CompileError(WaferError):
    """A model cannot be compiled. `diagnostics` holds what was said about it, the first error first."""

    def __init__(self, diagnostics: list[Diagnostic] | Diagnostic | str):
        if isinstance(diagnostics, str):
            diagnostics = Diagnostic("error", diagnostics)
        if isinstance(diagnostics, Diagnostic):
            diagnostics = [diagnostics]
        self.diagnostics = sorted(diagnostics, key=lambda diagnostic: diagnostic.severity != "error")
        super().__init__("\n".join(str(diagnostic) for diagnostic in self.diagnostics) or "the compiler gave no reason")

    @property
    def location(self) -> SourceLocation | None:
        """Where the first error is, if that is known."""
        return self.diagnostics[0].location if self.diagnostics else None


class UnsupportedOpError(CompileError):
    """A model uses an operation, type or shape that the importer does not know. `op` names the operation, e.g. "aten.fft_fft.default"."""

    def __init__(self, op: str, message: str, location: SourceLocation | None = None):
        self.op = op
        super().__init__(Diagnostic("error", message, location))


class ExecutableError(WaferError):
    """A .wexe file is damaged, of another version, or breaks a rule of the machine."""


class MachineError(WaferError):
    """A machine description is missing or wrong."""


class RuntimeError(WaferError, builtins.RuntimeError):  # noqa: A001 - users catch it as wafer.RuntimeError
    """Inputs, weights or files are not what a program needs."""


class TrapError(RuntimeError):
    """A program did what the machine forbids, or cannot go on. `label` is the rule in docs/spec/machine.md."""

    def __init__(self, message: str):
        self.label = message.partition(":")[0]
        super().__init__(message)
