"""Quantises the layers of a PyTorch model while it is imported: weights per output channel, activations per tensor from what they were on examples."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import torch
from torch.export.graph_signature import InputKind

from wafer.errors import CompileError, WaferError
from wafer.frontends import int8, locations
from wafer.frontends.context import Context
from wafer.frontends.tensor import Tensor
from wafer.frontends.zeros import zeros_of

# The operations that have a weight: number of the activation, of the weight, and the dimension of the weight that is an output channel.
_WITH_WEIGHT = {
    "aten.linear.default": (0, 1, 0),
    "aten.mm.default": (0, 1, 1),
    "aten.matmul.default": (0, 1, 1),
    "aten.addmm.default": (1, 2, 1),
    "aten.convolution.default": (0, 1, 0),
}


@dataclasses.dataclass
class _Layer:
    activation: int
    weight: int
    axis: int
    parameter: str
    scale: float = 0.0  # of the activation


class Quantizer:
    """Of an exported program."""

    def __init__(self, exported: torch.export.ExportedProgram, is_int8: Callable[[str], bool], examples: Sequence[Sequence[object]]):
        """`is_int8`: whether the operation that reports call so is to be quantised. `examples`: inputs of the model, flat."""
        self._layers = _layers(exported, is_int8)
        self.parameters: dict[str, torch.Tensor] = {}  # integers and scales, by name
        self._made: dict[str, tuple[Tensor, Tensor]] = {}
        self._data = {layer.parameter: exported.state_dict[layer.parameter] for layer in self._layers.values()}
        self.replaced = set(self._data)
        if any(data.is_meta for data in self._data.values()):
            raise CompileError("found weights on the device meta, which have no values to quantise; load the checkpoint into the model before compiling for int8")
        for name, data in self._data.items():
            if not data.isfinite().all():
                raise CompileError(f"weight '{name}' holds NaN or infinity, which 8-bit integers have no place for; leave its layer out of precision int8")
        if self._layers:
            for example in examples:
                _Calibration(exported, self._layers).run_on(example)

    def operands(self, ctx: Context, node: torch.fx.Node, args: Sequence[object]) -> Sequence[object]:
        """The operands of a node, of which activation and weight stand for integers if the node is a layer."""
        layer = self._layers.get(node.name)
        if layer is None or not layer.scale:
            return args
        args = list(args)
        x = int8.quantized(ctx, args[layer.activation], layer.scale)
        args[layer.activation] = int8.dequantized(ctx, x, layer.scale)
        values, scales = self._weight(ctx, layer)
        args[layer.weight] = int8.dequantized(ctx, values, scales, layer.axis)
        return args

    def _weight(self, ctx: Context, layer: _Layer) -> tuple[Tensor, Tensor]:
        if layer.parameter not in self._made:
            data = self._data[layer.parameter].detach().to(torch.float32)
            others = [d for d in range(data.dim()) if d != layer.axis]
            scales = (data.abs().amax(others) / int8.LIMIT).clamp(min=torch.finfo(torch.float32).tiny)
            steps = torch.round(data / scales.reshape([-1 if d == layer.axis else 1 for d in range(data.dim())]))
            values = steps.clamp(-int8.LIMIT, int8.LIMIT).to(torch.int8)
            made = []
            for suffix, tensor in (("int8", values), ("scale", scales)):
                name = f"{layer.parameter}.{suffix}"
                self.parameters[name] = tensor
                made.append(ctx.writer.argument(name, tuple(tensor.shape), tensor.dtype, name, "parameter", ctx.source, zeros_of(tensor)))
            self._made[layer.parameter] = (made[0], made[1])
        return self._made[layer.parameter]


def _layers(exported: torch.export.ExportedProgram, is_int8: Callable[[str], bool]) -> dict[str, _Layer]:
    parameters = {
        spec.arg.name: spec.target for spec in exported.graph_signature.input_specs if spec.kind in (InputKind.PARAMETER, InputKind.BUFFER) and spec.target in exported.state_dict
    }
    layers = {}
    for node in exported.graph.nodes:
        if node.op != "call_function" or str(node.target) not in _WITH_WEIGHT:
            continue
        activation, weight, axis = _WITH_WEIGHT[str(node.target)]
        operand, source = node.args[weight], node.args[activation]
        # A transposed weight, as `x @ w.T`, is the weight read in another order.
        transposed = isinstance(operand, torch.fx.Node) and str(operand.target) in ("aten.t.default", "aten.permute.default", "aten.transpose.int") and operand.args[0].meta["val"].dim() == 2
        operand = operand.args[0] if transposed else operand
        grouped = str(node.target) == "aten.convolution.default" and (node.args[6] or node.args[8] != 1)
        known = isinstance(operand, torch.fx.Node) and operand.name in parameters
        if not known or grouped or transposed or (isinstance(source, torch.fx.Node) and source.name in parameters):
            continue
        value = operand.meta["val"]
        is_matrix = value.dim() == 2 or str(node.target) == "aten.convolution.default"
        label = "/".join(filter(None, [locations.module_path(node), node.name]))
        if is_matrix and value.dtype == torch.float32 and is_int8(label):
            layers[node.name] = _Layer(activation, weight, axis, parameters[operand.name])
    return layers


class _Calibration(torch.fx.Interpreter):
    """Runs the model and notes the largest magnitude of what goes into each layer."""

    def __init__(self, exported: torch.export.ExportedProgram, layers: dict[str, _Layer]):
        super().__init__(exported.graph_module)
        self._exported, self._layers = exported, layers

    def run_on(self, inputs: Sequence[object]) -> None:
        remaining = iter(inputs)
        tensors = {**self._exported.constants, **self._exported.state_dict}
        given = [next(remaining, None) if spec.kind == InputKind.USER_INPUT else tensors.get(spec.target) for spec in self._exported.graph_signature.input_specs]
        try:
            with torch.no_grad():
                self.run(*given)
        except WaferError:
            raise
        except Exception as error:  # whatever the model's operations raise
            raise CompileError(f"the model does not run on an example of the calibration: {str(error).splitlines()[0]}; expected inputs like the example's") from error

    def run_node(self, node: torch.fx.Node) -> object:
        if layer := self._layers.get(node.name):
            values = self.env[node.args[layer.activation]]
            seen = values.abs().max().item() if values.numel() else 0.0
            if not math.isfinite(seen):
                raise CompileError(f"found NaN or infinity before '{node.name}' in the calibration, expected numbers that a scale can be taken from")
            layer.scale = max(layer.scale, seen / int8.LIMIT)
        return super().run_node(node)
