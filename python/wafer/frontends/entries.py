"""Several methods of one PyTorch module as the entries of one program, with weights and states in common."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import torch

from wafer.errors import CompileError
from wafer.frontends.torch import ImportedModel, exported_model, import_exported, other_names


def import_methods(model: torch.nn.Module, entries: Mapping[str, Sequence[object]]) -> list[ImportedModel]:
    """Write methods of a module as functions of their names.

    Args:    entries: example inputs by method. A buffer that one method changes is a state in all of them.
    Raises:  as wafer.frontends.torch.import_model, and CompileError when the module has no such method.
    """
    exported = {}
    for name, args in entries.items():
        with _called_forward(model, name):
            exported[name] = exported_model(model, args if isinstance(args, (tuple, list)) else (args,))
    states = {buffer for program, _ in exported.values() for buffer in program.graph_signature.buffers_to_mutate.values()}
    imported = (import_exported(program, name, source, states=states) for name, (program, source) in exported.items())
    return [dataclasses.replace(entry, other_names=other_names(model)) for entry in imported]


@contextlib.contextmanager
def _called_forward(model: torch.nn.Module, name: str) -> Iterator[None]:
    """PyTorch exports the method that is called forward."""
    method = getattr(model, name, None)
    if not callable(method):
        raise CompileError(f"found the entry '{name}', which is no method of {type(model).__name__}; expected example inputs by method, as {{'forward': (x,)}}")
    before = model.__dict__.get("forward")
    model.forward = method
    try:
        yield
    finally:
        del model.forward
        if before is not None:
            model.forward = before
