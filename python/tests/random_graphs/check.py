"""Compiles a graph, runs it on all engines and compares: engines bit for bit, PyTorch's f64 within what rounding can do."""

from __future__ import annotations

import dataclasses
import math
import warnings

import torch

import wafer
from random_graphs import numbers
from random_graphs.graph import Graph, Module, inputs_of

# Above this many multiply-accumulates and elements the cycle engine, which visits every wavelet, would take most of the time.
_MOST_FOR_CYCLES = 40_000


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a graph. `problem` is empty, or says in a line what is wrong; `kind` is the same for graphs that are likely wrong for one reason."""

    kind: str = ""
    problem: str = ""
    operations: int = 0
    on_wafer: int = 0
    macs: int = 0
    macs_on_wafer: float = 0.0
    both_engines: bool = False
    largest_error: float = 0.0  # in parts of the tolerance

    @property
    def ok(self) -> bool:
        return not self.problem


def check(graph: Graph) -> Outcome:
    """Never raises for what the compiler or an engine does."""
    warnings.simplefilter("ignore")
    try:
        return _check(graph)
    except Exception as error:  # whatever it is, it is the finding
        message = str(error).strip().splitlines()
        first = message[0] if message else ""
        return Outcome(f"{type(error).__name__}: {_without_numbers(first)}", f"{type(error).__name__}: {first}")


def _without_numbers(text: str) -> str:
    import re

    return re.sub(r"'[^']*'|\d+", "_", text)[:160]


def _check(graph: Graph) -> Outcome:
    model, inputs = Module(graph).eval(), inputs_of(graph)
    program = wafer.compile(model, tuple(inputs), machine=graph.machine, precision=graph.precision, threads=graph.threads)
    found = program.run(list(inputs))
    macs = sum(program.source.model.macs.values())
    counts = {
        "operations": len(program.ops),
        "on_wafer": sum(op.placement == "wafer" for op in program.ops),
        "macs": macs,
        "macs_on_wafer": (program.wafer_share or 0.0) * macs,
        "both_engines": program.stats.macs_executed + sum(map(torch.numel, found.values())) <= _MOST_FOR_CYCLES,
    }
    problem = _difference_of_engines(program, inputs, found) if counts["both_engines"] else ""
    if problem:
        return Outcome("engines differ", problem, **counts)
    problem, counts["largest_error"] = _difference_from_pytorch(graph, list(found.values()))
    return Outcome("differs from PyTorch" if problem else "", problem, **counts)


def _difference_of_engines(program: wafer.Program, inputs: list[torch.Tensor], found: dict[str, torch.Tensor]) -> str:
    macs = program.stats.macs_executed
    for name, tensor in program.run(list(inputs), engine="cycle").items():
        if tensor.numpy().tobytes() != found[name].numpy().tobytes():
            return f"output {name}: the engines give other bits in {int((tensor != found[name]).sum())} of {tensor.numel()} elements"
    if program.stats.macs_executed != macs:
        return f"the functional engine counts {macs} multiply-accumulates, the cycle engine {program.stats.macs_executed}"
    return ""


def _difference_from_pytorch(graph: Graph, found: list[torch.Tensor]) -> tuple[str, float]:
    values = numbers.values_of(graph)
    largest = 0.0
    for name, tensor in zip(graph.outputs, found, strict=True):
        wanted = values.of[name]
        if tuple(tensor.shape) != tuple(wanted.clean.shape):
            return f"{name} has shape {tuple(tensor.shape)}, expected {tuple(wanted.clean.shape)}", math.inf
        if not wanted.is_float:
            wrong = int((tensor.to(torch.int64) != wanted.clean.to(torch.int64)).sum())
            if wrong:
                return f"{name} has {wrong} of {tensor.numel()} wrong elements", math.inf
            continue
        error = (tensor.to(torch.float64) - wanted.clean).abs() / numbers.tolerance(wanted, graph.precision)
        part = math.inf if error.isnan().any() else error.max().item() if error.numel() else 0.0
        largest = max(largest, part)
        if part > 1:
            return f"{name} is off by {part:.3g} times what rounding can do, in {int((~(error <= 1)).sum())} of {tensor.numel()} elements", part
    return "", largest
