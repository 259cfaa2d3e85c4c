"""Plans of models without weights."""

import dataclasses
import json

import pytest
import torch
from torch import nn

import wafer
from wafer import planning
from wafer.models import mixtral
from wafer.planning import Block, plan
from wafer.planning.shapes import blocks, names


class Layer(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.fc = nn.Linear(width, width)

    def forward(self, x):
        return torch.relu(self.fc(x))


def empty(*shape):
    return torch.zeros(()).expand(shape)


def small(repeats=1, width=48):
    with torch.device("meta"):
        return Block("layer", Layer(width), (empty(2, 40, width),), repeats)


def test_what_a_repeated_block_leaves_on_the_wafer_does_not_cross():
    one, two, ten = (plan([small(repeats)], machine="tiny") for repeats in (1, 2, 10))
    further = two.wafer_seconds - one.wafer_seconds
    assert 0 < further < one.wafer_seconds
    assert ten.wafer_seconds == pytest.approx(one.wafer_seconds + 9 * further)
    assert ten.parameters == 10 * one.parameters == 10 * (48 * 48 + 48)


def test_a_repeated_block_costs_what_the_same_blocks_cost_in_one_module():
    with torch.device("meta"):
        chain = nn.Sequential(*(Layer(48) for _ in range(4)))
    assert plan([small(4)], machine="tiny").wafer_seconds == pytest.approx(plan([Block("chain", chain, (empty(2, 40, 48),))], machine="tiny").wafer_seconds, rel=0.01)


def test_cycles_are_near_those_of_the_timing_engine():
    planned = plan([small(width=120)], machine="small")
    program = wafer.compile(Layer(120).eval(), (torch.zeros(2, 40, 120),), machine="small")
    assert planned.total("cycles") == pytest.approx(program.time().cycles, rel=0.2)


def test_counts_of_macs_are_those_of_the_model():
    assert plan([small()], machine="tiny").total("macs") == 80 * 48 * 48
    # Forward, delta and gradient.
    assert plan([small()], machine="tiny", train=True).total("macs") == 3 * 80 * 48 * 48


def test_a_training_step_takes_longer_than_a_pass_and_keeps_more():
    forward, step = (plan([small(3)], machine="tiny", train=train) for train in (False, True))
    assert step.seconds > 2 * forward.seconds
    assert step.memory_bytes == 4 * forward.memory_bytes


def test_systems_have_inputs_of_their_own():
    one, eight = (plan([small()], machine="tiny", train=True, systems=systems) for systems in (1, 8))
    assert eight.tokens_per_second == pytest.approx(8 * one.tokens_per_second)


def test_plan_says_what_binds_and_what_would_help():
    planned = plan([small()], machine="tiny")
    assert sum(planned.share().values()) == pytest.approx(1)
    assert "cycles by what binds" in str(planned) and "would help" in str(planned)
    assert json.loads(planned.json())["blocks"][0]["segments"]


def test_a_module_is_a_block():
    assert plan(Layer(16).eval(), (torch.zeros(4, 16),), machine="tiny").blocks[0].name == "model"


@pytest.mark.parametrize("name", ["gpt2", "llama2-7b", "mixtral-8x7b"])
@pytest.mark.parametrize("train", [False, True])
def test_public_models_can_be_planned(name, train):
    planned = plan(blocks(name, batch=1, sequence=64, layers=2), machine="wse3", train=train)
    assert planned.seconds > 0 and planned.blocks[0].repeats == 2 and planned.utilisation < 1


def test_contractions_whose_rows_go_together_differently_have_tasks_of_their_own():
    """So many that one load has not room for them, which the search for a layout has to know."""
    assert plan(blocks("gpt2", batch=16, layers=1), train=True).seconds > 0


def test_sizes_of_public_models_are_theirs():
    for name, billions in (("gpt3-175b", 174.0), ("llama2-7b", 6.6), ("llama2-70b", 68.7), ("llama3-405b", 403.8), ("mixtral-8x7b", 46.6), ("moe-1t", 1000)):
        model = blocks(name, batch=1)
        count = sum(block.repeats * sum(parameter.numel() for parameter in block.module.parameters()) for block in model)
        assert count / 1e9 == pytest.approx(billions, rel=0.02), name


def test_an_unknown_model_lists_those_there_are():
    with pytest.raises(wafer.CompileError, match="found model 'llama9', expected one of " + ", ".join(names()[:2])):
        blocks("llama9", 1)


def test_too_many_systems_are_refused():
    with pytest.raises(wafer.CompileError, match="found systems=4096, expected from 1 to the"):
        plan([small()], machine="wse3", systems=4096)


# Of a pass, all experts are in one segment, which is not the sum of theirs.
@pytest.mark.parametrize(("train", "compiled"), [(True, {2, 3}), (False, {2, 3, 6})])
def test_parts_that_are_alike_are_counted_as_if_all_were_compiled(train, compiled, monkeypatch):
    with torch.device("meta"):
        block = Block("experts", mixtral.Experts(32, 48, experts=6, taken=2), (empty(2, 40, 32),), alike=("experts",))
    all_ = plan([dataclasses.replace(block, alike=())], machine="small", train=train)
    monkeypatch.setattr(planning, "_MANY", 4)
    found = set()
    text_of = planning._text_of
    monkeypatch.setattr(planning, "_text_of", lambda block, *how: found.add(len(block.module.experts)) or text_of(block, *how))
    few = plan([block], machine="small", train=train)
    assert found == compiled
    assert few.parameters == all_.parameters
    for figure in ("cycles", "contractions", "transfers", "macs"):
        assert few.total(figure) == pytest.approx(all_.total(figure), rel=1e-12), figure
