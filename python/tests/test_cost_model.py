"""The cost model by which grids are compared, beside the timing engine; benchmarks/cost_model.py has many more programs."""

import json

import pytest
import torch
from torch import nn

import wafer
from wafer.bench import _generated, agreement
from wafer.models.gpt2 import Block


@pytest.fixture
def error(tmp_path):
    """error(model, x, ...): how much longer a program takes by the cost model than by the timing engine, as a part."""

    def of(model, x, machine, precision):
        trace = tmp_path / "decisions.json"
        program = wafer.compile(model, (x,), machine=machine, precision=precision, decision_trace=trace)
        rows = map(json.loads, trace.read_text().splitlines())
        return sum(row["cycles"] for row in rows if row["chosen"]) / program.time().cycles - 1

    return of


@pytest.mark.parametrize("machine, features, hidden, tokens", [("tiny", 38, 26, 341), ("odd", 24, 34, 395)])
def test_a_scale_in_f32_has_the_lanes_of_f32_and_multiplies_beta_too(error, machine, features, hidden, tokens):
    model = nn.Sequential(nn.LayerNorm(features), nn.Linear(features, hidden), nn.GELU())
    assert abs(error(model, torch.randn(tokens, features), machine, "f32")) < 0.03


@pytest.mark.parametrize("machine, width, heads, shape", [("small", 10, 2, (2, 17)), ("small", 20, 4, (2, 44)), ("odd", 5, 1, (1, 31))])
def test_kernels_one_after_another_do_not_wait_for_the_same_way_again(error, machine, width, heads, shape):
    model = Block(width, heads).eval()
    assert abs(error(model, torch.randn(*shape, width), machine, "f32" if heads == 2 else "f16")) < 0.05


@pytest.mark.parametrize("machine, features, hidden, tokens", [("odd", 5, 142, 314), ("tiny", 10, 37, 197)])
def test_cores_that_hand_results_on_lose_time_to_it(error, machine, features, hidden, tokens):
    assert abs(error(_generated.Several(features, hidden), torch.randn(tokens, features), machine, "f32")) < 0.04


def test_a_seed_decides_a_generated_program():
    once, again = (next(agreement.timed_programs(1, first=1, machines=("tiny",))) for _ in range(2))
    assert (once.what, once.cycles, once.timed) == (again.what, again.cycles, again.timed)
    assert once.error <= 0.01 and once.has_macs and not once.skips
