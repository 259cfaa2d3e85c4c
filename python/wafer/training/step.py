"""wafer.train_step: a model, a loss and an optimizer become a step on the emulated wafer."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import json
import os
import threading
from collections.abc import Callable, Mapping, Sequence

import numpy
import torch
from torch.utils import _pytree as pytree

from wafer import arrays, checkpoints
from wafer.errors import CompileError, RuntimeError  # noqa: A004
from wafer.sparsity.dynamic import Masks, Method
from wafer.sparsity.masks import kept_count
from wafer.training import checkpoint, timeline
from wafer.training.joint import gradient_of, kept_of, new_value_of
from wafer.training.passes import Passes, Shards, samples_of
from wafer.training.programs import Host
from wafer.training.ranks import world
from wafer.training.room import Room
from wafer.training.round import Round, Updated
from wafer.training.rules import Rule
from wafer.training.scaling import NO_SCALE, LossScale
from wafer.training.subject import Subject, TorchSubject
from wafer.training.systems import Systems, Whole, default_shards
from wafer.training.timeline import StepTime
from wafer.training.update import Updater

Arrays = Mapping[str, numpy.ndarray]

_PRECISIONS = ("f16", "bf16", "f32")


@dataclasses.dataclass(frozen=True)
class _State:
    """Everything that a step changes. Never changed itself: a step makes a new one, so that an interrupted step leaves no trace."""

    parameters: Arrays
    buffers: Arrays
    optimizer: Mapping[str, Arrays]
    updates: int = 0  # steps that changed the weights
    skipped: int = 0
    calls: int = 0
    scale: LossScale = NO_SCALE


def train_step(
    model: torch.nn.Module | Callable[..., object],
    loss_fn: Callable[..., object],
    optimizer: Rule,
    example: Sequence[object],
    *,
    machine: str | os.PathLike = "small",
    precision: str = "f16",
    systems: int = 1,
    shards: int | None = None,
    reduction: str = "mean",
    seed: int = 0,
    engine: str = "functional",
    threads: int = 1,
    weights: str | os.PathLike | None = None,
    memoryx_dram: int | None = None,
    memoryx_flash: str | os.PathLike | None = None,
    sparsity: Method | None = None,
    params: object = None,
) -> TrainStep:
    """Make a training step of a model.

    Args:    model: of PyTorch, or with params= a function of JAX, model(params, x). loss_fn: loss_fn(model(x), target), one number. optimizer: of wafer.optim.
             example: (x, target), or (x0, x1, ..., target) for a model of several inputs; a whole batch. The first dimension of every tensor in it is
             the batch; later batches may be shorter or longer.
             precision: of values on the wafer, "f16" (with loss scaling), "bf16" or "f32"; weights, gradients that leave the wafer, and state are f32.
             systems: how many systems compute shards of the batch; under mpirun they are spread over the ranks, at least one each. shards: into how many parts the batch is cut, default 8, or as many as it has
             samples; results depend on it, and not on systems. reduction: what loss_fn does over the batch, "mean" or "sum".
             seed: of dropout. engine, threads: as for wafer.compile.
             weights: a safetensors file or a Hugging Face checkpoint directory with the weights to begin with, for a model on PyTorch's device "meta".
             memoryx_dram: size of MemoryX's DRAM tier in bytes, default the machine's. memoryx_flash: folder for whatever of weights, optimizer state,
             gradients and activations that tier has no room for, so that a model larger than memory trains; None: all is in memory.
             sparsity: which weights are kept and when that changes, a method of wafer.sparsity; None: all.
             params: a pytree of float32 arrays, what JAX's grad differentiates by; step.params has what became of them.
    Returns: the step, with a copy of the model's weights; the model itself does not change while training.
    Raises:  UnsupportedOpError, CompileError, RuntimeError.
    """
    if precision not in _PRECISIONS:
        raise CompileError(f"found precision '{precision}', expected one of {', '.join(_PRECISIONS)}")
    if reduction not in ("mean", "sum"):
        raise CompileError(f"found reduction '{reduction}', expected 'mean' or 'sum'")
    if not isinstance(optimizer, Rule):
        raise CompileError(f"found an optimizer of type {type(optimizer).__name__}, expected a rule such as wafer.optim.AdamW(lr=3e-4)")
    example = _tensors(example)
    samples = samples_of(example)
    shards = default_shards(samples) if shards is None else shards
    if not 1 <= shards <= samples:
        raise RuntimeError(f"found {shards} shards for a batch of {samples}, expected 1 to {samples}")
    room = Room(memoryx_flash)
    swarm = Systems(systems, shards, world(), room)
    subject = _subject(model, loss_fn, params)
    initial = subject.values(weights, room)
    host = Host(machine, engine, threads, memoryx_dram, room.folder or "")
    masks = Masks(sparsity, {name: initial[name] for name in subject.trained}) if sparsity else None
    kept = {name: kept_count(initial[name].size, sparsity.sparsity) for name in masks.names} if masks else {}
    passes = Passes(subject, precision, host, kept)
    parts = Shards(example, shards)
    passes.prepare(parts)
    return TrainStep(subject, initial, passes, Updater(optimizer, host, room), swarm, room, parts, reduction, seed, precision, sparsity)


class TrainStep:
    """loss = step(x, target) trains by one batch. Made by wafer.train_step."""

    def __init__(
        self, subject: Subject, initial: Arrays, passes: Passes, updater: Updater, systems: Systems, room: Room, example: Shards, reduction: str,
        seed: int, precision: str, sparsity: Method | None = None,
    ):  # fmt: skip
        self._passes, self._updater, self._systems, self._room = passes, updater, systems, room
        self._example, self._shards, self._reduction, self._seed = example, example.count, reduction, seed
        self._writing: concurrent.futures.Future | None = None
        gradients, _ = passes.first
        self._subject, self._forms = subject, subject.forms
        self._untrained = {name: array for name, array in initial.items() if name not in gradients.parameters and name not in subject.buffers}
        parameters = {name: initial[name] for name in gradients.parameters}
        self._sparsity = sparsity
        self._masks = Masks(sparsity, parameters) if sparsity else None
        sparse, optimizer = self._masks.first(parameters) if self._masks else ({}, {})
        self._state = _State(
            parameters | {name: room.copy(array) for name, array in sparse.items()},
            {name: initial[name] for name in subject.buffers},
            optimizer,
            scale=LossScale() if precision == "f16" else NO_SCALE,
        )

    # What there is to see

    @property
    def step(self) -> int:
        """How often the step was called; the next batch of a data set in a fixed order is the one of this number."""
        return self._state.calls

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes what is written once: the only one, or rank 0."""
        return self._systems.is_first

    @property
    def skipped(self) -> int:
        """Steps that changed no weights since a gradient overflowed (f16)."""
        return self._state.skipped

    @property
    def loss_scale(self) -> float:
        return self._state.scale.scale

    @property
    def stats(self) -> dict:
        """What the last run of the gradients program counted, in the form of `wafer-run --stats`. Raises RuntimeError before the first step."""
        if not self._state.calls:
            raise RuntimeError("the step has not run yet, so that nothing was counted; call it first")
        return json.loads(self._passes.first[1].session().stats())

    @property
    def program(self):
        """The gradients program of the example's first shard, a wafer.Program: its report says where each operation of both passes runs."""
        return self._passes.first[1].program

    def time(self) -> StepTime:
        """The modelled time of a step on a batch like the example, without running it (timing engine)."""
        gradients, program = self._passes.first
        elements = {gradient_of(name): self._state.parameters[name].size for name in gradients.parameters}
        runs: dict[int, timeline.Passes] = {}
        for size in self._example.sizes():
            runs[size] = timeline.passes_of(self._passes.of(size)[1].program.time().as_dict(), list(elements))
        systems = [[runs[self._example.size(shard)] for shard in part] for part in self._systems.parts(self._shards)]
        waits = self._updater.rule.clip_norm is not None
        return timeline.step_time(systems, elements, program.program.bytes_per_second, waits, self._example.samples, self._example.targets)

    @property
    def masks(self) -> dict[str, numpy.ndarray]:
        """Of each parameter with zeros, which of its elements are kept."""
        return {name: own["mask"] for name, own in self._state.optimizer.items() if "mask" in own}

    def state_dict(self) -> dict[str, torch.Tensor]:
        """For model.load_state_dict: a copy of all weights and buffers."""
        return {name: torch.from_numpy(array.copy()).to(self._forms[name][1]) for name, array in self._arrays().items()}

    @property
    def params(self) -> object:
        """The parameters of a JAX function, in the form of the params that the step was made with. Raises RuntimeError for a PyTorch model."""
        if isinstance(self._subject, TorchSubject):
            raise RuntimeError("a PyTorch model has no params, expected a JAX function; use step.state_dict()")
        return self._subject.params({name: array.copy() for name, array in self._arrays().items()})

    def _arrays(self) -> dict[str, numpy.ndarray]:
        """All weights and buffers by their names in the model's state_dict, tied ones under each."""
        values = {**self._untrained, **self._state.buffers, **self._state.parameters}
        return {name: values[self._subject.aliases[name]].reshape(shape) for name, (shape, _) in self._forms.items()}

    # Training

    def __call__(self, *batch: object) -> float:
        """Train by one batch.

        Args:   as the example: the model's inputs, and the target last. A batch of another size, such as a short last one, makes programs of its own
                when it first comes.
        Returns: the loss before the update.
        Raises: RuntimeError for a batch of another form than the example's, or of fewer samples than there are systems; TrapError. Nothing changes then.
        """
        batch = _tensors(batch)
        samples, (gradients, _) = samples_of(batch), self._passes.first
        form = pytree.tree_structure(tuple(batch))
        if form != gradients.spec:
            raise RuntimeError(f"found a batch of the form {form}, expected {gradients.spec} as in the example")
        shards = Shards(batch, min(self._shards, samples))
        self._systems.check(shards.count)
        self._passes.prepare(shards)
        state = self._state
        weights = {name: ("f32", array) for name, array in {**state.parameters, **state.buffers}.items() if array.dtype == numpy.float32}
        if self._masks:
            patterns = self._masks.patterns(state.optimizer, state.updates + 1)
            weights |= {kept_of(name): ("i8", pattern.view(numpy.int8)) for name, pattern in patterns.items()}
        parameter_of = {gradient_of(name): name for name in gradients.parameters}
        scale, checks = 1.0 / (self._divisor(shards.count) * state.scale.scale), state.scale is not NO_SCALE
        with Round(self._updater, self._masks, state.parameters, state.optimizer, state.updates, scale, checks) as updates:

            def whole(name: str, array: numpy.ndarray) -> None:
                if name in parameter_of:
                    updates.gradient(parameter_of[name], array)

            sums = self._systems.sum(shards.count, lambda shard, system, give: self._compute(state, weights, shards, shard, system, give), whole)
            self._state = self._updated(state, sums, updates.finish(gradients.parameters), shards.count)
        return float(sums["loss"]) / self._divisor(shards.count)

    def _divisor(self, shards: int) -> int:
        return shards if self._reduction == "mean" else 1

    def _compute(self, state: _State, weights: Mapping[str, arrays.Pair], shards: Shards, shard: int, system: int, give: Whole) -> None:
        gradients, program = self._passes.of(shards.size(shard))
        values = dict(zip(gradients.arguments, pytree.tree_leaves(shards.part(shard))))
        values |= {name: array for name, array in state.buffers.items() if array.dtype != numpy.float32}
        values["loss_scale"] = numpy.float32(state.scale.scale)
        values["seed"] = _seed(self._seed, state.calls, shard)
        inputs = {}
        for name, info in program.inputs.items():
            what = f"input '{name}'"
            inputs[name] = arrays.converted(arrays.pair_of(values[name], what), info.dtype, what)
        # In a mean over the batch a shard counts by its size.
        share = numpy.float32(1 if self._reduction == "sum" else shards.size(shard) * shards.count / shards.samples)

        def made(name: str, pair: arrays.Pair) -> None:
            array = arrays.array_of(pair)
            give(name, array if share == 1 or array.dtype != numpy.float32 else array * share)

        if self._room.folder is None:
            program.run(weights, inputs, system, made)
            return
        # The session puts what its DRAM tier has no room for into files, and an output that is handed out early stays in memory.
        for name, pair in program.run(weights, inputs, system).items():
            made(name, pair)

    def _updated(self, state: _State, sums: Arrays, updated: Updated, shards: int) -> _State:
        described, _ = self._passes.first
        if state.scale is not NO_SCALE:
            overflow = updated.parameters is None
            state = dataclasses.replace(state, scale=state.scale.after(overflow))
            if overflow:
                return dataclasses.replace(state, calls=state.calls + 1, skipped=state.skipped + 1)
        buffers = dict(state.buffers)
        for name in described.buffers:
            found, old = sums[new_value_of(name)], buffers[name]
            # Statistics of shards are averaged.
            mean = found / numpy.float32(shards) if old.dtype == numpy.float32 else found // shards
            buffers[name] = numpy.asarray(mean, dtype=old.dtype).reshape(old.shape)
        return dataclasses.replace(
            state, parameters={**state.parameters, **updated.parameters}, optimizer=updated.optimizer, buffers=buffers, updates=state.updates + 1, calls=state.calls + 1
        )

    # Checkpoints

    def export(self, directory: str | os.PathLike, *, file_bytes: int = 5 * 10**9) -> None:
        """Write the weights as a Hugging Face checkpoint directory: model.safetensors, or files of at most `file_bytes` and their index. Tied weights are
        written once. Under mpirun the first rank writes. Raises RuntimeError when a file cannot be written."""
        if self._systems.is_first:
            values = {name: array for name, array in self._arrays().items() if self._subject.aliases[name] == name}
            checkpoints.write(directory, {name: arrays.pair_of(array, f"'{name}'") for name, array in values.items()}, file_bytes)
        self._systems.together()

    def save(self, directory: str | os.PathLike, *, extra: Mapping[str, object] | None = None, keep: int = 2, wait: bool = True) -> None:
        """Write a checkpoint: it is complete, or the one before is still the newest. Under mpirun all ranks call it, and the first one writes.

        Args: extra: anything that JSON holds, to be given back by load. keep: how many checkpoints stay in the folder. wait: False: what there is now is
              written while training goes on; `written`, and the next save, wait for it and raise what went wrong.
        """
        self.written()
        state, rule = self._state, self._updater.rule
        description = {
            "step": state.calls, "updates": state.updates, "skipped": state.skipped, "optimizer": rule.name, "shards": self._shards, "seed": self._seed,
            "sparsity": self._sparsity and self._sparsity.name,
            "loss_scale": None if state.scale is NO_SCALE else dataclasses.asdict(state.scale), "extra": dict(extra or {}),
        }  # fmt: skip
        model = self._arrays()
        optimizer = {f"{name}/{key}": array for name, own in state.optimizer.items() for key, array in own.items()}
        if self._systems.is_first:
            # A step makes new arrays and changes none, so that these stay what they are.
            self._writing = concurrent.futures.Future()
            arguments = (self._writing, directory, model, optimizer, description, keep)
            if wait:
                _write(*arguments)
            else:
                threading.Thread(target=_write, args=arguments, name="wafer-checkpoint").start()
        if wait:
            self.written()

    def written(self) -> None:
        """Returns when the last checkpoint is complete. Under mpirun all ranks call it."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()
        self._systems.together()

    def load(self, directory: str | os.PathLike) -> dict:
        """Go on from the newest good checkpoint of a folder, as if the run had not stopped. Gives back `extra`.

        Raises: RuntimeError if there is none, or if it is of another model, optimizer, seed or number of shards. Nothing changes then.
        """
        self.written()
        model, optimizer, description = checkpoint.read(directory)
        for what, own in (("optimizer", self._updater.rule.name), ("shards", self._shards), ("seed", self._seed)):
            if description[what] != own:
                raise RuntimeError(f"the checkpoint was made with {what} {description[what]!r}, expected {own!r}; make the step with the same")
        # A sparse run may go on as a dense one, and not the other way round.
        if self._sparsity and description.get("sparsity") != self._sparsity.name:
            raise RuntimeError(f"the checkpoint was made with sparsity {description.get('sparsity')!r}, expected {self._sparsity.name!r}; make the step with the same")
        for name, (shape, _) in self._forms.items():
            found = model.get(name)
            if found is None or found.shape != shape:
                what = "no tensor" if found is None else f"shape {list(found.shape)} for"
                raise RuntimeError(f"the checkpoint has {what} '{name}', expected shape {list(shape)}")
        state: dict[str, dict[str, numpy.ndarray]] = {}
        for key, array in optimizer.items():
            name, _, own = key.rpartition("/")
            if own == "mask" and not self._sparsity:
                continue
            state.setdefault(name, {})[own] = self._room.copy(array)
        scale = description["loss_scale"]
        if (scale is None) != (self._state.scale is NO_SCALE):
            raise RuntimeError("the checkpoint was made with another precision: one of the two has loss scaling; make the step with the same")
        self._state = _State(
            {name: self._room.copy(model[name]) for name in self._state.parameters},
            {name: model.get(name, old).astype(old.dtype) for name, old in self._state.buffers.items()},
            state, description["updates"], description["skipped"], description["step"], NO_SCALE if scale is None else LossScale(**scale),
        )  # fmt: skip
        return description["extra"]


def _write(done: concurrent.futures.Future, *arguments: object) -> None:
    try:
        done.set_result(checkpoint.write(*arguments))
    except BaseException as error:
        done.set_exception(error)


def _subject(model: object, loss: Callable[..., object], params: object) -> Subject:
    if isinstance(model, torch.nn.Module):
        if params is not None:
            raise CompileError("found params= with a PyTorch model, which has parameters of its own; params are those of a JAX function")
        return TorchSubject(model, loss)
    if not callable(model) or params is None:
        raise CompileError(f"found a model of type {type(model).__name__}, expected a torch.nn.Module, or a function of JAX and its parameters as params=")
    from wafer.training.jax_subject import JaxSubject

    return JaxSubject(model, loss, params)


def _tensors(batch: Sequence[object]) -> Sequence[object]:
    """The batch with PyTorch tensors in place of the arrays of NumPy and JAX."""
    if not isinstance(batch, (tuple, list)):
        return batch
    is_array = lambda leaf: hasattr(leaf, "__array__") and not isinstance(leaf, torch.Tensor)  # noqa: E731
    return pytree.tree_map(lambda leaf: torch.from_numpy(numpy.array(leaf)) if is_array(leaf) else leaf, tuple(batch))


def _seed(seed: int, step: int, shard: int) -> numpy.ndarray:
    """Two words that no other step and shard have."""
    words = numpy.array([(seed * 0x85EBCA6B + step * 0x9E3779B1) & 0xFFFFFFFF, (shard * 0xC2B2AE35 + seed) & 0xFFFFFFFF], dtype=numpy.uint32)
    return words.view(numpy.int32)
