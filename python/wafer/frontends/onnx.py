"""ONNX: a walk over a model's graph that writes one function of linalg, tensor, arith and math.

Initializers of real numbers, and of 8-bit integers, are parameters by their own name; all other constants are part of the program. What does not
depend on inputs or parameters is computed here. A model without fixed sizes takes those of the example inputs.
"""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Mapping, Sequence

import numpy
import onnx
import torch

from wafer.errors import CompileError, CompileWarning, UnsupportedOpError, WaferError
from wafer.frontends import onnx_functions, onnx_model, onnx_ops, types  # noqa: F401 - onnx_ops registers the operators
from wafer.frontends.deferred import Any, Deferred, Emitter
from wafer.frontends.onnx_ops import registry
from wafer.frontends.onnx_ops.node import Node
from wafer.frontends.onnx_ops.quantization import remember_integers
from wafer.frontends.tensor import Tensor
from wafer.frontends.torch import ImportedModel, TensorInfo
from wafer.frontends.writer import FunctionWriter
from wafer.frontends.zeros import zeros_of

# Integers of 8 bits up to this number are constants of the program (zero points and the like), more are weights.
_FEW = 64


def import_model(
    source: str | os.PathLike | onnx.ModelProto, args: Sequence[object] = (), kwargs: Mapping[str, object] | None = None, name: str = "forward"
) -> ImportedModel:
    """Write a model as an MLIR function called `name`.

    Args:    source: the path of a model, or the model. args, kwargs: example inputs, in the model's order and by name, which say the sizes that the
             model leaves open.
    Returns: the text and the parameters that it names; they are mapped from the file where the model has them in a file of their own.
    Raises:  UnsupportedOpError for an operator, type or shape that has no meaning here; CompileError for what is no ONNX model.
    """
    model, folder, what = onnx_model.read(source)
    args, kwargs = [numpy.shape(value) for value in args], {key: numpy.shape(value) for key, value in (kwargs or {}).items()}

    def run(taps: Sequence[str] = ()) -> ImportedModel:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.filterwarnings("ignore", "The given NumPy array is not writable")
            return _Importer(model, folder, what, name, taps).run(args, kwargs)

    return dataclasses.replace(run(), tapped=lambda taps: run(taps).text)


class _Importer:
    def __init__(self, model: onnx.ModelProto, folder: os.PathLike | None, what: str, name: str, taps: Sequence[str] = ()):
        self._graph, self._folder, self._what = model.graph, folder, what
        self._versions = {imported.domain: imported.version for imported in model.opset_import}
        self._versions[""] = onnx_model.opset(model) or onnx.defs.onnx_opset_version()
        self._functions = {(function.domain, function.name): function for function in model.functions}
        self._writer = FunctionWriter(name)
        self._emitter = Emitter(self._writer)
        self._parameters: dict[str, torch.Tensor] = {}
        self._doubles: list[str] = []
        self._taps = taps

    def run(self, args: Sequence[tuple[int, ...]], kwargs: Mapping[str, tuple[int, ...]]) -> ImportedModel:
        if self._graph.sparse_initializer:
            raise CompileError(f"{self._what}: has sparse initializers, expected dense ones; convert them with onnx.helper and numpy")
        initializers = {proto.name for proto in self._graph.initializer}
        declared = [value for value in self._graph.input if value.name not in initializers]
        given = self._given([value.name for value in declared], args, kwargs)
        inputs = [self._input_info(value, given.get(value.name)) for value in declared]
        values: dict[str, Any] = {}
        for info, value in zip(inputs, declared):
            argument = self._argument(info.name, info.shape, info.dtype, "input")
            argument.value  # all inputs are in the signature, used or not
            element = value.type.tensor_type.elem_type
            values[info.name] = onnx_model.noted(argument, element) if element in onnx_model.NARROW else argument
        self._run_graph(self._graph, values, self._versions)
        outputs = self._outputs(values)
        if self._doubles:
            shown = ", ".join(f"'{name}'" for name in self._doubles[:3]) + (" ..." if len(self._doubles) > 3 else "")
            warnings.warn(f"{self._what}: {shown} of type DOUBLE: computed with as f32", CompileWarning, stacklevel=7)
        # Of a quantised weight, either the integers and their scales are read, or the numbers.
        for name in self._writer.drop_unused(list(self._parameters), [value for _, value in outputs]):
            del self._parameters[name]
        self._writer.place("result", self._graph.name, None)
        tapped = [(f"tap.{name}", values[name].value) for name in self._taps]
        text = self._writer.finish([(info.name, value) for info, value in outputs] + tapped, None)
        names = {name: onnx_model.label_of(proto) for proto in self._graph.node for name in proto.output if _is_computed(values.get(name))}
        return ImportedModel(text, tuple(inputs), tuple(info for info, _ in outputs), self._parameters, self._writer.macs, names=names)

    # Inputs and outputs

    def _given(self, names: Sequence[str], args: Sequence[tuple[int, ...]], kwargs: Mapping[str, tuple[int, ...]]) -> Mapping[str, tuple[int, ...]]:
        """Shapes of example inputs by name."""
        listed = ", ".join(f"'{name}'" for name in names) or "none"
        if len(args) > len(names):
            raise CompileError(f"{self._what}: found {len(args)} example inputs, expected at most {len(names)}: {listed}")
        given = dict(zip(names, args)) | dict(kwargs)
        for name in given:
            if name not in names:
                raise CompileError(f"{self._what}: found an example input '{name}', and the model's inputs are {listed}")
        return given

    def _input_info(self, value: onnx.ValueInfoProto, shape: tuple[int, ...] | None) -> TensorInfo:
        if not value.type.HasField("tensor_type"):
            raise CompileError(f"{self._what}: input '{value.name}' is a {value.type.WhichOneof('value') or 'value without a type'}, expected a tensor")
        declared = value.type.tensor_type
        if declared.elem_type not in onnx_model.DTYPES:
            raise CompileError(
                f"{self._what}: input '{value.name}' has elements of type {onnx_model.type_name(declared.elem_type)}, expected {onnx_model.type_names()}"
            )
        self._note_double(value.name, declared.elem_type)
        sizes = [dim.dim_value if dim.HasField("dim_value") else None for dim in declared.shape.dim]
        if shape is None:
            for dim, size in zip(declared.shape.dim, sizes):
                if size is None:
                    raise CompileError(
                        f"{self._what}: dimension '{dim.dim_param or '?'}' of input '{value.name}' has no fixed size; "
                        f"give example inputs of the wanted sizes: wafer.compile(model, (x,)) or kwargs={{'{value.name}': x}}"
                    )
            if not declared.HasField("shape"):
                raise CompileError(f"{self._what}: input '{value.name}' has no shape; give example inputs of the wanted sizes: wafer.compile(model, (x,))")
            return TensorInfo(value.name, tuple(sizes), onnx_model.DTYPES[declared.elem_type])
        if declared.HasField("shape") and (len(shape) != len(sizes) or any(size not in (None, found) for size, found in zip(sizes, shape))):
            wanted = [dim.dim_param or "?" if size is None else size for dim, size in zip(declared.shape.dim, sizes)]
            raise CompileError(
                f"{self._what}: the example of input '{value.name}' has shape {list(shape)}, and the model expects [{', '.join(map(str, wanted))}]"
            )
        return TensorInfo(value.name, shape, onnx_model.DTYPES[declared.elem_type])

    def _note_double(self, name: str, element: int) -> None:
        if element == onnx.TensorProto.DOUBLE:
            self._doubles.append(name)

    def _argument(self, name: str, shape: Sequence[int], dtype: torch.dtype, role: str, data: torch.Tensor | None = None) -> Deferred:
        """An argument of the function; a parameter becomes one when an operation first reads it."""

        def make():
            if data is not None:
                self._parameters[name] = data
            return self._writer.argument(name, tuple(shape), dtype, name, role, None, None if data is None else zeros_of(data))

        return Deferred(self._emitter, shape, dtype, make, data)

    def _outputs(self, values: Mapping[str, Any]) -> list[tuple[TensorInfo, object]]:
        results = []
        taken = set(self._parameters)
        for output in self._graph.output:
            value = values.get(output.name)
            if not isinstance(value, torch.Tensor):
                kind = "nothing computes" if value is None else "which is a sequence or an optional value;"
                raise CompileError(f"{self._what}: output '{output.name}', {kind} expected a tensor")
            if not isinstance(value, Deferred) and not types.is_supported(value.dtype):
                raise CompileError(f"{self._what}: output '{output.name}' has elements of type {value.dtype}, expected {types.names()}")
            lowered = value.value if isinstance(value, Deferred) else Tensor.of_constant(value)
            name = output.name
            while name in taken:
                name += "_1"
            taken.add(name)
            results.append((TensorInfo(name, tuple(value.shape), value.dtype), lowered))
        if not results:
            raise CompileError(f"{self._what}: the graph has no outputs, expected at least one")
        return results

    # Nodes

    def _run_graph(self, graph: onnx.GraphProto, values: dict[str, Any], versions: Mapping[str, int]) -> None:
        for proto in graph.initializer:
            values[proto.name] = self._initializer(proto)
        for proto in graph.node:
            self._run_node(proto, values, versions)

    def _initializer(self, proto: onnx.TensorProto) -> Any:
        data = onnx_model.tensor(proto, self._folder, self._what)
        self._note_double(proto.name, proto.data_type)
        eight_bits = proto.data_type in (onnx.TensorProto.INT8, onnx.TensorProto.UINT8, onnx.TensorProto.INT4, onnx.TensorProto.UINT4)
        is_weight = data.numel() > 1 if data.is_floating_point() else eight_bits and data.numel() > _FEW
        if not is_weight:
            return data
        parameter = self._argument(proto.name, data.shape, data.dtype, "parameter", data)
        return onnx_model.noted(parameter, proto.data_type) if proto.data_type in onnx_model.NARROW else parameter

    def _run_node(self, proto: onnx.NodeProto, values: dict[str, Any], versions: Mapping[str, int]) -> None:
        node = self._node(proto, values, versions)
        before = (self._emitter.op, self._emitter.node, self._emitter.source)
        self._emitter.op, self._emitter.node, self._emitter.source = node.op, node.name, node.source
        self._writer.place(next(iter(proto.output), "v"), onnx_model.label_of(proto), node.source)
        results = self._computed(node, values, versions)
        results = results if isinstance(results, tuple) else (results,)
        for index, (name, result) in enumerate(zip(proto.output, results)):
            if name:
                values[name] = self._kept(name, onnx_functions.typed(node, index, result) if isinstance(result, torch.Tensor) else result, node)
        for name in proto.output[len(results) :]:
            if name:
                raise node.refused(f"gives {len(proto.output)} results, expected at most {len(results)}; remove the output '{name}' from the model")
        self._emitter.op, self._emitter.node, self._emitter.source = before

    def _node(self, proto: onnx.NodeProto, values: Mapping[str, Any], versions: Mapping[str, int]) -> Node:
        def run(graph: onnx.GraphProto, given: Sequence[Any]) -> list[Any]:
            inner = dict(values) | {info.name: value for info, value in zip(graph.input, given)}
            self._run_graph(graph, inner, versions)
            return [inner[output.name] for output in graph.output]

        version = versions.get("" if proto.domain in registry.STANDARD else proto.domain, 0)
        inputs = []
        node = Node(proto, version, onnx_model.source_of(proto), lambda t: onnx_model.tensor(t, self._folder, self._what), run, self._emitter)
        for name in proto.input:
            if name and name not in values:
                raise node.refused(f"reads '{name}', which nothing before it computes; sort the graph's nodes")
            inputs.append(values[name] if name else None)
        node.inputs = inputs
        return node

    def _computed(self, node: Node, values: Mapping[str, Any], versions: Mapping[str, int]) -> object:
        function = self._functions.get((node.proto.domain, node.proto.op_type))
        compute = registry.find(node.proto.domain, node.proto.op_type) if function is None else None
        if compute is None:
            function = function or onnx_functions.of_schema(node)
            if function is None:
                raise self._unknown(node)
            return self._run_function(function, node, versions)
        try:
            return compute(node, *node.inputs)
        except WaferError as error:
            raise error if isinstance(error, CompileError) else node.refused(str(error)) from error
        except (TypeError, ValueError, IndexError, KeyError, AttributeError, RuntimeError, NotImplementedError) as error:
            given = ", ".join(f"{str(v.dtype).removeprefix('torch.')}{list(v.shape)}" if isinstance(v, torch.Tensor) else type(v).__name__ for v in node.inputs)
            raise node.refused(
                f"cannot be computed from ({given}): {str(error).splitlines()[0] if str(error) else type(error).__name__}; "
                f"see whether onnx.checker accepts the model"
            ) from error

    def _run_function(self, function: onnx.FunctionProto, node: Node, versions: Mapping[str, int]) -> tuple[Any, ...]:
        inner: dict[str, Any] = dict(zip(function.input, node.inputs))
        inner = {name: value for name, value in inner.items() if value is not None}
        missing = [name for name in function.input if name not in inner]
        own = dict(versions) | {imported.domain: imported.version for imported in function.opset_import}
        for proto in onnx_functions.nodes(function, node.proto):
            kept = [("" if name in missing else name) for name in proto.input]
            del proto.input[:]
            proto.input.extend(kept)
            self._run_node(proto, inner, own)
        return tuple(inner.get(name) for name in function.output)

    def _kept(self, name: str, result: Any, node: Node) -> Any:
        """A result as it goes on: what is computed here from parameters is a parameter itself."""
        if isinstance(result, Deferred) or not isinstance(result, torch.Tensor) or not result.is_floating_point() or result.numel() <= 1:
            return result
        if any(isinstance(value, Deferred) and value.known is not None for value in node.inputs):
            return remember_integers(node, self._argument(name, result.shape, result.dtype, "parameter", result.contiguous()))
        return result

    def _unknown(self, node: Node) -> UnsupportedOpError:
        if node.proto.domain not in registry.STANDARD and not any(name.startswith(node.proto.domain + ".") for name in registry.supported()):
            return node.refused(
                f"is of the domain '{node.proto.domain}', which is not known; "
                f"export the model with standard operators, or with the operator as a function of the model"
            )
        near = registry.nearest(node.proto.op_type)
        known = f"nearest supported operators: {', '.join(near)}" if near else f"{len(registry.supported())} operators are supported"
        return node.refused(f"has no lowering; {known}")


def _is_computed(value: Any) -> bool:
    return isinstance(value, Deferred) and value.known is None
