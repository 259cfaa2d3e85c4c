"""After which pass a program's numbers change: the IR after each pass of the graph phase, computed in MemoryX."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import tempfile
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from wafer.comparison import TOLERANCES, reference_outputs, relative_error
from wafer.errors import CompileError, RuntimeError  # noqa: A004

if TYPE_CHECKING:
    import torch

    from wafer.program import Program

IMPORTER, REST = "importer", "stream and wafer phases, and the engine"


@dataclasses.dataclass(frozen=True)
class Stage:
    """`error`: the largest of an output, relative to the norm of the reference's. `failure`: why the IR could not be run, else ""."""

    name: str
    error: float
    failure: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {self.failure or f'relative error {self.error:.2e}'}"


@dataclasses.dataclass(frozen=True)
class Bisection:
    """What wafer.bisect found. The last stage has the program's own precision, the others compute in f32."""

    stages: tuple[Stage, ...]
    tolerances: tuple[float, ...]
    reference: str

    @property
    def first(self) -> Stage | None:
        """The first stage whose numbers leave the reference's."""
        return next((stage for stage, tolerance in zip(self.stages, self.tolerances) if stage.failure or not stage.error <= tolerance), None)

    def __str__(self) -> str:
        first = self.first
        head = f"the numbers first leave those of {self.reference} after '{first.name}'" if first else f"no stage leaves the numbers of {self.reference}"
        return "\n".join([head, *(f"  {'->' if stage is first else '  '} {stage}" for stage in self.stages)])


def bisect(
    program: Program,
    inputs: Mapping[str, object] | Sequence[object] | object,
    *,
    tolerance: float | None = None,
    dumps: str | os.PathLike | None = None,
    engine: str | None = None,
    show: bool = True,
) -> Bisection:
    """Say after which pass a program's numbers first leave those of its model.

    Args:    program: of wafer.compile, in the process that compiled it. inputs: by name, or in the model's order. tolerance: of every stage, relative to
             a tensor's norm; default 1e-5, and for the program itself that of its precision. dumps: a folder that another compilation wrote with
             ir_dump_dir, whose IR is looked at instead. show: print what was found.
    Returns: the stages in their order: what the importer wrote, the IR after each pass of the graph phase that changed it (all in MemoryX, in f32), the
             program itself. The reference is PyTorch for a PyTorch model, else what the importer wrote.
    Raises:  RuntimeError for a program that does not know its model.
    """
    import torch

    if program.source is None:
        raise RuntimeError("found a program that does not know its model, expected one that wafer.compile made of a model in this process")
    source = program.source
    inputs = {name: value if isinstance(value, torch.Tensor) else torch.as_tensor(value) for name, value in program.named(inputs).items()}
    names = [info.name for info in program.outputs]
    with tempfile.TemporaryDirectory() as folder:
        if dumps is None:
            source.compile_text(program.mlir, folder)
        texts = [(IMPORTER, program.mlir), *_graph_phase(pathlib.Path(dumps or folder))]
    results: dict[str, list[torch.Tensor] | str] = {name: _in_memoryx(program, text, inputs, names, engine) for name, text in texts}
    found = program.run(inputs, engine=engine)
    results[REST] = [found[name] for name in names]

    if source.model.exported is not None:
        reference, wanted = "PyTorch", reference_outputs(program, inputs)
    else:
        reference, wanted = "what the importer wrote", results[IMPORTER]
    if isinstance(wanted, str):
        raise RuntimeError(f"what the importer wrote cannot be computed in MemoryX: {wanted}")
    stages = tuple(
        Stage(name, float("inf"), result) if isinstance(result, str) else Stage(name, max(map(relative_error, result, wanted), default=0.0))
        for name, result in results.items()
    )
    tolerances = [TOLERANCES["f32"] if tolerance is None else tolerance] * len(stages)
    tolerances[-1] = TOLERANCES[source.precision] if tolerance is None else tolerance
    bisection = Bisection(stages, tuple(tolerances), reference)
    if show:
        print(bisection)
    return bisection


def _graph_phase(folder: pathlib.Path) -> list[tuple[str, str]]:
    """Name and IR of each pass up to graph-partition, in order: file names begin with the numbers of the pass and of those around it."""

    def numbers(path: pathlib.Path) -> tuple[int, ...]:
        return tuple(int(part) for part in path.stem.split("_") if part.isdigit())

    passes = []
    for path in sorted(folder.rglob("*.mlir"), key=numbers):
        name = path.stem.lstrip("0123456789_")
        if name == "convert-graph-to-stream":
            break
        passes.append((f"{name} ({path.stem.removesuffix('_' + name)})", path.read_text(encoding="utf-8")))
    return passes


def _in_memoryx(program: Program, text: str, inputs: Mapping[str, object], names: Sequence[str], engine: str | None) -> list[torch.Tensor] | str:
    """The outputs of some IR, or why there are none."""
    try:
        stage = program.source.compile_text(text, only_memoryx=True)
        stage._sessions.share_weights(program._sessions)
        results = stage.run(inputs, engine=engine)
        return [results[name] for name in names]
    except (CompileError, RuntimeError, KeyError) as error:
        return str(error).splitlines()[0]
