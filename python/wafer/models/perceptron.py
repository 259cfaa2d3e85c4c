"""A multi-layer perceptron."""

from __future__ import annotations

from torch import Tensor, nn


class Perceptron(nn.Sequential):
    """Linear layers with ReLU between them; x [batch, sizes[0]] to [batch, sizes[-1]]."""

    def __init__(self, sizes: tuple[int, ...] = (784, 512, 10)):
        layers: list[nn.Module] = []
        for i, (features_in, features_out) in enumerate(zip(sizes, sizes[1:])):
            layers += [nn.ReLU()] if i else []
            layers.append(nn.Linear(features_in, features_out))
        super().__init__(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)
