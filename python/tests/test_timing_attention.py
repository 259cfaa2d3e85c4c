"""The timing engine on attention in columns: blocks that go around a ring of rows, of which it simulates a few rows and a few steps."""

import json

import pytest
import torch
import wafer
from torch import nn
from wafer.compiler import nothing_for
from wafer.frontends.aten import attend  # noqa: F401 - it defines torch.ops.wafer.attend

HEADS = 4
FEW_TOKENS = 12  # bytes of sums that leave a core room for one token


class Attend(nn.Module):
    def __init__(self, is_causal, across=1):
        super().__init__()
        self.how = HEADS, 0.4, is_causal, across

    def forward(self, qkv, rotation=None):
        return torch.ops.wafer.attend(qkv, rotation, *self.how)


class Gradient(Attend):
    def forward(self, qkv, gradient, rotation=None):
        return torch.ops.wafer.attend_gradient(qkv, gradient, rotation, *self.how)


def inputs(kind, batch, tokens, size, *, is_rotated=False, device="cpu"):
    width = HEADS * size
    qkv, gradient, rotation = (torch.zeros(shape, device=device) for shape in ((batch, tokens, 3 * width), (batch, tokens, width), (1, tokens, 2 * width)))
    return (qkv, *([gradient] if kind is Gradient else []), *([rotation] if is_rotated else []))


def compiled(folder, model, x, *, columns=8, rows=64, link=1, sums=512):
    """On a machine of many rows, with its grid: rows, bands, tokens of a core."""
    machine = nothing_for("small").machine_description
    machine |= {"name": "tall", "width": columns, "height": rows, "ingest_wavelets_per_cycle": link, "egress_wavelets_per_cycle": link, "accumulator_bytes": sums}
    path, trace = folder / "tall.json", folder / "trace.json"
    path.write_text(json.dumps(machine))
    program = wafer.compile(model, x, machine=path, precision="f16", progress=False, decision_trace=trace)
    return program, *((row["rows"], row["bands"], row["token_block"]) for row in map(json.loads, trace.read_text().splitlines()) if row["chosen"])


def agrees(program, x):
    timed = program.time()
    program(*x, engine="cycle")
    assert timed.cycles == pytest.approx(program.stats.cycles, rel=0.01)
    assert timed.macs_executed == program.stats.macs_executed


@pytest.mark.parametrize("kind", [Attend, Gradient])
@pytest.mark.parametrize("is_causal", [False, True])
def test_a_ring_of_few_rows_takes_as_long_for_a_step_as_one_of_many(kind, is_causal, tmp_path):
    x = inputs(kind, 2, 64, 8)
    program, grid = compiled(tmp_path, kind(is_causal), x, sums=FEW_TOKENS)
    assert grid == (64, 1, 1)
    agrees(program, x)


@pytest.mark.parametrize("rows", [61, 62, 63])
def test_the_ends_of_a_ring_depend_on_how_many_rows_it_has(rows, tmp_path):
    x = inputs(Attend, 2, rows, 8, is_rotated=True)
    program, grid = compiled(tmp_path, Attend(True), x, rows=rows, sums=FEW_TOKENS)
    assert grid == (rows, 1, 1)
    agrees(program, x)


@pytest.mark.parametrize("kind", [Attend, Gradient])
@pytest.mark.parametrize("batch, tokens, bands", [(4, 32, 2), (4, 31, 2), (6, 21, 3), (8, 16, 4)])
def test_bands_are_alike(kind, batch, tokens, bands, tmp_path):
    x = inputs(kind, batch, tokens, 8)
    program, grid = compiled(tmp_path, kind(False), x, sums=FEW_TOKENS)
    assert grid == (tokens * bands, bands, 1)
    agrees(program, x)


@pytest.mark.parametrize("kind", [Attend, Gradient])
@pytest.mark.parametrize("bands", [1, 2])
def test_columns_that_share_a_head_wait_for_each_other(kind, bands, tmp_path):
    x = inputs(kind, 2 * bands, 64 // bands, 8)
    program, grid = compiled(tmp_path, kind(True, across=2), x, columns=16, sums=FEW_TOKENS)
    assert grid == (64, bands, 1)
    agrees(program, x)


@pytest.mark.parametrize("across", [1, 2])
def test_projections_stand_around_a_ring(across, tmp_path):
    size = 8
    layers, x = nn.Sequential(nn.Linear(24, 3 * HEADS * size), Attend(True, across), nn.Linear(HEADS * size, 24)), torch.zeros(4, 32, 24)
    program, grid = compiled(tmp_path, layers, (x,), sums=FEW_TOKENS)
    assert grid[1] == 2
    agrees(program, (x,))


def test_steps_that_repeat_are_not_all_simulated(tmp_path):
    x = inputs(Gradient, 2, 128, 40)
    program, grid = compiled(tmp_path, Gradient(True), x, rows=32)
    assert grid == (32, 1, 4)
    agrees(program, x)


def cycles_of_steps(kind, folder, rows):
    """Of commands that are repeated for each of so many rows."""
    program, grid = compiled(folder, kind(True), inputs(kind, 8, 4 * rows, 8, device="meta"), columns=32, rows=rows, link=4)
    assert grid == (rows, 1, 4)
    return {step["name"]: step["cycles"] for phase in program.time().phases for step in phase.get("schedule", []) if step["name"] in ("attend", "attend_gradient")}


@pytest.mark.parametrize("kind", [Attend, Gradient])
def test_each_step_of_a_whole_wafer_takes_as_long_as_one_of_a_small_one(kind, tmp_path):
    few, some, many = (cycles_of_steps(kind, tmp_path, rows) for rows in (128, 256, 1024))
    for name in few:
        assert many[name] == pytest.approx(few[name] + 7 * (some[name] - few[name]), rel=0.01)
