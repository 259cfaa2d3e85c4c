"""Attention whose keys and values pass from core to core: the same bits in both engines, the numbers of PyTorch."""

import numpy as np
import pytest
import torch
from torch import nn

import wafer
from wafer.frontends.aten import attend

# machine, batch, tokens, heads, columns that share one, size: odd numbers of rows and tokens, one row, one token, several heads, or parts of heads, in a column.
SHAPES = [
    ("small", 2, 16, 2, 1, 4),
    ("small", 2, 20, 4, 1, 4),
    ("small", 1, 48, 2, 1, 8),
    ("tiny", 1, 6, 2, 1, 4),
    ("odd", 1, 7, 1, 1, 2),
    ("odd", 1, 10, 3, 1, 6),
    ("odd", 1, 15, 6, 1, 2),
    ("small", 1, 1, 2, 1, 4),
    ("small", 2, 16, 2, 2, 4),
    ("small", 4, 20, 4, 2, 4),
    ("tiny", 1, 6, 2, 2, 4),
    ("tiny", 1, 8, 6, 2, 2),
    ("odd", 1, 7, 1, 2, 2),
    ("odd", 1, 10, 3, 2, 4),
    ("small", 1, 1, 2, 2, 4),
]


class Attend(nn.Module):
    def __init__(self, heads, is_causal, across=1):
        super().__init__()
        self.how = heads, 0.4, is_causal, across

    def forward(self, qkv, rotation=None):
        return torch.ops.wafer.attend(qkv, rotation, *self.how)


class Gradient(Attend):
    def forward(self, qkv, gradient, rotation=None):
        return torch.ops.wafer.attend_gradient(qkv, gradient, rotation, *self.how)


def check(module, inputs, machine, precision="f32", tolerance=1e-5):
    program = wafer.compile(module.eval(), inputs, machine=machine, precision=precision)
    assert "memoryx" not in str(program.report()).split("last run")[0]
    found = program(*inputs)
    assert np.asarray(program(*inputs, engine="cycle")).tobytes() == np.asarray(found).tobytes()
    torch.testing.assert_close(torch.as_tensor(np.asarray(found)), module(*inputs), rtol=tolerance, atol=tolerance)
    return program


@pytest.mark.parametrize("is_causal", [True, False])
@pytest.mark.parametrize("machine, batch, tokens, heads, across, size", SHAPES)
def test_a_query_sees_all_blocks_once(machine, batch, tokens, heads, across, size, is_causal):
    torch.manual_seed(0)
    check(Attend(heads, is_causal, across), (torch.randn(batch, tokens, 3 * heads * size),), machine)


@pytest.mark.parametrize("is_causal", [True, False])
@pytest.mark.parametrize("machine, batch, tokens, heads, across, size", SHAPES)
def test_sums_of_gradients_come_home(machine, batch, tokens, heads, across, size, is_causal):
    torch.manual_seed(0)
    check(Gradient(heads, is_causal, across), (torch.randn(batch, tokens, 3 * heads * size), torch.randn(batch, tokens, heads * size)), machine)


@pytest.mark.parametrize("across", [1, 2])
@pytest.mark.parametrize("entries", [1, 2])
@pytest.mark.parametrize("kind", [Attend, Gradient])
@pytest.mark.parametrize("of_table", [32, 16], ids=["all", "first halves"])
def test_queries_and_keys_are_turned_by_their_places(of_table, kind, entries, across):
    torch.manual_seed(0)
    others = () if kind is Attend else (torch.randn(2, 12, 16),)
    check(kind(4, True, across), (torch.randn(2, 12, 48), *others, torch.randn(entries, 12, of_table)), "small")


@pytest.mark.parametrize("across", [1, 2])
@pytest.mark.parametrize("kind", [Attend, Gradient])
def test_products_of_16_bits_are_added_in_32(kind, across):
    torch.manual_seed(0)
    others = () if kind is Attend else (torch.randn(2, 24, 32),)
    check(kind(4, True, across), (torch.randn(2, 24, 96), *others), "small", "f16", 1e-2)


def test_large_scores_do_not_overflow():
    torch.manual_seed(0)
    check(Attend(2, True), (60 * torch.randn(1, 16, 24),), "small", tolerance=1e-4)


def test_a_nan_reaches_what_sees_it_and_nothing_else():
    x = torch.randn(2, 8, 24)
    x[1, 3] = torch.nan
    program = wafer.compile(Attend(2, False).eval(), (x,), machine="small", precision="f32")
    found = torch.as_tensor(np.asarray(program(x)))
    assert not found[0].isnan().any() and found[1].isnan().all()


def test_all_pairs_are_counted():
    x = torch.randn(2, 16, 24)
    program = check(Attend(2, True), (x,), "small")
    assert program.stats.macs_executed == 2 * 2 * 16 * 16 * 8 == program.stats.macs_dense


@pytest.mark.parametrize("across", [1, 2])
def test_the_reference_is_pytorchs_attention(across):
    torch.manual_seed(0)
    qkv = torch.randn(2, 6, 24, requires_grad=True)
    q, k, v = (part.reshape(2, 6, 4 // across, 2, across).permute(0, 3, 1, 2, 4).flatten(-2) for part in qkv.split(8, -1))
    attended = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True, scale=0.3)
    wanted = attended.unflatten(-1, (-1, across)).permute(0, 2, 3, 1, 4).reshape(2, 6, 8)
    torch.testing.assert_close(attend.attend(qkv, None, 2, 0.3, True, across), wanted)
    gradient = torch.randn_like(wanted)
    found, expected = (torch.autograd.grad(made, qkv, gradient, retain_graph=True)[0] for made in (torch.ops.wafer.attend(qkv, None, 2, 0.3, True, across), wanted))
    torch.testing.assert_close(found, expected)
