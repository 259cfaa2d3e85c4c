"""Attention whose queries, keys and values stay on the wafer, as an operation of its own."""

import re

import pytest
import torch
from torch import nn

from wafer.frontends.aten import attend  # noqa: F401 - it defines torch.ops.wafer.attend
from wafer.frontends.torch import import_model
from wafer.training.joint import differentiate


class Attend(nn.Module):
    """Of what one projection makes."""

    def __init__(self, width: int, heads: int, size: int, scale: float, is_causal: bool):
        super().__init__()
        self.qkv, self.how = nn.Linear(width, 3 * heads * size), (heads, scale, is_causal)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.ops.wafer.attend(self.qkv(x), *self.how)


def by_pytorch(qkv: torch.Tensor, heads: int, scale: float, is_causal: bool) -> torch.Tensor:
    """As its documentation says, head by head."""
    *_, features = qkv.shape
    size = features // (3 * heads)
    queries, keys, values = (torch.stack([part[..., head::heads] for head in range(heads)], 1) for part in qkv.split(size * heads, -1))
    found = nn.functional.scaled_dot_product_attention(queries, keys, values, scale=scale, is_causal=is_causal)
    return torch.stack([found[..., d].transpose(1, 2) for d in range(size)], 2).flatten(2)


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("batch, tokens, heads, size", [(1, 5, 1, 4), (2, 7, 3, 2), (3, 1, 2, 4)])
def test_it_is_attention_with_features_in_turn(batch, tokens, heads, size, is_causal):
    torch.manual_seed(0)
    qkv = torch.randn(batch, tokens, 3 * heads * size, dtype=torch.float64, requires_grad=True)
    found, expected = torch.ops.wafer.attend(qkv, heads, 0.3, is_causal), by_pytorch(qkv, heads, 0.3, is_causal)
    torch.testing.assert_close(found, expected)
    gradient = torch.randn_like(expected)
    torch.testing.assert_close(torch.autograd.grad(found, qkv, gradient), torch.autograd.grad(expected, qkv, gradient))


def test_pytorch_takes_them_for_operations_of_its_own():
    qkv = torch.randn(2, 5, 24, requires_grad=True)
    torch.library.opcheck(torch.ops.wafer.attend.default, (qkv, 2, 0.5, True))
    torch.library.opcheck(torch.ops.wafer.attend_gradient.default, (qkv.detach(), torch.randn(2, 5, 8), 2, 0.5, True))


def test_features_are_three_parts():
    with pytest.raises(RuntimeError, match="expected .* 3 . 5 . size"):
        torch.ops.wafer.attend(torch.zeros(1, 4, 24, device="meta"), 5, 1.0, False)


def test_the_text_has_batch_entries_one_after_another():
    def text(batch, is_causal):
        imported = import_model(Attend(6, 2, 4, 0.125, is_causal), (torch.zeros(batch, 5, 6),))
        assert sum(imported.macs.values()) == batch * 5 * (6 * 24 + 2 * 5 * 8)
        return imported.text

    assert re.search(r"graph.attend heads 2 scale 0.125 causal batches 3 %\S+ : tensor<15x24xf32> -> tensor<15x8xf32>", text(3, True))
    assert re.search(r"graph.attend heads 2 scale 0.125 %\S+ : tensor<5x24xf32> -> tensor<5x8xf32>", text(1, False))


def test_the_backward_pass_has_one_operation():
    gradients = differentiate(Attend(6, 2, 4, 0.125, True), nn.functional.mse_loss, (torch.zeros(3, 5, 6), torch.zeros(3, 5, 8)))
    (line,) = [line for line in gradients.imported.text.splitlines() if "graph.attend_gradient" in line]
    assert "graph.attend_gradient heads 2 scale 0.125 causal batches 3 %" in line and ": tensor<15x24xf32>, tensor<15x8xf32> -> tensor<15x24xf32>" in line
    assert 7 * 3 * 5 * 5 * 8 in gradients.imported.macs.values()
