"""A tensor of the program that PyTorch code can compute with: what runs on it is written as IR instead of being computed.

Importers of formats whose operators have a short meaning in PyTorch use it: an operator is a function of tensors, and where all of them are plain
tensors PyTorch computes the result at import time, which is all that constant folding takes. Where one is Deferred, the ATen operations that the
function comes down to are lowered as those of an exported program are.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

import torch
from torch.utils import _pytree as pytree

from wafer.errors import SourceLocation, UnsupportedOpError, WaferError
from wafer.frontends import aten, registry, types  # noqa: F401 - aten registers the lowerings
from wafer.frontends.context import Context
from wafer.frontends.tensor import Tensor
from wafer.frontends.writer import FunctionWriter

Any = torch.Tensor  # plain or Deferred

# Operations whose result depends on the shape of their tensor only: PyTorch computes it.
_OF_SHAPE = ("aten.full_like", "aten.zeros_like", "aten.ones_like", "aten.empty_like", "aten.new_full", "aten.new_zeros", "aten.new_ones", "aten.new_empty")


def _where(condition: Any, a: Any | float, b: Any | float) -> Any:
    return torch.where(condition, *(value if isinstance(value, torch.Tensor) else torch.tensor(value) for value in (a, b)))


# What decompositions call an operation that has a lowering under another name.
_SAME = {torch.ops.prims.where.default: _where, torch.ops.aten.where.Scalar: _where}


class Emitter:
    """Writes what Deferred tensors stand for. `op`, `node` and `source` say in errors whose work it is."""

    def __init__(self, writer: FunctionWriter):
        self.writer = writer
        self.op = self.node = ""
        self.source: SourceLocation | None = None

    def context(self, results: tuple[tuple[tuple[int, ...], torch.dtype], ...]) -> Context:
        return Context(self.writer, self.op, self.node, self.source, results)

    def deferred(self, value: Tensor) -> Deferred:
        return Deferred(self, value.shape, value.dtype, lambda: value)

    def refused(self, reason: str) -> UnsupportedOpError:
        return UnsupportedOpError(self.op, f"'{self.op}' (node '{self.node}') {reason}", self.source)


class Deferred(torch.Tensor):
    """Has a shape and a type; the value in the IR is made when something first reads it. `known` holds the elements of a parameter."""

    _emitter: Emitter
    _make: Callable[[], Tensor]
    known: torch.Tensor | None

    @staticmethod
    def __new__(cls, emitter: Emitter, shape: Sequence[int], dtype: torch.dtype, make: Callable[[], Tensor], known: torch.Tensor | None = None):
        result = torch.Tensor._make_wrapper_subclass(cls, tuple(shape), dtype=dtype, device="cpu")
        result._emitter, result._make, result.known = emitter, make, known
        return result

    @functools.cached_property
    def value(self) -> Tensor:
        return self._make()

    def __repr__(self) -> str:
        return f"<deferred {list(self.shape)} of {self.dtype}>"

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, overload, kinds, args=(), kwargs=None):
        return whole(overload, *args, **(kwargs or {}))


def known(tensor: Any) -> torch.Tensor | None:
    """The elements of a constant or a parameter; None for what is computed."""
    return tensor.known if isinstance(tensor, Deferred) else tensor


def whole(overload: torch._ops.OpOverload, *args: object, **kwargs: object) -> object:
    """An ATen operation on plain or Deferred tensors, as it is: not decomposed if it has a lowering of its own."""
    emitter = _emitter_of((args, kwargs))
    if emitter is None:
        return overload(*args, **kwargs)
    if overload in _SAME:
        return _SAME[overload](*args, **kwargs)
    name = str(overload)
    if name.startswith(_OF_SHAPE):
        plain = pytree.tree_map_only(Deferred, lambda t: torch.empty(t.shape, dtype=t.dtype), (args, kwargs))
        return overload(*plain[0], **plain[1])
    lower = registry.find(name)
    if lower is None:
        return _decomposed(emitter, overload, args, kwargs)
    kwargs = {key: value for key, value in kwargs.items() if key not in ("device", "layout", "pin_memory")}
    results = _results(emitter, overload, args, kwargs)
    values = pytree.tree_map_only(torch.Tensor, _lowered, (args, kwargs))
    try:
        made = lower(emitter.context(results), *values[0], **values[1])
    except UnsupportedOpError:
        raise
    except WaferError as error:
        raise emitter.refused(str(error)) from error
    return pytree.tree_map_only(Tensor, emitter.deferred, made, is_leaf=lambda v: isinstance(v, Tensor))


def contract(equation: str, a: Any, b: Any, dtype: torch.dtype | None = None) -> Any:
    """An einsum of two tensors as one contraction, operands read in place. Each label is in an operand at most once."""
    dtype = dtype or a.dtype
    emitter = _emitter_of((a, b))
    if emitter is None:
        return torch.einsum(equation, a.to(dtype), b.to(dtype))
    labels, _, result = equation.partition("->")
    sizes = dict(zip("".join(labels.split(",")), (*a.shape, *b.shape)))
    context = emitter.context(((tuple(sizes[label] for label in result), dtype),))
    return emitter.deferred(context.contract(equation, _lowered(a), _lowered(b)))


def _lowered(tensor: torch.Tensor) -> Tensor:
    return tensor.value if isinstance(tensor, Deferred) else Tensor.of_constant(tensor.detach())


def _emitter_of(values: object) -> Emitter | None:
    return next((leaf._emitter for leaf in pytree.tree_leaves(values) if isinstance(leaf, Deferred)), None)


def _results(emitter: Emitter, overload: torch._ops.OpOverload, args: Sequence[object], kwargs: Mapping[str, object]) -> tuple:
    """Shape and type of each result, by PyTorch's own rules."""
    described = pytree.tree_map_only(torch.Tensor, lambda t: torch.empty(t.shape, dtype=t.dtype, device="meta"), (args, kwargs))
    try:
        values = overload(*described[0], **described[1])
    except (RuntimeError, IndexError, ValueError, TypeError, NotImplementedError) as error:
        raise emitter.refused(f"cannot be computed from these shapes and types: {str(error).splitlines()[0]}") from error
    values = values if isinstance(values, (tuple, list)) else (values,)
    for value in values:
        if isinstance(value, torch.Tensor) and not types.is_supported(value.dtype):
            raise emitter.refused(f"computes elements of type {str(value.dtype).removeprefix('torch.')}, expected {types.names()}")
    return tuple((tuple(value.shape), value.dtype) if isinstance(value, torch.Tensor) else ((), torch.float32) for value in values)


@functools.cache
def _decompositions() -> Mapping[torch._ops.OpOverload, Callable[..., object]]:
    return torch.export.default_decompositions()


def _decomposed(emitter: Emitter, overload: torch._ops.OpOverload, args: Sequence[object], kwargs: Mapping[str, object]) -> object:
    decomposition = _decompositions().get(overload) or torch._decomp.decomposition_table.get(overload)
    if decomposition is not None:
        return decomposition(*args, **kwargs)
    result = overload.decompose(*args, **kwargs)
    if result is NotImplemented:
        raise emitter.refused(f"comes down to '{overload}', which has no lowering")
    return result
