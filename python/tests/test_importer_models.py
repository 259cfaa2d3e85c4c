"""Whole models: they import, verify and compute what PyTorch computes."""

import math

import torch
import torch.nn.functional as F
from torch import nn


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_perceptron_with_dictionary_of_outputs(check):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc1, self.fc2 = nn.Linear(7, 13), nn.Linear(13, 5)

        def forward(self, x):
            hidden = torch.relu(self.fc1(x))
            return {"logits": self.fc2(hidden), "hidden": hidden}

    torch.manual_seed(0)
    imported = check(Model(), random(3, 7))
    assert [info.name for info in imported.outputs] == ["logits", "hidden"]
    assert sorted(imported.parameters) == ["fc1.bias", "fc1.weight", "fc2.bias", "fc2.weight"]


def test_convolutional_classifier(check):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2))
            self.depthwise = nn.Conv2d(6, 6, 3, padding=1, groups=6, bias=False)
            self.head = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 10))

        def forward(self, x):
            return self.head(F.silu(self.depthwise(self.stem(x))))

    torch.manual_seed(0)
    check(Model(), random(2, 1, 8, 8))


class GPT(nn.Module):
    """Two blocks with learned positions and a head that shares its weight with the embedding."""

    def __init__(self, vocabulary=29, width=16, heads=4, length=6):
        super().__init__()
        self.heads = heads
        self.wte, self.wpe = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
        names = ("ln1", "ln2", "qkv", "proj", "up", "down")
        self.blocks = nn.ModuleList(
            nn.ModuleDict(
                zip(
                    names,
                    (nn.LayerNorm(width), nn.LayerNorm(width), nn.Linear(width, 3 * width), nn.Linear(width, width), nn.Linear(width, 4 * width), nn.Linear(4 * width, width)),
                )
            )
            for _ in range(2)
        )
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)
        self.head.weight = self.wte.weight

    def forward(self, ids):
        batch, length = ids.shape
        x = self.wte(ids) + self.wpe(torch.arange(length))
        for block in self.blocks:
            q, k, v = (t.view(batch, length, self.heads, -1).transpose(1, 2) for t in block["qkv"](block["ln1"](x)).chunk(3, -1))
            mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + block["proj"](mixed.transpose(1, 2).reshape(batch, length, -1))
            x = x + block["down"](F.gelu(block["up"](block["ln2"](x)), approximate="tanh"))
        return self.head(self.norm(x))


def test_gpt(check):
    torch.manual_seed(0)
    imported = check(GPT(), torch.randint(0, 29, (2, 6)), tolerance=1e-4)
    assert "wte.weight" in imported.parameters or "head.weight" in imported.parameters


class LlamaBlock(nn.Module):
    """Rotary positions, grouped key heads, gated feed-forward; attention written by hand with a mask."""

    def __init__(self, width=16, heads=4, key_heads=2, hidden=24, length=5):
        super().__init__()
        self.heads, self.key_heads, size = heads, key_heads, width // heads
        self.norm1, self.norm2 = nn.RMSNorm(width, eps=1e-6), nn.RMSNorm(width, eps=1e-6)
        self.q, self.o = (nn.Linear(width, width, bias=False) for _ in range(2))
        self.k, self.v = (nn.Linear(width, key_heads * size, bias=False) for _ in range(2))
        self.gate, self.up, self.down = nn.Linear(width, hidden, bias=False), nn.Linear(width, hidden, bias=False), nn.Linear(hidden, width, bias=False)
        frequencies = 10000 ** (-torch.arange(0, size, 2) / size)
        self.register_buffer("frequencies", frequencies, persistent=False)

    def rotate(self, x):
        angles = torch.outer(torch.arange(x.shape[-2]), self.frequencies).repeat(1, 2)
        first, second = x.chunk(2, -1)
        return x * angles.cos() + torch.cat([-second, first], -1) * angles.sin()

    def forward(self, x):
        batch, length, width = x.shape
        normed = self.norm1(x)
        q, k, v = (layer(normed).view(batch, length, -1, width // self.heads).transpose(1, 2) for layer in (self.q, self.k, self.v))
        q, k = self.rotate(q), self.rotate(k)
        k, v = (t.repeat_interleave(self.heads // self.key_heads, 1) for t in (k, v))
        scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
        hidden = torch.ones(length, length, dtype=torch.bool).triu(1)
        mixed = scores.masked_fill(hidden, -math.inf).softmax(-1) @ v
        x = x + self.o(mixed.transpose(1, 2).flatten(2))
        normed = self.norm2(x)
        return x + self.down(F.silu(self.gate(normed)) * self.up(normed))


def test_llama_block(check):
    torch.manual_seed(0)
    imported = check(LlamaBlock(), random(2, 5, 16), tolerance=1e-4)
    assert "frequencies" not in imported.parameters


def test_encoder_of_pytorch(check):
    torch.manual_seed(0)
    check(nn.TransformerEncoderLayer(16, 4, 24, batch_first=True, activation="gelu"), random(2, 5, 16), tolerance=1e-4)


def test_recurrent_network(check):
    torch.manual_seed(0)

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = nn.LSTMCell(7, 5)

        def forward(self, x):
            state = (x.new_zeros(2, 5), x.new_zeros(2, 5))
            for step in x.unbind(1):
                state = self.cell(step, state)
            return state

    check(Model(), random(2, 3, 7), tolerance=1e-4)
