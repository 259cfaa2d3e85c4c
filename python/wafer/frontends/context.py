"""What a lowering works with: the node it lowers, and the three shapes that nearly all operations have.

elementwise, contract and reduce each emit linalg operations whose maps follow from shapes; lowerings say only what happens to one element.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from fractions import Fraction

import torch

from wafer.errors import SourceLocation, UnsupportedOpError
from wafer.frontends import int8, types
from wafer.frontends.body import Body, Scalar
from wafer.frontends.random import RandomNumbers
from wafer.frontends.tensor import Tensor, broadcast_shapes
from wafer.frontends.writer import FunctionWriter

Operand = Tensor | float | int | bool


@dataclasses.dataclass
class Context:
    """One per node."""

    writer: FunctionWriter
    op: str
    node: str
    source: SourceLocation | None
    results: tuple[tuple[tuple[int, ...], torch.dtype], ...]  # shape and type of each result, as PyTorch knows them
    used: frozenset[int] = frozenset((0,))  # numbers of the results that something reads
    random: RandomNumbers | None = None  # where random numbers come from; None: the program has none

    @property
    def shape(self) -> tuple[int, ...]:
        return self.results[0][0]

    @property
    def dtype(self) -> torch.dtype:
        return self.results[0][1]

    def unsupported(self, what: str) -> UnsupportedOpError:
        return UnsupportedOpError(self.op, f"'{self.op}' (node '{self.node}') {what}", self.source)

    # Element by element

    def elementwise(
        self,
        body: Callable[..., Scalar],
        *operands: Operand,
        compute: torch.dtype | None = None,
        dtype: torch.dtype | None = None,
        shape: tuple[int, ...] | None = None,
    ) -> Tensor:
        """body(b, x, y, ...) for each element, with broadcasting.

        The body gets its operands in the type `compute` (default: PyTorch's common type of the operands, 16-bit floats widened), or each in its
        own type when `compute` is "own". Numbers, and constants that are one number, become constants of the body.
        """
        tensors = [operand for operand in operands if isinstance(operand, Tensor)]
        shape = broadcast_shapes(*(tensor.shape for tensor in tensors)) if shape is None else shape
        compute = types.widened(common_dtype(*operands)) if compute is None else compute

        def number_of(operand: Operand) -> Operand | None:
            return operand.splat if isinstance(operand, Tensor) else operand

        read = [operand for operand in operands if number_of(operand) is None]
        rank = len(shape)
        inputs = [(tensor.expanded(shape), [f"d{i}" for i in range(rank)]) for tensor in read]

        def whole(b: Body, *scalars: Scalar) -> Scalar:
            remaining = iter(scalars)
            values = []
            for operand in operands:
                own = operand.dtype if isinstance(operand, Tensor) else None
                to = types.computed(own if compute == "own" else compute)
                number = number_of(operand)
                if number is None:
                    # A stored bool is 0 or 1.
                    loaded = b.cast(next(remaining), types.computed(own))
                    values.append(b.cast(loaded, to))
                else:
                    values.append(b.const(number, to))
            return body(b, *values)

        return self.writer.generic(inputs, "p" * rank, tuple(shape), dtype or self.dtype, whole)

    def converted(self, tensor: Tensor, dtype: torch.dtype) -> Tensor:
        """The tensor with elements of another type."""
        if tensor.dtype == dtype:
            return tensor
        # int64 and int32 are stored alike.
        if types.stored(tensor.dtype) == types.stored(dtype) and torch.bool not in (tensor.dtype, dtype):
            return dataclasses.replace(tensor, dtype=dtype, constant=None if tensor.constant is None else tensor.constant.to(dtype))
        return self.elementwise(lambda b, x: b.cast(x, types.computed(dtype)), tensor, compute="own", dtype=dtype)

    # Sums of products

    def contract(self, equation: str, a: Tensor, b: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """An einsum of two tensors, "tk,nk->tn", as one linalg.generic.

        The sum begins with zero and is kept in f32 for floats, i32 for integers; a narrower result is rounded once, by an operation of its own.
        Operands are read in place, transposed or not.
        """
        dtype = dtype or self.dtype
        inputs, _, result = equation.partition("->")
        labels_a, labels_b = inputs.split(",")
        if dtype.is_floating_point:
            places = [{i: result.index(label) for i, label in enumerate(labels) if label in result} for labels in (labels_a, labels_b)]
            if integers := int8.as_integers(self, a, b, places):
                a, b, factors = integers
                return int8.rescaled(self, self.contract(equation, a, b, torch.int32), factors, dtype)
        sizes = dict(zip(labels_a, a.shape)) | dict(zip(labels_b, b.shape))
        if 0 in (a.splat, b.splat):
            # The first state of a recurrent layer: what it multiplies need not be read.
            return Tensor.of_constant(torch.zeros((), dtype=dtype).expand([sizes[label] for label in result]))
        summed = [label for label in dict.fromkeys(labels_a + labels_b) if label not in result]
        for label in list(summed):
            # A loop must be seen in some map: one that both operands only repeat is dropped if it runs once, else an operand is spelled out.
            if not any(_reads(tensor, labels, label) for tensor, labels in ((a, labels_a), (b, labels_b))):
                if sizes[label] == 1:
                    summed.remove(label)
                elif label in labels_a:
                    a = self.writer.plain(a)
                else:
                    b = self.writer.plain(b)
        a, b = self.writer.without_units(a), self.writer.without_units(b)
        # Nor is a dimension of size one that no operand has a loop: the result gets it for nothing.
        indexed = [label for label in result if sizes[label] != 1 or any(_reads(tensor, labels, label) for tensor, labels in ((a, labels_a), (b, labels_b)))]
        loops = indexed + summed
        place = {label: f"d{i}" for i, label in enumerate(loops)}

        def indices(labels: str) -> list[str]:
            return [place.get(label, "0") for label in labels]

        sum_dtype = torch.float32 if dtype.is_floating_point else torch.int32
        element = types.computed(sum_dtype)

        def body(w: Body, x: Scalar, y: Scalar, total: Scalar) -> Scalar:
            return w.add(total, w.mul(w.cast(x, element), w.cast(y, element)))

        total = self.writer.generic(
            [(a, indices(labels_a)), (b, indices(labels_b))],
            "p" * len(indexed) + "r" * len(summed),
            tuple(sizes[label] for label in indexed),
            sum_dtype,
            body,
            init=0,
        )
        self.writer.count_macs(int(self._kept(a) * self._kept(b) * math.prod(sizes[label] for label in loops)))
        return self.converted(total.with_units(tuple(sizes[label] for label in result)), dtype)

    def _kept(self, tensor: Tensor) -> Fraction:
        """Part of an operand that is not zero, as far as that is known."""
        nonzeros = self.writer.nonzeros.get(tensor.name)
        if nonzeros is None and tensor.constant is not None and tensor.splat is None:
            return Fraction(int(tensor.constant.count_nonzero()), max(1, tensor.constant.numel()))
        return Fraction(1) if nonzeros is None else Fraction(nonzeros, math.prod(tensor.stored))

    # Over dimensions

    def reduce(
        self,
        tensor: Tensor,
        dims: Sequence[int],
        init: float | int | bool,
        combine: Callable[..., Scalar],
        *,
        before: Callable[[Body, Scalar], Scalar] | None = None,
        dtype: torch.dtype | None = None,
    ) -> Tensor:
        """Combines `before(element)` along `dims`; the result has no such dimensions (see `with_kept`).

        Floats are combined in f32 and stay so: the caller converts the result if it wants another type.
        """
        dims = sorted({d % tensor.rank for d in dims}) if tensor.rank else []
        dtype = dtype or types.widened(tensor.dtype)
        if not all(_reads_dim(tensor, d) for d in dims):
            tensor = self.writer.plain(tensor)
        kept = [d for d in range(tensor.rank) if d not in dims]
        place = {d: f"d{i}" for i, d in enumerate(kept + dims)}
        element = types.computed(dtype)

        def body(b: Body, x: Scalar, total: Scalar) -> Scalar:
            x = b.cast(b.cast(x, types.computed(tensor.dtype)), element)
            return combine(b, before(b, x) if before else x, b.cast(total, element))

        return self.writer.generic(
            [(tensor, [place[d] for d in range(tensor.rank)])],
            "p" * len(kept) + "r" * len(dims),
            tuple(tensor.shape[d] for d in kept),
            dtype,
            body,
            init=init,
        )

    def with_kept(self, reduced: Tensor, shape: tuple[int, ...], dims: Sequence[int]) -> Tensor:
        """A reduced tensor with its dimensions back, of size one; costs nothing."""
        dims = {d % len(shape) for d in dims} if shape else set()
        kept = tuple(1 if d in dims else size for d, size in enumerate(shape))
        return reduced.with_units(kept)


def _reads(tensor: Tensor, labels: str, label: str) -> bool:
    return label in labels and _reads_dim(tensor, labels.index(label))


def _reads_dim(tensor: Tensor, dim: int) -> bool:
    return dim in tensor.dims


def common_dtype(*operands: Operand) -> torch.dtype:
    """PyTorch's common type of tensors and numbers."""
    # Two at a time would forget that a number or a tensor of rank 0 weighs less than others; PyTorch's rule works on categories.
    tensors = [torch.empty(o.shape, dtype=o.dtype, device="meta") for o in operands if isinstance(o, Tensor)]
    numbers = [o for o in operands if not isinstance(o, Tensor)]
    with_dims = [t for t in tensors if t.dim()]
    ordered = with_dims + [t for t in tensors if not t.dim()] + numbers
    result = ordered[0]
    for operand in ordered[1:]:
        result = torch.empty(with_dims[0].shape if with_dims else (), dtype=torch.result_type(result, operand), device="meta")
    return result.dtype
