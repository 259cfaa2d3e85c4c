"""Gradients of sparse weights at kept positions: what they are, what they cost, and when all of them are made."""

import numpy
import pytest
import torch
import wafer
from torch import nn
from torch.nn import functional as F

X, TARGET = torch.randn(6, 20, generator=torch.Generator().manual_seed(1)), torch.tensor([0, 1, 2, 3, 0, 1])


def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(20, 33), nn.ReLU(), nn.Linear(33, 4))


def make(sparsity, **options):
    options = {"machine": "odd", "precision": "f32", "shards": 1} | options
    return wafer.train_step(model(), F.cross_entropy, wafer.optim.SGD(lr=1.0), (X, TARGET), sparsity=sparsity, **options)


def weights_and_gradients(step):
    """Before and after a step of plain descent, the difference is the gradient."""
    before = step.state_dict()
    step(X, TARGET)
    return before, {name: before[name] - tensor for name, tensor in step.state_dict().items()}


def test_gradients_are_those_of_pytorch_at_kept_positions_and_zero_elsewhere():
    step = make(wafer.sparsity.Static(0.7))
    before, found = weights_and_gradients(step)
    dense = model()
    dense.load_state_dict(before)
    F.cross_entropy(dense(X), TARGET).backward()
    for name, parameter in dense.named_parameters():
        mask = torch.from_numpy(step.masks[name]) if name in step.masks else torch.ones_like(parameter, dtype=torch.bool)
        torch.testing.assert_close(found[name], torch.where(mask, parameter.grad, 0.0), atol=1e-6, rtol=1e-5)


def test_each_pass_multiplies_by_kept_weights_only():
    step = make(wafer.sparsity.Static(0.75), machine="tiny")
    step(X, TARGET)
    program = step.stats
    padded = {phase["name"]: phase for phase in program["phases"] if phase["placement"] == "wafer"}
    assert padded
    kept = {name: int(mask.sum()) for name, mask in step.masks.items()}
    counted = [(entry["name"], entry["macs"]) for phase in program["phases"] for entry in phase.get("steps", [])]
    tokens = len(X)
    for name, count in kept.items():
        gradients = [macs for step_name, macs in counted if step_name == f"gradient of {name}"]
        assert len(gradients) == 1 and gradients[0] >= count * tokens and gradients[0] % count == 0
    first = [macs for step_name, macs in counted if step_name == "0.weight"]
    assert len(first) == 1  # the input has no gradient


@pytest.mark.parametrize("precision", ["f32", "f16"])
@pytest.mark.parametrize("machine", ["odd", "tiny"])
def test_engines_give_the_same_bits(machine, precision):
    steps = [make(wafer.sparsity.Static(0.6), engine=engine, machine=machine, precision=precision) for engine in ("functional", "cycle")]
    for step in steps:
        step(X, TARGET)
        step(X, TARGET)
    one, other = (step.state_dict() for step in steps)
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_where_weights_may_come_all_gradients_are_made():
    step = make(wafer.sparsity.RigL(0.7, update_every=2, end=10))
    macs = []
    for _ in range(4):
        step(X, TARGET)
        macs.append(sum(entry["macs"] for phase in step.stats["phases"] for entry in phase.get("steps", []) if entry["name"].startswith("gradient of")))
    assert macs[1] == macs[3] > 3 * macs[0] and macs[0] == macs[2]


def test_a_convolution_has_a_gradient_too():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 4, 3), nn.Flatten(), nn.Linear(64, 3))
    x, target = torch.randn(4, 2, 6, 6), torch.tensor([0, 1, 2, 0])
    step = wafer.train_step(net, F.cross_entropy, wafer.optim.SGD(lr=1.0), (x, target), machine="tiny", precision="f32", shards=1, sparsity=wafer.sparsity.Static(0.5))
    before = step.state_dict()
    net.load_state_dict(before)
    step(x, target)
    F.cross_entropy(net(x), target).backward()
    for name, parameter in net.named_parameters():
        mask = torch.from_numpy(step.masks[name]) if name in step.masks else torch.ones_like(parameter, dtype=torch.bool)
        torch.testing.assert_close(before[name] - step.state_dict()[name], torch.where(mask, parameter.grad, 0.0), atol=1e-5, rtol=1e-4)


def test_a_mask_that_keeps_nothing_of_a_column_gives_zeros():
    step = make(wafer.sparsity.Static(0.99))
    _, found = weights_and_gradients(step)
    for name, mask in step.masks.items():
        assert numpy.count_nonzero(found[name].numpy()[~mask]) == 0
