"""Imports what of a model can be imported, and collects the reasons for the rest."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import torch

from wafer.errors import UnsupportedOpError, WaferError
from wafer.frontends import types
from wafer.frontends.torch import ImportedModel, Importer, check_outputs, exported_model, placeholders_of, results_of_model, updates_of
from wafer.frontends.zeros import Zeros


class _LenientImporter(Importer):
    """Results of what cannot be imported become arguments of the function."""

    def __init__(self, *args: object):
        super().__init__(*args)
        self.refused: list[UnsupportedOpError] = []
        self._replaced: set[torch.fx.Node] = set()

    def _import_node(self, node: torch.fx.Node) -> None:
        try:
            super()._import_node(node)
        except WaferError as error:
            # What goes wrong behind something that was replaced is a consequence, not a reason.
            if not self._replaced.intersection(node.all_input_nodes):
                self.refused.append(error if isinstance(error, UnsupportedOpError) else self._refused(node, str(error)))
            self._replace(node, "result")

    def _argument(self, node: torch.fx.Node, name: str, role: str, zeros: Zeros | None = None):
        try:
            return super()._argument(node, name, role, zeros)
        except UnsupportedOpError as error:
            self.refused.append(error)
            self._replace(node, role)
            return self._values[node]

    def _replace(self, node: torch.fx.Node, role: str) -> None:
        self._replaced.add(node)
        value = node.meta.get("val")
        values = value if isinstance(value, (tuple, list)) else (value,)
        arguments = []
        for i, tensor in enumerate(values):
            static = isinstance(tensor, torch.Tensor) and all(isinstance(size, int) for size in tensor.shape)
            shape = tuple(tensor.shape) if static else ()
            dtype = tensor.dtype if isinstance(tensor, torch.Tensor) and types.is_supported(tensor.dtype) else torch.float32
            arguments.append(self._writer.argument(node.name, shape, dtype, f"{role} {i} of {node.name}", "input", self._source))
        self._values[node] = tuple(arguments) if isinstance(value, (tuple, list)) else arguments[0]


def import_what_can_be(
    model: torch.nn.Module | torch.export.ExportedProgram, args: Sequence[object], kwargs: Mapping[str, object] | None
) -> tuple[ImportedModel, list[UnsupportedOpError]]:
    """The text of what can be imported, and an error for each operation that cannot. Raises CompileError when PyTorch cannot export the model."""
    exported, source = exported_model(model, args, kwargs)
    importer = _LenientImporter(exported.graph, "forward", source)
    imported = importer.run(placeholders_of(exported), results_of_model(exported), updates=updates_of(exported))
    try:
        check_outputs(exported, source)
    except UnsupportedOpError as error:
        importer.refused.append(error)
    return dataclasses.replace(imported, exported=exported), importer.refused
