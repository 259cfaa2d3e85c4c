"""Attention whose queries, keys and values stay on the wafer, as an operation of PyTorch's graphs and of MLIR text."""

import re

import pytest
import torch
from torch import nn
from wafer.frontends.aten import attend  # noqa: F401 - it defines torch.ops.wafer.attend
from wafer.frontends.torch import import_model
from wafer.training.joint import differentiate


class Attend(nn.Module):
    """Of what one projection makes, with a table by which queries and keys are turned or without."""

    def __init__(self, is_causal=True, is_rotated=False):
        super().__init__()
        self.qkv, self.is_causal = nn.Linear(6, 24), is_causal
        self.register_buffer("rotation", torch.randn(1, 5, 16) if is_rotated else None)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.ops.wafer.attend(self.qkv(x), self.rotation, 2, 0.125, self.is_causal)


@pytest.mark.parametrize("rotation", [None, torch.randn(1, 5, 16)], ids=["plain", "rotated"])
def test_pytorch_takes_them_for_operations_of_its_own(rotation):
    qkv = torch.randn(2, 5, 24, requires_grad=True)
    torch.library.opcheck(torch.ops.wafer.attend.default, (qkv, rotation, 2, 0.5, True))
    torch.library.opcheck(torch.ops.wafer.attend_gradient.default, (qkv.detach(), torch.randn(2, 5, 8), rotation, 2, 0.5, True))


def test_the_gradient_is_that_of_finite_differences():
    torch.manual_seed(0)
    qkv, rotation = torch.randn(2, 5, 24, dtype=torch.float64, requires_grad=True), torch.randn(1, 5, 16, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda qkv: torch.ops.wafer.attend(qkv, rotation, 2, 0.3, True), qkv)


def test_features_are_three_parts():
    with pytest.raises(RuntimeError, match="expected .* 3 . 5 . size"):
        torch.ops.wafer.attend(torch.zeros(1, 4, 24, device="meta"), None, 5, 1.0, False)


def test_the_text_has_batch_entries_one_after_another():
    def text(batch, **how):
        imported = import_model(Attend(**how), (torch.zeros(batch, 5, 6),))
        assert sum(imported.macs.values()) == batch * 5 * (6 * 24 + 2 * 5 * 8)
        return imported.text

    assert re.search(r"graph.attend heads 2 scale 0.125 causal batches 3 %\S+ : tensor<15x24xf32> -> tensor<15x8xf32>", text(3))
    assert re.search(r"graph.attend heads 2 scale 0.125 %\S+ : tensor<5x24xf32> -> tensor<5x8xf32>", text(1, is_causal=False))
    assert re.search(r"graph.attend heads 2 scale 0.125 causal batches 3 %\S+ rotated %\S+ : tensor<15x24xf32>, tensor<5x16xf32> -> tensor<15x8xf32>", text(3, is_rotated=True))


def test_the_backward_pass_has_one_operation():
    gradients = differentiate(Attend(), nn.functional.mse_loss, (torch.zeros(3, 5, 6), torch.zeros(3, 5, 8)))
    (line,) = [line for line in gradients.imported.text.splitlines() if "graph.attend_gradient" in line]
    assert "graph.attend_gradient heads 2 scale 0.125 causal batches 3 %" in line and ": tensor<15x24xf32>, tensor<15x8xf32> -> tensor<15x24xf32>" in line
    assert 7 * 3 * 5 * 5 * 8 in gradients.imported.macs.values()
