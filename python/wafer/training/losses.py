"""Losses and metrics that a configuration file can name."""

from __future__ import annotations

import torch
from torch.nn import functional as F


def next_token(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Cross entropy of logits [batch, tokens, vocabulary] and tokens [batch, tokens], averaged over all of them."""
    return F.cross_entropy(logits.flatten(0, 1), target.flatten())


def accuracy(output: torch.Tensor, target: torch.Tensor) -> float:
    """Share of samples (or tokens) whose most likely class is the target."""
    return float((output.argmax(-1) == target).float().mean())
