"""Element types: of PyTorch, as stored in tensors of the IR, and as computed with.

Executables hold no 64-bit integers and no bits, so an int64 tensor is stored as i32 and a bool tensor as i8 (0 or 1). Inside a body a bool is
an i1. 16-bit floats compute in f32 and round once per operation, as PyTorch's own kernels do.
"""

from __future__ import annotations

import math
import struct

import torch

from wafer.errors import WaferError

STORED = {
    torch.float32: "f32",
    torch.float16: "f16",
    torch.bfloat16: "bf16",
    torch.int64: "i32",
    torch.int32: "i32",
    torch.int16: "i16",
    torch.int8: "i8",
    torch.bool: "i8",
}

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1


def is_supported(dtype: torch.dtype) -> bool:
    return dtype in STORED


def names() -> str:
    """The supported types, for messages."""
    return ", ".join(str(dtype).removeprefix("torch.") for dtype in STORED)


def stored(dtype: torch.dtype) -> str:
    return STORED[dtype]


def computed(dtype: torch.dtype) -> str:
    """The type in which a body handles elements of `dtype`, before any widening."""
    return "i1" if dtype == torch.bool else STORED[dtype]


def widened(dtype: torch.dtype) -> torch.dtype:
    """The type in which arithmetic on `dtype` is done."""
    return torch.float32 if dtype in (torch.float16, torch.bfloat16) else dtype


def is_float(element: str) -> bool:
    return element in ("f32", "f16", "bf16", "f64")


def bits(element: str) -> int:
    return {"index": 64, "bf16": 16}.get(element) or int(element[1:])


def tensor_type(shape: tuple[int, ...], element: str) -> str:
    return f"tensor<{''.join(f'{size}x' for size in shape)}{element}>"


def literal(value: float | int | bool, element: str) -> str:
    """`value` as the text of a constant of type `element`."""
    if element == "i1":
        return "true" if value else "false"
    if not is_float(element):
        limit = 2 ** (bits(element) - 1)
        if not -limit <= int(value) < limit:
            raise WaferError(f"holds the integer {int(value)}, expected one that fits in {bits(element)} bits")
        return str(int(value))
    value = float(value)
    if not math.isfinite(value):
        kind = "nan" if math.isnan(value) else "+inf" if value > 0 else "-inf"
        return {
            "f32": {"nan": "0x7FC00000", "+inf": "0x7F800000", "-inf": "0xFF800000"},
            "f16": {"nan": "0x7E00", "+inf": "0x7C00", "-inf": "0xFC00"},
            "bf16": {"nan": "0x7FC0", "+inf": "0x7F80", "-inf": "0xFF80"},
        }[element][kind]
    if element == "f32" and abs(value) < 3.4e38:
        # The shortest decimal of the f32 that PyTorch computes with; the double's own digits may round to another one.
        value = struct.unpack("f", struct.pack("f", value))[0]
    text = repr(value)
    mantissa, exponent_mark, exponent = text.partition("e")
    return (mantissa if "." in mantissa else mantissa + ".0") + exponent_mark + exponent
