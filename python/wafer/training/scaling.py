"""Loss scaling: f16 holds no gradient smaller than 6e-8, so the loss is multiplied before the backward pass and gradients are divided after it."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class LossScale:
    """A power of two that halves when a gradient overflows and doubles after `interval` steps in which none did."""

    scale: float = 2.0**14
    good_steps: int = 0
    interval: int = 200

    def after(self, overflow: bool) -> LossScale:
        """The scale for the next step."""
        if overflow:
            return dataclasses.replace(self, scale=max(self.scale / 2, 1.0), good_steps=0)
        if self.good_steps + 1 < self.interval:
            return dataclasses.replace(self, good_steps=self.good_steps + 1)
        # Beyond this a scale is no use: f32 holds it, f16 does not.
        return dataclasses.replace(self, scale=min(self.scale * 2, 2.0**15), good_steps=0)


NO_SCALE = LossScale(scale=1.0)
