"""Sums of products over the tokens of each batch entry, made where both operands are."""

import json

import pytest
import torch
from torch import nn

import wafer
from wafer.frontends.aten import token_sums  # noqa: F401 - it defines torch.ops.wafer.token_sums


class Sums(nn.Module):
    """Of what a layer makes, so that both operands are on the wafer, with the layer's input."""

    def __init__(self, features: int, rows: int):
        super().__init__()
        self.layer = nn.Linear(features, rows, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.ops.wafer.token_sums(self.layer(x), x)


@pytest.mark.parametrize("machine", ["tiny", "odd"])
@pytest.mark.parametrize("shape", [(1, 8, 3), (3, 40, 5), (2, 3, 16, 7), (6, 7, 2), (2, 300, 9)])
def test_both_engines_add_what_pytorch_adds(machine, shape):
    torch.manual_seed(0)
    model, x = Sums(shape[-1], 4), torch.randn(shape)
    program = wafer.compile(model, (x,), machine=machine, precision="f32")
    found = program(x)
    assert [run["name"] for phase in program.stats.phases for run in phase.get("steps", []) if run["wire"] == "Index"]
    torch.testing.assert_close(found, model(x).detach(), rtol=1e-5, atol=1e-5)
    assert torch.equal(found, program(x, engine="cycle"))


def test_entries_that_share_the_wafer_have_sums_of_their_own(tmp_path):
    torch.manual_seed(0)
    model, x = Sums(4, 4), torch.randn(8, 12, 4)
    program = wafer.compile(model, (x,), machine="small", precision="f32", decision_trace=tmp_path / "trace")
    chosen = [row for row in map(json.loads, (tmp_path / "trace").read_text().splitlines()) if row["chosen"]]
    assert any(row["batches_at_once"] > 1 for row in chosen)
    torch.testing.assert_close(program(x), model(x).detach(), rtol=1e-5, atol=1e-5)
