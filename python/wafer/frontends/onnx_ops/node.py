"""The node that an operator's function works on: its attributes, and the constants among its inputs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import onnx
import torch

from wafer.errors import SourceLocation, UnsupportedOpError
from wafer.frontends import deferred
from wafer.frontends.deferred import Any, Emitter


@dataclasses.dataclass
class Node:
    """`version` is the opset of the operator's domain; `run` computes a graph that is an attribute, given values for its inputs."""

    proto: onnx.NodeProto
    version: int
    source: SourceLocation | None
    tensor_of: Callable[[onnx.TensorProto], torch.Tensor]
    run: Callable[[onnx.GraphProto, Sequence[Any]], list[Any]]
    emitter: Emitter
    attributes: Mapping[str, onnx.AttributeProto] = dataclasses.field(init=False)

    def __post_init__(self):
        self.attributes = {attribute.name: attribute for attribute in self.proto.attribute}

    @property
    def op(self) -> str:
        return f"{self.proto.domain}.{self.proto.op_type}" if self.proto.domain not in ("", "ai.onnx") else self.proto.op_type

    @property
    def name(self) -> str:
        return self.proto.name or next((output for output in self.proto.output if output), self.proto.op_type)

    def wants(self, index: int) -> bool:
        """Whether the node's output number `index` is used."""
        return index < len(self.proto.output) and bool(self.proto.output[index])

    def attribute(self, name: str, default: object = None) -> object:
        """Numbers and lists as Python has them, strings as str, tensors as torch.Tensor, graphs as they are."""
        attribute = self.attributes.get(name)
        if attribute is None:
            return default
        value = onnx.helper.get_attribute_value(attribute)
        if isinstance(value, bytes):
            return value.decode()
        if isinstance(value, onnx.TensorProto):
            return self.tensor_of(value)
        if isinstance(value, onnx.GraphProto):
            return value
        return (
            list(value)
            if attribute.type in (attribute.INTS, attribute.FLOATS)
            else [v.decode() for v in value]
            if attribute.type == attribute.STRINGS
            else value
        )

    def constant(self, value: Any, what: str) -> torch.Tensor:
        """The elements of an input that must be known when the model is compiled."""
        found = deferred.known(value)
        if found is None:
            place = next((i for i, name in enumerate(self.proto.input) if self.inputs and i < len(self.inputs) and self.inputs[i] is value), None)
            name = f" '{self.proto.input[place]}'" if place is not None else ""
            raise self.refused(f"takes its {what}{name} from data, expected a constant; make it an initializer, or export the model with static shapes")
        return found

    def numbers(self, value: Any, what: str) -> list:
        """A constant as a flat list of Python numbers."""
        return self.constant(value, what).flatten().tolist()

    def setting(self, name: str, value: Any | None, default: object = None) -> object:
        """A list of numbers that old opsets have as an attribute and new ones as a constant input."""
        return self.attribute(name, default) if value is None else self.numbers(value, name)

    inputs: Sequence[Any | None] = ()

    def refused(self, reason: str) -> UnsupportedOpError:
        return UnsupportedOpError(self.op, f"'{self.op}' (node '{self.name}') {reason}", self.source)
