"""What operations of StableHLO compute, by kind; importing this package registers them."""

from wafer.frontends.stablehlo_ops import (  # noqa: F401
    contractions,
    control,
    elementwise,
    indexing,
    reductions,
    scatter,
    shapes,
    windows,
)
