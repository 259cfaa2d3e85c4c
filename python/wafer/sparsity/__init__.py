"""Sparsity: zeros that are made (pruning, sparse training), and what was gained from them.

    wafer.sparsity.prune(model, 0.75)                                              zeros in a model, by magnitude or by what they change
    wafer.train_step(..., sparsity=wafer.sparsity.RigL(0.75, update_every=50))     zeros from the first step on
    wafer.sparsity.iso_flop(model, 0.75)                                           larger layers that take as much arithmetic once they are sparse
    wafer.sparsity.report(program)                                                 what the zeros of each layer saved, and why others did not
"""

from wafer.sparsity.dynamic import GMP, SET, Method, RigL, Static
from wafer.sparsity.masks import check
from wafer.sparsity.pruning import prune
from wafer.sparsity.report import LayerReport, Report, report

__all__ = ["GMP", "SET", "LayerReport", "Method", "Report", "RigL", "Static", "check", "iso_flop", "prune", "report"]


def __getattr__(name: str) -> object:
    # Its layers are modules of PyTorch, which the package does without until it is asked for them.
    if name == "iso_flop":
        from wafer.sparsity.larger import iso_flop

        return iso_flop
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
