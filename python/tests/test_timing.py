"""The timing engine: what the cycle engine would count, without data."""

import json
import pathlib

import pytest
import torch
import wafer
from torch import nn
from wafer import sparsity


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


@pytest.mark.parametrize("columns, rows, link", [(8, 80, 1), (6, 80, 2)])
def test_rows_cost_what_they_do_where_transfers_and_contractions_overlap(tmp_path, columns, rows, link):
    machine = json.loads((pathlib.Path(__file__).parents[2] / "machines" / "small.json").read_text())
    machine |= {"name": "tall", "width": columns, "height": rows, "ingest_wavelets_per_cycle": link, "egress_wavelets_per_cycle": link}
    path = tmp_path / "tall.json"
    path.write_text(json.dumps(machine))
    # With few rows the contraction takes longest, with these the transfer.
    counted, timed = both(Three(48), random(480, 48), machine=path)
    assert timed.cycles == pytest.approx(counted.cycles, rel=0.01)
    assert timed.macs_executed == counted.macs_executed


def test_zeros_of_a_weight_are_counted_where_they_are():
    model = nn.Linear(96, 64)
    sparsity.prune(model, 0.8)
    counted, timed = both(model, random(64, 96), machine="small")
    assert timed.cycles == pytest.approx(counted.cycles, rel=0.01)
    assert timed.macs_executed == counted.macs_executed


def test_neither_weights_nor_inputs_are_needed():
    with torch.device("meta"):
        model, x = nn.Linear(256, 256), torch.empty(2048, 256)
    program = wafer.compile(model, (x,), machine="die")
    stats = program.time()
    assert stats.engine == "timing" and stats.cycles > 0
    assert stats.macs_executed >= 256 * 257 * 2048
    assert [step["kind"] for step in stats.phases[0]["schedule"]][-1] == "Receive"


def test_results_are_refused():
    program = wafer.compile(nn.Linear(4, 4), (random(4, 4),), machine="tiny")
    with pytest.raises(wafer.RuntimeError, match="gives no results, only time"):
        program(random(4, 4), engine="timing")
