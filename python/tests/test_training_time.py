"""The modelled time of a training step: what overlaps, by hand and of a program."""

import json

import pytest
import torch
import wafer
from torch import nn
from torch.nn import functional as F
from wafer.training.timeline import Passes, step_time

ONE = Passes(10.0, {"last": 4.0, "first": 10.0})
ELEMENTS = {"first": 25, "last": 50}  # 1 and 2 s at 100 bytes a second


def test_only_the_gradient_that_comes_last_is_waited_for():
    found = step_time([[ONE]], ELEMENTS, 100.0, False, 8, 8)
    assert (found.wafer, found.sums, found.updates, found.seconds) == (10.0, 0.0, 3.0, 11.0)
    assert found.hidden == pytest.approx(2 / 3) and found.without_overlap == 13.0 and found.samples_per_second == pytest.approx(8 / 11)


def test_shards_of_a_system_follow_each_other_and_the_last_one_completes_a_gradient():
    assert step_time([[ONE, ONE]], ELEMENTS, 100.0, False, 8, 8).seconds == 21.0


def test_systems_work_at_once_and_their_sums_take_the_link():
    found = step_time([[ONE], [ONE]], ELEMENTS, 100.0, False, 8, 8)
    assert (found.wafer, found.sums, found.seconds) == (10.0, 3.0, 12.0)


def test_clipping_by_norm_waits_for_all_sums():
    assert step_time([[ONE], [ONE]], ELEMENTS, 100.0, True, 8, 8).seconds == 14.0


def test_the_time_of_a_step_is_that_of_its_program():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    x, target = torch.randn(4, 8), torch.tensor([0, 1, 2, 3])
    steps = [wafer.train_step(model, F.cross_entropy, wafer.optim.SGD(lr=0.1), (x, target), machine="tiny", shards=2, systems=systems) for systems in (1, 2)]
    one, two = (step.time() for step in steps)
    assert one.wafer == pytest.approx(2 * steps[0].program.time().wafer_seconds) and two.wafer == pytest.approx(one.wafer / 2)
    # The loss is divided by the number of samples behind the gradients, whose updates that hides.
    assert one.wafer <= one.seconds < one.without_overlap and two.sums == one.updates
    assert (one.samples, one.tokens) == (4, 4)


def test_the_timeline_of_a_step_has_systems_and_what_follows_them(tmp_path):
    torch.manual_seed(0)
    x, target = torch.randn(4, 8), torch.tensor([0, 1, 2, 3])
    found = wafer.train_step(nn.Linear(8, 4), F.cross_entropy, wafer.optim.SGD(lr=0.1), (x, target), machine="tiny", shards=4, systems=2).time()
    found.trace(tmp_path / "step.json")
    events = json.loads((tmp_path / "step.json").read_text())["traceEvents"]
    systems = {event["pid"]: event["args"]["name"] for event in events if event["name"] == "process_name"}
    assert sorted(systems.values()) == ["all systems", "system 0", "system 1"]
    lanes = {(event["pid"], event["tid"]): event["args"]["name"] for event in events if event["name"] == "thread_name"}
    spans = [(systems[event["pid"]], lanes[event["pid"], event["tid"]], event) for event in events if event["ph"] == "X"]
    sums = [event for _, lane, event in spans if lane == "SwarmX"]
    updates = [event for _, lane, event in spans if lane == "MemoryX updates"]
    assert sum(event["dur"] for event in sums) == pytest.approx(found.sums * 1e6, abs=0.01)
    assert max(event["ts"] + event["dur"] for event in updates) <= found.seconds * 1e6 + 0.01
    assert max(event["ts"] + event["dur"] for _, _, event in spans) == pytest.approx(found.seconds * 1e6, abs=0.01)
    shards = [event for system, lane, event in spans if (system, lane) == ("system 1", "phases")]
    assert max(event["ts"] + event["dur"] for event in shards) == pytest.approx(found.wafer * 1e6, abs=0.01)
