"""What an ONNX model holds: its graph, and tensors of protobuf as PyTorch tensors, mapped from the file where they lie outside of it."""

from __future__ import annotations

import os
import pathlib
import re
from collections.abc import Mapping

import numpy
import onnx
import torch
from google.protobuf.message import DecodeError
from onnx import TensorProto

from wafer.errors import CompileError, SourceLocation
from wafer.frontends import locations

OLDEST_OPSET = 7

# How the elements of each type are computed with. Unsigned integers become the next wider signed ones, double becomes float.
DTYPES = {
    TensorProto.FLOAT: torch.float32,
    TensorProto.DOUBLE: torch.float32,
    TensorProto.FLOAT16: torch.float16,
    TensorProto.BFLOAT16: torch.bfloat16,
    TensorProto.INT64: torch.int64,
    TensorProto.INT32: torch.int32,
    TensorProto.INT16: torch.int16,
    TensorProto.INT8: torch.int8,
    TensorProto.UINT8: torch.int16,
    TensorProto.UINT16: torch.int32,
    TensorProto.UINT32: torch.int64,
    TensorProto.UINT64: torch.int64,
    TensorProto.INT4: torch.int8,
    TensorProto.UINT4: torch.int16,
    TensorProto.BOOL: torch.bool,
}

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

# The greatest number of each unsigned type, which is also the mask of its bits.
UNSIGNED = {TensorProto.UINT4: 15, TensorProto.UINT8: 2**8 - 1, TensorProto.UINT16: 2**16 - 1, TensorProto.UINT32: 2**32 - 1, TensorProto.UINT64: 2**64 - 1}

# Types that are computed with as wider ones.
NARROW = {*UNSIGNED, TensorProto.INT4}

# The numbers that quantised types hold.
RANGES = {TensorProto.INT8: (-128, 127), TensorProto.INT16: (-(2**15), 2**15 - 1), TensorProto.INT4: (-8, 7)} | {
    element: (0, most) for element, most in UNSIGNED.items()
}

_WIDENED = {torch.float64: torch.float32, torch.uint8: torch.int16, torch.uint16: torch.int32, torch.uint32: torch.int64, torch.uint64: torch.int64}


def element_of(tensor: torch.Tensor) -> int:
    """ONNX's type of a value: what was noted for one that is computed with as a wider type, else that of its elements."""
    return getattr(tensor, "onnx_element", None) or _ELEMENTS[tensor.dtype]


def noted(tensor: torch.Tensor, element: int) -> torch.Tensor:
    """The tensor as one of ONNX's type `element`."""
    if element_of(tensor) == element:
        return tensor
    if hasattr(tensor, "onnx_element"):
        tensor = tensor.alias()  # the same elements under another type
    tensor.onnx_element = element
    return tensor


def type_name(element: int) -> str:
    """ "FLOAT" for an element type's number."""
    return TensorProto.DataType.Name(element) if element in TensorProto.DataType.values() else f"number {element}"


def type_names() -> str:
    """The types that have a form here, for messages."""
    return ", ".join(type_name(element) for element in DTYPES)


def read(source: str | os.PathLike | onnx.ModelProto) -> tuple[onnx.ModelProto, pathlib.Path | None, str]:
    """The model, the folder that its external data is in, and how errors call it. Raises CompileError for what is no ONNX model."""
    if isinstance(source, onnx.ModelProto):
        return _checked(source, "ONNX model"), None, "ONNX model"
    path = pathlib.Path(source)
    what = os.fspath(source)
    try:
        model = onnx.load_model(path, load_external_data=False)
    except OSError as error:
        raise CompileError(f"{what}: cannot be read: {error.strerror}") from error
    except DecodeError as error:
        raise CompileError(f"{what}: is not an ONNX model, or is cut off") from error
    return _checked(model, what), path.parent, what


def _checked(model: onnx.ModelProto, what: str) -> onnx.ModelProto:
    if not model.graph.node and not model.graph.output:
        raise CompileError(f"{what}: holds no graph, expected an ONNX model")
    newest = onnx.defs.onnx_opset_version()
    version = opset(model)
    if version is None and not any(node.domain in ("", "ai.onnx") for node in model.graph.node):
        return model
    if version is None:
        raise CompileError(f"{what}: names no opset of the standard operators, expected one from {OLDEST_OPSET} to {newest}")
    if version < OLDEST_OPSET and all(_is_as_later(node, version) for node in model.graph.node):
        return model
    if not OLDEST_OPSET <= version <= newest:
        way = (
            "export it again with a newer opset, or convert it: onnx.version_converter.convert_version(model, 18)"
            if version < OLDEST_OPSET
            else "export it again, e.g. with opset_version=20"
        )
        raise CompileError(f"{what}: found opset {version}, expected one from {OLDEST_OPSET} to {newest}; {way}")
    return model


def _is_as_later(node: onnx.NodeProto, version: int) -> bool:
    """Whether an operator of an old opset is still that of the oldest one that is supported."""
    try:
        then, later = (onnx.defs.get_schema(node.op_type, v, "") for v in (version, OLDEST_OPSET))
    except onnx.defs.SchemaError:
        return False
    return then.since_version == later.since_version


def opset(model: onnx.ModelProto | onnx.FunctionProto) -> int | None:
    """Version of the standard operators that a model or function uses."""
    versions = [imported.version for imported in model.opset_import if imported.domain in ("", "ai.onnx")]
    return max(versions, default=None)


def tensor(proto: TensorProto, folder: pathlib.Path | None, what: str) -> torch.Tensor:
    """The elements of a tensor. Raises CompileError for types without a form here, and for data that is missing."""
    if proto.data_type not in DTYPES:
        raise CompileError(f"{what}: tensor '{proto.name}' has elements of type {type_name(proto.data_type)}, expected {type_names()}")
    if proto.data_location == TensorProto.EXTERNAL:
        array = _external(proto, folder, what)
    else:
        try:
            array = onnx.numpy_helper.to_array(proto)
        except (ValueError, TypeError) as error:
            raise CompileError(f"{what}: tensor '{proto.name}' does not hold the data of its shape {list(proto.dims)}: {error}") from error
    if proto.data_type == TensorProto.BFLOAT16:
        return torch.from_numpy(array.view(numpy.int16).copy()).view(torch.bfloat16)
    if proto.data_type in (TensorProto.INT4, TensorProto.UINT4):
        array = array.astype(numpy.int8)
    return noted(of_array(array, proto.data_type), proto.data_type) if proto.data_type in NARROW else of_array(array, proto.data_type)


def of_array(array: numpy.ndarray, element: int | None = None) -> torch.Tensor:
    """An array as a tensor of a type that is computed with; shares memory where the type stays."""
    contiguous = numpy.ascontiguousarray(array).reshape(array.shape)
    if not contiguous.flags.writeable and contiguous.size < 2**16:
        contiguous = contiguous.copy()
    result = torch.from_numpy(contiguous)
    return result.to(_WIDENED.get(result.dtype, result.dtype) if element is None else DTYPES[element])


def _external(proto: TensorProto, folder: pathlib.Path | None, what: str) -> numpy.ndarray:
    """Maps the data of a tensor that lies in a file of its own."""
    entries = {entry.key: entry.value for entry in proto.external_data}
    location = entries.get("location", "")
    if folder is None:
        raise CompileError(
            f"{what}: tensor '{proto.name}' lies in the file '{location}', whose folder is not known; "
            f"give the path of the model's file instead of the proto, or load it with onnx.load"
        )
    path = folder / location
    if not location or os.path.isabs(location) or not path.resolve().is_relative_to(folder.resolve()):
        raise CompileError(f"{what}: tensor '{proto.name}' lies in the file '{location}', expected a path inside of the model's folder")
    dtype = numpy.dtype(onnx.helper.tensor_dtype_to_np_dtype(proto.data_type)).newbyteorder("<")
    count = int(numpy.prod(proto.dims, dtype=numpy.int64))
    offset, length = int(entries.get("offset", 0)), int(entries.get("length", count * dtype.itemsize))
    if proto.data_type in (TensorProto.INT4, TensorProto.UINT4):
        raise CompileError(f"{what}: tensor '{proto.name}' has elements of 4 bits in a file of its own, expected them in the model's file")
    try:
        size = path.stat().st_size
        if length != count * dtype.itemsize or offset + length > size:
            raise CompileError(
                f"{what}: tensor '{proto.name}' takes bytes {offset} to {offset + length} of '{path}', which has {size}, "
                f"for {count} elements of {dtype.itemsize} bytes"
            )
        return numpy.memmap(path, dtype, "r", offset, tuple(proto.dims)) if count else numpy.zeros(tuple(proto.dims), dtype)
    except OSError as error:
        raise CompileError(
            f"{what}: tensor '{proto.name}' lies in the file '{path}', which cannot be read: {error.strerror}; put it beside the model"
        ) from error


# Where a node comes from


def source_of(node: onnx.NodeProto) -> SourceLocation | None:
    """The line of the user's source that PyTorch's exporter noted for the node."""
    return locations.of_stack_trace(_metadata(node).get("pkg.torch.onnx.stack_trace", ""))


def label_of(node: onnx.NodeProto) -> str:
    """The node's name, after the module that it is part of if the exporter noted that."""
    name = node.name or next(iter(node.output), "") or node.op_type
    # A list of Python strings, from the model to the operation: "['', 'encoder', 'encoder.fc1', 'linear']".
    scopes = re.findall(r"'([^']*)'", _metadata(node).get("pkg.torch.onnx.name_scopes", ""))
    return "/".join(filter(None, [scopes[-2] if len(scopes) > 1 else "", name]))


def _metadata(node: onnx.NodeProto) -> Mapping[str, str]:
    return {entry.key: entry.value for entry in getattr(node, "metadata_props", ())}
