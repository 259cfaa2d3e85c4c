"""Attention whose batch entries lie in bands of rows, one above the other in a group of columns."""

import json

import pytest
import torch
from torch import nn

import wafer
from wafer.compiler import nothing_for
from wafer.frontends.aten import attend  # noqa: F401 - it defines torch.ops.wafer.attend

HEADS, SIZE = 2, 4
SHAPES = {  # batch, tokens; columns, rows of the machine; most tokens of a core; bands, rows and tokens of a core that are chosen
    "odd bands": (2, 3, 2, 7, 1, (2, 6, 1)),
    "even bands": (3, 4, 2, 12, 1, (3, 12, 1)),
    "longer bands": (2, 7, 2, 16, 1, (2, 14, 1)),
    "bands in two groups": (4, 5, 4, 11, 1, (2, 10, 1)),
    "two tokens a core": (4, 6, 2, 6, 2, (2, 6, 2)),
    "bands of one row": (4, 1, 2, 4, 1, (4, 4, 1)),
}


@pytest.fixture(params=SHAPES)
def case(request, tmp_path):
    """A machine on which this many bands are the best, and its grid."""
    batch, tokens, columns, rows, most, grid = SHAPES[request.param]
    machine = nothing_for("small").machine_description | {"name": "bands", "width": columns, "height": rows, "accumulator_bytes": max(12, 8 * most)}
    path = tmp_path / "machine.json"
    path.write_text(json.dumps(machine))
    return batch, tokens, path, grid


def chosen(trace):
    return [(row["bands"], row["rows"], row["token_block"]) for row in map(json.loads, trace.read_text().splitlines()) if row["chosen"]]


class Attend(nn.Module):
    def __init__(self, is_causal: bool):
        super().__init__()
        self.is_causal = is_causal

    def forward(self, qkv):
        return torch.ops.wafer.attend(qkv, None, HEADS, 0.5, self.is_causal)


class Gradient(Attend):
    def forward(self, qkv, gradient):
        return torch.ops.wafer.attend_gradient(qkv, gradient, None, HEADS, 0.5, self.is_causal)


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("kind", [Attend, Gradient])
def test_entries_attend_each_in_its_band(case, kind, is_causal, tmp_path):
    batch, tokens, machine, grid = case
    torch.manual_seed(0)
    qkv, gradient = torch.randn(batch, tokens, 3 * HEADS * SIZE), torch.randn(batch, tokens, HEADS * SIZE)
    model, inputs = kind(is_causal), (qkv,) if kind is Attend else (qkv, gradient)
    program = wafer.compile(model, inputs, machine=machine, precision="f32", progress=False, decision_trace=tmp_path / "trace")
    assert grid in chosen(tmp_path / "trace")
    found = program(*inputs)
    torch.testing.assert_close(found, model(*inputs), rtol=1e-5, atol=1e-5)
    assert torch.equal(program(*inputs, engine="cycle"), found)


def test_weights_of_all_entries_reach_all_bands(case, tmp_path):
    """A projection, with its bias, before attention, and one behind it: they are streamed once for all bands."""
    batch, tokens, machine, grid = case
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(6, 3 * HEADS * SIZE), Attend(True), nn.Linear(HEADS * SIZE, 6))
    x = torch.randn(batch, tokens, 6)
    program = wafer.compile(layers, (x,), machine=machine, precision="f32", progress=False, decision_trace=tmp_path / "trace")
    assert any(bands > 1 for bands, *_ in chosen(tmp_path / "trace"))
    found = program(x)
    torch.testing.assert_close(found, layers(x).detach(), rtol=1e-5, atol=1e-5)
    assert torch.equal(program(x, engine="cycle"), found)


def test_the_time_is_that_of_the_cycle_engine(case):
    batch, tokens, machine, _ = case
    qkv = torch.randn(batch, tokens, 3 * HEADS * SIZE)
    program = wafer.compile(Attend(True), (qkv,), machine=machine, precision="f32", progress=False)
    program(qkv, engine="cycle")
    cycles = program.stats.cycles
    program.time()
    assert program.stats.cycles == pytest.approx(cycles, rel=0.02)
