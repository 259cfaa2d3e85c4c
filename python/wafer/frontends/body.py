"""Scalars inside a linalg.generic: the arithmetic of one element."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from wafer.frontends import types


@dataclasses.dataclass(frozen=True)
class Scalar:
    name: str
    type: str

    @property
    def is_float(self) -> bool:
        return types.is_float(self.type)


# PyTorch's comparisons: false for NaN, but for `ne`.
_FLOAT_PREDICATES = {"eq": "oeq", "ne": "une", "lt": "olt", "le": "ole", "gt": "ogt", "ge": "oge"}
_INT_PREDICATES = {"eq": "eq", "ne": "ne", "lt": "slt", "le": "sle", "gt": "sgt", "ge": "sge"}
_UNSIGNED_PREDICATES = {"eq": "eq", "ne": "ne", "lt": "ult", "le": "ule", "gt": "ugt", "ge": "uge"}


class Body:
    """Writes the operations of one body. Each method emits one or a few operations and returns their value."""

    def __init__(self, fresh: Callable[[], str], location: str):
        self._fresh = fresh
        self._location = location
        self.lines: list[str] = []

    def emit(self, text: str, result_type: str) -> Scalar:
        result = Scalar(self._fresh(), result_type)
        self.lines.append(f"      {result.name} = {text} {self._location}")
        return result

    def apply(self, op: str, *operands: Scalar) -> Scalar:
        """An operation whose operands and result have one type, e.g. "math.exp"."""
        return self.emit(f"{op} {', '.join(o.name for o in operands)} : {operands[0].type}", operands[0].type)

    def const(self, value: float | int | bool, element: str) -> Scalar:
        if element == "i1":
            return self.emit(f"arith.constant {types.literal(value, element)}", element)
        return self.emit(f"arith.constant {types.literal(value, element)} : {element}", element)

    def like(self, value: float | int, scalar: Scalar) -> Scalar:
        return self.const(value, scalar.type)

    def _choose(self, float_op: str, int_op: str, *operands: Scalar) -> Scalar:
        return self.apply(float_op if operands[0].is_float else int_op, *operands)

    def add(self, a: Scalar, b: Scalar) -> Scalar:
        return self._choose("arith.addf", "arith.addi" if a.type != "i1" else "arith.ori", a, b)

    def sub(self, a: Scalar, b: Scalar) -> Scalar:
        return self._choose("arith.subf", "arith.subi", a, b)

    def mul(self, a: Scalar, b: Scalar) -> Scalar:
        return self._choose("arith.mulf", "arith.muli" if a.type != "i1" else "arith.andi", a, b)

    def div(self, a: Scalar, b: Scalar) -> Scalar:
        return self._choose("arith.divf", "arith.divsi", a, b)

    def maximum(self, a: Scalar, b: Scalar) -> Scalar:
        """NaN if one of them is NaN."""
        return self._choose("arith.maximumf", "arith.maxsi" if a.type != "i1" else "arith.ori", a, b)

    def minimum(self, a: Scalar, b: Scalar) -> Scalar:
        """NaN if one of them is NaN."""
        return self._choose("arith.minimumf", "arith.minsi" if a.type != "i1" else "arith.andi", a, b)

    def neg(self, a: Scalar) -> Scalar:
        return self.apply("arith.negf", a) if a.is_float else self.sub(self.like(0, a), a)

    def abs(self, a: Scalar) -> Scalar:
        return self._choose("math.absf", "math.absi", a)

    def compare(self, predicate: str, a: Scalar, b: Scalar) -> Scalar:
        """`predicate` is eq, ne, lt, le, gt or ge."""
        if a.is_float:
            return self.emit(f"arith.cmpf {_FLOAT_PREDICATES[predicate]}, {a.name}, {b.name} : {a.type}", "i1")
        predicates = _UNSIGNED_PREDICATES if a.type == "i1" else _INT_PREDICATES
        return self.emit(f"arith.cmpi {predicates[predicate]}, {a.name}, {b.name} : {a.type}", "i1")

    def select(self, condition: Scalar, then: Scalar, otherwise: Scalar) -> Scalar:
        return self.emit(f"arith.select {condition.name}, {then.name}, {otherwise.name} : {then.type}", then.type)

    def logical_not(self, a: Scalar) -> Scalar:
        return self.apply("arith.xori", a, self.const(True, "i1"))

    def is_nan(self, a: Scalar) -> Scalar:
        return self.compare("ne", a, a)

    def index(self, loop: int) -> Scalar:
        """The number of the iteration of a loop."""
        return self.emit(f"linalg.index {loop} : index", "index")

    def _convert(self, op: str, a: Scalar, to: str) -> Scalar:
        return self.emit(f"{op} {a.name} : {a.type} to {to}", to)

    def cast(self, a: Scalar, to: str) -> Scalar:
        """`a` as an element of type `to`, with PyTorch's meaning: to i1 by comparison with zero, to integers toward zero."""
        if a.type == to:
            return a
        if "index" in (a.type, to):
            if to == "index":
                return self._convert("arith.index_cast", a, to)
            return self.cast(self._convert("arith.index_cast", a, "i32"), to)
        if to == "i1":
            return self.compare("ne", a, self.like(0, a))
        if a.is_float and types.is_float(to):
            if types.bits(a.type) == types.bits(to):
                return self.cast(self.cast(a, "f32"), to)
            return self._convert("arith.extf" if types.bits(to) > types.bits(a.type) else "arith.truncf", a, to)
        if a.is_float:
            return self._convert("arith.fptosi", a, to)
        if types.is_float(to):
            return self._convert("arith.uitofp" if a.type == "i1" else "arith.sitofp", a, to)
        if types.bits(to) < types.bits(a.type):
            return self._convert("arith.trunci", a, to)
        return self._convert("arith.extui" if a.type == "i1" else "arith.extsi", a, to)
