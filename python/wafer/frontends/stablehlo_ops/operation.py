"""The operation that an operator's function works on: its attributes, its regions, and the constants among its operands."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy
import torch
from jaxlib.mlir import ir

from wafer.errors import UnsupportedOpError
from wafer.frontends import deferred
from wafer.frontends.context import Context
from wafer.frontends.deferred import Any, Deferred, Emitter
from wafer.frontends.tensor import Tensor

# Types by their name in MLIR; what is not here has no meaning in a program.
DTYPES = {
    "f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16,
    "i64": torch.int64, "i32": torch.int32, "i16": torch.int16, "i8": torch.int8, "i1": torch.bool,
    "ui32": torch.int32, "ui64": torch.int64,  # the same bits; see Operation.is_unsigned
}  # fmt: skip

Results = tuple[tuple[tuple[int, ...], torch.dtype], ...]


@dataclasses.dataclass
class Operation:
    """`results` are shape and type of each; `run` computes a region, by its number, from values for its arguments."""

    op: ir.OpView
    emitter: Emitter
    results: Results
    run: Callable[[int, Sequence[Any]], list[Any]]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.results[0][0]

    @property
    def dtype(self) -> torch.dtype:
        return self.results[0][1]

    @property
    def is_unsigned(self) -> bool:
        """Whether the first operand holds unsigned integers."""
        return str(ir.RankedTensorType(self.op.operands[0].type).element_type).startswith("ui")

    def refused(self, reason: str) -> UnsupportedOpError:
        return self.emitter.refused(reason)

    # Attributes

    def attribute(self, name: str) -> ir.Attribute | None:
        return self.op.attributes[name] if name in self.op.attributes else None

    def number(self, name: str, default: int | None = None) -> int | None:
        attribute = self.attribute(name)
        return default if attribute is None else ir.IntegerAttr(attribute).value

    def numbers(self, name: str, default: Sequence[int] = ()) -> list[int]:
        attribute = self.attribute(name)
        return list(default) if attribute is None else list(ir.DenseI64ArrayAttr(attribute))

    def pairs(self, name: str, count: int) -> tuple[list[int], list[int]]:
        """An attribute of (low, high) for each of `count` dimensions; zeros if it is not there."""
        attribute = self.attribute(name)
        if attribute is None:
            return [0] * count, [0] * count
        values = numpy.array(ir.DenseIntElementsAttr(attribute)).reshape(count, 2)
        return values[:, 0].tolist(), values[:, 1].tolist()

    # Regions

    def combination(self, region: int = 0) -> str:
        """The operation by which a region combines two elements, as "add"; "second" if it gives the second as it is."""
        block = self.op.regions[region].blocks[0]
        *body, end = list(block.operations)
        arguments = list(block.arguments)
        if not body and len(arguments) == 2 and list(end.operands) == [arguments[1]]:
            return "second"
        if len(body) != 1 or len(arguments) != 2 or list(end.operands) != list(body[0].results) or set(body[0].operands) != set(arguments):
            raise self.refused("combines elements by a function of several operations, expected one, such as an addition or a maximum")
        return body[0].operation.name.partition(".")[2]

    def comparison(self, region: int = 0) -> str:
        """The direction of the last comparison in a region, as "GE"."""
        found = [op for op in self.op.regions[region].blocks[0].operations if op.operation.name == "stablehlo.compare"]
        return direction_of(found[-1]) if found else "none"

    # Values

    def constant(self, value: Any, what: str) -> torch.Tensor:
        """The elements of an operand that must be known when the function is compiled."""
        found = deferred.known(value)
        if found is None:
            raise self.refused(f"takes its {what} from data, expected a constant")
        return found

    def made(self, lower: Callable[..., Tensor], *operands: Any, results: Results | None = None) -> Deferred:
        """What `lower` writes, given a context and the operands as Tensors."""
        context: Context = self.emitter.context(results or self.results)
        return self.emitter.deferred(lower(context, *(deferred.lowered(operand) for operand in operands)))


def direction_of(op: ir.OpView) -> str:
    """Of a comparison."""
    from jaxlib.mlir.dialects import stablehlo

    return stablehlo.ComparisonDirectionAttr(op.attributes["comparison_direction"]).value


def type_of(value: ir.Value) -> tuple[tuple[int, ...], torch.dtype] | str:
    """Shape and type of a value, or what is wrong with it."""
    if not isinstance(value.type, ir.RankedTensorType):
        return f"has the type {value.type}, expected a tensor"
    kind = ir.RankedTensorType(value.type)
    if not kind.has_static_shape:
        return f"has the type {value.type}, expected a static shape"
    element = str(kind.element_type)
    if element not in DTYPES:
        hint = {
            "f64": "; turn jax_enable_x64 off or convert with .astype(jnp.float32)",
        }.get(element, "; keep real and imaginary parts as two arrays" if element.startswith("complex") else "; convert with .astype")
        return f"has elements of type {element}, expected {', '.join(DTYPES)}{hint}"
    return tuple(kind.shape), DTYPES[element]
