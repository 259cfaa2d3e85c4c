"""Zeros in a checkpoint are found without a flag: they are neither sent nor multiplied, and results do not change."""

import pytest
import torch
from torch import nn

import wafer


def pruned(density: float) -> nn.Linear:
    torch.manual_seed(0)
    model = nn.Linear(37, 29, bias=False).eval()
    with torch.no_grad():
        model.weight[torch.rand(model.weight.shape) >= density] = 0
    return model


@pytest.mark.parametrize("density", [0.4, 0.1, 0.0])
def test_only_kept_weights_are_sent_and_multiplied(density):
    model, x = pruned(density), torch.rand(11, 37)
    kept = int(model.weight.count_nonzero())
    program = wafer.compile(model, (x,), machine="odd", precision="f16")
    y = program(x)
    tokens = program.stats.macs_executed // max(1, kept)
    assert program.stats.macs_executed == kept * tokens and (kept == 0 or tokens >= 11)
    assert program.stats.bytes_by_kind["weights"] == 4 * kept
    assert torch.equal(y, program(x, engine="cycle"))
    assert program.stats.macs_executed == kept * tokens


def test_the_bits_are_those_of_the_dense_program_with_zeros_in_place():
    model, x = pruned(0.2), torch.rand(11, 37)
    sparse = wafer.compile(model, (x,), machine="odd", precision="f16")
    dense = wafer.compile(nn.Linear(37, 29, bias=False), (x,), machine="odd", precision="f16").set_weights(model.state_dict())
    assert torch.equal(sparse(x), dense(x))
    assert sparse.stats.macs_executed < dense.stats.macs_executed


def test_weights_that_turn_out_dense_are_still_right():
    x = torch.rand(11, 37)
    program = wafer.compile(pruned(0.1), (x,), machine="odd", precision="f16")
    full = nn.Linear(37, 29, bias=False).eval()
    program.set_weights(full.state_dict())
    torch.testing.assert_close(program(x), full(x), atol=2e-3, rtol=2e-3)


def test_a_nan_beside_zeros_reaches_only_what_multiplies_it():
    """As documented in docs/spec/weight-stream.md: a weight that is not sent multiplies nothing, not even a NaN."""
    model, x = pruned(0.2), torch.rand(3, 37)
    x[1, 5] = float("nan")
    program = wafer.compile(model, (x,), machine="odd", precision="f16")
    y = program(x)
    assert torch.equal(y, program(x, engine="cycle")) or torch.equal(y.isnan(), program(x, engine="cycle").isnan())
    assert torch.equal(y[1].isnan(), model.weight[:, 5] != 0)
    assert not y[0].isnan().any() and not y[2].isnan().any()
