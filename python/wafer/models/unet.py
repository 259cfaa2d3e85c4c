"""U-Net (Ronneberger and others, 2015) with batch norm and padded convolutions; transposed convolutions on the way up."""

from __future__ import annotations

import torch
from torch import nn


def double_convolution(channels_in: int, channels: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for source in (channels_in, channels):
        layers += [nn.Conv2d(source, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """Images [batch, channels, height, width] to a map of classes of the same size; each of the `widths` after the first halves the image."""

    def __init__(self, channels: int = 3, classes: int = 2, widths: tuple[int, ...] = (64, 128, 256, 512, 1024)):
        super().__init__()
        self.down = nn.ModuleList(double_convolution(a, b) for a, b in zip((channels, *widths), widths))
        pairs = list(zip(widths[::-1], widths[-2::-1]))
        self.up = nn.ModuleList(nn.ConvTranspose2d(low, high, 2, 2) for low, high in pairs)
        self.join = nn.ModuleList(double_convolution(2 * high, high) for _, high in pairs)
        self.pool, self.head = nn.MaxPool2d(2), nn.Conv2d(widths[0], classes, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x, skipped = images, []
        for i, block in enumerate(self.down):
            x = block(self.pool(x) if i else x)
            skipped.append(x)
        for up, join, skip in zip(self.up, self.join, skipped[-2::-1]):
            x = join(torch.cat([skip, up(x)], 1))
        return self.head(x)
