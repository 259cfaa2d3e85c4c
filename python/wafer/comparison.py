"""Where a program's numbers leave PyTorch's: every intermediate tensor beside the one that PyTorch computes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from wafer.errors import RuntimeError, SourceLocation  # noqa: A004

if TYPE_CHECKING:
    import torch

    from wafer.program import Program

# Relative to a tensor's norm, by precision: what rounding alone may do to a model of ordinary depth.
TOLERANCES = {"f32": 1e-5, "f16": 2e-3, "bf16": 2e-2}


def relative_error(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """Norm of the difference over the norm of `wanted`. Elements that are equal, or both NaN, differ by nothing; others that are not finite by infinity."""
    import torch

    found, wanted = found.to(torch.float64), wanted.to(torch.float64)
    same = (found == wanted) | (found.isnan() & wanted.isnan())
    difference = torch.where(same, 0.0, found - wanted)
    norm = torch.where(wanted.isfinite(), wanted, 0.0).norm().item()
    error = difference.norm().item()
    if math.isnan(error):
        return math.inf
    return error / norm if norm else (0.0 if error == 0 else math.inf)


def cosine(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """1 for tensors of one direction, and for two that are zero."""
    import torch

    found, wanted = (tensor.to(torch.float64).flatten() for tensor in (found, wanted))
    norms = (found.norm() * wanted.norm()).item()
    return (found @ wanted).item() / norms if norms else float(found.norm().item() == wanted.norm().item())


def max_ulp(found: torch.Tensor, wanted: torch.Tensor, precision: str) -> int:
    """Largest number of steps between neighbouring numbers of type `precision` from `found` to `wanted`; two NaN are none apart."""
    import torch

    if not wanted.numel():
        return 0
    dtype, bits = {"f32": (torch.float32, torch.int32), "f16": (torch.float16, torch.int16), "bf16": (torch.bfloat16, torch.int16)}[precision]

    def place(tensor: torch.Tensor) -> torch.Tensor:
        """Numbers in their order, both zeros at 0."""
        pattern = tensor.to(dtype).contiguous().view(bits).to(torch.int64)
        sign = 1 << (8 * bits.itemsize - 1)
        return torch.where(pattern < 0, -(pattern + sign), pattern)

    steps = (place(found) - place(wanted)).abs()
    steps[found.isnan() & wanted.isnan()] = 0
    return int(steps.max())


@dataclasses.dataclass(frozen=True)
class Row:
    """One operation. `error` is relative to the norm of PyTorch's tensor; `own_error` is that of the operation alone, on what it received."""

    name: str
    op: str
    location: SourceLocation | None
    placement: str
    error: float
    own_error: float
    max_ulp: int
    cosine: float

    def __str__(self) -> str:
        return (
            f"{self.name} ({self.op}{', ' + self.placement if self.placement else ''}): relative error {self.error:.2e}, by itself {self.own_error:.2e}, "
            f"max ULP {self.max_ulp}, cosine {self.cosine:.9f}"
        )


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What wafer.compare found: a row per operation in the order of the model, and one per output."""

    rows: tuple[Row, ...]
    outputs: tuple[Row, ...]
    precision: str
    tolerance: float

    @property
    def diverging(self) -> list[Row]:
        """Rows above the tolerance, the first first."""
        return [row for row in (*self.rows, *self.outputs) if not row.error <= self.tolerance]

    @property
    def first(self) -> Row | None:
        """The first operation that diverges."""
        return self.diverging[0] if self.diverging else None

    @property
    def worst(self) -> Row | None:
        return max((*self.rows, *self.outputs), key=lambda row: row.error, default=None)

    @property
    def ok(self) -> bool:
        return not self.diverging

    def table(self) -> str:
        """All rows as text."""
        header = ("operation", "where", "relative error", "by itself", "max ULP", "cosine", "source")
        rows = [header]
        for row in (*self.rows, *self.outputs):
            rows.append((row.name, row.placement, f"{row.error:.2e}", f"{row.own_error:.2e}", str(row.max_ulp), f"{row.cosine:.9f}", str(row.location or "")))
        widths = [max(len(cells[i]) for cells in rows) for i in range(len(header))]
        return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip() for cells in rows)

    def __str__(self) -> str:
        first = self.first
        if first is None:
            worst = f"; largest: {self.worst}" if self.worst else ""
            return f"no operation of {len(self.rows)} diverges by more than {self.tolerance:g} ({self.precision}){worst}"
        lines = [f"first operation that diverges by more than {self.tolerance:g} ({self.precision}), {len(self.diverging)} of {len(self.rows)} do:", f"  {first}"]
        if first.location:
            lines.append(f"  {first.location}")
            lines += [line for line in first.location.excerpt().splitlines()]
        return "\n".join(lines)


def compare(
    program: Program, inputs: Mapping[str, object] | Sequence[object] | object, *, tolerance: float | None = None, engine: str | None = None, show: bool = True
) -> Comparison:
    """Run a program and PyTorch side by side, operation by operation.

    Args:    program: of wafer.compile from a PyTorch model. inputs: by name, or in the model's order. tolerance: relative to a tensor's norm, default
             1e-5 for f32, 2e-3 for f16, 2e-2 for bf16. show: print the first operation that diverges.
    Returns: all rows. The program's intermediate tensors come from a variant that returns them (Program.run with taps), whose
             rounding between operations may differ from the program's own in the last bits.
    Raises:  RuntimeError for a program that does not know its model, and for inputs that do not fit.
    """
    import torch

    from wafer.frontends import locations

    if program.source is None:
        raise RuntimeError("found a program that does not know its model, expected one that wafer.compile made of a PyTorch model in this process")
    model, precision = program.source.model, program.source.precision
    tolerance = TOLERANCES[precision] if tolerance is None else tolerance
    inputs = {name: value if isinstance(value, torch.Tensor) else torch.as_tensor(value) for name, value in program.named(inputs).items()}
    tapped = program.run(inputs, taps=list(model.names), engine=engine)
    placements = {op.name: op.placement for op in program.ops}

    def row(name: str, op: str, location: SourceLocation | None, found: torch.Tensor, wanted: torch.Tensor, alone: torch.Tensor) -> Row:
        errors = relative_error(found, wanted), relative_error(found, alone)
        return Row(name, op, location, placements.get(name, ""), *errors, max_ulp(found, wanted, precision), cosine(found, wanted))

    reference, received = _Values(model.exported, inputs, program), _Values(model.exported, inputs, program)
    rows = []
    with torch.no_grad():
        for node in model.exported.graph.nodes:
            if node.op != "call_function":
                continue
            reference.compute(node)
            received.compute(node)
            if node.name not in model.names:
                continue
            wanted, alone = _first(reference.of[node]), _first(received.of[node])
            found = tapped[node.name]
            rows.append(row(model.names[node.name], str(node.target), locations.of_node(node), found, wanted, alone))
            received.replace(node, found.to(alone.dtype))
        results = next(iter(model.exported.graph.find_nodes(op="output"))).args[0]
    # Whatever is no tensor is no output of a program.
    nodes = [node for node in results if isinstance(node, torch.fx.Node)]
    outputs = [
        row(info.name, "output", locations.of_node(node), tapped[info.name], _first(reference.of[node]), _first(received.of[node]))
        for info, node in zip(program.outputs, nodes, strict=True)
    ]
    comparison = Comparison(tuple(rows), tuple(outputs), precision, tolerance)
    if show:
        print(comparison)
    return comparison


def reference_outputs(program: Program, inputs: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
    """What PyTorch computes for a program's outputs."""
    import torch

    exported = program.source.model.exported
    values = _Values(exported, inputs, program)
    with torch.no_grad():
        for node in exported.graph.nodes:
            if node.op == "call_function":
                values.compute(node)
    results = next(iter(exported.graph.find_nodes(op="output"))).args[0]
    return [_first(values.of[node]) for node in results if isinstance(node, torch.fx.Node)]


def _first(value: object) -> torch.Tensor:
    """Of an operation with several results, the one that is looked at."""
    return value[0] if isinstance(value, (tuple, list)) else value


class _Values:
    """Values of the nodes of an exported program."""

    def __init__(self, exported: torch.export.ExportedProgram, inputs: Mapping[str, torch.Tensor], program: Program):
        specs = {spec.arg.name: spec for spec in exported.graph_signature.input_specs if hasattr(spec.arg, "name")}
        self.of: dict[torch.fx.Node, object] = {}
        for node in exported.graph.find_nodes(op="placeholder"):
            spec = specs[node.name]
            if spec.target is not None:
                data = exported.state_dict.get(spec.target)
                self.of[node] = exported.constants.get(spec.target) if data is None else data
            else:
                self.of[node] = inputs.get(node.name, getattr(spec.arg, "value", None))

    def compute(self, node: torch.fx.Node) -> None:
        import torch

        args, kwargs = torch.fx.node.map_arg((node.args, node.kwargs), self.of.__getitem__)
        # A tensor of the program has other strides than PyTorch's own, which a view may not suit.
        target = torch.ops.aten.reshape.default if node.target is torch.ops.aten.view.default else node.target
        self.of[node] = target(*args, **kwargs)

    def replace(self, node: torch.fx.Node, found: torch.Tensor) -> None:
        value = self.of[node]
        self.of[node] = type(value)((found, *value[1:])) if isinstance(value, (tuple, list)) else found
