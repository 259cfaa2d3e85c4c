"""Where in the user's source an operation of JAX's MLIR comes from, and what it is called there."""

from __future__ import annotations

import re

from jaxlib.mlir import ir

from wafer.errors import SourceLocation
from wafer.frontends import locations

# "jit(f)" and the like at the beginning of a name say which function JAX compiled, not where in it.
_COMPILED = re.compile(r"^((jit|pjit)\([^()]*(\([^()]*\))?[^()]*\)/)+")


def place_of(place: ir.Location) -> SourceLocation | None:
    """The innermost frame of the user's; None if there is none, as in what a library function does: then its call knows."""
    if isinstance(place, ir.CallSiteLoc):
        return place_of(place.callee) or place_of(place.caller)
    if isinstance(place, ir.FusedLoc):
        return next((found for part in place.locations if (found := place_of(part))), None)
    if isinstance(place, ir.NameLoc):
        return place_of(place.child_loc)
    if isinstance(place, ir.FileLineColLoc):
        return locations.of_frame(place.filename, place.start_line, place.start_col + 1)
    return None


def name_of(place: ir.Location) -> str:
    """JAX's name of the operation, with the scopes that the user gave: "encoder/dot_general"."""
    if isinstance(place, ir.FusedLoc):
        return next((name for part in place.locations if (name := name_of(part))), "")
    if not isinstance(place, ir.NameLoc):
        return ""
    name = _COMPILED.sub("", place.name_str + "/").rstrip("/")
    return "" if re.fullmatch(r"(jit|pjit)\(.*\)", name) else name
