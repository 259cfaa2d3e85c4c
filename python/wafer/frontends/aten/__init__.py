"""Lowerings of ATen operations, by kind; importing this package registers them."""

from wafer.frontends.aten import (  # noqa: F401
    again,
    attend,
    attention,
    backward,
    choices,
    contractions,
    convolution,
    distances,
    elementwise,
    indexing,
    normalization,
    pooling,
    quantized,
    reductions,
    scatter,
    scatter_loops,
    selection,
    shapes,
    sorting,
    token_sums,
)
