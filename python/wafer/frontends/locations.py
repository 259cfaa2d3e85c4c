"""Where in the user's source a node comes from."""

from __future__ import annotations

import inspect
import linecache
import os
import re
import sys

import torch

from wafer.errors import SourceLocation

_FRAME = re.compile(r'File "([^"]+)", line (\d+), in (\S+)')
_MODELS = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "models")
_NOT_USER = tuple(os.path.dirname(os.path.abspath(path)) + os.sep for path in (torch.__file__, os.path.join(os.path.dirname(__file__), os.pardir, "__init__.py")))


def _is_user_file(file: str) -> bool:
    path = os.path.normpath(os.path.abspath(file))
    if path.startswith(os.path.normpath(_MODELS) + os.sep):
        return True  # the package's own model families are models like any other
    return not file.startswith("<") and not any(path.startswith(os.path.normpath(folder) + os.sep) for folder in _NOT_USER)


def location(file: str, line: int) -> SourceLocation:
    """The place, with the column at which the text of the line begins; the file relative to the working directory if it is below it."""
    relative = os.path.relpath(file) if os.path.isabs(file) else file
    shown = file if relative.startswith(os.pardir) else relative
    text = linecache.getline(file, line)
    return SourceLocation(shown, line, len(text) - len(text.lstrip()) + 1 if text.strip() else 0)


def of_node(node: torch.fx.Node) -> SourceLocation | None:
    """The innermost frame of the node's stack trace that is not PyTorch's; None if there is none."""
    return of_stack_trace(node.stack_trace or "")


def of_stack_trace(text: str) -> SourceLocation | None:
    """The innermost frame of the user's in the text of a stack trace."""
    frames = [(file, int(line)) for file, line, _ in _FRAME.findall(text) if _is_user_file(file)]
    return location(*frames[-1]) if frames else None


def of_exception(error: BaseException) -> SourceLocation | None:
    """The innermost frame of the user's in a traceback."""
    found = None
    trace = error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if _is_user_file(file):
            found = location(file, trace.tb_lineno)
        trace = trace.tb_next
    return found


def of_caller() -> SourceLocation | None:
    """The innermost frame of the user's on the stack: where this package was called."""
    frame = sys._getframe(1)
    while frame is not None:
        if _is_user_file(frame.f_code.co_filename):
            return location(frame.f_code.co_filename, frame.f_lineno)
        frame = frame.f_back
    return None


def of_forward(model: object) -> SourceLocation | None:
    """Where the forward function of the user's own class begins."""
    try:
        code = inspect.unwrap(type(model).forward).__code__
    except AttributeError:
        return None
    return location(code.co_filename, code.co_firstlineno) if _is_user_file(code.co_filename) else None


def module_path(node: torch.fx.Node) -> str:
    """Name of the innermost module that the node is part of: "encoder.fc1", or "" for the model itself."""
    stack = node.meta.get("nn_module_stack")
    return list(stack.values())[-1][0] if stack else ""
