"""Training steps on the wafer beside PyTorch's own, from the same start."""

import copy

import pytest
import torch
from torch import nn

import wafer


def perceptron() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, 3))


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(8, 6, generator=generator), torch.randint(0, 3, (8,), generator=generator)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (lambda: wafer.optim.SGD(lr=0.1, momentum=0.9), lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9)),
        (lambda: wafer.optim.AdamW(lr=0.01), lambda p: torch.optim.AdamW(p, lr=0.01)),
    ],
    ids=["SGD", "AdamW"],
)
def test_losses_and_weights_follow_pytorch(ours, theirs):
    model, (x, target) = perceptron(), batch()
    reference = copy.deepcopy(model)
    optimizer = theirs(reference.parameters())
    step = wafer.train_step(model, nn.functional.cross_entropy, ours(), (x, target), machine="odd", precision="f32")
    for _ in range(6):
        loss = step(x, target)
        optimizer.zero_grad()
        wanted = nn.functional.cross_entropy(reference(x), target)
        wanted.backward()
        optimizer.step()
        assert float(loss) == pytest.approx(wanted.item(), rel=1e-5)
    model.load_state_dict(step.state_dict())
    for found, expected in zip(model.parameters(), reference.parameters()):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_a_step_does_not_depend_on_the_number_of_systems():
    x, target = batch()
    states = []
    for systems in (1, 2):
        step = wafer.train_step(perceptron(), nn.functional.cross_entropy, wafer.optim.SGD(lr=0.1), (x, target), machine="odd", precision="f32", systems=systems)
        for _ in range(3):
            step(x, target)
        states.append(step.state_dict())
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name


def test_resuming_from_a_checkpoint_gives_the_same_bits(tmp_path):
    x, target = batch()

    def fresh():
        return wafer.train_step(perceptron(), nn.functional.cross_entropy, wafer.optim.AdamW(lr=0.01), (x, target), machine="odd", precision="f32")

    undisturbed, first, second = fresh(), fresh(), fresh()
    for _ in range(4):
        undisturbed(x, target)
    for _ in range(2):
        first(x, target)
    first.save(tmp_path / "checkpoint")
    second.load(tmp_path / "checkpoint")
    for _ in range(2):
        second(x, target)
    for name, value in undisturbed.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name
