"""Segments whose code is spread over loads, while values stay where they are."""

import json

import numpy as np
import pytest
import torch
from torch import nn

import wafer
from wafer.compiler import nothing_for


class Chain(nn.Module):
    """Many kernels in a row, whose first value is read by the last."""

    def __init__(self, width=12):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(3))
        self.norm = nn.LayerNorm(width)

    def forward(self, x):
        y = x
        for layer in self.layers:
            y = torch.tanh(layer(self.norm(y))) + x
        return y * x


@pytest.fixture
def few_tasks(tmp_path):
    """`small`, but that a core has room for few tasks."""
    path = tmp_path / "few.json"
    path.write_text(json.dumps(nothing_for("small").machine_description | {"name": "few", "control_tasks": 12}))
    return path


@pytest.mark.parametrize("precision", ["f32", "f16"])
def test_nothing_crosses_between_loads(few_tasks, precision):
    torch.manual_seed(0)
    model, x = Chain().eval(), torch.randn(20, 12)
    whole, spread = (wafer.compile(model, (x,), machine=machine, precision=precision) for machine in ("small", few_tasks))
    expected, found = np.asarray(whole(x)), np.asarray(spread(x))
    assert len(whole.stats.phases) == 1 < len(spread.stats.phases)
    crossing = [program.stats.bytes_by_kind[kind] for program in (whole, spread) for kind in ("activations_in", "activations_out")]
    assert crossing[:2] == crossing[2:]
    assert found.tobytes() == expected.tobytes() == np.asarray(spread(x, engine="cycle")).tobytes()
    assert np.asarray(spread(x)).tobytes() == expected.tobytes()  # engines of a run before are not taken for this one's


def test_time_is_that_of_the_cycle_engine(few_tasks):
    x = torch.randn(20, 12)
    program = wafer.compile(Chain().eval(), (x,), machine=few_tasks, engine="cycle")
    program(x)
    assert program.time().cycles == pytest.approx(program.stats.cycles, rel=0.01)


def test_a_send_goes_on_in_the_next_loads(few_tasks):
    """Some features come beside the last kernels of a load, more beside all of the next ones, the others beside the first kernels of the one behind them."""

    class Gated(Chain):
        def forward(self, x, gate):
            return super().forward(x) * gate

    few_tasks.write_text(json.dumps(json.loads(few_tasks.read_text()) | {"ingest_wavelets_per_cycle": 1}))
    torch.manual_seed(0)
    model, x, gate = Gated(width=64).eval(), torch.randn(256, 64), torch.randn(256, 64)
    program = wafer.compile(model, (x, gate), machine=few_tasks, precision="f32", engine="cycle")
    found = np.asarray(program(x, gate))
    assert np.asarray(program(x, gate, engine="functional")).tobytes() == found.tobytes()
    torch.testing.assert_close(torch.as_tensor(found), model(x, gate).detach(), rtol=1e-5, atol=1e-5)
    phases = program.time().phases
    loads_of_gate = [i for i, phase in enumerate(phases) for step in phase["schedule"] if (step["kind"], step["name"]) == ("Send", "gate")]
    assert len(loads_of_gate) > 2 and loads_of_gate == list(range(loads_of_gate[0], loads_of_gate[-1] + 1))
    program(x, gate)
    assert program.time().cycles == pytest.approx(program.stats.cycles, rel=0.01)


def test_a_training_step_goes_on_through_loads(few_tasks):
    torch.manual_seed(0)
    model, x, target = Chain(), torch.randn(20, 12), torch.randn(20, 12)
    expected = nn.functional.mse_loss(model(x), target).item()
    losses = [wafer.train_step(model, nn.functional.mse_loss, wafer.optim.SGD(lr=0.0), (x, target), machine=machine, precision="f32")(x, target) for machine in ("small", few_tasks)]
    assert [float(loss) for loss in losses] == pytest.approx([expected] * 2, rel=1e-5)
