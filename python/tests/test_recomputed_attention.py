"""Attention whose probabilities the backward pass computes again, as on machines where sending them costs more."""

import pytest
import torch
from torch import nn

import wafer
from wafer.compiler import nothing_for
from wafer.training import attention


class Attention(nn.Module):
    """Projections, heads and a mask."""

    def __init__(self, width=16, heads=4, key_heads=4, causal=True):
        super().__init__()
        self.heads, self.key_heads, self.causal = heads, key_heads, causal
        size = width // heads
        self.q, self.k, self.v = nn.Linear(width, width), nn.Linear(width, key_heads * size), nn.Linear(width, key_heads * size)
        self.o = nn.Linear(width, width)

    def forward(self, x, seen=None):
        batch, length, width = x.shape
        q, k, v = (f(x).view(batch, length, -1, width // self.heads).transpose(1, 2) for f in (self.q, self.k, self.v))
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, seen, is_causal=self.causal, enable_gqa=self.heads != self.key_heads)
        return self.o(mixed.transpose(1, 2).reshape(batch, length, width))


@pytest.mark.parametrize("height", [1, 10], ids=["keys in place", "sums over queries"])
@pytest.mark.parametrize("kind", ["open", "causal", "mask", "bias", "large"])
def test_its_gradients_are_those_of_pytorch(kind, height):
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, 3, 10, 8, dtype=torch.float64, requires_grad=True) for _ in range(3))
    mask = {"mask": torch.rand(2, 1, 10, 10) > 0.4, "bias": torch.randn(10, 10, dtype=torch.float64)}.get(kind)
    if kind == "large":  # scores far beyond what exp takes
        q = (4000 * q).detach().requires_grad_()
    if kind == "mask":
        mask[0, 0, 3] = False  # a query that sees no key
    expected = nn.functional.scaled_dot_product_attention(q, k, v, mask, is_causal=kind == "causal")
    found = attention.attention({"accumulator_bytes": 8, "height": height}, q, k, v, mask, is_causal=kind == "causal")
    torch.testing.assert_close(found, expected)
    gradient = torch.randn_like(expected)
    torch.testing.assert_close(torch.autograd.grad(found, (q, k, v), gradient), torch.autograd.grad(expected, (q, k, v), gradient))


def trained(precision, model, inputs, target):
    step = wafer.train_step(model, lambda y, target: ((y - target) ** 2).mean(), wafer.optim.SGD(lr=0.5), example=(*inputs, target), machine="small", precision=precision)
    loss = step(*inputs, target)
    return loss, step.state_dict(), step


@pytest.mark.parametrize(("precision", "tolerance"), [("f32", 2e-5), ("f16", 4e-3)])
@pytest.mark.parametrize("key_heads", [4, 2])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("sums", [False, True])
def test_a_step_with_it_is_pytorchs(monkeypatch, precision, tolerance, key_heads, masked, sums):
    monkeypatch.setattr(attention, "pays", lambda machine, features: True)
    monkeypatch.setattr(attention, "sums_fit", lambda machine, tokens: sums)
    torch.manual_seed(1)
    model = Attention(key_heads=key_heads, causal=not masked)
    x, target = torch.randn(2, 24, 16), torch.randn(2, 24, 16)
    inputs = (x, torch.rand(2, 1, 24, 24) > 0.3) if masked else (x,)
    loss, found, _ = trained(precision, model, inputs, target)
    expected_loss = ((model(*inputs) - target) ** 2).mean()
    expected_loss.backward()
    assert float(loss) == pytest.approx(expected_loss.item(), rel=tolerance)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(found[name], (parameter - 0.5 * parameter.grad).detach(), rtol=tolerance, atol=tolerance)


def test_probabilities_do_not_cross(monkeypatch):
    """They are 4 x 96 x 96 numbers, more than all else that leaves the wafer."""
    model, x = Attention(), torch.randn(1, 96, 16)

    def leaves(recomputed: bool) -> int:
        monkeypatch.setattr(attention, "pays", lambda machine, features: recomputed)
        return trained("f32", model, (x,), x)[2].stats["total"]["bytes_streamed"]["activations_out"]

    probabilities = 4 * 4 * 96 * 96
    assert leaves(True) < probabilities < leaves(False)


def test_sums_over_queries_need_a_column_that_they_divide():
    wafer_ = nothing_for("wse3").machine_description
    assert attention.sums_fit(wafer_, 4096) and attention.sums_fit(wafer_, 64 * 1171) and not attention.sums_fit(wafer_, 4099)


def test_a_full_wafer_computes_again_and_a_small_one_keeps():
    assert attention.pays(nothing_for("wse3").machine_description, 128)
    assert not attention.pays(nothing_for("tiny").machine_description, 64)
