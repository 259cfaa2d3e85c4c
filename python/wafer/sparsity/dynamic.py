"""Training with zeros: which weights are kept, and when that changes.

A method is given to wafer.train_step. Masks are state of the optimizer: MemoryX holds them, checkpoints have them as NAME/mask, and each step on any
number of systems comes to the same ones. What is not kept is zero, gets no update and is not sent to the wafer.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy

from wafer.errors import RuntimeError  # noqa: A004
from wafer.sparsity.masks import check, chosen, kept_count, largest

Arrays = Mapping[str, numpy.ndarray]


@dataclasses.dataclass(frozen=True)
class Method:
    """What all methods have.

    sparsity: share of zeros in each tensor, in the end; programs are made for it. include, exclude: patterns of parameters' names; parameters of fewer than two dimensions have no zeros.
    seed: of what is chosen at random.
    """

    sparsity: float
    include: Sequence[str] = ("*",)
    exclude: Sequence[str] = ()
    seed: int = 0

    def __post_init__(self):
        check(self.sparsity)

    @property
    def name(self) -> str:
        return type(self).__name__

    def names(self, parameters: Arrays) -> list[str]:
        """Of the parameters that have zeros."""
        return chosen([name for name, array in parameters.items() if array.ndim > 1], self.include, self.exclude)

    def at_first(self, name: str, weight: numpy.ndarray) -> numpy.ndarray:
        """The mask that training begins with: chosen at random."""
        return largest(self._random(name, 0).random(weight.shape), kept_count(weight.size, self.sparsity))

    def looks_everywhere(self, step: int) -> bool:
        """Whether `next` of this step reads gradients of weights that are not kept."""
        return False

    def next(self, name: str, mask: numpy.ndarray, weight: numpy.ndarray, gradient: numpy.ndarray, step: int) -> numpy.ndarray:
        """The mask after `step` updates. `gradient` is that of the step, also of weights that are zero."""
        return mask

    def _random(self, name: str, step: int) -> numpy.random.Generator:
        return numpy.random.default_rng([self.seed, step, *name.encode()])


@dataclasses.dataclass(frozen=True)
class Static(Method):
    """The same weights from the first step to the last. from_weights: keep the largest of the model's weights (of zeros in it, those stay), else any."""

    from_weights: bool = False

    def at_first(self, name: str, weight: numpy.ndarray) -> numpy.ndarray:
        return largest(numpy.abs(weight), kept_count(weight.size, self.sparsity)) if self.from_weights else super().at_first(name, weight)


@dataclasses.dataclass(frozen=True)
class GMP(Method):
    """Gradual magnitude pruning (Zhu and Gupta, 2017): the smallest weights go, more and more of them, along a cubic from `initial` zeros at step `begin`
    to `sparsity` at step `end`, every `update_every` steps."""

    begin: int = 0
    end: int = 1000
    update_every: int = 100
    initial: float = 0.0

    def __post_init__(self):
        super().__post_init__()
        _check_steps(self)

    def at_first(self, name: str, weight: numpy.ndarray) -> numpy.ndarray:
        return largest(numpy.abs(weight), kept_count(weight.size, self.initial))

    def next(self, name: str, mask: numpy.ndarray, weight: numpy.ndarray, gradient: numpy.ndarray, step: int) -> numpy.ndarray:
        if step < self.begin or step > self.end or (step - self.begin) % self.update_every and step != self.end:
            return mask
        done = (step - self.begin) / max(1, self.end - self.begin)
        zeros = self.sparsity + (self.initial - self.sparsity) * (1 - done) ** 3
        count = min(kept_count(weight.size, zeros), int(mask.sum()))
        return largest(numpy.where(mask, numpy.abs(weight), -1.0), count)


@dataclasses.dataclass(frozen=True)
class _Rewiring(Method):
    """Every `update_every` steps until `end` a share of the kept weights goes, the smallest, and as many others come, which begin with zero. The share
    falls from `fraction` along a cosine."""

    end: int = 1000
    update_every: int = 100
    fraction: float = 0.3

    def __post_init__(self):
        super().__post_init__()
        _check_steps(self)

    def _changes_at(self, step: int) -> bool:
        return step < self.end and step % self.update_every == 0

    def next(self, name: str, mask: numpy.ndarray, weight: numpy.ndarray, gradient: numpy.ndarray, step: int) -> numpy.ndarray:
        if not self._changes_at(step):
            return mask
        kept = int(mask.sum())
        moved = min(int(self.fraction / 2 * (1 + math.cos(math.pi * step / self.end)) * kept), mask.size - kept)
        stay = largest(numpy.where(mask, numpy.abs(weight), -1.0), kept - moved)
        # What has just gone does not come back at once.
        come = largest(numpy.where(mask, -1.0, self._wanted(name, gradient, step)), moved)
        return stay | come

    def _wanted(self, name: str, gradient: numpy.ndarray, step: int) -> numpy.ndarray:
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class SET(_Rewiring):
    """Sparse evolutionary training (Mocanu and others, 2018): what comes is chosen at random."""

    def _wanted(self, name: str, gradient: numpy.ndarray, step: int) -> numpy.ndarray:
        return self._random(name, step).random(gradient.shape)


@dataclasses.dataclass(frozen=True)
class RigL(_Rewiring):
    """Rigging the lottery (Evci and others, 2020): what comes has the largest gradients."""

    def looks_everywhere(self, step: int) -> bool:
        return self._changes_at(step)

    def _wanted(self, name: str, gradient: numpy.ndarray, step: int) -> numpy.ndarray:
        return numpy.abs(gradient)


def _check_steps(method: GMP | _Rewiring) -> None:
    if method.update_every < 1 or method.end < 1:
        raise RuntimeError(f"found update_every {method.update_every} and end {method.end}, expected at least 1")
    if not 0 < getattr(method, "fraction", 0.3) <= 1:
        raise RuntimeError(f"found fraction {method.fraction}, expected a share above 0 and at most 1")


class Masks:
    """Keeps the masks of a training run. They live in the optimizer's state, as "mask" of a parameter, so that they are saved and loaded with it."""

    def __init__(self, method: Method, parameters: Arrays):
        self._method = method
        self._names = method.names(parameters)
        if not self._names:
            raise RuntimeError("found no parameter of two or more dimensions that the method's patterns choose, expected at least one")

    @property
    def names(self) -> list[str]:
        return self._names

    def first(self, parameters: Arrays) -> tuple[dict[str, numpy.ndarray], dict[str, dict[str, numpy.ndarray]]]:
        """Parameters with zeros in place, and the state of an optimizer that has done nothing."""
        masks = {name: self._method.at_first(name, parameters[name]) for name in self._names}
        return {name: numpy.where(mask, parameters[name], numpy.float32(0)) for name, mask in masks.items()}, {name: {"mask": mask} for name, mask in masks.items()}

    def patterns(self, state: Mapping[str, Arrays], step: int) -> dict[str, numpy.ndarray]:
        """Where gradients are wanted in the step of this number: at kept weights, or everywhere when others may take their place."""
        everywhere = self._method.looks_everywhere(step)
        return {name: numpy.ones_like(state[name]["mask"]) if everywhere else state[name]["mask"] for name in self._names}

    def gradient(self, name: str, gradient: numpy.ndarray, state: Mapping[str, Arrays]) -> numpy.ndarray:
        """That of kept weights; a gradient that is not finite counts only there."""
        return numpy.where(state[name]["mask"], gradient, numpy.float32(0)) if name in self._names else gradient

    def after(
        self, parameters: dict[str, numpy.ndarray], optimizer: dict[str, dict[str, numpy.ndarray]], gradients: Arrays, updates: int
    ) -> tuple[dict[str, numpy.ndarray], dict[str, dict[str, numpy.ndarray]]]:
        """What an update made, with the masks for the next step. State of what is not kept, and of what comes anew, begins again."""
        for name in self._names:
            old = optimizer[name]["mask"]
            mask = self._method.next(name, old, parameters[name], gradients[name], updates)
            parameters[name] = numpy.where(mask & old, parameters[name], numpy.float32(0))
            if mask is not old:
                kept = {key: numpy.where(mask & old, value, value.dtype.type(0)) if value.shape == mask.shape else value for key, value in optimizer[name].items()}
                optimizer[name] = kept | {"mask": mask}
        return parameters, optimizer
