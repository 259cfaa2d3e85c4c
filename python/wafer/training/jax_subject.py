"""A JAX function and its parameters as what a training step trains. JAX's own grad differentiates."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

import jax
import numpy
import torch
from jax import tree_util
from torch.utils import _pytree as pytree

from wafer.errors import CompileError
from wafer.frontends.jax import argument_names, import_function
from wafer.frontends.writer import Pattern
from wafer.training.joint import Gradients, gradient_of, kept_of
from wafer.training.room import Room

_NUMPY_TYPES = {torch.float64: numpy.float32, torch.bfloat16: jax.numpy.bfloat16}


class JaxSubject:
    """apply(params, *inputs), and a loss of its result and the target. Parameters have the names of their places in the pytree: "layers.0.w"."""

    buffers: Sequence[str] = ()

    def __init__(self, apply: Callable[..., object], loss: Callable[..., object], params: object):
        self._apply, self._loss = apply, loss
        leaves, self._tree = tree_util.tree_flatten(params)
        if not leaves:
            raise CompileError("found params without arrays, expected the parameters of the function")
        for leaf in leaves:
            if not hasattr(leaf, "dtype") or leaf.dtype != numpy.float32:
                found = getattr(leaf, "dtype", type(leaf).__name__)
                raise CompileError(f"found {found} among params, expected float32 arrays; what is not trained belongs into the function")
        self._values = [numpy.asarray(leaf) for leaf in leaves]
        self.trained = argument_names(lambda params: None, (params,), weights_argnums=0)
        self.forms = {name: (value.shape, torch.float32) for name, value in zip(self.trained, self._values, strict=True)}
        self.aliases = {name: name for name in self.trained}

    def values(self, weights: str | os.PathLike | None, room: Room) -> dict[str, numpy.ndarray]:
        if weights is not None:
            raise CompileError("found weights= and params=, expected one of them: the parameters of a function begin with the values of params")
        return {name: room.copy(value) for name, value in zip(self.trained, self._values, strict=True)}

    def params(self, values: Mapping[str, numpy.ndarray]) -> object:
        """The pytree with these values."""
        return tree_util.tree_unflatten(self._tree, [values[name] for name in self.trained])

    def differentiate(self, part: Sequence[object], scaled: bool, kept: Mapping[str, int], machine: Mapping) -> Gradients:
        def gradients(params: object, loss_scale: object, *batch: object) -> dict[str, object]:
            def scaled_loss(params: object) -> tuple[object, object]:
                *inputs, target = batch
                loss = self._loss(self._apply(params, *inputs), target)
                if getattr(loss, "shape", None) != () or loss.dtype != numpy.float32:
                    raise CompileError(f"found a loss that is {getattr(loss, 'dtype', type(loss).__name__)}{list(getattr(loss, 'shape', []))}, expected one float32 number; reduce it, e.g. with .mean()")
                return (loss * loss_scale if scaled else loss), loss

            (_, loss), found = jax.value_and_grad(scaled_loss, has_aux=True)(params)
            return {"loss": loss} | {gradient_of(name): gradient for name, gradient in zip(self.trained, tree_util.tree_leaves(found), strict=True)}

        scale = jax.ShapeDtypeStruct((), numpy.float32) if scaled else None
        args = (tree_util.tree_unflatten(self._tree, self._values), scale, *pytree.tree_map(_spec, tuple(part)))
        names = argument_names(gradients, args, weights_argnums=0)
        patterns = {gradient_of(name): Pattern(kept_of(name), count) for name, count in kept.items()}
        imported = import_function(gradients, args, name="gradients", weights_argnums=0, kept=kept, patterns=patterns)
        own = set(self.trained) | {"loss_scale"}
        return Gradients(imported, tuple(name for name in names if name not in own), tuple(self.trained), (), pytree.tree_structure(tuple(part)))


def _spec(leaf: object) -> object:
    if not isinstance(leaf, torch.Tensor):
        return leaf
    dtype = _NUMPY_TYPES.get(leaf.dtype) or torch.empty(0, dtype=leaf.dtype).numpy().dtype
    return jax.ShapeDtypeStruct(tuple(leaf.shape), jax.dtypes.canonicalize_dtype(dtype))
