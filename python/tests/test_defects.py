"""Wafers with dead cores compute the same."""

import json

import numpy
import pytest
import torch
import wafer
from wafer.bench import defects
from wafer.compiler import nothing_for
from wafer.models.gpt2 import Block


@pytest.fixture(scope="module")
def machine():
    return nothing_for("small").machine_description


def run(machine, path, engine="cycle"):
    path.write_text(json.dumps(machine))
    torch.manual_seed(0)
    model, x = Block(16, 2).eval(), torch.randn(1, 24, 16)
    program = wafer.compile(model, (x,), machine=path, engine=engine)
    return program(x).detach(), program.stats.cycles


@pytest.mark.parametrize("kind", ["at_random", "clump", "worst_rows"])
def test_results_are_the_same_and_time_is_nearly(machine, kind, tmp_path):
    cores = defects.at_random(machine, numpy.random.default_rng(3)) if kind == "at_random" else getattr(defects, kind)(machine)
    broken = machine | {"defects": {"columns": machine["width"] + defects.SPARE, "cores": cores}}
    wanted, without = run(machine, tmp_path / "whole.json")
    found, cycles = run(broken, tmp_path / "broken.json")
    assert torch.equal(found, wanted)
    assert without < cycles < 1.25 * without
    assert torch.equal(run(broken, tmp_path / "broken.json", "functional")[0], wanted)


def test_a_wafer_without_dead_cores_takes_the_same_time(machine, tmp_path):
    assert run(machine | {"defects": {"columns": 99, "cores": []}}, tmp_path / "m.json")[1] == run(machine, tmp_path / "whole.json")[1]


def test_the_timing_engine_takes_the_wafer_for_whole(machine, tmp_path):
    tall = machine | {"height": 64}
    cores = defects.at_random(tall, numpy.random.default_rng(1))
    cycles = []
    for description in (tall, tall | {"defects": {"columns": machine["width"] + defects.SPARE, "cores": cores}}):
        (tmp_path / "m.json").write_text(json.dumps(description))
        cycles.append(wafer.compile(torch.nn.Linear(64, 64).eval(), (torch.zeros(4000, 64),), machine=tmp_path / "m.json").time().cycles)
    assert cycles[0] == cycles[1]


def test_a_row_with_too_few_cores_is_refused(machine, tmp_path):
    (tmp_path / "m.json").write_text(json.dumps(machine | {"defects": {"columns": 17, "cores": [[0, 5], [3, 5]]}}))
    with pytest.raises(wafer.CompileError, match="leaves 15 live cores in row 5, expected at least the width of 16"):
        wafer.compile(torch.nn.Linear(4, 4).eval(), (torch.zeros(2, 4),), machine=tmp_path / "m.json")
