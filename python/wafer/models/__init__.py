"""Model families, in plain PyTorch from their public architecture: what the tests and `python -m wafer compare` run.

    model, inputs = wafer.models.families()["llama"].build("tiny")

Weights are random and the same each time, but for the models of trained.py. "tiny" compiles and runs in about a second, "small" takes a few.
"""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    Built = tuple[torch.nn.Module, tuple[torch.Tensor, ...]]

SIZES = ("tiny", "small")


@dataclasses.dataclass(frozen=True)
class Family:
    """`make(size)` gives a model and example inputs; `kind` is "dense", "convolutional", "transformer" or "recurrent"; `needs` is a module that it imports."""

    name: str
    kind: str
    make: Callable[[str], Built]
    needs: str | None = None

    @property
    def is_available(self) -> bool:
        """Whether what it needs is installed."""
        return self.needs is None or importlib.util.find_spec(self.needs) is not None

    def build(self, size: str = "tiny", seed: int = 0) -> Built:
        """The model in eval mode and inputs for it, both drawn from `seed`; the random state of the caller stays as it was."""
        import torch

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model, inputs = self.make(size)
        return model.eval(), inputs


def families() -> Mapping[str, Family]:
    """All families by name."""
    from wafer.models import catalogue

    return {family.name: family for family in catalogue.FAMILIES}
