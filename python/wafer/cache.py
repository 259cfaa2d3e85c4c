"""Compiled programs that are kept, by what they were compiled from.

Off unless the environment names a folder, WAFER_CACHE. A program is found again by its text, the machine's description, all options and the compiler itself; a model that is imported again and
comes to the same text is not compiled again. Files of the folder may be deleted at any time.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import pathlib
import tempfile
import warnings
from collections.abc import Sequence

from wafer import _native
from wafer.errors import CompileError, CompileWarning

VARIABLE = "WAFER_CACHE"


def compile_text(
    text: str, machine: str, precision: str, entries: Sequence[str], decision_trace: str = "", ir_dump_dir: str = "", only_memoryx: bool = False, activation_zeros: int = 500
) -> tuple[bytes | None, Sequence[tuple]]:
    """The executable, or None, and what the compiler said, as `wafer._wafer.compile_text` gives them; from the cache if there is one. `activation_zeros`: in thousandths.

    Raises: CompileError where WAFER_CACHE names what is no folder and cannot become one.
    """
    make = functools.partial(_native.module().compile_text, text, machine, precision, entries, decision_trace, ir_dump_dir, only_memoryx, activation_zeros)
    folder = os.environ.get(VARIABLE)
    # What a compilation writes beside the program is written when it is made.
    if not folder or decision_trace or ir_dump_dir:
        return make()
    kept = pathlib.Path(folder)
    try:
        kept.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CompileError(f"{VARIABLE}={folder}: cannot be made ({error.strerror}), expected a folder for compiled programs, or no such variable") from error
    file = kept / f"{_key(text, machine, precision, list(entries), only_memoryx, activation_zeros)}.wexe"
    if (found := _read(file)) is not None:
        return found
    executable, diagnostics = make()
    if executable is not None:
        _write(file, executable, diagnostics)
    return executable, diagnostics


def _key(text: str, machine: str, *options: object) -> str:
    description = pathlib.Path(machine)
    content = description.read_bytes() if description.is_file() else b""
    parts = [_compiler(), text.encode(), machine.encode(), content, json.dumps(options).encode()]
    return hashlib.sha256(b"".join(len(part).to_bytes(8, "little") + part for part in parts)).hexdigest()


@functools.cache
def _compiler() -> bytes:
    """Of this build."""
    digest = hashlib.sha256()
    for library in sorted(pathlib.Path(_native.module().__file__).parent.glob("*.so")):
        digest.update(library.read_bytes())
    return digest.digest()


def _read(file: pathlib.Path) -> tuple[bytes, Sequence[tuple]] | None:
    """None where it is not there, or not as it was written."""
    try:
        header, _, executable = file.read_bytes().partition(b"\n")
        described = json.loads(header)
        if described["sha256"] != hashlib.sha256(executable).hexdigest():
            return None
        return executable, [_diagnostic(each) for each in described["diagnostics"]]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _diagnostic(described: list) -> tuple:
    """With tuples for lists, also those of its notes."""
    *own, notes = described
    return (*own, [_diagnostic(note) for note in notes])


def _write(file: pathlib.Path, executable: bytes, diagnostics: Sequence[tuple]) -> None:
    """All of it or nothing, whoever else writes it."""
    header = json.dumps({"sha256": hashlib.sha256(executable).hexdigest(), "diagnostics": diagnostics}).encode()
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(dir=file.parent, delete=False) as handle:
            temporary = pathlib.Path(handle.name)
            handle.write(header + b"\n" + executable)
        temporary.replace(file)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        warnings.warn(f"{file}: cannot be written ({error.strerror}); the program is not kept", CompileWarning, stacklevel=4)
