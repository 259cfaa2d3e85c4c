"""Which ATen overloads the importer knows, and how each becomes MLIR."""

from __future__ import annotations

import difflib
from collections.abc import Callable

Lowering = Callable[..., object]

_LOWERINGS: dict[str, Lowering] = {}

# What is refused although one might expect it, and what to do instead.
_INSTEAD = {
    "aten._embedding_bag": "use torch.nn.Embedding and a sum or mean over its rows",
    "aten._fft": "it gives complex numbers; multiply by matrices of cosines and sines",
    "aten.linalg": "it is a factorisation; compute what it gives outside and pass it in",
}


def lowering(*overloads: str) -> Callable[[Lowering], Lowering]:
    """Register a function for ATen overloads such as "aten.addmm.default".

    The function gets the import context and the node's arguments, with Tensors where the graph has values, and returns a Tensor or a tuple of
    them.
    """

    def register(function: Lowering) -> Lowering:
        for overload in overloads:
            assert overload not in _LOWERINGS, f"{overload} has two lowerings"
            _LOWERINGS[overload] = function
        return function

    return register


def find(overload: str) -> Lowering | None:
    return _LOWERINGS.get(overload)


def supported() -> list[str]:
    """All overloads of PyTorch's, sorted."""
    return sorted(name for name in _LOWERINGS if not name.startswith("wafer."))


def instead(overload: str) -> str | None:
    """What a person may write in place of an operation without a lowering, if that is known."""
    return next((hint for name, hint in _INSTEAD.items() if overload.startswith(name)), None)


def nearest(overload: str) -> list[str]:
    """Up to three supported overloads, other overloads of the same operation first, then by likeness of the name."""
    stem = overload.rpartition(".")[0]
    same = [name for name in supported() if name.rpartition(".")[0] == stem]
    like = difflib.get_close_matches(overload, supported(), n=3, cutoff=0.5)
    return list(dict.fromkeys(same + like))[:3]
