"""Lowerings of ATen operations, by kind; importing this package registers them."""

from wafer.frontends.aten import (  # noqa: F401
    attention,
    backward,
    contractions,
    convolution,
    elementwise,
    indexing,
    normalization,
    pooling,
    reductions,
    scatter,
    shapes,
    sorting,
)
