"""Operators that are defined by other operators: functions of a model, and those in the ONNX standard."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import onnx
import torch
from onnx import AttributeProto, TensorProto

from wafer.frontends.onnx_ops.node import Node

_ELEMENTS = {
    torch.float32: TensorProto.FLOAT,
    torch.float16: TensorProto.FLOAT16,
    torch.bfloat16: TensorProto.BFLOAT16,
    torch.int64: TensorProto.INT64,
    torch.int32: TensorProto.INT32,
    torch.int16: TensorProto.INT16,
    torch.int8: TensorProto.INT8,
    torch.bool: TensorProto.BOOL,
}


def of_schema(node: Node) -> onnx.FunctionProto | None:
    """The function by which the standard defines the node's operator, if it does."""
    try:
        schema = onnx.defs.get_schema(node.proto.op_type, node.version, node.proto.domain)
    except onnx.defs.SchemaError:
        return None
    function = onnx.FunctionProto()
    if schema.has_function:
        function.CopyFrom(schema.function_body)
    elif schema.has_context_dependent_function:
        function.ParseFromString(_for_these_inputs(schema, node))
    if not function.node:
        return None
    declared = {attribute.name for attribute in function.attribute_proto}
    function.attribute_proto.extend(a.default_value for name, a in schema.attributes.items() if a.default_value.name and name not in declared)
    return function


def _for_these_inputs(schema: onnx.defs.OpSchema, node: Node) -> bytes:
    described = [_type(value) for value in node.inputs]
    return schema.get_context_dependent_function_with_opset_version(node.version, node.proto.SerializeToString(), [kind.SerializeToString() for kind in described])


def _type(value: object) -> onnx.TypeProto:
    if not isinstance(value, torch.Tensor):
        return onnx.TypeProto()
    return onnx.helper.make_tensor_type_proto(_ELEMENTS[value.dtype], list(value.shape))


def nodes(function: onnx.FunctionProto, call: onnx.NodeProto) -> Iterable[onnx.NodeProto]:
    """Copies of the function's nodes, with the attributes of the call in them."""
    given = {attribute.name: attribute for attribute in function.attribute_proto}
    given |= {attribute.name: attribute for attribute in call.attribute}
    for proto in function.node:
        copy = onnx.NodeProto()
        copy.CopyFrom(proto)
        _bind(copy, given)
        if not copy.metadata_props:
            copy.metadata_props.extend(call.metadata_props)
        yield copy


def _bind(node: onnx.NodeProto, given: Mapping[str, AttributeProto]) -> None:
    """Replaces references to the function's attributes by their values; those that have none go."""
    bound = []
    for attribute in node.attribute:
        if attribute.ref_attr_name:
            value = given.get(attribute.ref_attr_name)
            if value is None:
                continue
            copy = AttributeProto()
            copy.CopyFrom(value)
            copy.name = attribute.name
            bound.append(copy)
            continue
        copy = AttributeProto()
        copy.CopyFrom(attribute)
        for graph in [copy.g] if copy.type == AttributeProto.GRAPH else []:
            for inner in graph.node:
                _bind(inner, given)
        bound.append(copy)
    del node.attribute[:]
    node.attribute.extend(bound)
