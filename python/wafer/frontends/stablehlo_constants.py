"""Constants of StableHLO, and arrays of NumPy, as PyTorch tensors."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable

import numpy
import torch
from jaxlib.mlir import ir

# Larger arrays in the text of a program are weights that somebody forgot to pass.
MOST_BYTES = 16 << 20


def tensor_of(value: object, shape: tuple[int, ...] = (), dtype: torch.dtype | None = None, refuse: Callable[[str], Exception] | None = None) -> torch.Tensor:
    """An array, which is shared, or the value of a constant with this shape and type."""
    if isinstance(value, numpy.ndarray):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The given NumPy array is not writable")
            if value.dtype.name == "bfloat16":
                return torch.from_numpy(value.view(numpy.int16)).view(torch.bfloat16)
            return torch.from_numpy(numpy.ascontiguousarray(value).reshape(value.shape))
    attribute = ir.DenseElementsAttr(value)
    unsigned = str(ir.RankedTensorType(attribute.type).element_type).startswith("ui")
    if attribute.is_splat:
        number = attribute.get_splat_value().value
        return torch.tensor(number - (1 << dtype.itemsize * 8) if unsigned and number > torch.iinfo(dtype).max else number, dtype=dtype).expand(shape)
    size = math.prod(shape) * dtype.itemsize
    if size > MOST_BYTES:
        raise refuse(f"holds an array of {size} bytes that the function closes over, expected at most {MOST_BYTES}; pass it as an argument and name it in weights_argnums")
    if dtype == torch.bfloat16:
        return _bf16(str(attribute)).reshape(shape)
    array = numpy.array(attribute)
    return torch.from_numpy(array.view(array.dtype.name.removeprefix("u")) if unsigned else array).reshape(shape)


def _bf16(text: str) -> torch.Tensor:
    """NumPy cannot read these: from the text, which has either all bytes or numbers, of which those that are not finite are bits."""
    if found := re.match(r'dense<"0x([0-9A-Fa-f]*)">', text):
        return torch.frombuffer(bytearray.fromhex(found[1]), dtype=torch.bfloat16)
    numbers = re.findall(r"0x[0-9A-Fa-f]+|-?\d+\.\d+(?:[Ee][-+]?\d+)?", text.partition(":")[0])
    return torch.stack([torch.tensor(int(n, 16)).to(torch.int16).view(torch.bfloat16) if n.startswith("0x") else torch.tensor(float(n), dtype=torch.bfloat16) for n in numbers])
