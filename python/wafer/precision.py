"""The precision of a program: one type for all values on the wafer, or others for some layers."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Iterable, Mapping

from wafer.errors import CompileError

PRECISIONS = ("f16", "bf16", "f32", "int8")

# From the finest to the coarsest.
_FINENESS = ("f32", "f16", "bf16", "int8")

# What int8 does not concern: values between layers, and layers without a weight.
_BESIDE_INT8 = "f16"

# Sums of products of integers are large; they are scaled in f32.
_RESCALED = "*.rescale=f32"

Precision = str | Mapping[str, str]


def text_of(precision: Precision) -> str:
    """As the compiler takes it: "f16", or "f16,fc1=f32". Raises CompileError for a type that is none, and for a mapping without a default."""
    if isinstance(precision, str):
        return _type_of(precision) + (f",{_RESCALED}" if _checked(precision) == "int8" else "")
    if "default" not in precision:
        raise CompileError('found a precision by layers without one for the others, expected {"default": "f16", "fc1": "f32"} or the like')
    parts = [_type_of(precision["default"])]
    for pattern, name in precision.items():
        if not isinstance(pattern, str) or not pattern or set(pattern) & set(",="):
            raise CompileError(f"found {pattern!r} as a layer in the precision, expected the name of a module or an operation, with * for any part of it")
        if pattern != "default":
            parts.append(f"{pattern}={_type_of(name)}")
    return ",".join(parts + ([_RESCALED] if "int8" in precision.values() else []))


def _type_of(name: object) -> str:
    return _BESIDE_INT8 if _checked(name) == "int8" else name


def uses_int8(precision: Precision) -> bool:
    return precision == "int8" or (not isinstance(precision, str) and "int8" in precision.values())


def is_int8(precision: Precision, label: str) -> bool:
    """Whether the layer that reports call `label` is to be computed in 8-bit integers; of patterns that fit, the last counts."""
    if isinstance(precision, str):
        return precision == "int8"
    parts = _parts(label)
    fitting = [name for pattern, name in precision.items() if pattern != "default" and any(fnmatch.fnmatchcase(part, pattern) for part in parts)]
    return (fitting or [precision["default"]])[-1] == "int8"


def _parts(name: str) -> set[str]:
    """An operation's name and those of the modules that it is in."""
    return {name[:end] for end in (*(i for i, letter in enumerate(name) if letter in "./"), len(name))}


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
    known = {part for name in names for part in _parts(name)}
    for pattern in precision:
        if pattern != "default" and not any(fnmatch.fnmatchcase(name, pattern) for name in known):
            near = difflib.get_close_matches(pattern, known, n=3, cutoff=0.4) or sorted(known)[:3]
            raise CompileError(f"found a precision for '{pattern}', which is no module and no operation of the model; close to it: {', '.join(near)}")
