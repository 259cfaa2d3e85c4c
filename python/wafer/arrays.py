"""Tensors of NumPy and PyTorch as the compiled module takes and gives them: (type name, C-contiguous array), without a copy where that can be.

Executables hold neither 64-bit integers nor bools: int64 becomes i32 (values are checked), bool becomes i8, and
uint8 i16 where a program computes with it so. NumPy has no bf16: it is given and
returned as float32, PyTorch's bfloat16 keeps its bits.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy

from wafer.errors import RuntimeError  # noqa: A004

if TYPE_CHECKING:
    import torch

Pair = tuple[str, numpy.ndarray]

_NAMES = {
    numpy.dtype("float32"): "f32",
    numpy.dtype("float16"): "f16",
    numpy.dtype("float64"): "f64",
    numpy.dtype("int64"): "i64",
    numpy.dtype("int32"): "i32",
    numpy.dtype("int16"): "i16",
    numpy.dtype("int8"): "i8",
    numpy.dtype("uint8"): "u8",
    numpy.dtype("bool"): "bool",
}


def is_torch(value: object) -> bool:
    """Whether it is a torch.Tensor; does not import torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def is_jax(value: object) -> bool:
    """Whether it is a jax.Array; does not import jax."""
    jax = sys.modules.get("jax")
    return jax is not None and isinstance(value, jax.Array)


def pair_of(value: object, what: str) -> Pair:
    """A tensor or array in the exchange form. Raises RuntimeError that begins with `what` for an element type that has none."""
    if is_torch(value):
        return _pair_of_torch(value, what)
    array = numpy.ascontiguousarray(value).reshape(numpy.shape(value))
    if array.dtype.name == "bfloat16":
        return "bf16", array.view(numpy.uint16)
    if array.dtype == numpy.uint32:
        return "i32", array.view(numpy.int32)  # the bits, as the importer of JAX functions has them
    name = _NAMES.get(array.dtype.newbyteorder("=")) if array.dtype.kind in "fiub" else None
    if name is None:
        raise RuntimeError(f"{what} has elements of type {array.dtype}, expected {', '.join(str(dtype) for dtype in _NAMES)}")
    return name, array.astype(array.dtype.newbyteorder("="), copy=False)


def _pair_of_torch(tensor: torch.Tensor, what: str) -> Pair:
    import torch

    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex():
        raise RuntimeError(f"{what} is a {tensor.layout} tensor of {tensor.dtype}, expected a dense one of real numbers")
    tensor = tensor.detach().cpu().contiguous()
    if tensor.dtype == torch.bfloat16:
        return "bf16", tensor.view(torch.int16).numpy().view(numpy.uint16)
    return pair_of(tensor.numpy(), what)


def converted(pair: Pair, wanted: str, what: str) -> Pair:
    """The pair as type `wanted`, where that loses nothing that the model sees; unchanged otherwise, for the runtime to refuse."""
    name, array = pair
    if name == "i64" and wanted == "i32":
        if array.size and (array.min() < -(2**31) or array.max() >= 2**31):
            raise RuntimeError(f"{what} holds integers from {array.min()} to {array.max()}, expected ones that fit in 32 bits")
        return wanted, array.astype(numpy.int32)
    if name == "u8" and wanted == "i16":
        return wanted, array.astype(numpy.int16)
    if name == "bool" and wanted == "i8":
        return wanted, array.view(numpy.int8)
    if name == "f32" and wanted == "bf16":
        return wanted, _rounded_to_bf16(array)
    return pair


def _rounded_to_bf16(array: numpy.ndarray) -> numpy.ndarray:
    """To nearest, ties to even; a NaN stays one."""
    bits = array.view(numpy.uint32)
    rounded = (bits + (((bits >> 16) & 1) + numpy.uint32(0x7FFF))) >> 16
    return numpy.where(numpy.isnan(array), (bits >> 16) | 0x40, rounded).astype(numpy.uint16)


def array_of(pair: Pair) -> numpy.ndarray:
    """As a NumPy array; bf16 widens to float32."""
    name, array = pair
    return (array.astype(numpy.uint32) << 16).view(numpy.float32) if name == "bf16" else array


def torch_of(pair: Pair) -> torch.Tensor:
    """As a tensor that shares the array's memory."""
    import torch

    name, array = pair
    return torch.from_numpy(array.view(numpy.int16)).view(torch.bfloat16) if name == "bf16" else torch.from_numpy(array)


def jax_of(pair: Pair) -> object:
    """As a jax.Array."""
    import jax

    name, array = pair
    return jax.numpy.asarray(array.view(jax.numpy.bfloat16) if name == "bf16" else array)
