"""The timing engine: what the cycle engine would count, without data."""

import json
import pathlib

import pytest
import torch
import wafer
from torch import nn
from torch.nn import functional as F
from wafer import sparsity
from wafer.bench.agreement import TALL_MACHINES
from wafer.bench._generated import case_of_feature, case_of_model
from wafer.compiler import nothing_for


def random(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def block():
    torch.manual_seed(0)
    return nn.Sequential(nn.LayerNorm(48), nn.Linear(48, 40), nn.GELU(), nn.Linear(40, 10), nn.Softmax(-1))


def both(model, x, **options):
    program = wafer.compile(model, (x,), **options)
    program(x, engine="cycle")
    return program.stats, program.time()


@pytest.mark.parametrize("precision", ["f16", "f32"])
@pytest.mark.parametrize("machine", ["tiny", "odd", "small"])
def test_cycles_are_those_of_the_cycle_engine(machine, precision):
    counted, timed = both(block(), random(150, 48), machine=machine, precision=precision)
    assert timed.cycles == pytest.approx(counted.cycles, rel=0.01)
    assert timed.macs_executed == counted.macs_executed
    assert timed.bytes_by_kind == counted.bytes_by_kind


def test_micro_batches_that_are_alike_are_not_all_run():
    counted, timed = both(nn.Linear(64, 64), random(9000, 64), machine="tiny")
    assert timed.phases[0]["micro_batches"] > 5
    assert timed.cycles == pytest.approx(counted.cycles, rel=0.01)


class Three(nn.Module):
    """Results of which one leaves while the next is computed."""

    def __init__(self, features):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(features, features, bias=False) for _ in range(3))

    def forward(self, x):
        return tuple(layer(x) for layer in self.layers)


def tall(folder, columns, rows, link):
    """A machine of many rows, of which some are left out."""
    machine = json.loads((pathlib.Path(__file__).parents[2] / "machines" / "small.json").read_text())
    machine |= {"name": "tall", "width": columns, "height": rows, "ingest_wavelets_per_cycle": link, "egress_wavelets_per_cycle": link}
    path = folder / "tall.json"
    path.write_text(json.dumps(machine))
    return path


@pytest.mark.parametrize("columns, rows, link", [(8, 80, 1), (6, 80, 2)])
def test_rows_cost_what_they_do_where_transfers_and_contractions_overlap(tmp_path, columns, rows, link):
    # With few rows the contraction takes longest, with these the transfer.
    counted, timed = both(Three(48), random(480, 48), machine=tall(tmp_path, columns, rows, link))
    assert timed.cycles == pytest.approx(counted.cycles, rel=0.01)
    assert timed.macs_executed == counted.macs_executed


class Residual(nn.Module):
    """A second input, which comes while the products of the first are computed."""

    def __init__(self, features, layers):
        super().__init__()
        self.layers = nn.Sequential(*(nn.Linear(features, features, bias=False) for _ in range(layers)))

    def forward(self, x, z):
        return self.layers(x) + z


@pytest.mark.parametrize("columns, rows, link, features, layers", [(8, 80, 1, 96, 2), (8, 80, 2, 256, 2), (6, 96, 1, 288, 1), (16, 64, 4, 512, 1)])
def test_blocks_that_come_beside_other_steps_are_left_out_with_these(tmp_path, columns, rows, link, features, layers):
    tokens = 4 * rows
    model, inputs = Residual(features, layers), (random(tokens, features), random(tokens, features))
    program = wafer.compile(model, inputs, machine=tall(tmp_path, columns, rows, link))
    result = program(*inputs)
    assert torch.equal(program(*inputs, engine="cycle"), result)
    timed = program.time()
    assert any(step["kind"] == "Send" and step["cycles"] < step["ingest_cycles"] for step in timed.phases[0]["schedule"])
    assert timed.cycles == pytest.approx(program.stats.cycles, rel=0.01)


def test_blocks_that_come_while_results_leave_are_left_out_with_these(tmp_path):
    # Each micro-batch comes while the results of the one before leave, which takes about as long.
    counted, timed = both(nn.Linear(64, 64), random(80 * 48, 64), machine=tall(tmp_path, 8, 80, 1))
    assert timed.phases[0]["simulated_cycles"] < 0.85 * timed.cycles
    assert timed.cycles == pytest.approx(counted.cycles, rel=0.002)


def test_sums_that_pass_from_row_to_row_pass_those_that_are_left_out(tmp_path):
    torch.manual_seed(0)
    model, x, target = nn.Sequential(nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 8)), random(640, 32), torch.arange(640) % 8
    step = wafer.train_step(model, F.cross_entropy, wafer.optim.SGD(lr=0.1), (x, target), machine=tall(tmp_path, 8, 80, 1), shards=1, engine="cycle")
    step(x, target)
    timed = step.program.time()
    assert any(entry["kind"] == "Sample" for phase in timed.phases for entry in phase.get("schedule", []))
    assert timed.cycles == pytest.approx(step.stats["total"]["cycles"], rel=0.01)


def test_transfers_of_which_most_is_left_out_take_the_time_of_the_link():
    with torch.device("meta"):
        model, x = Three(512), torch.empty(2048, 512)
    stats = wafer.compile(model, (x,), machine="die").time()
    phase = stats.phases[0]
    steps = phase["schedule"]
    # One tensor in and three out, each longer than a contraction takes. What leaves is all the time on its way but for the first micro-batch, until its first result is there.
    leaves = sum(step["egress_cycles"] for step in steps)
    first = sum(next(step["cycles"] for step in steps if step["kind"] == kind) for kind in ("Send", "Contract")) / phase["micro_batches"]
    assert leaves == 3 * 65536 and first < 65536 * 1.25 and stats.cycles == pytest.approx(first + leaves, rel=0.01)


def layers(*widths):
    """Layers on a machine of few cores, each of which takes a million cycles."""
    torch.manual_seed(0)
    return nn.Sequential(*(layer for before, after in zip(widths, widths[1:], strict=False) for layer in (nn.Linear(before, after), nn.Tanh())))


def test_long_steps_are_timed_by_themselves(tmp_path):
    counted, timed = both(layers(1024, 2048, 1024, 2048), random(4, 1024), machine=tall(tmp_path, 8, 4, 1))
    assert [step["kind"] for step in timed.phases[0]["schedule"] if step["cycles"] > 500_000] == ["Contract"] * 3
    assert timed.cycles == pytest.approx(counted.cycles, rel=0.001)
    assert timed.macs_executed == counted.macs_executed
    # The end of a step is the begin of the next one.
    schedule = timed.phases[0]["schedule"]
    assert [step["begin"] for step in schedule[1:]] == [step["begin"] + step["cycles"] for step in schedule[:-1]]


def test_equal_long_steps_are_simulated_once(tmp_path):
    # With as many tokens sums of rows do not go together. Between layers it simulates what is between them.
    once, thrice = (wafer.compile(layers(*[2048] * (count + 1)), (random(160, 2048),), machine=tall(tmp_path, 8, 4, 1)).time() for count in (1, 3))
    steps, more = (stats.phases[0]["simulated_cycles"] for stats in (once, thrice))
    assert thrice.cycles > 2.7 * once.cycles and more < 1.1 * steps


def test_equal_long_steps_of_phases_are_simulated_once(tmp_path):
    """Layers that need loads of their own."""
    machine = tall(tmp_path, 8, 4, 1)
    machine.write_text(json.dumps(json.loads(machine.read_text()) | {"control_tasks": 12}))
    phases = wafer.compile(layers(*[2048] * 5), (random(160, 2048),), machine=machine).time().phases
    first, second = (phase for phase in phases if any(step["kind"] == "Contract" for step in phase.get("schedule", [])))
    # Of the second one there is what lies between its layers, and what leaves.
    assert second["cycles"] > 2_000_000 and second["simulated_cycles"] < second["schedule"][-1]["cycles"] + 40_000


def test_zeros_of_a_weight_are_counted_where_they_are():
    torch.manual_seed(0)
    model = nn.Linear(96, 64)
    sparsity.prune(model, 0.8)
    counted, timed = both(model, random(64, 96), machine="small")
    assert timed.cycles == pytest.approx(counted.cycles, rel=0.01)
    assert timed.macs_executed == counted.macs_executed


def test_threads_do_not_change_the_time():
    model, x = nn.Sequential(nn.Linear(48, 40), nn.Softmax(-1), nn.Flatten(), nn.Linear(40, 8)), random(60, 48)
    sparsity.prune(model[0], 0.5)
    once, twice = (wafer.compile(model, (x,), machine="tiny", threads=threads).time().as_dict() for threads in (1, 2))
    for one, other in zip(once["phases"], twice["phases"], strict=True):
        assert {key: one[key] for key in one if key != "seconds"} == {key: other[key] for key in other if key != "seconds"}


def test_neither_weights_nor_inputs_are_needed():
    with torch.device("meta"):
        model, x = nn.Linear(256, 256), torch.empty(2048, 256)
    program = wafer.compile(model, (x,), machine="die")
    stats = program.time()
    assert stats.engine == "timing" and stats.cycles > 0
    assert stats.macs_executed >= 256 * 257 * 2048
    assert [step["kind"] for step in stats.phases[0]["schedule"]][-1] == "Receive"


def test_the_timeline_has_a_lane_for_what_goes_on_at_once(tmp_path):
    program = wafer.compile(nn.Linear(96, 64), (random(64, 96),), machine="small")
    stats = program.time()
    stats.trace(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    lanes = {event["tid"]: event["args"]["name"] for event in events if event["name"] == "thread_name"}
    assert list(lanes.values()) == ["phases", "compute", "stream (weights)", "fabric in (activations)", "fabric out (activations)", "MemoryX functions"]
    spans = {lanes[event["tid"]]: event for event in events if event["ph"] == "X"}
    end = stats.wafer_seconds * 1e6
    assert spans["phases"]["dur"] == pytest.approx(end, abs=1e-3)
    assert 0 == spans["fabric in (activations)"]["ts"] < spans["stream (weights)"]["ts"] < spans["fabric out (activations)"]["ts"] < end
    assert spans["stream (weights)"]["args"]["ingest cycles, at least"] <= spans["stream (weights)"]["args"]["cycles"]
    assert spans["fabric out (activations)"]["args"]["egress cycles, at least"] == 64 * 64 / 2 / 8


def test_only_the_timing_engine_has_a_timeline(tmp_path):
    program = wafer.compile(nn.Linear(4, 4), (random(4, 4),), machine="tiny")
    program(random(4, 4))
    with pytest.raises(wafer.RuntimeError, match="expected those of the timing engine"):
        program.stats.trace(tmp_path / "trace.json")


def test_results_are_refused():
    program = wafer.compile(nn.Linear(4, 4), (random(4, 4),), machine="tiny")
    with pytest.raises(wafer.RuntimeError, match="gives no results, only time"):
        program(random(4, 4), engine="timing")


def test_results_that_leave_one_at_a_time_leave(tmp_path):
    """A wavelet that stands for those of eight columns waits for eight cycles of a link that takes one, just behind a long time that was left out."""
    path = tmp_path / "thin.json"
    path.write_text(json.dumps(nothing_for("small").machine_description | {"name": "thin", "width": 8, "height": 8, "ingest_wavelets_per_cycle": 1, "egress_wavelets_per_cycle": 1}))
    torch.manual_seed(0)
    model, x, target = nn.Sequential(nn.Linear(256, 512), nn.Tanh(), nn.Linear(512, 8)), random(4, 256), random(4, 8)
    step = wafer.train_step(model, nn.functional.mse_loss, wafer.optim.SGD(lr=0.1), (x, target), machine=path, precision="f16", shards=1, engine="cycle")
    step(x, target)
    assert step.program.time().cycles == pytest.approx(step.stats["total"]["cycles"], rel=0.01)


@pytest.mark.parametrize("seed", [42, 7, 20, 45, 52, 59])
def test_generated_programs_of_each_kind_take_what_they_do(seed, tmp_path):
    """Sends ahead and over the end of a load, rows together, attention in columns, groups, and a training step."""
    case = case_of_feature(seed, tmp_path)
    total = case.run()["total"]
    timed = case.program.time()
    assert timed.cycles == pytest.approx(total["cycles"], rel=0.01)
    assert timed.macs_executed == total["macs"]


@pytest.mark.parametrize("seed", [26, 47, 59])
def test_few_cores_share_the_link_to_the_end_of_a_transfer(seed, tmp_path):
    """The last blocks go in as many at a time as the link has wavelets in a cycle; a group that stood for all would send its own one after the other."""
    case = case_of_model(seed, TALL_MACHINES, tmp_path)
    assert case.program.time().cycles == pytest.approx(case.run()["total"]["cycles"], rel=0.001)
