"""The compiled module, imported when it is first needed."""

from __future__ import annotations

import functools
import types

from wafer.errors import WaferError


@functools.cache
def module() -> types.ModuleType:
    """wafer._wafer. Raises WaferError that says how to build it."""
    try:
        from wafer import _wafer
    except ImportError as error:
        raise WaferError(f"the compiled module wafer._wafer cannot be imported ({error}); build the target wafer-python and set PYTHONPATH=BUILD/python") from error
    return _wafer
