"""The text of one MLIR function, operation by operation. Knows types, maps and locations, and nothing of ATen."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

import torch

from wafer.errors import SourceLocation
from wafer.frontends import types
from wafer.frontends.body import Body, Scalar
from wafer.frontends.constants import dense_text
from wafer.frontends.tensor import Tensor
from wafer.frontends.zeros import Zeros

BodyFunction = Callable[..., Scalar]

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_$.-]")


_SSA_NAME = re.compile(r"%[A-Za-z0-9_$.-]+")


@dataclasses.dataclass(frozen=True, eq=False)
class Integers:
    """8-bit integers that stand for numbers: `values`, stored as the numbers are, times `scale`, one number or a vector along dimension `axis`."""

    values: Tensor
    scale: float | Tensor
    axis: int | None = None


@dataclasses.dataclass(frozen=True)
class Pattern:
    """Which elements of a result are wanted: those that are not zero in the parameter of 8-bit integers called `name`, of which `kept` are not."""

    name: str
    kept: int


class FunctionWriter:
    """Emits at the end of the function. `place` sets source and names of what follows."""

    def __init__(self, name: str):
        self._name = name
        self._names: set[str] = set()
        self._hint = "v"
        self._lines: list[str] = []
        self._arguments: list[str] = []
        self._kept: dict[str, str] = {}  # patterns by result
        self._scalars = 0
        self._label = name
        self._location = "loc(unknown)"
        self._locations: dict[str, str] = {}
        self._constants: dict[int, tuple[Tensor, str]] = {}
        self.macs: dict[str, int] = {}
        self.integers: dict[str, Integers] = {}  # by SSA name, what a value was before it was scaled
        self.nonzeros: dict[str, int] = {}  # by SSA name, how many elements are not zero, where that is known

    # Names and locations

    def place(self, hint: str, label: str, source: SourceLocation | None) -> None:
        """What follows computes `hint` and comes from `source`; reports call it `label`."""
        self._hint = hint
        self._label = label
        self._location = self._location_of(label, source)

    @contextlib.contextmanager
    def part(self, suffix: str, source: SourceLocation | None) -> Iterator[None]:
        """What is written inside is a part of its own, called `suffix` after the whole."""
        label, location = self._label, self._location
        self._label, self._location = label + suffix, self._location_of(label + suffix, source)
        yield
        self._label, self._location = label, location

    def drop_unused(self, parameters: Collection[str], results: Sequence[Tensor]) -> list[str]:
        """Take those out of the function that neither an operation reads nor `results` are. Returns their names."""
        read = {name for line in self._lines for name in _SSA_NAME.findall(line)} | {tensor.name for tensor in results}
        named = {f"{{graph.name = {json.dumps(name, ensure_ascii=False)},": name for name in parameters}
        dropped = {argument: named[key] for argument in self._arguments for key in named if key in argument and argument.partition(":")[0] not in read}
        self._arguments = [argument for argument in self._arguments if argument not in dropped]
        return list(dropped.values())

    @property
    def written(self) -> int:
        """How many lines the function has so far."""
        return len(self._lines)

    def count_macs(self, count: int) -> None:
        """What is written now multiplies and adds `count` times, wherever it will run."""
        self.macs[self._label] = self.macs.get(self._label, 0) + count

    def _location_of(self, label: str, source: SourceLocation | None) -> str:
        file = f"{json.dumps(source.file, ensure_ascii=False)}:{source.line}:{source.column}" if source else "unknown"
        text = f"fused<{json.dumps(label, ensure_ascii=False)}>[{file}]"
        alias = self._locations.setdefault(text, f"#loc{len(self._locations)}")
        return f"loc({alias})"

    def _fresh(self, hint: str) -> str:
        base = _NOT_IN_NAMES.sub("_", hint)
        if not re.match(r"[A-Za-z_$.-]", base) or re.fullmatch(r"s\d+", base):
            base = "_" + base  # a name of digits would be a number, and s0, s1, ... are the scalars of bodies
        name, count = base, 0
        while name in self._names:
            count += 1
            name = f"{base}.{count}"
        self._names.add(name)
        return "%" + name

    def _fresh_scalar(self) -> str:
        self._scalars += 1
        return f"%s{self._scalars - 1}"

    # Arguments, results, the whole

    def argument(self, hint: str, shape: tuple[int, ...], dtype: torch.dtype, graph_name: str, role: str, source: SourceLocation | None, zeros: Zeros | None = None) -> Tensor:
        """`zeros`: of a parameter, when it has some."""
        tensor = Tensor.of(self._fresh(hint), shape, dtype)
        attributes = f"{{graph.name = {json.dumps(graph_name, ensure_ascii=False)}, graph.role = {json.dumps(role)}{zeros.attributes if zeros else ''}}}"
        self._arguments.append(f"{tensor.name}: {tensor.type} {attributes} {self._location_of(graph_name, source)}")
        return tensor

    def patterns(self, patterns: Mapping[str, Pattern], results: Sequence[tuple[str, Tensor]], source: SourceLocation | None) -> None:
        """Arguments that say which elements of some results are wanted; called before `finish`."""
        for name, tensor in results:
            if name in patterns:
                pattern = patterns[name]
                self.argument("kept", tensor.shape, torch.int8, pattern.name, "parameter", source, Zeros(pattern.kept))
                self._kept[name] = pattern.name

    def finish(self, results: Sequence[tuple[str, Tensor]], source: SourceLocation | None, updates: Sequence[tuple[str, Tensor]] = ()) -> str:
        """Returns the named results, then what the named states become, and gives the text of the module."""
        self.place("result", self._name, source)
        values = [self.plain(tensor) for _, tensor in [*results, *updates]]
        kinds = ", ".join(value.type for value in values)
        wanted = [f", graph.kept = {json.dumps(self._kept[name], ensure_ascii=False)}" if name in self._kept else "" for name, _ in results]
        roles = wanted + [', graph.role = "state"'] * len(updates)
        named = ", ".join(f"{v.type} {{graph.name = {json.dumps(n, ensure_ascii=False)}{role}}}" for (n, _), v, role in zip([*results, *updates], values, roles))
        self._lines.append(f"    func.return{' ' + ', '.join(v.name for v in values) + ' : ' + kinds if values else ''} {self._location}")
        indent = ",\n" + " " * (len(self._name) + 14)
        aliases = [f"{alias} = loc({text})" for text, alias in self._locations.items()]
        head = f"  func.func @{self._name}({indent.join(self._arguments)}) -> ({named}) {{"
        return "\n".join(aliases + [f"module {{", head] + self._lines + [f"  }} {self._location}", f"}} {self._location}", ""])

    # Operations

    def emit(self, text: str, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """An operation that makes one tensor; `text` is everything after the equals sign."""
        tensor = Tensor.of(self._fresh(self._hint), shape, dtype)
        self._lines.append(f"    {tensor.name} = {text} {self._location}")
        return tensor

    def read(self, tensor: Tensor) -> Tensor:
        """The tensor, with its value in the IR if it is a constant."""
        if tensor.name is not None:
            return tensor
        _, name = self._constants.get(id(tensor.constant), (None, None))
        if name is None:
            name = self._fresh("constant")
            text = f"arith.constant {dense_text(tensor.constant)} : {tensor.type}"
            self._lines.append(f"    {name} = {text} {self._location}")
            # The tensor is kept, so that its id stays its own.
            self._constants[id(tensor.constant)] = (tensor, name)
        return Tensor(name, tensor.stored, tensor.shape, tensor.dims, tensor.dtype, tensor.constant)

    def empty(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        return self.emit(f"tensor.empty() : {types.tensor_type(shape, types.stored(dtype))}", shape, dtype)

    def filled(self, value: float | int, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """A tensor of one number, as the first value of a reduction."""
        element = types.stored(dtype)
        empty = self.empty(shape, dtype)
        scalar = self._fresh(self._hint)
        self._lines.append(f"    {scalar} = arith.constant {types.literal(value, element)} : {element} {self._location}")
        return self.emit(f"linalg.fill ins({scalar} : {element}) outs({empty.name} : {empty.type}) -> {empty.type}", shape, dtype)

    def generic(
        self,
        inputs: Sequence[tuple[Tensor, Sequence[str]]],
        iterators: str,
        shape: tuple[int, ...],
        dtype: torch.dtype,
        body: BodyFunction,
        *,
        results: Sequence[str] | None = None,
        init: float | int | Tensor | None = None,
        nonzeros: int | None = None,
    ) -> Tensor:
        """A linalg.generic with one result.

        `iterators` has a letter per loop, "p" or "r"; loops are d0, d1, ... in maps. Each input comes with the indices at which it is read, one
        affine expression per dimension; `results` are those of the result, by default the parallel loops. `body` gets a Body and a scalar per
        input, and one for the result if there is an `init`: a number, or the tensor to start from. What it returns is converted to the result's
        type. `nonzeros`: how many elements of the result are not zero, where that is known.
        """
        made = self.generics(inputs, iterators, shape, [dtype], lambda *arguments: [body(*arguments)], results=results, inits=[init], nonzeros=nonzeros)[0]
        if nonzeros is not None:
            self.nonzeros[made.name] = nonzeros
        return made

    def generics(
        self,
        inputs: Sequence[tuple[Tensor, Sequence[str]]],
        iterators: str,
        shape: tuple[int, ...],
        dtypes: Sequence[torch.dtype],
        body: Callable[..., Sequence[Scalar]],
        *,
        results: Sequence[str] | None = None,
        inits: Sequence[float | int | Tensor | None],
        nonzeros: int | None = None,
    ) -> list[Tensor]:
        """A linalg.generic with a result of `shape` for each of `dtypes`, all at the same indices; otherwise as `generic`."""
        loops = ", ".join(f"d{i}" for i in range(len(iterators)))
        if 0 in shape:
            return [self.empty(shape, dtype) for dtype in dtypes]
        if results is None:
            results = [f"d{i}" for i, kind in enumerate(iterators) if kind == "p"]
        read = [(self.read(tensor), indices) for tensor, indices in inputs]

        def start(init: float | int | Tensor | None, dtype: torch.dtype) -> Tensor:
            if isinstance(init, Tensor):
                return self.plain(init)
            return self.empty(shape, dtype) if init is None else self.filled(init, shape, dtype)

        outs = [start(init, dtype) for init, dtype in zip(inits, dtypes, strict=True)]
        maps = [tensor.map_results(list(indices)) for tensor, indices in read] + [list(results)] * len(outs)
        maps_text = ", ".join(f"affine_map<({loops}) -> ({', '.join(exprs)})>" for exprs in maps)
        kinds = ", ".join(f'"{"parallel" if kind == "p" else "reduction"}"' for kind in iterators)
        ins = f" ins({', '.join(t.name for t, _ in read)} : {', '.join(t.type for t, _ in read)})" if read else ""

        writer = Body(self._fresh_scalar, self._location)
        arguments = [Scalar(self._fresh_scalar(), tensor.element) for tensor, _ in read]
        so_far = [Scalar(self._fresh_scalar(), out.element) for out in outs]
        values = body(writer, *arguments, *(scalar for scalar, init in zip(so_far, inits) if init is not None))
        values = [writer.cast(value, out.element) for value, out in zip(values, outs, strict=True)]
        block = ", ".join(f"{scalar.name}: {scalar.type} {self._location}" for scalar in arguments + so_far)

        made = [Tensor.of(self._fresh(self._hint), shape, dtype) for dtype in dtypes]
        name = made[0].name if len(made) == 1 else self._fresh(self._hint)
        types_text = ", ".join(result.type for result in made)
        self._lines.append(f"    {name}{f':{len(made)}' if len(made) > 1 else ''} = linalg.generic {{indexing_maps = [{maps_text}], iterator_types = [{kinds}]}}")
        known = "" if nonzeros is None else f" attrs = {{graph.nonzeros = {nonzeros} : i64}}"
        self._lines.append(f"       {ins} outs({', '.join(out.name for out in outs)} : {', '.join(out.type for out in outs)}){known} {{")
        self._lines.append(f"    ^bb0({block}):")
        self._lines.extend(writer.lines)
        self._lines.append(f"      linalg.yield {', '.join(v.name for v in values)} : {', '.join(v.type for v in values)} {self._location}")
        self._lines.append(f"    }} -> {types_text if len(made) == 1 else f'({types_text})'} {self._location}")
        return made if len(made) == 1 else [dataclasses.replace(result, name=f"{name}#{i}") for i, result in enumerate(made)]

    def loop_nest(self, into: Tensor, sizes: Sequence[int], body: Callable[[Body, list[Scalar], str], str]) -> Tensor:
        """Loops over `sizes`, one inside the other, that change a copy of `into` element by element.

        `body` gets a Body, the loops' indices and the name of the tensor so far, and gives the name of the tensor after it, of the same type.
        """
        start = self.plain(into)
        zero, one = self._fresh(self._hint), self._fresh(self._hint)
        self._lines += [f"    {name} = arith.constant {value} : index {self._location}" for name, value in ((zero, 0), (one, 1))]
        ends = [self._fresh(self._hint) for _ in sizes]
        self._lines += [f"    {name} = arith.constant {size} : index {self._location}" for name, size in zip(ends, sizes)]
        results = [self._fresh(self._hint) for _ in sizes]
        carried = [start.name] + [self._fresh(self._hint) for _ in sizes]
        indices = [Scalar(self._fresh_scalar(), "index") for _ in sizes]
        for result, end, index, before, inside in zip(results, ends, indices, carried, carried[1:]):
            self._lines.append(f"    {result} = scf.for {index.name} = {zero} to {end} step {one} iter_args({inside} = {before}) -> ({start.type}) {{")
        writer = Body(self._fresh_scalar, self._location)
        value = body(writer, indices, carried[-1])
        self._lines.extend(writer.lines)
        for result in reversed(results):
            self._lines.append(f"      scf.yield {value} : {start.type} {self._location}")
            self._lines.append(f"    }} {self._location}")
            value = result
        return Tensor.of(results[0], start.shape, start.dtype)

    # Shapes

    def plain(self, tensor: Tensor) -> Tensor:
        """The tensor as an SSA value of its own shape; transposes or repeats the elements if its map asks for that."""
        tensor = self.read(tensor)
        if tensor.is_plain:
            return tensor
        kept = [d for d in tensor.dims if d is not None]
        long_dims = {d for d, size in enumerate(tensor.shape) if size != 1}
        if 0 in tensor.shape:
            return self.empty(tensor.shape, tensor.dtype)
        if not long_dims <= set(kept):  # some repeat
            identity = [f"d{d}" for d in range(tensor.rank)]
            return self.generic([(tensor, identity)], "p" * tensor.rank, tensor.shape, tensor.dtype, lambda b, x: x)
        # Without repeats: take dimensions of size one out of both sides, transpose, put them back.
        order = [d for d in kept if d in long_dims]
        wanted = sorted(order)
        value = self.reshape(Tensor.of(tensor.name, tensor.stored, tensor.dtype), tuple(tensor.shape[d] for d in order))
        if order != wanted:
            permutation = [order.index(d) for d in wanted]
            shape = tuple(tensor.shape[d] for d in wanted)
            empty = self.empty(shape, tensor.dtype)
            value = self.emit(
                f"linalg.transpose ins({value.name} : {value.type}) outs({empty.name} : {empty.type}) permutation = {permutation}", shape, tensor.dtype
            )
        return self.reshape(value, tensor.shape)

    def reshape(self, tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
        """The elements in row-major order under another shape."""
        shape = tuple(shape)
        units = tensor.with_units(shape) if tensor.name is not None and not tensor.is_plain else None
        if units is not None:
            return units
        value = self.plain(tensor)
        if value.shape == shape:
            return value
        if 0 in shape:
            return self.empty(shape, tensor.dtype)
        groups = _reassociation(value.shape, shape)
        middle = tuple(_product(value.shape[i] for i in source) for source, _ in groups)
        if middle != value.shape:
            merged = [list(source) for source, _ in groups]
            value = self.emit(f"tensor.collapse_shape {value.name} {_groups_text(merged)} : {value.type} into {types.tensor_type(middle, value.element)}", middle, value.dtype)
        if middle != shape:
            split = [list(target) for _, target in groups]
            value = self.emit(
                f"tensor.expand_shape {value.name} {_groups_text(split)} output_shape {list(shape)} : {value.type} into {types.tensor_type(shape, value.element)}",
                shape,
                value.dtype,
            )
        return value

    def without_units(self, tensor: Tensor) -> Tensor:
        """The same tensor, without dimensions of its SSA value that are always read at 0: kernels are recognised by maps whose results are loops."""
        if None not in tensor.dims:
            return tensor
        tensor = self.read(tensor)
        kept = [i for i, d in enumerate(tensor.dims) if d is not None]
        value = self.reshape(Tensor.of(tensor.name, tensor.stored, tensor.dtype), tuple(tensor.stored[i] for i in kept))
        return Tensor(value.name, value.stored, tensor.shape, tuple(tensor.dims[i] for i in kept), tensor.dtype, tensor.constant)

    def pad(self, tensor: Tensor, low: Sequence[int], high: Sequence[int], value: float | int, shape: tuple[int, ...]) -> Tensor:
        """`tensor`, which is plain, with `value` around it."""
        if 0 in shape:
            return self.empty(shape, tensor.dtype)
        if 0 in tensor.shape:
            return self.filled(value, shape, tensor.dtype)
        element = tensor.element
        indices = ", ".join(f"{self._fresh_scalar()}: index {self._location}" for _ in shape)
        scalar = self._fresh_scalar()
        result = Tensor.of(self._fresh(self._hint), shape, tensor.dtype)
        self._lines.append(f"    {result.name} = tensor.pad {tensor.name} low{list(low)} high{list(high)} {{")
        self._lines.append(f"    ^bb0({indices}):")
        self._lines.append(f"      {scalar} = arith.constant {types.literal(value, element)} : {element} {self._location}")
        self._lines.append(f"      tensor.yield {scalar} : {element} {self._location}")
        self._lines.append(f"    }} : {tensor.type} to {result.type} {self._location}")
        return result

    def extract_slice(self, tensor: Tensor, offsets: Sequence[int], sizes: Sequence[int], strides: Sequence[int]) -> Tensor:
        """A slice; dimensions that only repeat are just shortened."""
        if 0 in sizes:
            return self.empty(tuple(sizes), tensor.dtype)
        tensor = self.read(tensor)

        def along(values: Sequence[int], otherwise: int) -> list[int]:
            return [otherwise if d is None else values[d] for d in tensor.dims]

        stored = tuple(along(sizes, 1))
        if stored != tensor.stored:
            value = self.emit(
                f"tensor.extract_slice {tensor.name}{along(offsets, 0)} {list(stored)} {along(strides, 1)} : {tensor.type} to "
                f"{types.tensor_type(stored, tensor.element)}",
                stored,
                tensor.dtype,
            )
        else:
            value = tensor
        return Tensor(value.name, stored, tuple(sizes), tensor.dims, tensor.dtype)


def _product(sizes) -> int:
    result = 1
    for size in sizes:
        result *= size
    return result


def _groups_text(groups: list[list[int]]) -> str:
    return str(groups)


def _reassociation(source: tuple[int, ...], target: tuple[int, ...]) -> list[tuple[range, range]]:
    """The finest groups of consecutive dimensions with the same number of elements on both sides. A rank-0 side gives no group."""
    if not source or not target:
        return []
    groups = []
    i = j = 0
    while i < len(source) or j < len(target):
        first_i, first_j = i, j
        left = right = 1
        if i < len(source):
            left, i = source[i], i + 1
        if j < len(target):
            right, j = target[j], j + 1
        while left != right:
            if left < right:
                left, i = left * source[i], i + 1
            else:
                right, j = right * target[j], j + 1
        groups.append((range(first_i, i), range(first_j, j)))
    # A group that is empty on one side holds only ones on the other: they go to the group before (the first group is never empty).
    merged: list[tuple[range, range]] = []
    for left_dims, right_dims in groups:
        if merged and (not left_dims or not right_dims):
            previous_left, previous_right = merged[-1]
            merged[-1] = (range(previous_left.start, left_dims.stop), range(previous_right.start, right_dims.stop))
        else:
            merged.append((left_dims, right_dims))
    return merged
