"""What an update rule computes, as a graph of elements, and that graph as MLIR.

A rule is a Python function. It is called with symbols for one element of the parameter, its gradient and its state; plain numbers (learning rate, step,
anything computed from them) stay Python's own double-precision numbers until they meet a symbol, and become one f32 of the program then. So a rule may
branch on numbers, and a schedule changes nothing but the numbers: `Trace.structure` says whether two calls need different programs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

Number = float | int


class Symbol:
    """An element. Takes part in arithmetic with other symbols and with numbers."""

    __slots__ = ("trace", "op", "operands")
    __hash__ = object.__hash__

    def __init__(self, trace: Trace, op: str, operands: tuple):
        self.trace = trace
        self.op = op
        self.operands = operands

    def _with(self, op: str, *operands: object) -> Symbol:
        return self.trace.made(op, *operands)

    def __add__(self, other):
        return self._with("add", self, other)

    def __radd__(self, other):
        return self._with("add", other, self)

    def __sub__(self, other):
        return self._with("sub", self, other)

    def __rsub__(self, other):
        return self._with("sub", other, self)

    def __mul__(self, other):
        return self._with("mul", self, other)

    def __rmul__(self, other):
        return self._with("mul", other, self)

    def __truediv__(self, other):
        return self._with("div", self, other)

    def __rtruediv__(self, other):
        return self._with("div", other, self)

    def __neg__(self):
        return self._with("neg", self)

    def __abs__(self):
        return self._with("abs", self)

    def __pow__(self, exponent):
        if exponent == 2:
            return self * self
        if exponent == 0.5:
            return sqrt(self)
        return self._with("pow", self, exponent)

    def __gt__(self, other):
        return self._with("gt", self, other)

    def __ge__(self, other):
        return self._with("ge", self, other)

    def __lt__(self, other):
        return self._with("lt", self, other)

    def __le__(self, other):
        return self._with("le", self, other)

    def __eq__(self, other):
        return self._with("eq", self, other)

    def __ne__(self, other):
        return self._with("ne", self, other)

    def __bool__(self):
        raise TypeError("found a condition on an element where Python needs one truth value; use wafer.optim.where(condition, a, b)")


def _function(op: str, of_numbers: Callable[..., Number]) -> Callable:
    def apply(*operands):
        symbol = next((operand for operand in operands if isinstance(operand, Symbol)), None)
        return of_numbers(*operands) if symbol is None else symbol.trace.made(op, *operands)

    apply.__name__ = op
    apply.__doc__ = f"{op} of elements or numbers."
    return apply


sqrt = _function("sqrt", math.sqrt)
exp = _function("exp", math.exp)
log = _function("log", math.log)
tanh = _function("tanh", math.tanh)
sign = _function("sign", lambda x: (x > 0) - (x < 0))
maximum = _function("max", max)
minimum = _function("min", min)
where = _function("where", lambda condition, a, b: a if condition else b)
where.__doc__ = "where(condition, a, b): a where the condition holds, else b."


class Trace:
    """One call of a rule: its numbers, its results and what it computed."""

    def __init__(self, names: Sequence[str]):
        self.numbers: list[float] = []
        self.names = tuple(names)
        self._parts: list[tuple] = []
        self._symbols: list[Symbol] = []
        self._places: dict[int, int] = {}
        self._known: dict[tuple, Symbol] = {}
        self.elements = [self._add("element", (i,)) for i in range(len(names))]
        self.results: list[Symbol] = []

    def _add(self, op: str, operands: tuple) -> Symbol:
        key = (op, *(self._places[id(o)] if isinstance(o, Symbol) else ("#", o) for o in operands))
        if key not in self._known:
            symbol = Symbol(self, op, operands)
            self._known[key] = symbol
            self._places[id(symbol)] = len(self._symbols)
            self._symbols.append(symbol)
            self._parts.append(key)
        return self._known[key]

    def made(self, op: str, *operands: object) -> Symbol:
        return self._add(op, tuple(self.symbol(operand) for operand in operands))

    def symbol(self, value: object) -> Symbol:
        if isinstance(value, Symbol):
            return value
        if not isinstance(value, (int, float)):
            raise TypeError(f"found a {type(value).__name__} in an update rule, expected a number or what the rule was given")
        # Each meeting has a number of its own, whatever it is now: another step has another one there.
        self.numbers.append(float(value))
        return self._add("number", (len(self.numbers) - 1,))

    @property
    def structure(self) -> tuple:
        return (self.names, tuple(self._parts), tuple(self._places[id(result)] for result in self.results))

    @property
    def changed(self) -> list[int]:
        """Which results are not just an element that stays as it is: 0 is the parameter, then the state."""
        kept = [self.elements[0], *self.elements[2:]]
        return [i for i, (result, element) in enumerate(zip(self.results, kept)) if result is not element]

    @property
    def read(self) -> list[str]:
        """Names of the elements that the changed results depend on."""
        reached: dict[int, Symbol] = {}

        def reach(symbol: Symbol) -> None:
            if id(symbol) not in reached:
                reached[id(symbol)] = symbol
                for operand in symbol.operands:
                    if isinstance(operand, Symbol):
                        reach(operand)

        for i in self.changed:
            reach(self.results[i])
        return [name for name, element in zip(self.names, self.elements) if id(element) in reached]

    def text(self, count: int, results: Sequence[str]) -> str:
        """The MLIR function "update" on `count` elements, which gives the changed results under these names, of which there is one for each result.

        Its arguments are what it reads and "numbers", all of them parameters: so it runs in MemoryX.
        """
        return _Emitter(self, count).run(results)


class _Emitter:
    def __init__(self, trace: Trace, count: int):
        import torch

        from wafer.frontends.writer import FunctionWriter

        self._trace = trace
        self._count = count
        self._writer = FunctionWriter("update")
        self._dtype = torch.float32
        read = set(trace.read)
        self._tensors = {
            id(symbol): self._writer.argument(name, (count,), torch.float32, name, "parameter", None) for name, symbol in zip(trace.names, trace.elements) if name in read
        }
        self._numbers = self._writer.argument("numbers", (max(len(trace.numbers), 1),), torch.float32, "numbers", "parameter", None)

    def run(self, names: Sequence[str]) -> str:
        # The state first: what the new parameter reads of it is then read, not computed again.
        changed = self._trace.changed
        order = sorted(changed, key=lambda i: i == 0)
        values = {}
        for i in order:
            symbol = self._trace.results[i]
            self._writer.place(names[i], names[i], None)
            if id(symbol) not in self._tensors:
                self._tensors[id(symbol)] = self._emit(symbol)
            values[i] = self._tensors[id(symbol)]
        return self._writer.finish([(names[i], values[i]) for i in changed], None)

    def _emit(self, root: Symbol):
        """One linalg.generic for an expression."""
        read: dict[int, tuple] = {}  # place of an operand -> (tensor, indices)

        def collect(symbol: Symbol) -> None:
            if id(symbol) in read:
                return
            if id(symbol) in self._tensors:
                read[id(symbol)] = (self._tensors[id(symbol)], ["d0"])
            elif symbol.op == "number":
                read[id(symbol)] = (self._numbers, [str(symbol.operands[0])])
            else:
                for operand in symbol.operands:
                    collect(operand)

        collect(root)

        def body(b, *loaded):
            values = dict(zip(read, loaded))

            def value(symbol: Symbol):
                if id(symbol) not in values:
                    values[id(symbol)] = _scalar(b, symbol.op, [value(operand) for operand in symbol.operands])
                return values[id(symbol)]

            return value(root)

        return self._writer.generic(list(read.values()), "p", (self._count,), self._dtype, body)


def _scalar(b, op: str, operands: list):
    if op in ("add", "sub", "mul", "div", "neg", "abs"):
        return getattr(b, op)(*operands)
    if op in ("gt", "ge", "lt", "le", "eq", "ne"):
        return b.compare(op, *operands)
    if op in ("max", "min"):
        return (b.maximum if op == "max" else b.minimum)(*operands)
    if op == "where":
        condition, then, otherwise = operands
        return b.select(b.cast(condition, "i1"), then, otherwise)
    if op == "sign":
        (x,) = operands
        zero = b.like(0, x)
        return b.sub(b.cast(b.compare("gt", x, zero), x.type), b.cast(b.compare("lt", x, zero), x.type))
    return b.apply({"pow": "math.powf"}.get(op, f"math.{op}"), *operands)
