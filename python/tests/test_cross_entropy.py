"""Cross entropy whose logits stay on the wafer: PyTorch's loss and gradients."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import wafer
from wafer.compiler import nothing_for
from wafer.planning import Block, plan
from wafer.training import cross_entropy

TOKENS, INPUTS = 12, 8


@pytest.fixture(autouse=True)
def everywhere(monkeypatch):
    monkeypatch.setattr(cross_entropy, "pays", lambda machine, tokens, classes: True)


def trained(classes, loss=F.cross_entropy, machine="small", precision="f32", target=None, bias=None, **how):
    """A step of gradient descent, its loss and new weights, and what PyTorch has for them."""
    torch.manual_seed(0)
    model, x = nn.Linear(INPUTS, classes), torch.randn(TOKENS, INPUTS)
    if bias is not None:
        model.bias.data[:] = bias
    target = torch.randint(0, classes, (TOKENS,)) if target is None else target
    step = wafer.train_step(model, loss, wafer.optim.SGD(lr=1.0), example=(x, target), machine=machine, precision=precision, shards=1, **how)
    found = float(step(x, target)), {name: np.asarray(value) for name, value in step.state_dict().items()}
    expected = loss(model(x), target)
    expected.backward()
    return step, found, (float(expected.detach()), {name: (parameter - parameter.grad).detach().numpy() for name, parameter in model.named_parameters()})


def check(*arguments, tolerance=1e-5, **how):
    step, (loss, weights), (wanted, wanted_weights) = trained(*arguments, **how)
    assert loss == pytest.approx(wanted, rel=tolerance, abs=tolerance)
    for name, value in wanted_weights.items():
        np.testing.assert_allclose(weights[name], value, rtol=tolerance, atol=tolerance)
    return step


@pytest.mark.parametrize("machine", ["tiny", "odd", "small"])
@pytest.mark.parametrize("classes", [5, 300])
def test_loss_and_gradients_are_those_of_pytorch(machine, classes):
    check(classes, machine=machine)


@pytest.mark.parametrize("precision, tolerance", [("f16", 2e-3), ("bf16", 2e-2)])
def test_numbers_of_16_bits_tell_all_classes_apart(precision, tolerance):
    target = torch.tensor([0, 1, 255, 256, 257, 511, 512, 2047, 2048, 2049, 2999, 3000])
    check(3001, precision=precision, tolerance=tolerance, target=target)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_tokens_that_are_ignored_count_nothing(reduction):
    target = torch.tensor([3, -100, 1, 0, -100, -100, 4, 2, 2, 1, -100, 0])
    check(5, lambda y, target: F.cross_entropy(y, target, reduction=reduction), target=target, reduction=reduction)


def test_a_class_without_a_chance_is_no_nan():
    check(5, target=torch.tensor([0, 1] * 6), bias=torch.tensor([0, 1, -math.inf, 2, 3]))


def test_a_nan_reaches_the_loss():
    _, (loss, weights), _ = trained(5, bias=torch.tensor([0, 1, math.nan, 2, 3]))
    assert math.isnan(loss) and np.isnan(weights["weight"]).all()


def test_what_it_does_not_compute_is_computed_as_before():
    check(5, lambda y, target: F.cross_entropy(y, target, label_smoothing=0.1))
    check(5, lambda y, target: F.cross_entropy(y, target, reduction="none").mean())
    check(5, lambda y, target: F.cross_entropy(y, target, weight=torch.arange(1.0, 6)))


def test_logits_of_a_large_vocabulary_stay_on_the_wafer(monkeypatch):
    monkeypatch.undo()
    width, classes, tokens = 512, 16384, 8192
    with torch.device("meta"):
        head = nn.Linear(width, classes, bias=False)
    planned = plan([Block("head", head, (torch.empty(tokens, width), torch.empty(tokens, dtype=torch.int64)), 1, F.cross_entropy)], machine="wse3", train=True)
    assert planned.total("transfers") < tokens * classes / 2 / planned.ingest


def test_it_pays_where_many_classes_would_cross(monkeypatch):
    monkeypatch.undo()
    wse3, small = (nothing_for(name).machine_description for name in ("wse3", "small"))
    assert cross_entropy.pays(wse3, 90112, 32000)
    assert not cross_entropy.pays(small, 64, 10)
    assert not cross_entropy.pays(wse3, 90112, 128256)  # of which bfloat16 has no two digits
