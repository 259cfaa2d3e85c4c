"""How fast a model would be on a machine, from its shape alone: compiled without weights, costed without running.

A model is given in blocks, each compiled once, and once more behind itself if it is repeated: what stays on the wafer from one to the next does not cross. Of parts that are alike, such as experts, a few are compiled. Cycles are those of the cost model by which the compiler compares grids
(lib/Analysis/ContractionCost.h); `benchmarks/cost_model.py` holds it against the timing engine. What runs in MemoryX takes no time here.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import gc
import json
import os
import pathlib
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor

import torch
from torch import nn

from wafer import _native
from wafer.compiler import diagnostic_of, nothing_for
from wafer.errors import CompileError
from wafer.planning.choices import Choice, Segment, choices_in, repeated, with_more

_MASTER_BYTES = 4  # f32 weights, gradients and optimizer state in MemoryX
# Of parts that are alike: so many are compiled, the first, the last and one between them, where there are more than it takes to see what one adds.
_COMPILED, _MANY = 3, 8
# Grids that take up to so many times what the best one does may be best for all repeats of a block.
_WITHIN = 1.25


@dataclasses.dataclass(frozen=True)
class Block:
    """A part of a model, and how often it is there one after the other. Its module may be on the device meta; inputs are those of its forward. A block with a
    `loss` of its output and the last input is where a model ends. Members of the module's lists that `alike` names are equal, such as experts, and its forward takes
    them one after the other."""

    name: str
    module: nn.Module
    inputs: tuple[torch.Tensor, ...]
    repeats: int = 1
    loss: object = None
    alike: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class BlockPlan:
    name: str
    repeats: int
    parameters: int
    segments: tuple[Segment, ...]  # of one
    further: tuple[Segment, ...] = ()  # what each more of them adds

    def weighted(self) -> Iterator[tuple[int, Segment]]:
        """Segments, and how often they are there."""
        yield from ((1, segment) for segment in self.segments)
        yield from ((self.repeats - 1, segment) for segment in self.further)

    def total(self, field: str) -> float:
        """Of all repeats."""
        return sum(times * getattr(segment, field) for times, segment in self.weighted())


_HELP = {
    "transfers": "activations that cross between MemoryX and the wafer bind; what would help is to keep them on the wafer between segments, or to compute them again",
    "ingest": "the stream of weights binds; more tokens on a system would help",
    "issue": "arithmetic binds; more systems, or more zeros, would help",
    "link": "partial sums on their way between columns bind; fewer columns or more tokens per core would help",
    "elementwise": "work on single elements binds",
}


@dataclasses.dataclass(frozen=True)
class Plan:
    """A model on a machine. Seconds are those of the modelled machine."""

    machine: str
    systems: int
    train: bool
    tokens: int  # of a pass, on each system
    blocks: tuple[BlockPlan, ...]
    clock: float  # cycles a second
    peak: float  # multiply-accumulates a cycle
    ingest: float  # wavelets a cycle from MemoryX
    bytes_per_second: float  # of gradients off a system
    state_bytes: int  # of optimizer state per parameter
    dram: int
    flash: int

    @property
    def parameters(self) -> int:
        return sum(block.repeats * block.parameters for block in self.blocks)

    def total(self, field: str) -> float:
        return sum(block.total(field) for block in self.blocks)

    @property
    def wafer_seconds(self) -> float:
        return self.total("cycles") / self.clock

    @property
    def update_seconds(self) -> float:
        """Sums of SwarmX and updates, each as fast as gradients leave a system; they take place behind the backward pass but for those of the last block."""
        return self.parameters * _MASTER_BYTES / self.bytes_per_second if self.train else 0.0

    @property
    def seconds(self) -> float:
        """A pass, or a training step."""
        tail = self.update_seconds * self.blocks[0].parameters / self.parameters if self.train else 0.0
        return max(self.wafer_seconds, self.update_seconds) + tail

    @property
    def tokens_per_second(self) -> float:
        return self.tokens * self.systems / self.seconds

    @property
    def utilisation(self) -> float:
        """Multiply-accumulates of contractions over those that all cores could do in the time."""
        return self.total("macs") / (self.peak * self.clock * self.seconds)

    @property
    def memory_bytes(self) -> int:
        """Weights, and in training gradients and optimizer state, in MemoryX."""
        return self.parameters * ((2 * _MASTER_BYTES + self.state_bytes) if self.train else _MASTER_BYTES)

    def share(self) -> dict[str, float]:
        """Of all cycles, by what binds."""
        cycles: dict[str, float] = {}
        for block in self.blocks:
            for times, segment in block.weighted():
                cycles[segment.binds] = cycles.get(segment.binds, 0.0) + times * segment.cycles
        total = sum(cycles.values()) or 1.0
        return {what: part / total for what, part in sorted(cycles.items(), key=lambda item: -item[1])}

    def json(self) -> str:
        figures = {name: getattr(self, name) for name in ("parameters", "wafer_seconds", "update_seconds", "seconds", "tokens_per_second", "utilisation", "memory_bytes")}
        return json.dumps(dataclasses.asdict(self) | figures | {"share": self.share()}, indent=2)

    def __str__(self) -> str:
        lines = [f"{'block':<12}{'repeats':>8}{'parameters':>14}{'cycles':>16}{'transfers':>11}{'contractions':>14}{'MACs':>12}{'of peak':>9}"]
        for block in self.blocks:
            cycles = block.total("cycles")
            share = [100 * block.total(field) / cycles if cycles else 0.0 for field in ("transfers", "contractions")]
            lines.append(
                f"{block.name:<12}{block.repeats:>8}{block.parameters:>14}{cycles:>16.0f}{share[0]:>9.1f} %{share[1]:>12.1f} %{block.total('macs'):>12.3g}"
                f"{100 * block.total('macs') / (self.peak * cycles) if cycles else 0.0:>7.2f} %"
            )
        what = "training step" if self.train else "pass"
        binds = self.share()
        first = next(iter(binds), "issue")
        tier = "DRAM" if self.memory_bytes <= self.dram else "DRAM and flash" if self.memory_bytes <= self.dram + self.flash else "more than the machine has"
        return "\n".join(
            [
                *lines,
                f"{what} of {self.tokens * self.systems} tokens on {self.systems} x {self.machine}: {self.seconds:.4g} s, {self.tokens_per_second:.6g} tokens/s, {86400 * self.tokens_per_second:.3g} a day",
                f"utilisation: {100 * self.utilisation:.2f} % of {self.peak:.0f} multiply-accumulates a cycle and system",
                "cycles by what binds: " + ", ".join(f"{name} {100 * part:.1f} %" for name, part in binds.items()) + f" ({_HELP[first]})",
                f"MemoryX holds {self.memory_bytes / 1e9:.4g} GB for {self.parameters} parameters: {tier}",
            ]
        )


def plan(
    blocks: Sequence[Block] | nn.Module,
    inputs: tuple[torch.Tensor, ...] = (),
    *,
    machine: str | os.PathLike = "wse3",
    systems: int = 1,
    train: bool = False,
    precision: str = "f16",
    state_bytes: int = 8,
    activation_zeros: float = 0.5,
) -> Plan:
    """Plan a model for a machine, in seconds and without weights.

    Args:    blocks: the parts of the model; or a module, with its inputs. Only shapes and types of inputs count; they may be on the device meta.
             machine: a preset or the path of a description. systems: of them, each with inputs of these shapes; they work on different data.
             train: a training step: forward pass, deltas, gradients, sums and updates. state_bytes: of the optimizer, per parameter (AdamW: 8).
             precision, activation_zeros: as for wafer.compile.
    Returns: the plan; print it, or take its figures.
    Raises:  CompileError, UnsupportedOpError; both name the line of the model's source.
    """
    if isinstance(blocks, nn.Module):
        blocks = [Block("model", blocks, tuple(inputs))]
    if not blocks:
        raise CompileError("found no blocks, expected at least one")
    nothing = nothing_for(machine)
    description = nothing.machine_description
    if not 1 <= systems <= description["max_systems"]:
        raise CompileError(f"found systems={systems}, expected from 1 to the {description['max_systems']} of machine '{description['name']}'")
    how = {"machine": machine, "train": train, "precision": precision, "activation_zeros": activation_zeros}
    # The compiler is at work on a block while the next one is imported.
    with ThreadPoolExecutor(max_workers=1) as beside, _no_collection():
        begun = [(block, _begin(block, beside, **how), _begin(_twice(block), beside, **how) if block.repeats > 1 else None) for block in blocks]
        planned = [_planned(block, one(), two() if two else None) for block, one, two in begun]
    first = blocks[0].inputs[0]
    lanes = description["lanes"]["fmac_acc"]["bits32" if precision == "f32" else "bits16"]
    return Plan(
        description["name"], systems, train, first.shape[0] * (first.shape[1] if first.dim() > 2 else 1), tuple(planned), description["clock_ghz"] * 1e9,
        float(description["width"] * description["height"] * lanes), float(description["ingest_wavelets_per_cycle"]), nothing.bytes_per_second, state_bytes, description["memoryx_dram_bytes"], description["memoryx_flash_bytes"],
    )  # fmt: skip


def compiled(
    block: Block, *, machine: str | os.PathLike = "wse3", train: bool = False, precision: str = "f16", activation_zeros: float = 0.5, trace: os.PathLike | None = None
) -> bytes:
    """A block's program, without weights. `trace`: file for the compiler's decisions.

    Raises: CompileError, UnsupportedOpError; both name the line of the model's source.
    """
    return _compiled_text(_text_of(block, machine, train), machine, train, precision, activation_zeros, trace)


def _text_of(block: Block, machine: str | os.PathLike, train: bool) -> str:
    """The block as MLIR."""
    block = dataclasses.replace(block, inputs=tuple(map(_without_memory, block.inputs)))
    was_training = block.module.training
    description = nothing_for(machine).machine_description
    text = _gradients_of(block, description) if train else _forward_of(block, description)
    block.module.train(was_training)
    return text


def _compiled_text(text: str, machine: str | os.PathLike, train: bool, precision: str, activation_zeros: float, trace: os.PathLike | None, within: float = 0) -> bytes:
    """`within`: of candidates, those are traced that take at most so many times the cycles of the best one; 0: all."""
    executable, diagnostics = _native.module().compile_text(
        text, os.fspath(machine), precision, ["gradients" if train else "forward"], os.fspath(trace) if trace else "", activation_zeros=round(1000 * activation_zeros), trace_within=within,
    )  # fmt: skip
    if executable is None:
        raise CompileError([diagnostic_of(diagnostic) for diagnostic in diagnostics] or "the compiler gave no reason")
    return executable


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """PyTorch makes so many objects that to look through them for unused ones is a seventh of an import."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _planned(block: Block, one: tuple[Choice, ...], two: tuple[Choice, ...] | None) -> BlockPlan:
    """`two`: of the block behind itself, if it is repeated."""
    segments, further = (tuple(choice.taken for choice in one), ()) if two is None else repeated(one, two, block.repeats)
    parameters = sum(parameter.numel() for parameter in block.module.parameters())
    return BlockPlan(block.name, block.repeats, parameters, segments, further)


def _begin(block: Block, beside: Executor, *, machine: str | os.PathLike, train: bool, **how: object) -> Callable[[], tuple[Choice, ...]]:
    """Imports the block and has it compiled. What it gives waits for that. `how`: as for `compiled`."""
    how |= {"machine": machine, "train": train}
    members = min((len(block.module.get_submodule(path)) for path in block.alike), default=0)
    if members > _MANY:
        fewer, few = (_begin(_with(block, count), beside, **how) for count in (_COMPILED - 1, _COMPILED))

        def choices() -> tuple[Choice, ...]:
            found = with_more(fewer(), few(), members - _COMPILED)
            return _begin(dataclasses.replace(block, alike=()), beside, **how)() if found is None else found

        return choices
    return beside.submit(_choices_of, _text_of(block, machine, train), **how).result


def _choices_of(text: str, **how: object) -> tuple[Choice, ...]:
    with tempfile.TemporaryDirectory() as folder:
        trace = pathlib.Path(folder, "decisions.json")
        _compiled_text(text, trace=trace, within=_WITHIN, **how)
        return choices_in(trace.read_text().splitlines() if trace.exists() else ())


def _with(block: Block, count: int) -> Block:
    """The block with the first `count` of members that are alike."""
    lists = map(block.module.get_submodule, block.alike)
    return dataclasses.replace(block, module=copy.deepcopy(block.module, {id(members): members[:count] for members in lists}), alike=())


def _twice(block: Block) -> Block:
    """The block behind itself, with parameters of its own; tables of positions and the like are those of all blocks."""
    shared = {id(buffer): buffer for buffer in block.module.buffers()}
    alike = tuple(f"blocks.{number}.{path}" for number in range(2) for path in block.alike)
    return dataclasses.replace(block, module=_Chain([block.module, copy.deepcopy(block.module, shared)]), alike=alike)


class _Chain(nn.Module):
    """Blocks one behind the other: the output of one is the first input of the next."""

    def __init__(self, blocks: Sequence[nn.Module]):
        super().__init__()
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x, *others)
        return x


def _without_memory(value: torch.Tensor) -> torch.Tensor:
    """One element, repeated: of an input only shape and type count."""
    return torch.zeros((), dtype=value.dtype).expand(value.shape)


class _Behind(nn.Module):
    """A block behind another one: its first input has a gradient too, which leaves for the block before."""

    def __init__(self, block: nn.Module, x: torch.Tensor):
        super().__init__()
        self.block = block
        self.before = nn.Parameter(torch.empty(x.shape, device="meta"))

    def forward(self, *others: torch.Tensor) -> torch.Tensor:
        return self.block(self.before, *others)


def _later(output: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """A loss of a block's output whose gradient is there only after MemoryX has had the output, as after all the layers behind the block: nothing of the forward pass is still on
    the wafer in the backward pass."""
    place = (0 * output.detach().flatten()[:1]).to(torch.int64)
    chosen, first = output.index_select(0, place), gradient
    for dim in range(output.dim()):
        chosen, first = chosen.narrow(dim, 0, 1), first.narrow(dim, 0, 1)
    return (chosen * first).sum()


def _forward_of(block: Block, machine: Mapping) -> str:
    from wafer.frontends.torch import import_model

    return import_model(block.module.eval(), block.inputs[:-1] if block.loss else block.inputs, None, "forward", machine=machine).text


def _gradients_of(block: Block, machine: Mapping) -> str:
    """MLIR of the block's forward and backward pass. The gradient that comes from behind it is an input."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    from wafer.frontends import absent
    from wafer.training.joint import differentiate

    *inputs, last = block.inputs if block.loss else (*block.inputs, None)
    module, given = block.module.train(), ()
    if inputs[0].is_floating_point():
        module, given = _Behind(module, inputs.pop(0)), ("before",)
    with absent.on_cpu(module):
        if block.loss:
            loss, target = block.loss, last
        else:
            with FakeTensorMode(allow_non_fake_inputs=True) as mode:
                made = module(*map(mode.from_tensor, inputs))
            loss, target = _later, torch.zeros(()).expand(made.shape)
        return differentiate(module, loss, (*inputs, target), machine=machine, given=given).imported.text
