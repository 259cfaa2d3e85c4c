"""A classifier of sequences: embedding, LSTM layers (Hochreiter and Schmidhuber, 1997), a linear layer on the last state."""

from __future__ import annotations

import torch
from torch import nn


class LSTMClassifier(nn.Module):
    """ids [batch, length] to [batch, classes]. Steps of time are unrolled when the model is compiled."""

    def __init__(self, vocabulary: int = 10000, width: int = 128, hidden: int = 256, layers: int = 2, classes: int = 10):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.lstm = nn.LSTM(width, hidden, layers, batch_first=True)
        self.head = nn.Linear(hidden, classes)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        states, _ = self.lstm(self.embedding(ids))
        return self.head(states[:, -1])
