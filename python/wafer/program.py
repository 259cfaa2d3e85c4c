"""A compiled model: an executable, its weights, and the sessions that run it."""

from __future__ import annotations

import copy
import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy

from wafer import _native, arrays
from wafer.errors import ExecutableError, RuntimeError  # noqa: A004
from wafer.sessions import Sessions
from wafer.stats import OpStats, Stats

if TYPE_CHECKING:
    from wafer.taps import Source

Path = str | os.PathLike
Weights = Path | Sequence[Path] | Mapping[str, object]


class TensorInfo(NamedTuple):
    """An input, output or weight; `dtype` as "f32"."""

    name: str
    dtype: str
    shape: tuple[int, ...]


class Program:
    """Made by wafer.compile or wafer.load. Call it with the model's inputs.

    `engine` is "functional" (fast, the default) or "cycle" (counts time); both give the same bits. `threads` changes speed, never results.
    Weights that came from a model in memory are shared with it: a later change of the model is seen by the next call.
    A program may be called from several threads; the calls run one after another.

    Buffers that the model changes are states: they are kept from call to call. A program with several entries has them in `entries`, by name:
    program.entries["decode"](...). All have the same weights and states; the program itself stands for the first.
    """

    def __init__(self, executable: bytes, *, engine: str = "functional", threads: int = 1, mlir: str | None = None, other_names: Mapping[str, Sequence[str]] | None = None):
        """Use wafer.compile or wafer.load. Raises ExecutableError when `executable` breaks a rule of the machine."""
        self._executable = executable
        self._sessions = Sessions(executable, other_names or {})
        self._description = self._sessions.verified.describe()
        self.machine: str = self._description["machine"]
        self.machine_description: dict = json.loads(self._description["machine_text"])  # as in docs/spec/machine.md
        self.bytes_per_second: float = self._description["bytes_per_second"]  # off the wafer
        self._grid = (self._description["width"], self._description["height"])
        self._weight_colours = self._description["weight_colours_proved"]
        self.weights = tuple(TensorInfo(*info) for info in self._description["weights"])
        self.states = tuple(TensorInfo(*info) for info in self._description["states"])
        self.engine = engine
        self.threads = threads
        self.mlir = mlir
        if not self._description["entries"]:
            raise ExecutableError("found no entry, expected at least one")
        self.entries: dict[str, Program] = {}  # by name, all with the weights and states of this one
        for number in range(len(self._description["entries"])):
            program = copy.copy(self) if number else self
            program._select(number)
            self.entries[program.entry] = program

    def _select(self, number: int) -> None:
        entry = self._description["entries"][number]
        self.entry: str = entry["name"]
        self.inputs = tuple(TensorInfo(*info) for info in entry["inputs"])
        self.outputs = tuple(TensorInfo(*info) for info in entry["outputs"])
        self.ops = tuple(OpStats(**{key: value for key, value in op.items() if key != "entry"}) for op in self._description["ops"] if op["entry"] == number)
        self.source: Source | None = None  # set by wafer.compile for models of PyTorch
        self._variants: dict[tuple[str, ...], Program] = {}  # by the nodes whose values they return too
        self._stats: Stats | None = None

    # Weights and states

    def set_weights(self, weights: Weights, *, names: Mapping[str, str] | None = None) -> Program:
        """Give the program its weights, and what its states begin with.

        Args:   weights: safetensors files, a Hugging Face checkpoint directory (sharded or not), or tensors by name such as a state dict. They
                may hold more than the program needs. Files are read by pieces while the program runs, never copied whole.
                names: for weights that have another name there, that name by the program's name, as {"lm_head.weight": "wte.weight"}.
        Raises: RuntimeError for a damaged or missing file, and for a weight that is missing or of another type or shape than the program expects.
        """
        infos = {info.name: info for info in self.weights + self.states}
        for name in names or {}:
            if name not in infos:
                raise RuntimeError(f"found a name for weight '{name}', which the program does not have; it has {', '.join(list(infos)[:5])}{' ...' if len(infos) > 5 else ''}")
            if isinstance(weights, Mapping) and names[name] not in weights:
                raise RuntimeError(f"weight '{name}' is to come from '{names[name]}', which was not given")
        with self._sessions.lock:
            for entry in self.entries.values():
                entry._variants.clear()
            self._sessions.set_weights(weights, infos, names or {}, {info.name for info in self.states})
            self._sessions.get(self.engine, self.threads, "", None)  # refuses wrong weights now and not at the first call
        return self

    def state_values(self) -> dict[str, numpy.ndarray]:
        """What the program's states are now, by name: buffers that the model changes, such as a cache of keys and values."""
        with self._sessions.lock:
            return {name: arrays.array_of(pair) for name, pair in self._session().states().items()}

    def set_states(self, values: Mapping[str, object]) -> Program:
        """Give states a value for the next call. Raises RuntimeError for one that the program does not have, or of another type or shape."""
        types = {info.name: info.dtype for info in self.states}
        with self._sessions.lock:
            session = self._session()
            for name, value in values.items():
                what = f"state '{name}'"
                session.set_state(name, arrays.converted(arrays.pair_of(value, what), types.get(name, ""), what))
        return self

    def reset_states(self) -> Program:
        """Let every state begin anew: as the weights have it, or with zeros."""
        with self._sessions.lock:
            self._session().reset_states()
        return self

    def _session(self):
        """The one that runs without options for the call. The lock is held."""
        return self._sessions.get(self.engine, self.threads, "", None)

    def save_weights(self, path: Path) -> None:
        """Write all weights of the program, and its states as they are, as one safetensors file, complete or not there.

        Raises: RuntimeError when some were never given, and when the file cannot be written.
        """
        pairs = self._sessions.weights()
        missing = [info.name for info in self.weights if info.name not in pairs]
        if missing:
            raise RuntimeError(f"found no values for the weights {', '.join(missing[:5])}{' ...' if len(missing) > 5 else ''}; give them with set_weights")
        with self._sessions.lock:
            states = self._session().states() if self.states else {}
        _native.module().write_safetensors(os.fspath(path), {info.name: pairs[info.name] for info in self.weights} | states)

    # Running

    def __call__(self, *args: object, engine: str | None = None, threads: int | None = None, **inputs: object):
        """Run the program.

        Args:    inputs in the model's order, or by name. engine, threads: for this call only.
        Returns: what the model returns: one array or tensor, a tuple for a sequence of them, else a dict by name. PyTorch tensors if an input
                 was one, arrays of JAX if an input was one, else NumPy arrays. int64 comes back as int32, bool as int8.
        Raises:  RuntimeError when inputs or weights do not fit, TrapError when the program cannot go on.
        """
        given = self.named(args)
        for name, value in inputs.items():
            if name in given:
                raise RuntimeError(f"found input '{name}' twice, by place and by name")
            given[name] = value
        results = self.run(given, engine=engine, threads=threads)
        if list(results) == ["output"]:
            return results["output"]
        if list(results) == [f"output{i}" for i in range(len(results))]:
            return tuple(results.values())
        return results

    def run(
        self,
        inputs: Mapping[str, object] | Sequence[object],
        *,
        taps: Sequence[str] = (),
        engine: str | None = None,
        threads: int | None = None,
        trace: Path = "",
        memoryx_dram: int | None = None,
    ) -> dict[str, object]:
        """Run the program on inputs by name, or in the model's order; gives outputs by name.

        Args: taps: names of intermediate tensors to return too: nodes ("linear_1"), names of the report ("fc1/linear_1") or modules ("fc1", its last
              result). The first call with other taps compiles a variant of the program. What is returned is rounded to the program's precision where
              the program itself may keep f32 between two operations, so that last bits of what follows may differ.
              trace: file for a Chrome trace of the tasks (cycle engine). memoryx_dram: size of MemoryX's DRAM tier in bytes, default the machine's.
        """
        inputs = self.named(inputs)
        if taps:
            options = {"engine": engine or self.engine, "threads": threads or self.threads, "trace": trace, "memoryx_dram": memoryx_dram}
            return self._run_with_taps(inputs, list(taps), **options)
        types = {info.name: info.dtype for info in self.inputs}
        pairs = {}
        for name, value in inputs.items():
            what = f"input '{name}'"
            pairs[name] = arrays.converted(arrays.pair_of(value, what), types.get(name, ""), what)
        with self._sessions.lock:
            session = self._sessions.get(engine or self.engine, threads or self.threads, os.fspath(trace), memoryx_dram)
            results = session.run(self.entry, pairs)
            self._stats = Stats(session.stats())
        kinds = ((arrays.is_torch, arrays.torch_of), (arrays.is_jax, arrays.jax_of))
        back = next((convert for belongs, convert in kinds if any(map(belongs, inputs.values()))), arrays.array_of)
        return {info.name: back(results[info.name]) for info in self.outputs}

    @property
    def cores(self) -> int:
        """Of the machine."""
        return self._grid[0] * self._grid[1]

    def time(self) -> Stats:
        """The time of the program on the machine, without inputs and results (timing engine); also left in `stats`.

        Which weights of a sparse tensor are kept is counted where the program has its weights; else it is what the model had when it was compiled.
        """
        with self._sessions.lock:
            session = self._sessions.get("timing", self.threads, "", None)
            session.time(self.entry)
            self._stats = Stats(session.stats())
        return self._stats

    def named(self, inputs: Mapping[str, object] | Sequence[object] | object) -> dict[str, object]:
        """Inputs by name: given so, or in the model's order, or the first one alone. Raises RuntimeError when there are too many."""
        if isinstance(inputs, Mapping):
            return dict(inputs)
        args = inputs if isinstance(inputs, (tuple, list)) else (inputs,)
        if len(args) > len(self.inputs):
            raise RuntimeError(f"found {len(args)} inputs, expected {len(self.inputs)}: {self._names(self.inputs)}")
        return dict(zip((info.name for info in self.inputs), args))

    def _run_with_taps(self, inputs: Mapping[str, object], taps: list[str], **options: object) -> dict[str, object]:
        if self.source is None:
            raise RuntimeError("found taps for a program that does not know its model; compile the PyTorch model in this process to tap it")
        node_of = {tap: self.source.node_of(tap) for tap in taps}
        nodes = tuple(sorted(set(node_of.values())))
        with self._sessions.lock:
            variant = self._variants.get(nodes)
            if variant is None:
                variant = self.source.variant(nodes)
                variant._sessions.share_weights(self._sessions)
                self._variants[nodes] = variant
        if self.states:
            variant.set_states({name: value for name, value in self.state_values().items() if name in {info.name for info in variant.states}})
        results = variant.run(inputs, **options)
        if self.states:
            self.set_states(variant.state_values())
        self._stats = variant._stats
        outputs = {info.name: results[info.name] for info in self.outputs}
        if taken := outputs.keys() & node_of.keys():
            raise RuntimeError(f"found the tap '{min(taken)}', which is also the name of an output; use the node's name")
        return outputs | {tap: results[f"tap.{node}"] for tap, node in node_of.items()}

    # What it is and did

    @property
    def wafer_share(self) -> float | None:
        """Part of the multiply-accumulates of all contractions that the wafer does, from 0 to 1; None when the model is not known or has none."""
        return share_of_macs(self.ops, self.source.model.macs) if self.source else None

    @property
    def stats(self) -> Stats:
        """Counters of the last call. Raises RuntimeError before the first."""
        if self._stats is None:
            raise RuntimeError("the program has not run yet, so that nothing was counted; call it first")
        return self._stats

    def report(self) -> str:
        """Where each operation runs and why, and what the last call counted."""
        on_wafer = [op for op in self.ops if op.placement == "wafer"]
        lines = [
            f"program '{self.entry}' for machine '{self.machine}' ({self._grid[0]}x{self._grid[1]} cores)",
            f"operations on the wafer: {len(on_wafer)} of {len(self.ops)}",
        ]
        lines += table_of_ops(self.ops)
        if self._stats is not None:
            lines += ["last run:"] + ["  " + line for line in str(self._stats).splitlines()]
        else:
            lines.append(f"weights stored on the wafer: 0 (proved for {self._weight_colours} weight colours)")
        return "\n".join(lines)

    def save(self, path: Path) -> None:
        """Write the executable, without weights. The file is complete or not there. Raises RuntimeError when it cannot be written."""
        _native.module().write_file(os.fspath(path), self._executable)

    @staticmethod
    def _names(infos: Sequence[TensorInfo]) -> str:
        return ", ".join(info.name for info in infos)

    def __repr__(self) -> str:
        return f"<wafer.Program '{self.entry}' for '{self.machine}': ({self._names(self.inputs)}) -> ({self._names(self.outputs)}), {len(self.weights)} weights>"


def table_of_ops(ops: Sequence[OpStats]) -> list[str]:
    """Where operations run and why, a line each."""
    rows = [("operation", "where", "MACs", "source", "why not on the wafer")]
    rows += [(op.name, op.placement, str(op.macs) if op.macs else "", op.location, op.reason) for op in ops]
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    return ["  " + "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths)), row[4]]).rstrip() for row in rows]


def share_of_macs(ops: Sequence[OpStats], macs: Mapping[str, int]) -> float | None:
    """Part of the multiply-accumulates `macs`, by operation, that the wafer does."""
    done: dict[str, int] = {}
    for op in ops:
        done[op.name] = done.get(op.name, 0) + (op.macs if op.placement == "wafer" else 0)
    # A name's bias counts in `done` too, so that the wafer's number may be above that of the contraction.
    return sum(min(done.get(name, 0), count) for name, count in macs.items()) / sum(macs.values()) if macs else None


def load(path: Path, weights: Weights | None = None, *, names: Mapping[str, str] | None = None, engine: str = "functional", threads: int = 1) -> Program:
    """Read a .wexe file.

    Args:    weights, names: as for Program.set_weights, where they can also be given later.
    Returns: the program.
    Raises:  ExecutableError for a damaged file or one that breaks a rule of the machine, RuntimeError for weights that do not fit.
    """
    try:
        executable = pathlib.Path(path).read_bytes()
    except OSError as error:
        raise ExecutableError(f"{os.fspath(path)}: cannot be read: {error.strerror}") from error
    try:
        program = Program(executable, engine=engine, threads=threads)
    except ExecutableError as error:
        raise ExecutableError(f"{os.fspath(path)}: {error}") from error
    return program if weights is None else program.set_weights(weights, names=names)
