"""Forward and backward pass of a model as one graph, and that graph as MLIR.

PyTorch's own autograd differentiates: the exported forward graph is run once on tensors without data while autograd records, and the operations of both
passes are written down. So a gradient is PyTorch's gradient, operation by operation, and its nodes keep the line of the forward operation.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence

import torch
from torch._decomp import core_aten_decompositions
from torch._subclasses.fake_tensor import FakeTensorMode
from torch._functorch._aot_autograd.logging_utils import setup_stacktrace_preservation_hooks
from torch.export.graph_signature import InputKind, OutputKind
from torch.fx import traceback
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils import _pytree as pytree

from wafer.errors import CompileError, Diagnostic, SourceLocation
from wafer.frontends import heads, locations, rotations
from wafer.frontends.torch import ImportedModel, Importer, Placeholder
from wafer.frontends.writer import Pattern
from wafer.training import attention, decompositions
from wafer.training.cross_entropy import cross_entropy
from wafer.training.recompute import recompute

_KEPT_WHOLE = (torch.ops.aten.silu.default, torch.ops.aten.softplus.default, torch.ops.aten.hardswish.default)

Loss = Callable[..., torch.Tensor]


class _Flat(torch.nn.Module):
    """loss(model(x), target) with the model's trained parameters and its buffers in flat lists: tied ones once, others as constants."""

    def __init__(self, model: torch.nn.Module, loss: Loss, parameters: Sequence[str], buffers: Sequence[str]):
        super().__init__()
        self.parameter_names, self.buffer_names = list(parameters), list(buffers)
        own_parameters, own_buffers = dict(model.named_parameters()), dict(model.named_buffers())
        self.trained = torch.nn.ParameterList([own_parameters[name] for name in parameters])
        for i, name in enumerate(buffers):
            self.register_buffer(f"buffer{i}", own_buffers[name])
        # In a list, so that its parameters are not this module's.
        self.hidden = [model]
        self.loss = loss

    def forward(self, *args):
        values = dict(zip(self.parameter_names, self.trained))
        values |= {name: getattr(self, f"buffer{i}") for i, name in enumerate(self.buffer_names)}
        return _loss_of(lambda *inputs: torch.func.functional_call(self.hidden[0], values, inputs), self.loss, args)


def _loss_of(model: Callable, loss: Loss, args: Sequence[object]) -> torch.Tensor:
    *inputs, target = args
    result = loss(model(*inputs), target)
    if not isinstance(result, torch.Tensor) or result.numel() != 1 or not result.is_floating_point():
        found = f"a tensor of shape {list(result.shape)} and type {result.dtype}" if isinstance(result, torch.Tensor) else type(result).__name__
        raise CompileError(f"found a loss that is {found}, expected one floating-point number; reduce it, e.g. with .mean()")
    return result.reshape(())


@dataclasses.dataclass(frozen=True)
class Gradients:
    """What the gradients program takes and gives. Its results are "loss", "gradient of NAME" and "new NAME"."""

    imported: ImportedModel
    arguments: tuple[str, ...]  # names of the program's inputs that the caller's arguments, flattened, go to
    parameters: tuple[str, ...]  # those that the loss depends on, in the model's order
    buffers: tuple[str, ...]  # those that the model changes while it runs
    spec: pytree.TreeSpec  # of the caller's arguments


def gradient_of(name: str) -> str:
    return f"gradient of {name}"


def kept_of(name: str) -> str:
    """The parameter of the gradients program that says which elements of another one are kept: its gradient is made there only."""
    return f"kept of {name}"


def new_value_of(name: str) -> str:
    return f"new {name}"


def differentiate(
    model: torch.nn.Module, loss: Loss, example: Sequence[object], *, scaled: bool = False, kept: Mapping[str, int] | None = None, machine: Mapping | None = None,
    given: Collection[str] = (),
) -> Gradients:
    """The program that computes loss and gradients for a batch like `example`: the model's inputs, and the target last.

    Args:   scaled: the program takes an input "loss_scale" with which all gradients are multiplied, for number formats of small range.
            kept: elements of sparse parameters that are not zero, by name.
            machine: the description of the machine that it is for, by which is chosen what the backward pass computes again.
            given: parameters that are inputs of the program, such as what an earlier part of a model made.
    Raises: UnsupportedOpError, CompileError; both name the line of the model's source.
    """
    source = locations.of_forward(model) or locations.of_caller()
    names = _trained(model, loss, example, source)
    # A model's whole numbers (counters, masks) that it changes are inputs of the program; others are constants.
    buffers = [name for name, buffer in model.named_buffers() if buffer is not None]
    flat = _Flat(model, loss, names, buffers)
    flat.train(model.training)
    with warnings.catch_warnings(), sdpa_kernel(SDPBackend.MATH):
        warnings.simplefilter("ignore")
        try:
            exported = torch.export.export(flat, tuple(example)).run_decompositions({})
            if machine is not None:
                _rewrite(exported, names, machine, kept or {})
        except CompileError:
            raise
        except Exception as error:  # export raises nearly any type
            text = str(error).strip().splitlines()
            message = f"torch.export cannot trace the model: {type(error).__name__}: {text[0] if text else 'no reason given'}"
            raise CompileError(Diagnostic("error", message, locations.of_exception(error) or source)) from error
        return _import(exported, names, buffers, pytree.tree_structure(tuple(example)), source, scaled, kept or {}, machine, given)


def _rewrite(exported: torch.export.ExportedProgram, parameters: Sequence[str], machine: Mapping, sparse: Collection[str]) -> None:
    """What is written in another way for a machine. `sparse`: parameters of which elements are left out."""
    changed = {output.target for output in exported.graph_signature.output_specs}
    weights, constants = {}, {}
    for spec in exported.graph_signature.input_specs:
        if spec.kind == InputKind.PARAMETER:
            weights[spec.arg.name] = _parameter_of(spec.target, parameters)
        elif spec.target is not None and spec.target not in changed and not (data := _data_of(exported, spec.target)).is_floating_point() and not data.is_meta:
            constants[spec.arg.name] = data
    rotated = rotations.rewrite(exported.graph, machine)
    heads.rewrite(exported.graph, machine, rotated, constants=constants, is_sparse=lambda name: weights.get(name) in sparse)


def _parameter_of(target: str, parameters: Sequence[str]) -> str:
    """The model's name of a parameter of `_Flat`."""
    return parameters[int(target.rpartition(".")[2])]


def _data_of(exported: torch.export.ExportedProgram, target: str) -> torch.Tensor:
    data = exported.state_dict.get(target)
    return exported.constants.get(target) if data is None else data


def _trained(model: torch.nn.Module, loss: Loss, example: Sequence[object], source: SourceLocation | None) -> list[str]:
    """Names of the parameters that the loss depends on. Runs the model once, without data."""
    parameters = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    if not parameters:
        raise CompileError(Diagnostic("error", "found no parameter that requires a gradient, expected at least one", source))
    with FakeTensorMode(allow_non_fake_inputs=True) as mode, torch.enable_grad():
        buffers = {name: mode.from_tensor(buffer) for name, buffer in model.named_buffers() if buffer is not None}
        trained = {name: mode.from_tensor(parameter.detach()).requires_grad_() for name, parameter in parameters.items()}
        args = pytree.tree_map_only(torch.Tensor, mode.from_tensor, tuple(example))
        result = _loss_of(lambda *inputs: torch.func.functional_call(model, buffers | trained, inputs), loss, args)
        found = torch.autograd.grad(result, list(trained.values()), allow_unused=True) if result.requires_grad else [None]
    names = [name for name, gradient in zip(parameters, found) if gradient is not None]
    if not names:
        raise CompileError(Diagnostic("error", "the loss depends on no parameter of the model", source))
    return names


class _Interpreter(torch.fx.Interpreter):
    """Runs an exported graph. Attention may lie in memory in another way than when it was exported, so that what was a view then needs a copy now."""

    def __init__(self, module: torch.fx.GraphModule, machine: Mapping | None):
        super().__init__(module)
        self._machine = machine

    def call_function(self, target, args, kwargs):
        if target is torch.ops.aten.scaled_dot_product_attention.default and self._machine is not None and attention.pays(self._machine, args[0].shape[-1]):
            result = attention.attention(self._machine, *args, **kwargs)
            if result is not None:
                return result
        if target is torch.ops.aten.cross_entropy_loss.default and self._machine is not None:
            result = cross_entropy(self._machine, *args, **kwargs)
            if result is not None:
                return result
        return super().call_function(torch.ops.aten.reshape.default if target is torch.ops.aten.view.default else target, args, kwargs)


def _joint_graph(
    exported: torch.export.ExportedProgram, parameters: int, loss_index: int, scaled: bool, machine: Mapping | None, weights: Collection[int]
) -> torch.fx.GraphModule:
    """Inputs are those of the exported graph, and the scale if asked for; results are its results, then a gradient per parameter. `weights`: which inputs are there before a run."""
    values = [node.meta["val"] for node in exported.graph.find_nodes(op="placeholder")]
    table = dict(core_aten_decompositions()) | decompositions.TABLE
    for op in _KEPT_WHOLE:
        table.pop(op, None)

    def joint(*args):
        *args, scale = args
        trained = [value.detach().requires_grad_() for value in args[:parameters]]
        with torch.autograd.detect_anomaly(check_nan=False):
            results = _Interpreter(exported.graph_module, machine).run(*trained, *args[parameters:])
            loss = results[loss_index]
            setup_stacktrace_preservation_hooks([loss.grad_fn])
            gradients = torch.autograd.grad(loss, trained, scale if scaled else None)
        return [result.detach() if isinstance(result, torch.Tensor) else result for result in results] + list(gradients)

    mode = next(value.fake_mode for value in values if hasattr(value, "fake_mode"))
    with mode:
        scale = torch.empty((), dtype=values[0].dtype)
    with mode, traceback.preserve_node_meta(), torch.enable_grad():
        graph = make_fx(joint, decomposition_table=table, tracing_mode="real", _allow_non_fake_inputs=True)(*values, scale)
        if any(_changes_in_place(node) for node in graph.graph.nodes):
            # Some backward formulas do.
            again = torch.func.functionalize(torch.fx.Interpreter(graph).run, remove="mutations")
            with torch.no_grad():
                graph = make_fx(again, decomposition_table=table, tracing_mode="real", _allow_non_fake_inputs=True)(*values, scale)
    graph.graph.eliminate_dead_code()
    if machine is not None:
        placeholders = graph.graph.find_nodes(op="placeholder")
        recompute(graph.graph, graph.graph.output_node().args[0][loss_index], machine, {placeholders[i] for i in weights})
        _put_off(graph.graph)  # after that, the backward pass is no longer what is behind the loss
    return graph


def _put_off(graph: torch.fx.Graph) -> None:
    """Puts single numbers that only results are made of, such as a loss from its sum, behind everything else: they would come between the two passes."""
    (output,) = graph.find_nodes(op="output")
    place, last = output, {output}
    for node in reversed(graph.nodes):
        values = [node.meta.get("val"), *(operand.meta.get("val") for operand in node.all_input_nodes)]
        if node.op == "call_function" and node.users.keys() <= last and all(isinstance(value, torch.Tensor) and value.numel() == 1 for value in values):
            place.prepend(node)
            place, last = node, last | {node}


def _changes_in_place(node: torch.fx.Node) -> bool:
    return isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable


def _import(
    exported: torch.export.ExportedProgram, parameters: list[str], buffers: list[str], spec: pytree.TreeSpec, source: SourceLocation | None, scaled: bool,
    kept: Mapping[str, int], machine: Mapping | None, given: Collection[str],
) -> Gradients:
    outputs = exported.graph_signature.output_specs
    loss_index = next(i for i, output in enumerate(outputs) if output.kind == OutputKind.USER_OUTPUT)
    specs = exported.graph_signature.input_specs
    is_weight = [spec.kind != InputKind.USER_INPUT and not (spec.kind == InputKind.PARAMETER and _parameter_of(spec.target, parameters) in given) for spec in specs]
    graph = _joint_graph(exported, len(parameters), loss_index, scaled, machine, [i for i, yes in enumerate(is_weight) if yes])
    changed = {output.target: i for i, output in enumerate(outputs) if output.kind == OutputKind.BUFFER_MUTATION}
    nodes = graph.graph.find_nodes(op="placeholder")
    placeholders: dict[str, Placeholder] = {}
    arguments = []
    for node, spec_of_input in zip(nodes, specs):
        kind, target = spec_of_input.kind, spec_of_input.target
        if kind == InputKind.USER_INPUT:
            if not hasattr(spec_of_input.arg, "value"):
                name = spec_of_input.arg.name
                arguments.append(name)
                if node.users:
                    placeholders[node.name] = Placeholder("input", name)
            continue
        if kind == InputKind.PARAMETER:
            name = _parameter_of(target, parameters)
            placeholders[node.name] = Placeholder("input", name) if name in given else Placeholder("parameter", name, exported.state_dict[target], trained=True, kept=kept.get(name))
            continue
        data = _data_of(exported, target)
        if kind == InputKind.BUFFER and node.users and (data.is_floating_point() or target in changed):
            name = buffers[int(target.removeprefix("buffer"))]
            placeholders[node.name] = Placeholder("parameter" if data.is_floating_point() else "input", name, data)
        elif node.users:
            placeholders[node.name] = Placeholder("constant", value=data)
    if scaled:
        placeholders[nodes[-1].name] = Placeholder("input", "loss_scale")

    values = graph.graph.output_node().args[0]
    results = [("loss", values[loss_index])]
    results += [(gradient_of(name), value) for name, value in zip(parameters, values[len(outputs) :])]
    names_of_changed = [buffers[int(target.removeprefix("buffer"))] for target in changed]
    results += [(new_value_of(name), values[i]) for name, i in zip(names_of_changed, changed.values())]
    random = any(str(node.target).startswith(("aten.native_dropout", "aten.bernoulli")) for node in graph.graph.nodes)
    patterns = {gradient_of(name): Pattern(kept_of(name), count) for name, count in kept.items() if name in parameters}
    imported = Importer(graph.graph, "gradients", source).run(placeholders, results, random=random, patterns=patterns)
    return Gradients(imported, tuple(arguments), tuple(parameters), tuple(names_of_changed), spec)
