"""What the ONNX standard says of an operator: the function by which it is defined, if any, and the types of its results; and functions of a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import onnx
import torch
from onnx import AttributeProto

from wafer.frontends import onnx_model
from wafer.frontends.onnx_ops.node import Node


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
    return schema.get_context_dependent_function_with_opset_version(
        node.version, node.proto.SerializeToString(), [kind.SerializeToString() for kind in described]
    )


def _type(value: object) -> onnx.TypeProto:
    if not isinstance(value, torch.Tensor):
        return onnx.TypeProto()
    return onnx.helper.make_tensor_type_proto(onnx_model.element_of(value), list(value.shape))


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


# Operators whose results of unsigned integers wrap around.
_WRAPPING = {"Add", "Sub", "Mul", "Sum", "Neg", "Pow", "BitShift", "BitwiseNot", "MatMul"}


def typed(node: Node, index: int, result: torch.Tensor) -> torch.Tensor:
    """A result as of the ONNX type that the standard says for it, where that is computed with as a wider one."""
    element = _narrow_element(node, index)
    if element is None or result.is_floating_point() or result.dtype != onnx_model.DTYPES[element]:
        return result
    mask = onnx_model.UNSIGNED.get(element)
    if node.op in _WRAPPING and mask is not None and mask < 2**31:
        result = torch.bitwise_and(result, mask)
    return onnx_model.noted(result, element)


def _narrow_element(node: Node, index: int) -> int | None:
    if node.op in ("Cast", "QuantizeLinear"):
        element = node.attribute("to" if node.op == "Cast" else "output_dtype", 0)
        if not element and len(node.inputs) > 2 and node.inputs[2] is not None:
            element = onnx_model.element_of(node.inputs[2])
        return element if element in onnx_model.NARROW else None if element else onnx.TensorProto.UINT8
    if node.op == "DynamicQuantizeLinear":
        return onnx.TensorProto.UINT8 if index in (0, 2) else None
    if node.op == "CastLike":
        element = onnx_model.element_of(node.inputs[1])
        return element if element in onnx_model.NARROW else None
    elements = [onnx_model.element_of(value) if isinstance(value, torch.Tensor) else None for value in node.inputs]
    if not any(element in onnx_model.NARROW for element in elements):
        return None
    try:
        schema = onnx.defs.get_schema(node.proto.op_type, node.version, node.proto.domain)
    except onnx.defs.SchemaError:
        return None
    kind = schema.outputs[min(index, len(schema.outputs) - 1)].type_str
    for i, element in enumerate(elements):
        if schema.inputs[min(i, len(schema.inputs) - 1)].type_str == kind:
            return element if element in onnx_model.NARROW else None
    return None
