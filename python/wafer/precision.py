"""The precision of a program: one type for all values on the wafer, or others for some layers."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Iterable, Mapping

from wafer.errors import CompileError

PRECISIONS = ("f16", "bf16", "f32")

# From the finest to the coarsest.
_FINENESS = ("f32", "f16", "bf16")

Precision = str | Mapping[str, str]


def text_of(precision: Precision) -> str:
    """As the compiler takes it: "f16", or "f16,fc1=f32". Raises CompileError for a type that is none, and for a mapping without a default."""
    if isinstance(precision, str):
        return _checked(precision)
    if "default" not in precision:
        raise CompileError('found a precision by layers without one for the others, expected {"default": "f16", "fc1": "f32"} or the like')
    parts = [_checked(precision["default"])]
    for pattern, name in precision.items():
        if not isinstance(pattern, str) or not pattern or set(pattern) & set(",="):
            raise CompileError(f"found {pattern!r} as a layer in the precision, expected the name of a module or an operation, with * for any part of it")
        if pattern != "default":
            parts.append(f"{pattern}={_checked(name)}")
    return ",".join(parts)


def _checked(name: object) -> str:
    if name not in PRECISIONS:
        raise CompileError(f"found precision '{name}', expected one of {', '.join(PRECISIONS)}")
    return name


def coarsest(precision: Precision) -> str:
    """The type that rounds most, to which a result of the program may be rounded."""
    return precision if isinstance(precision, str) else max(precision.values(), key=_FINENESS.index)


def check_names(precision: Precision, names: Iterable[str]) -> None:
    """Raises CompileError for a pattern that fits none of the operations called `names`, and no module that they are in."""
    if isinstance(precision, str):
        return
    known = {name[:end] for name in names for end in (*(i for i, letter in enumerate(name) if letter in "./"), len(name))}
    for pattern in precision:
        if pattern != "default" and not any(fnmatch.fnmatchcase(name, pattern) for name in known):
            near = difflib.get_close_matches(pattern, known, n=3, cutoff=0.4) or sorted(known)[:3]
            raise CompileError(f"found a precision for '{pattern}', which is no module and no operation of the model; close to it: {', '.join(near)}")
