"""Larger layers that are sparse take as much arithmetic as the dense ones that they replace."""

import copy

import pytest
import torch
import wafer
from torch import nn
from torch.nn import functional as F
from wafer import sparsity

WIDTH, HIDDEN, TOKENS = 48, 64, 32


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.up, self.down = nn.Linear(WIDTH, HIDDEN), nn.Linear(HIDDEN, WIDTH, bias=False)

    def forward(self, x):
        return self.down(F.gelu(self.up(x)))


def macs(step) -> int:
    return sum(run["macs"] for phase in step.stats["phases"] for run in phase.get("steps", []))


def trained(model, method=None):
    torch.manual_seed(1)
    x, target = torch.randn(TOKENS, WIDTH), torch.randn(TOKENS, WIDTH)
    step = wafer.train_step(model, F.mse_loss, wafer.optim.Adam(lr=3e-3), (x, target), machine="tiny", precision="f32", shards=1, sparsity=method)
    losses = [float(step(x, target)) for _ in range(12)]
    return step, losses


@pytest.mark.parametrize("zeros", [0.5, 0.75])
@pytest.mark.parametrize("family", ["wide", "parallel", "factorized", "doped"])
def test_a_step_takes_about_as_many_products_as_a_dense_one(family, zeros):
    torch.manual_seed(0)
    dense = Model()
    sparse = copy.deepcopy(dense)
    names = sparsity.iso_flop(sparse, zeros, family)
    step, losses = trained(sparse, sparsity.Static(zeros, include=names))
    beside, _ = trained(dense)
    assert losses[-1] < losses[0]
    # Fewer behind a ReLU, whose zeros are skipped as well; more where a first layer becomes two, of which the second has a delta.
    assert 0.6 * macs(beside) < macs(step) < 1.1 * macs(beside)


def test_patterns_choose_layers_and_names_are_those_to_make_sparse():
    model = Model()
    assert sparsity.iso_flop(model, 0.75, include=["up.weight"]) == [f"up.branches.{i}.weight" for i in range(4)]
    assert isinstance(model.down, nn.Linear)
    assert {name for name, _ in model.named_parameters()} == {f"up.branches.{i}.weight" for i in range(4)} | {"up.bias", "down.weight"}


def test_what_cannot_be_is_said():
    with pytest.raises(wafer.RuntimeError, match="found family 'deep', expected one of wide, parallel, factorized, doped"):
        sparsity.iso_flop(Model(), 0.5, "deep")
    with pytest.raises(wafer.RuntimeError, match="found the pattern 'fc9.\\*'"):
        sparsity.iso_flop(Model(), 0.5, include=["fc9.*"])
    with pytest.raises(wafer.RuntimeError, match="put it into nn.Sequential"):
        sparsity.iso_flop(nn.Linear(4, 4), 0.5)


def test_a_wide_pair_has_as_many_kept_weights_and_runs():
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(16, 24), nn.ReLU(), nn.Linear(24, 16)), torch.randn(10, 16)
    dense = sum(layer.weight.numel() for layer in model if isinstance(layer, nn.Linear))
    names = sparsity.iso_flop(model, 0.75, "wide")
    assert names == ["0.weight", "2.weight"] and model[0].out_features == 96 == model[2].in_features
    sparsity.prune(model, 0.75)
    assert sum(int(layer.weight.count_nonzero()) for layer in model if isinstance(layer, nn.Linear)) == dense
    torch.testing.assert_close(wafer.compile(model, (x,), machine="tiny", precision="f32")(x), model(x).detach(), rtol=1e-5, atol=1e-5)


def test_what_is_no_pair_cannot_be_widened():
    with pytest.raises(wafer.RuntimeError, match="expected pairs"):
        sparsity.iso_flop(nn.Sequential(nn.Linear(4, 4)), 0.5, "wide")
    with pytest.raises(wafer.RuntimeError, match="one reads what the other gives"):
        sparsity.iso_flop(nn.Sequential(nn.Linear(4, 8), nn.Linear(4, 4)), 0.5, "wide")
