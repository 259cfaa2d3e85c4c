"""ONNX operators, by kind; importing this package registers them."""

from wafer.frontends.onnx_ops import (  # noqa: F401
    attention,
    contractions,
    control,
    elementwise,
    indexing,
    normalization,
    quantization,
    recurrent,
    reductions,
    resizing,
    shapes,
    windows,
)
