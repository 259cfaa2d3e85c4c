"""Intermediate tensors of a compiled model, by name: a variant of the program that returns them too."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from wafer.errors import RuntimeError  # noqa: A004

if TYPE_CHECKING:
    from wafer.frontends.torch import ImportedModel
    from wafer.program import Program


@dataclasses.dataclass(frozen=True)
class Source:
    """What a program was made from, and how its text is compiled."""

    model: ImportedModel
    name: str
    precision: str
    compile_text: Callable[..., Program]  # of a text; dump: a folder for the IR after each pass; only_memoryx: nothing on the wafer

    def node_of(self, tap: str) -> str:
        """The node that computes what `tap` names: a node ("linear_1"), a name of the report ("fc1/linear_1") or a module ("fc1", its last result).

        Raises: RuntimeError with names that are close.
        """
        names = self.model.names
        if tap in names:
            return tap
        for node, name in names.items():
            if name == tap:
                return node
        in_module = [node for node, name in names.items() if tap and (name.rpartition("/")[0] == tap or name.startswith(tap + "."))]
        if in_module:
            return in_module[-1]
        import difflib

        known = [*names, *names.values(), *{name.rpartition("/")[0] for name in names.values()}]
        near = difflib.get_close_matches(tap, known, n=3, cutoff=0.4) or list(names.values())[:3]
        raise RuntimeError(f"found the tap '{tap}', which names nothing that the model computes; close to it: {', '.join(near)}")

    def variant(self, nodes: Sequence[str]) -> Program:
        """The program with results "tap.NODE" after the model's own. It has no weights yet."""
        if self.model.tapped is not None:
            return self.compile_text(self.model.tapped(nodes))
        from wafer.frontends.torch import import_exported

        return self.compile_text(import_exported(self.model.exported, self.name, self.model.source, taps=nodes, quantizer=self.model.quantizer).text)
