"""JAX: a walk over a function's StableHLO that writes one function of linalg, tensor, arith and math.

JAX lowers the function; the operations of its MLIR module are read one by one. What does not depend on inputs or weights is computed here. The
arguments that hold weights are named by the caller, the weights in them by their place in the argument: "layers.0.w".
"""

from __future__ import annotations

import collections
import inspect
from collections.abc import Callable, Mapping, Sequence

import jax
import numpy
import torch
from jax import tree_util
from jaxlib.mlir import ir

from wafer.errors import CompileError, Diagnostic, SourceLocation, UnsupportedOpError, WaferError
from wafer.frontends import locations, stablehlo_ops, types  # noqa: F401 - registers the operations
from wafer.frontends.deferred import Any, Deferred, Emitter, lowered
from wafer.frontends.names import unique
from wafer.frontends.stablehlo_constants import tensor_of
from wafer.frontends.stablehlo_locations import name_of, place_of
from wafer.frontends.stablehlo_ops import registry
from wafer.frontends.stablehlo_ops.operation import Operation, type_of
from wafer.frontends.torch import ImportedModel, TensorInfo
from wafer.frontends.writer import FunctionWriter, Pattern
from wafer.frontends.zeros import Zeros, zeros_of

_ARRAYS = (jax.Array, numpy.ndarray, numpy.generic, jax.ShapeDtypeStruct)


def import_function(
    function: Callable[..., object], args: Sequence[object] = (), kwargs: Mapping[str, object] | None = None, name: str = "forward", weights_argnums: Sequence[int] | int = (),
    kept: Mapping[str, int] | None = None, patterns: Mapping[str, Pattern] | None = None,
) -> ImportedModel:
    """Write a function as an MLIR function called `name`.

    Args:    function: for JAX, under jax.jit or not. args, kwargs: example arguments, pytrees of arrays or of jax.ShapeDtypeStruct; whatever in them
             is no array (a number, a string) becomes part of the program. weights_argnums: places of the arguments whose float arrays are weights.
             kept: how many elements of a weight are not zero, where its values do not tell. patterns: which elements of results are wanted.
    Returns: the text and the weights that it names; they share memory with the arrays.
    Raises:  UnsupportedOpError for an operation, type or shape without a lowering; CompileError when JAX cannot trace the function.
    """
    caller = locations.of_caller()
    arguments = _Arguments(function, args, kwargs or {}, weights_argnums)
    module, out_tree = _traced(function, arguments, caller)
    source = _source_of(function) or caller
    with torch.no_grad():
        return _Importer(module, arguments, _output_names(out_tree), name, source, kept or {}, patterns or {}).run()


def argument_names(function: Callable[..., object], args: Sequence[object], weights_argnums: Sequence[int] | int = ()) -> list[str]:
    """The names that the arrays of the arguments get, one after another."""
    return _Arguments(function, args, {}, weights_argnums).names


class _Arguments:
    """The arrays among the arguments, each with its name and whether it is a weight."""

    def __init__(self, function: Callable[..., object], args: Sequence[object], kwargs: Mapping[str, object], weights_argnums: Sequence[int] | int):
        args = tuple(args)
        numbers = [weights_argnums] if isinstance(weights_argnums, int) else list(weights_argnums)
        for number in numbers:
            if not isinstance(number, int) or not -len(args) <= number < len(args):
                raise CompileError(f"found {number!r} in weights_argnums, expected places among the {len(args)} arguments")
        numbers = [number % len(args) for number in numbers]
        leaves, self._tree = tree_util.tree_flatten_with_path((args, dict(kwargs)))
        self._leaves = [leaf for _, leaf in leaves]
        self.places: list[int] = []
        self.names: list[str] = []
        self.is_weight: list[bool] = []
        for place, (path, leaf) in enumerate(leaves):
            if isinstance(leaf, torch.Tensor):
                raise CompileError("found a torch.Tensor among the arguments of a function, expected arrays of JAX or NumPy; a PyTorch model is a torch.nn.Module")
            if not isinstance(leaf, _ARRAYS):
                continue
            in_args, argument, rest = path[0].idx == 0, path[1], path[2:]
            is_weight = in_args and argument.idx in numbers
            if is_weight and not jax.numpy.issubdtype(leaf.dtype, jax.numpy.floating):
                if isinstance(leaf, jax.ShapeDtypeStruct):
                    raise CompileError(f"found the integers {tree_util.keystr(path[2:])} among the weights without their values, expected an array; they become part of the program")
                continue
            own = _argument_name(function, argument.idx) if in_args else str(argument.key)
            parts = ([] if is_weight and len(numbers) == 1 and rest else [own]) + [_key(key) for key in rest]
            self.places.append(place)
            self.names.append(unique(".".join(parts), self.names))
            self.is_weight.append(is_weight)

    def specs(self) -> list[jax.ShapeDtypeStruct]:
        # canonicalize: NumPy's doubles are JAX's floats.
        return [jax.ShapeDtypeStruct(leaf.shape, jax.dtypes.canonicalize_dtype(leaf.dtype)) for leaf in self.arrays()]

    def arrays(self) -> list[object]:
        return [self._leaves[place] for place in self.places]

    def rebuilt(self, arrays: Sequence[object]) -> tuple[tuple[object, ...], dict[str, object]]:
        """The arguments, with other arrays in them."""
        leaves = list(self._leaves)
        for place, array in zip(self.places, arrays):
            leaves[place] = array
        return tree_util.tree_unflatten(self._tree, leaves)


def _argument_name(function: Callable[..., object], place: int) -> str:
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return f"arg{place}"
    if place < len(parameters) and parameters[place].kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD):
        return parameters[place].name
    return f"arg{place}"


def _key(key: object) -> str:
    """A step of a pytree path: a key, a number or the name of an attribute."""
    return str(getattr(key, "key", getattr(key, "idx", getattr(key, "name", key))))


def _source_of(function: Callable[..., object]) -> SourceLocation | None:
    try:
        code = inspect.unwrap(function).__code__
    except AttributeError:
        return None
    return locations.of_frame(code.co_filename, code.co_firstlineno, 0)


def _traced(function: Callable[..., object], arguments: _Arguments, caller: SourceLocation | None) -> tuple[ir.Module, object]:
    def flat(*arrays: object) -> object:
        args, kwargs = arguments.rebuilt(arrays)
        return function(*args, **kwargs)

    try:
        done = jax.jit(flat, keep_unused=True).trace(*arguments.specs()).lower(lowering_platforms=("cpu",))
        return done.compiler_ir("stablehlo"), done.out_tree
    except Exception as error:  # user code raises any type
        lines = str(error).strip().splitlines()
        message = f"JAX cannot trace the function: {type(error).__name__}: {lines[0] if lines else 'no reason given'}"
        if isinstance(error, (jax.errors.ConcretizationTypeError, jax.errors.NonConcreteBooleanIndexError, jax.errors.TracerBoolConversionError)):
            message += "; shapes, branches and indices must not depend on data: use jnp.where, or give the number as a Python number"
        raise CompileError(Diagnostic("error", message, locations.of_exception(error) or caller)) from error


def _output_names(tree: object) -> list[str]:
    """"output" for one result, "output0", ... for a sequence, keys joined by dots for anything else."""
    leaves = tree_util.tree_flatten_with_path(tree_util.tree_unflatten(tree, list(range(tree.num_leaves))))[0]
    names = []
    for path, _ in leaves:
        parts = [_key(key) for key in path]
        names.append("output" + parts[0] if len(parts) == 1 and parts[0].isdigit() else ".".join(parts) or "output")
    return names


class _Importer:
    def __init__(self, module: ir.Module, arguments: _Arguments, output_names: Sequence[str], name: str, source: SourceLocation | None, kept: Mapping[str, int], patterns: Mapping[str, Pattern]):
        self._kept, self._patterns = kept, patterns
        self._functions = {ir.StringAttr(op.attributes["sym_name"]).value: op for op in module.body.operations if op.operation.name == "func.func"}
        self._arguments, self._output_names, self._source = arguments, output_names, source
        self._writer = FunctionWriter(name)
        self._emitter = Emitter(self._writer)
        self._emitter.source = source
        self._parameters: dict[str, torch.Tensor] = {}
        self._labels: set[str] = set()

    def run(self) -> ImportedModel:
        main = self._functions["main"]
        given, inputs = [], []
        for value, name, is_weight, array in zip(main.regions[0].blocks[0].arguments, self._arguments.names, self._arguments.is_weight, self._arguments.arrays(), strict=True):
            role = "parameter" if is_weight else "input"
            found = type_of(value)
            if isinstance(found, str):
                raise UnsupportedOpError(role, f"{role} '{name}' {found}", self._source)
            given.append(self._argument(name, *found, role, array))
            if not is_weight:
                inputs.append(TensorInfo(name, *found))
        results = self._called(main, given, self._source)
        outputs, taken = [], {info.name for info in inputs} | set(self._parameters)
        for name, result in zip(self._output_names, results, strict=True):
            # The gradient of a weight has its name in JAX.
            name = unique(f"output.{name}" if name in taken else name, taken)
            taken.add(name)
            outputs.append((TensorInfo(name, tuple(result.shape), result.dtype), lowered(result)))
        if not outputs:
            raise CompileError(Diagnostic("error", "the function returns no array, expected at least one", self._source))
        results = [(info.name, value) for info, value in outputs]
        self._writer.patterns(self._patterns, results, self._source)
        text = self._writer.finish(results, self._source)
        return ImportedModel(text, tuple(inputs), tuple(info for info, _ in outputs), self._parameters, self._writer.macs, source=self._source)

    def _argument(self, name: str, shape: tuple[int, ...], dtype: torch.dtype, role: str, array: object) -> Deferred:
        """An argument of the function; a weight becomes one when an operation first reads it."""

        def make():
            zeros = None
            if role == "parameter" and not isinstance(array, jax.ShapeDtypeStruct):
                self._parameters[name] = tensor_of(numpy.asarray(array)).to(dtype)
                zeros = Zeros(self._kept[name]) if name in self._kept else zeros_of(self._parameters[name])
            return self._writer.argument(name, shape, dtype, name, role, self._source, zeros)

        argument = Deferred(self._emitter, shape, dtype, make)
        if role == "input":
            argument.value  # all inputs are in the signature, used or not
        return argument

    # Operations

    def _called(self, function: ir.OpView, given: Sequence[Any], source: SourceLocation | None) -> list[Any]:
        """The results of a function; calls are written where they are made."""
        return self._block(function.regions[0].blocks[0], given, {}, source)

    def _block(self, block: ir.Block, given: Sequence[Any], outer: Mapping[ir.Value, Any], source: SourceLocation | None) -> list[Any]:
        """What the last operation of a block hands on. `outer` are the values around a region, which its operations may read."""
        values = collections.ChainMap(dict(zip(block.arguments, given, strict=True)), outer)
        for op in block.operations:
            operands = [values[operand] for operand in op.operands]
            if op.operation.name in ("func.return", "stablehlo.return"):
                return operands
            results = self._computed(op, operands, values, place_of(op.location) or source)
            values.update(zip(op.results, results, strict=True))
        raise AssertionError("a block ends with a return")

    def _computed(self, op: ir.OpView, operands: Sequence[Any], values: Mapping[ir.Value, Any], source: SourceLocation | None) -> Sequence[Any]:
        kind = op.operation.name
        target = op.attributes["callee"] if kind == "func.call" else op.attributes["decomposition"] if kind == "stablehlo.composite" else None
        if target is not None:
            return self._called(self._functions[ir.FlatSymbolRefAttr(target).value], operands, source)
        label = unique(name_of(op.location) or kind.partition(".")[2], self._labels)
        before = self._writer.written
        self._begin(kind, label, source)
        results = tuple(self._type_of(value) for value in op.results)
        if kind == "stablehlo.constant":
            return [tensor_of(ir.Attribute(op.attributes["value"]), *results[0], refuse=self._emitter.refused)]
        compute = registry.find(kind)
        if compute is None:
            what = f"calls '{ir.StringAttr(op.attributes['call_target_name']).value}', which " if kind == "stablehlo.custom_call" else ""
            raise self._emitter.refused(what + registry.why_not(kind))

        def run(region: int, given: Sequence[Any]) -> list[Any]:
            made = self._block(op.regions[region].blocks[0], given, values, source)
            self._begin(kind, label, source)
            return made

        made = self._run(compute, Operation(op, self._emitter, results, run), operands)
        typed = [self._typed(value, *wanted) for value, wanted in zip(made if isinstance(made, tuple) else (made,), results, strict=True)]
        if self._writer.written > before:
            self._labels.add(label)  # what costs nothing leaves its name to others
        return typed

    def _begin(self, kind: str, label: str, source: SourceLocation | None) -> None:
        """What is written and refused from here on is the operation's."""
        self._emitter.op, self._emitter.node, self._emitter.source = kind, label, source
        self._writer.place(label.rpartition("/")[2], label, source)

    def _run(self, compute: Callable[..., object], operation: Operation, operands: Sequence[Any]) -> object:
        try:
            return compute(operation, *operands)
        except CompileError:
            raise
        except (WaferError, NotImplementedError, RuntimeError, TypeError, ValueError, IndexError) as error:
            raise self._emitter.refused(f"cannot be computed: {str(error).splitlines()[0] if str(error) else type(error).__name__}") from error

    def _type_of(self, value: ir.Value) -> tuple[tuple[int, ...], torch.dtype]:
        found = type_of(value)
        if isinstance(found, str):
            raise self._emitter.refused(found)
        return found

    @staticmethod
    def _typed(value: Any, shape: tuple[int, ...], dtype: torch.dtype) -> Any:
        assert tuple(value.shape) == shape, f"found shape {tuple(value.shape)}, expected {shape}"
        return value if value.dtype == dtype else value.to(dtype)
