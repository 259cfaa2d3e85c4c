"""Values that are made again, shortly before they are needed, where cores have no room to keep them."""

import json

import pytest
import torch

import wafer
from wafer.compiler import nothing_for
from wafer.models import llama
from wafer.planning import Block, compiled


def mean_square(y, target):
    return ((y - target) ** 2).mean()


@pytest.fixture
def machine(tmp_path):
    """Eight rows of four columns behind a narrow link, whose cores have so much SRAM."""

    def of(sram_bytes):
        path = tmp_path / f"{sram_bytes}.json"
        path.write_text(json.dumps(nothing_for("small").machine_description | {"name": "narrow", "width": 4, "height": 8, "sram_bytes": sram_bytes, "ingest_wavelets_per_cycle": 1, "egress_wavelets_per_cycle": 1}))
        return path

    return of


def layer():
    torch.manual_seed(0)
    return llama.Layer(128, 2, 2, 344)


def test_a_step_that_makes_values_again_is_the_same_step(machine):
    torch.manual_seed(1)
    x, target = torch.randn(2, 64, 128), torch.randn(2, 64, 128)
    steps = [wafer.train_step(layer(), mean_square, wafer.optim.SGD(lr=0.5), example=(x, target), machine=machine(size), precision="f16", shards=1) for size in (49152, 10240)]
    losses = [step(x, target) for step in steps]
    roomy, tight = (step.stats["total"] for step in steps)
    assert tight["sram_high_water_bytes"] < 10240 < roomy["sram_high_water_bytes"]
    assert tight["macs"] > roomy["macs"]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    for name, kept in steps[0].state_dict().items():
        torch.testing.assert_close(steps[1].state_dict()[name], kept, rtol=2e-3, atol=2e-3, msg=name)


def test_what_is_made_again_pays(machine, tmp_path):
    """What is taken is faster than any candidate that keeps all values."""
    trace = tmp_path / "trace"
    compiled(Block("layer", layer(), (torch.empty(2, 64, 128),)), machine=machine(10240), train=True, trace=trace)
    rows = [json.loads(line) for line in trace.read_text().splitlines()]
    made_again = 0
    for taken in [row for row in rows if row["chosen"]]:
        same = [row for row in rows if row["segment"] == taken["segment"]]
        least = min(row["macs"] for row in same)
        kept = [row["cycles"] for row in same if row["fits"] and row["macs"] == least]
        made_again += taken["macs"] > least
        assert taken["macs"] == least or not kept or taken["cycles"] < min(kept)
    assert made_again
