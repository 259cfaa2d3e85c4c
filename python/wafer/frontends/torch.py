"""PyTorch: a walk over an exported program that writes one function of linalg, tensor, arith and math.

Parameters are arguments of the function and never in the text. Whatever does not depend on inputs or parameters (masks, positions) is computed
here and becomes a constant.
"""

from __future__ import annotations

import dataclasses
import math
import operator
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence

import torch
from torch.export.graph_signature import ConstantArgument, InputKind, OutputKind, TensorArgument
from torch.utils import _pytree as pytree

from wafer.errors import CompileError, Diagnostic, SourceLocation, UnsupportedOpError, WaferError
from wafer.frontends import absent, aten, heads, locations, registry, rotations, types  # noqa: F401 - aten registers the lowerings
from wafer.frontends.context import Context
from wafer.frontends.names import unique
from wafer.frontends.quantizer import Quantizer
from wafer.frontends.random import RandomNumbers
from wafer.frontends.tensor import MOST_CONSTANTS, Tensor
from wafer.frontends.writer import FunctionWriter, Pattern
from wafer.frontends.zeros import Zeros, zeros_of

# Kept whole: their lowerings are shorter than what PyTorch makes of them.
_NOT_DECOMPOSED = (
    torch.ops.aten.linear.default,
    torch.ops.aten.matmul.default,
    torch.ops.aten.silu.default,
    torch.ops.aten.softplus.default,
    torch.ops.aten.hardswish.default,
    torch.ops.aten.scaled_dot_product_attention.default,
)

# PyTorch keeps these whole unless asked.
_DECOMPOSED = tuple(
    getattr(getattr(torch.ops.aten, f"upsample_{kind}"), overload)
    for kind in ("nearest1d", "nearest2d", "nearest3d", "linear1d", "bilinear2d", "trilinear3d", "bicubic2d")
    for overload in ("vec", "default")
) + (torch.ops.aten.grid_sampler_2d.default,)

# Checks of PyTorch's own, which export has already made.
_NO_EFFECT = {"aten._assert_tensor_metadata.default", "aten._assert_scalar.default", "aten._assert_async.msg", "aten.sym_constrain_range_for_size.default"}

# Operations whose result depends on shapes only: one number, which takes no memory however often it is repeated.
_OF_SHAPE = {
    "aten.full.default", "aten.zeros.default", "aten.ones.default",
    "aten.full_like.default", "aten.zeros_like.default", "aten.ones_like.default", "aten.empty_like.default",
    "aten.new_full.default", "aten.new_zeros.default", "aten.new_ones.default", "aten.new_empty.default",
}  # fmt: skip

_RANDOM = ("aten.bernoulli", "aten.native_dropout", "aten.dropout", "aten.rand", "aten.normal", "aten.multinomial", "aten.exponential")


@dataclasses.dataclass(frozen=True)
class TensorInfo:
    """An input or output of the model."""

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype


@dataclasses.dataclass(frozen=True)
class Placeholder:
    """What a placeholder of a graph stands for: an "input", "parameter" or "state" of the function, called `name`, or a "constant" of this value."""

    role: str
    name: str = ""
    value: object = None
    trained: bool = False  # a parameter whose zeros of today say nothing
    kept: int | None = None  # of one that is trained with zeros, how many elements are not

    @property
    def zeros(self) -> Zeros | None:
        """Of a parameter: those that it has, or will have."""
        if self.trained:
            return None if self.kept is None else Zeros(self.kept)
        return zeros_of(self.value)

    @property
    def is_sparse(self) -> bool:
        """Whether its zeros are worth leaving out."""
        return self.role == "parameter" and (zeros := self.zeros) is not None and 2 * zeros.kept <= self.value.numel()


@dataclasses.dataclass(frozen=True)
class ImportedModel:
    """MLIR text, and the tensors behind the names in it."""

    text: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    parameters: Mapping[str, torch.Tensor]
    macs: Mapping[str, int] = dataclasses.field(default_factory=dict)  # multiply-accumulates of contractions, by the name that reports use
    exported: torch.export.ExportedProgram | None = None  # whose nodes were written
    names: Mapping[str, str] = dataclasses.field(default_factory=dict)  # of each node that computes something, the name that reports use
    source: SourceLocation | None = None  # of forward, or of the caller
    quantizer: Callable[[], Quantizer | None] = lambda: None  # what `exported` is imported with
    tapped: Callable[[Sequence[str]], str] | None = None  # text with the values of some `names` as results "tap.NAME"; None: by `exported`
    other_names: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)  # of tied parameters, by each of their names


def import_model(
    model: torch.nn.Module | torch.export.ExportedProgram,
    args: Sequence[object] = (),
    kwargs: Mapping[str, object] | None = None,
    name: str = "forward",
    is_int8: Callable[[str], bool] | None = None,
    calibration: Sequence[object] | None = None,
    machine: Mapping | None = None,
) -> ImportedModel:
    """Write a model as an MLIR function called `name`.

    Args:    model: a module in eval mode, or a program exported from one. args, kwargs: example inputs; their shapes are those of the function.
             machine: the description of the machine that it is for, by which some operations are written in another way.
             is_int8: whether to quantise the layer that reports call so, by `calibration`: inputs in their order, default the example inputs.
    Returns: the text and the parameters that it names; they share memory with the model.
    Raises:  UnsupportedOpError for an operation, type or shape without a lowering; CompileError when PyTorch cannot export the model.
    """
    exported, source = exported_model(model, args, kwargs)
    if machine is not None and isinstance(model, torch.nn.Module):
        rotated = rotations.rewrite(exported.graph, machine)
        if is_int8 is None:  # weights that are stacked are not quantised
            placeholders = placeholders_of(exported)
            heads.rewrite(exported.graph, machine, rotated, constants=constants_of(placeholders), is_sparse=lambda name: placeholders[name].is_sparse)
    imported = import_exported(exported, name, source, quantizer=lambda: quantizer_of(exported, is_int8, calibration, args, kwargs))
    return dataclasses.replace(imported, other_names=other_names(model)) if isinstance(model, torch.nn.Module) else imported


def import_exported(
    exported: torch.export.ExportedProgram,
    name: str,
    source: SourceLocation | None,
    taps: Sequence[str] = (),
    states: Collection[str] = (),
    quantizer: Callable[[], Quantizer | None] = lambda: None,
) -> ImportedModel:
    """Write what `exported_model` gave. `taps` are nodes whose values become results too, each called by its node. `states`: buffers that something else
    changes between calls."""
    imported = Importer(exported.graph, name, source, quantizer()).run(placeholders_of(exported, states), results_of_model(exported), taps, updates=updates_of(exported))
    check_outputs(exported, source)
    return dataclasses.replace(imported, exported=exported, quantizer=quantizer)


def quantizer_of(
    exported: torch.export.ExportedProgram,
    is_int8: Callable[[str], bool] | None,
    calibration: Sequence[object] | None,
    args: Sequence[object],
    kwargs: Mapping[str, object] | None,
) -> Quantizer | None:
    if is_int8 is None:
        return None
    examples = [(args, kwargs or {})] if calibration is None else [(example if isinstance(example, (tuple, list)) else (example,), {}) for example in calibration]
    return Quantizer(exported, is_int8, [pytree.tree_leaves(example) for example in examples])


def exported_model(
    model: torch.nn.Module | torch.export.ExportedProgram, args: Sequence[object] = (), kwargs: Mapping[str, object] | None = None
) -> tuple[torch.export.ExportedProgram, SourceLocation | None]:
    """The graph that the importer walks, and where the model is defined or else the caller. Raises CompileError when PyTorch cannot export the model."""
    caller = locations.of_caller()
    if isinstance(model, torch.export.ExportedProgram):
        return _decomposed(model), caller
    if not isinstance(model, torch.nn.Module):
        raise CompileError(f"found a model of type {type(model).__name__}, expected a torch.nn.Module, an ExportedProgram or MLIR text")
    with absent.on_cpu(model) as without_values:
        exported = _decomposed(_export(model, *absent.inputs_on_cpu(args, kwargs or {}), caller))
        for kept in (exported.state_dict, exported.constants):
            kept.update((name, tensor) for name, tensor in without_values.items() if name in kept)
    return exported, locations.of_forward(model) or caller


def _decomposed(exported: torch.export.ExportedProgram) -> torch.export.ExportedProgram:
    table = torch.export.default_decompositions()
    for op in _NOT_DECOMPOSED:
        table.pop(op, None)
    table.update(torch._decomp.get_decompositions(_DECOMPOSED))
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore", FutureWarning)
            return exported.run_decompositions(table)
    except Exception as error:  # as export, nearly any type; a buffer that grows is found only here
        text = str(error).strip() or "no reason given"
        message = f"torch.export cannot bring the model to ATen operations: {type(error).__name__}: {text.splitlines()[0]}; a buffer that the model changes keeps its shape"
        raise CompileError(Diagnostic("error", message, locations.of_stack_trace(text) or locations.of_exception(error))) from error


def other_names(model: torch.nn.Module) -> dict[str, list[str]]:
    """For tied parameters, which the graph knows under one name, the others."""
    names: dict[int, list[str]] = {}
    tensors = dict(model.named_parameters(remove_duplicate=False)) | dict(model.named_buffers(remove_duplicate=False))
    for name, tensor in tensors.items():
        names.setdefault(id(tensor), []).append(name)
    return {name: [other for other in same if other != name] for same in names.values() if len(same) > 1 for name in same}


def _export(model: torch.nn.Module, args: Sequence[object], kwargs: Mapping[str, object], caller: SourceLocation | None) -> torch.export.ExportedProgram:
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore", FutureWarning)
            warnings.filterwarnings("ignore", message="The tensor attributes? .* assigned during export")  # recurrent layers of PyTorch's own
            return torch.export.export(model, tuple(args), dict(kwargs))
    except Exception as error:  # export raises nearly any type
        message = f"torch.export cannot trace the model: {type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no reason given'}"
        raise CompileError(Diagnostic("error", message, locations.of_exception(error) or caller)) from error


def _is_weight(data: torch.Tensor) -> bool:
    """Numbers, or the 8-bit integers of a quantised layer."""
    return data.is_floating_point() or (data.dtype == torch.int8 and data.dim() > 1)


def placeholders_of(exported: torch.export.ExportedProgram, states: Collection[str] = ()) -> dict[str, Placeholder]:
    """What a model's arguments and tensors are, by the names of their nodes. Buffers that it changes are states, and so are `states`."""
    placeholders = {}
    states = {*states, *exported.graph_signature.buffers_to_mutate.values()}
    nodes = {node.name: node for node in exported.graph.find_nodes(op="placeholder")}
    for spec in exported.graph_signature.input_specs:
        if not hasattr(spec.arg, "name"):
            continue
        if not isinstance(spec.arg, TensorArgument):
            placeholders[spec.arg.name] = Placeholder("constant", value=spec.arg.value if isinstance(spec.arg, ConstantArgument) else None)
            continue
        data = exported.state_dict.get(spec.target) if spec.target else None
        if data is None and spec.target:
            data = exported.constants.get(spec.target)
        is_weight = spec.kind in (InputKind.PARAMETER, InputKind.BUFFER) and spec.persistent is not False and data is not None and _is_weight(data)
        if spec.kind == InputKind.USER_INPUT:
            placeholders[spec.arg.name] = Placeholder("input", spec.arg.name)
        elif spec.target in states:
            placeholders[spec.arg.name] = Placeholder("state", spec.target, data)
        elif nodes[spec.arg.name].users:
            # Masks, positions and the like are part of the program, as they are part of no checkpoint or hold no weights.
            placeholders[spec.arg.name] = Placeholder("parameter", spec.target, data) if is_weight else Placeholder("constant", spec.target, data)
    return placeholders


def constants_of(placeholders: Mapping[str, Placeholder]) -> dict[str, torch.Tensor]:
    """Tensors that a graph always gets, by the names of their nodes."""
    values = {name: placeholder.value for name, placeholder in placeholders.items() if placeholder.role == "constant"}
    return {name: value for name, value in values.items() if isinstance(value, torch.Tensor) and not value.is_meta}


def results_of_model(exported: torch.export.ExportedProgram) -> list[tuple[str, torch.fx.Node]]:
    """Names and nodes of what the model returns. None and numbers are not results of a program."""
    output = next(iter(exported.graph.find_nodes(op="output")))
    nodes = [node for spec, node in zip(exported.graph_signature.output_specs, output.args[0]) if spec.kind == OutputKind.USER_OUTPUT]
    return [(name, node) for name, node in zip(_output_names(exported.call_spec.out_spec), nodes) if isinstance(node, torch.fx.Node)]


def updates_of(exported: torch.export.ExportedProgram) -> list[tuple[str, torch.fx.Node]]:
    """Buffers that the model changes, and the nodes with what they become."""
    nodes = {node.name: node for node in exported.graph.nodes}
    return [(buffer, nodes[node]) for node, buffer in exported.graph_signature.buffers_to_mutate.items()]


def check_outputs(exported: torch.export.ExportedProgram, source: SourceLocation | None) -> None:
    """Nothing but buffers may change while the model runs. Raises UnsupportedOpError."""
    for spec in exported.graph_signature.output_specs:
        # An order of effects is what a token stands for; the operation that has the effect is refused where it stands.
        if spec.kind not in (OutputKind.USER_OUTPUT, OutputKind.TOKEN, OutputKind.BUFFER_MUTATION):
            reason = f"the model changes '{spec.target}' while it runs ({spec.kind.name.lower()}), expected one that changes nothing but its buffers"
            raise UnsupportedOpError("output", reason, source)


class Importer:
    """Walks a graph of ATen operations and writes it as an MLIR function called `name`. `source` is named for nodes without a place of their own."""

    def __init__(self, graph: torch.fx.Graph, name: str, source: SourceLocation | None, quantizer: Quantizer | None = None):
        self._graph = graph
        self._quantizer = quantizer
        self._source = source
        self._writer = FunctionWriter(name)
        self._values: dict[torch.fx.Node, object] = {}
        self._inputs: list[TensorInfo] = []
        self._outputs: list[TensorInfo] = []
        self._parameters: dict[str, torch.Tensor] = {}
        self._names: dict[str, str] = {}
        self._random: RandomNumbers | None = None

    def run(
        self,
        placeholders: Mapping[str, Placeholder],
        results: Sequence[tuple[str, torch.fx.Node]],
        taps: Sequence[str] = (),
        *,
        random: bool = False,
        updates: Sequence[tuple[str, torch.fx.Node]] = (),
        patterns: Mapping[str, Pattern] | None = None,
    ) -> ImportedModel:
        """`placeholders`: by the name of their node. `updates`: states and what they become. `patterns`: which elements of results are wanted. `random`: the function takes an input "seed", two i32, and draws its random numbers from it."""
        for node in self._graph.find_nodes(op="placeholder"):
            if node.name in placeholders:
                self._add_placeholder(node, placeholders[node.name])
        if random:
            self._random = RandomNumbers(self._writer.argument("seed", (2,), torch.int32, "seed", "input", self._source))
            self._inputs.append(TensorInfo("seed", (2,), torch.int32))
        for node in self._graph.nodes:
            if node.op == "call_function":
                self._import_node(node)
            elif node.op not in ("placeholder", "output"):
                raise self._refused(node, f"is a '{node.op}', expected a graph of ATen operations without submodules")
        if self._quantizer:
            self._parameters.update(self._quantizer.parameters)
            for name in self._writer.drop_unused(self._quantizer.replaced, [self._values[node] for _, node in [*results, *updates]]):
                del self._parameters[name]
        text = self._finish(results, taps, updates, patterns or {})
        values = {name: data for name, data in self._parameters.items() if not data.is_meta}
        return ImportedModel(text, tuple(self._inputs), tuple(self._outputs), values, self._writer.macs, None, self._names, self._source)

    # Arguments

    def _add_placeholder(self, node: torch.fx.Node, placeholder: Placeholder) -> None:
        name, value = placeholder.name, placeholder.value
        if placeholder.role == "input":
            self._values[node] = self._argument(node, name, "input")
            self._inputs.append(TensorInfo(name, tuple(node.meta["val"].shape), node.meta["val"].dtype))
        elif placeholder.role == "parameter":
            self._values[node] = self._argument(node, name, "parameter", placeholder.zeros)
            self._parameters[name] = value.detach()
        elif placeholder.role == "state":
            self._parameters[name] = value.detach()
            if node.users:
                self._values[node] = self._argument(node, name, "state")
        elif isinstance(value, torch.Tensor) and value.is_meta:
            reason = "is on the device meta and is no weight that a checkpoint could give, so that it has no values; make it on the device cpu"
            raise UnsupportedOpError("buffer", f"buffer '{name}' {reason}", self._source)
        else:
            self._values[node] = Tensor.of_constant(value.detach()) if isinstance(value, torch.Tensor) else value

    def _argument(self, node: torch.fx.Node, name: str, role: str, zeros: Zeros | None = None) -> Tensor:
        self._writer.place(node.name, name, self._source)
        ((shape, dtype),) = self._results_of(node, f"{role} '{name}'")
        return self._writer.argument(node.name, shape, dtype, name, role, self._source, zeros)

    # Nodes

    def _import_node(self, node: torch.fx.Node) -> None:
        op = str(node.target)
        if node.target is operator.getitem:
            self._values[node] = self._item(node)
            return
        if op in _NO_EFFECT or (not node.users and not op.startswith("higher_order")):
            return
        args, kwargs = torch.fx.node.map_arg((node.args, node.kwargs), lambda n: self._values[n])
        results = self._results_of(node, f"'{op}' (node '{node.name}')")
        source = locations.of_node(node) or self._source
        label = "/".join(filter(None, [locations.module_path(node), node.name]))
        self._writer.place(node.name, label, source)
        if op.startswith(_RANDOM) and self._random is None and not (op == "aten.native_dropout.default" and (args[2] is False or args[1] == 0)):
            raise self._refused(node, "draws random numbers, which an inference program does not; call model.eval() before compiling")
        context = Context(self._writer, op, node.name, source, results, _used_results(node), self._random)
        if op in _OF_SHAPE:
            self._values[node] = self._constant_of_shape(node, results[0])
        elif isinstance(node.target, torch._ops.OpOverload) and _is_constant((args, kwargs)) and not op.startswith(_RANDOM) and (_is_small(results) or registry.find(op) is None):
            self._values[node] = self._folded(node, args, kwargs)
        else:
            lower = registry.find(op)
            if lower is None:
                raise self._unknown(node, op)
            try:
                args = self._quantizer.operands(context, node, args) if self._quantizer else args
                self._values[node] = lower(context, *args, **kwargs)
            except UnsupportedOpError:
                raise
            except WaferError as error:
                raise self._refused(node, str(error)) from error
            if self._is_new(node):
                self._names[node.name] = label

    def _is_new(self, node: torch.fx.Node) -> bool:
        """Whether the node gives one tensor, and not one of its operands read in another way."""
        value = self._values[node]
        value = value[0] if isinstance(value, tuple) and value else value
        if not isinstance(value, Tensor) or value.constant is not None:
            return False
        read = [self._values[operand] for operand in node.all_input_nodes]
        return all(not isinstance(operand, Tensor) or operand.name != value.name for operand in read)

    def _item(self, node: torch.fx.Node) -> object:
        value = self._values[node.args[0]][node.args[1]]
        if value is None and node.users:
            raise self._refused(node.args[0], f"gives a result number {node.args[1]} that is used, expected a model that does not use it")
        return value

    def _folded(self, node: torch.fx.Node, args: object, kwargs: object) -> object:
        values = pytree.tree_map(lambda v: v.constant if isinstance(v, Tensor) else v, (args, kwargs), is_leaf=lambda v: isinstance(v, Tensor))
        with torch.no_grad():
            result = node.target(*values[0], **values[1])
        return pytree.tree_map(lambda v: Tensor.of_constant(v) if isinstance(v, torch.Tensor) else v, result)

    def _constant_of_shape(self, node: torch.fx.Node, result: tuple[tuple[int, ...], torch.dtype]) -> Tensor:
        name = str(node.target).split(".")[1]
        number = 1 if "ones" in name else 0
        if name in ("full", "full_like"):
            number = node.args[1]
        elif name == "new_full":
            number = node.args[2]
        if not isinstance(number, (int, float, bool)):
            raise self._refused(node, "fills with a number that is computed, expected a constant")
        return Tensor.of_constant(torch.full((), number, dtype=result[1]).expand(result[0]))

    def _results_of(self, node: torch.fx.Node, what: str) -> tuple[tuple[tuple[int, ...], torch.dtype], ...]:
        """Shapes and types of a node's tensors, checked."""
        value = node.meta.get("val")
        values = value if isinstance(value, (tuple, list)) else (value,)
        results = []
        for tensor in values:
            if not isinstance(tensor, torch.Tensor):
                if isinstance(tensor, (torch.SymInt, torch.SymFloat, torch.SymBool)):
                    raise self._refused(node, "gives a number that depends on data, expected static shapes and no .item()", what)
                results.append(((), torch.float32))
                continue
            if any(not isinstance(size, int) for size in tensor.shape):
                raise self._refused(node, f"has shape {list(tensor.shape)}, expected a static shape; export without dynamic_shapes and without operations such as nonzero", what)
            if tensor.layout != torch.strided:
                raise self._refused(node, f"has layout {tensor.layout}, expected a dense tensor", what)
            # What is never read, and what is folded, may have any type.
            if not types.is_supported(tensor.dtype) and self._is_computed(node):
                raise self._refused(node, f"has elements of type {str(tensor.dtype).removeprefix('torch.')}, expected {types.names()}; convert the model, e.g. with .float()", what)
            results.append((tuple(tensor.shape), tensor.dtype))
        return tuple(results)

    def _is_computed(self, node: torch.fx.Node) -> bool:
        if node.op == "placeholder":
            return True
        if str(node.target) in _OF_SHAPE:
            return False
        return not _is_constant(torch.fx.node.map_arg((node.args, node.kwargs), lambda n: self._values[n]))

    # Errors

    def _refused(self, node: torch.fx.Node, reason: str, what: str | None = None) -> UnsupportedOpError:
        op = str(node.target)
        return UnsupportedOpError(op, f"{what or f'{op!r} (node {node.name!r})'} {reason}", locations.of_node(node) or self._source)

    def _unknown(self, node: torch.fx.Node, op: str) -> UnsupportedOpError:
        if instead := registry.instead(op):
            return self._refused(node, f"has no lowering; {instead}")
        near = registry.nearest(op)
        known = f"; nearest supported operations: {', '.join(near)}" if near else f"; {len(registry.supported())} operations are supported, see wafer.supported_ops()"
        hint = ", which a program for inference does not need; call model.eval() before compiling" if "functional" in op or "backward" in op else ""
        return self._refused(node, f"has no lowering{hint}{known}")

    # Results

    def _finish(self, wanted: Sequence[tuple[str, torch.fx.Node]], taps: Sequence[str], updates: Sequence[tuple[str, torch.fx.Node]], patterns: Mapping[str, Pattern]) -> str:
        taken = {info.name for info in self._inputs} | set(self._parameters)
        results = []
        for name, node in wanted:
            value = self._values[node]
            name = unique(name, taken)
            taken.add(name)
            results.append((name, value))
            self._outputs.append(TensorInfo(name, value.shape, value.dtype))
        for node in self._graph.nodes:
            if node.name in taps:
                value = self._values[node]
                results.append((f"tap.{node.name}", value[0] if isinstance(value, tuple) else value))
        if not results and not updates:
            raise CompileError(Diagnostic("error", "the model returns no tensor, expected at least one", self._source))
        self._writer.patterns(patterns, results, self._source)
        return self._writer.finish(results, self._source, [(name, self._values[node]) for name, node in updates])


def _used_results(node: torch.fx.Node) -> frozenset[int]:
    return frozenset(user.args[1] if user.target is operator.getitem else 0 for user in node.users if user.users or user.target is not operator.getitem)


def _is_small(results: Sequence[tuple[tuple[int, ...], torch.dtype]]) -> bool:
    return all(math.prod(shape) <= MOST_CONSTANTS for shape, _ in results)


def _is_constant(values: object) -> bool:
    leaves = pytree.tree_leaves(values, is_leaf=lambda v: isinstance(v, Tensor))
    return all(leaf.constant is not None for leaf in leaves if isinstance(leaf, Tensor))


def _output_names(spec: pytree.TreeSpec) -> list[str]:
    """"output" for one result, "output0", ... for a sequence, keys joined by dots for anything else."""
    leaves = pytree.tree_flatten_with_path(pytree.tree_unflatten(list(range(spec.num_leaves)), spec))[0]
    names = []
    for path, _ in leaves:
        parts = [str(getattr(key, "key", getattr(key, "idx", getattr(key, "name", key)))) for key in path]
        names.append("output" + parts[0] if len(parts) == 1 and parts[0].isdigit() else ".".join(parts) or "output")
    return names
