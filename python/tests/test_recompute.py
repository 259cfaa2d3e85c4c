"""Training on machines where crossings cost more than arithmetic: values of the forward pass are computed again, gradients of weights are added where both operands are."""

import json
import pathlib

import pytest
import torch
from torch import nn

import wafer
from wafer.compiler import nothing_for
from wafer.training import recompute
from wafer.training.joint import differentiate


class FeedForward(nn.Module):
    """A norm, a gate, and a way around: as in Llama."""

    def __init__(self, width=8, hidden=24):
        super().__init__()
        self.norm, self.gate, self.up, self.down = nn.RMSNorm(width), nn.Linear(width, hidden), nn.Linear(width, hidden, bias=False), nn.Linear(hidden, width)

    def forward(self, x):
        y = self.norm(x)
        return x + self.down(nn.functional.silu(self.gate(y)) * self.up(y))


def mean_square(y, target):
    return ((y - target) ** 2).mean()


def trained(model, x, target, machine, precision="f32"):
    step = wafer.train_step(model, mean_square, wafer.optim.SGD(lr=0.5), example=(x, target), machine=machine, precision=precision, shards=1)
    loss = step(x, target)
    return loss, step


def expected(model, x, target):
    loss = mean_square(model(x), target)
    loss.backward()
    values = {name: parameter.detach() - 0.5 * parameter.grad for name, parameter in model.named_parameters()}
    model.zero_grad()
    return loss.item(), values


def crossing(step):
    """Bytes of activations, both ways."""
    return sum(phase["bytes_streamed"][kind] for phase in step.stats["phases"] if "bytes_streamed" in phase for kind in ("activations_in", "activations_out"))


@pytest.mark.parametrize("shape", [(4, 6, 8), (30, 8)])
def test_what_is_computed_again_gives_the_same_step(monkeypatch, shape):
    torch.manual_seed(0)
    model = nn.Sequential(FeedForward(), FeedForward())
    x, target = torch.randn(shape), torch.randn(shape)
    monkeypatch.setattr(recompute, "pays", lambda machine, tokens, features: False)
    _, kept = trained(model, x, target, "small")
    monkeypatch.setattr(recompute, "pays", lambda machine, tokens, features: True)
    loss, again = trained(model, x, target, "small")
    wanted, values = expected(model, x, target)
    assert loss == pytest.approx(wanted, rel=1e-5)
    for name, value in values.items():
        torch.testing.assert_close(again.state_dict()[name], value, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(again.state_dict()[name], kept.state_dict()[name], rtol=1e-5, atol=1e-6)  # sums are in another order
    macs = [sum(run["macs"] for phase in step.stats["phases"] for run in phase.get("steps", [])) for step in (kept, again)]
    assert macs[1] > macs[0]


def test_hidden_values_do_not_leave_the_wafer(monkeypatch):
    torch.manual_seed(0)
    model, x = nn.Sequential(FeedForward(8, 64), FeedForward(8, 64)), torch.randn(64, 8)
    monkeypatch.setattr(recompute, "pays", lambda machine, tokens, features: False)
    kept = crossing(trained(model, x, x, "small")[1])
    monkeypatch.setattr(recompute, "pays", lambda machine, tokens, features: True)
    assert crossing(trained(model, x, x, "small")[1]) < 0.9 * kept


def test_a_scaled_loss_does_not_hide_the_backward_pass(monkeypatch):
    monkeypatch.setattr(recompute, "pays", lambda machine, tokens, features: True)
    machine, x = nothing_for("small").machine_description, torch.randn(64, 8)
    plain, scaled = (differentiate(FeedForward(8, 64), mean_square, (x, x), machine=machine, scaled=scaled).imported.text for scaled in (False, True))
    assert scaled.count("graph.again") == plain.count("graph.again") > 0


def test_it_pays_on_a_wafer_and_not_on_few_cores():
    machines = {name: nothing_for(name).machine_description for name in ("tiny", "small", "wse3")}
    assert recompute.pays(machines["wse3"], 32768, 4096)
    assert not recompute.pays(machines["tiny"], 512, 64) and not recompute.pays(machines["small"], 512, 64)
    assert not recompute.pays(machines["wse3"], 8, 4096)  # weights would take longer than what they save


@pytest.fixture
def narrow(tmp_path):
    """A machine of few cores whose link is narrower still."""
    source = json.loads((pathlib.Path(__file__).parents[2] / "machines/tiny.json").read_text())
    path = tmp_path / "narrow.json"
    path.write_text(json.dumps(source | {"name": "narrow", "ingest_wavelets_per_cycle": 1, "egress_wavelets_per_cycle": 1, "lanes": source["lanes"] | {"fmac_acc": {"bits32": 64, "bits16": 64, "bits8": 64}}}))
    return str(path)


@pytest.mark.parametrize(("precision", "tolerance"), [("f32", 1e-5), ("f16", 2e-3)])
@pytest.mark.parametrize("tokens", [256, 251])
def test_gradients_of_weights_and_biases_are_added_where_both_operands_are(narrow, tokens, precision, tolerance):
    """Also of 251 tokens, a prime: tokens that a grid has beside those must not be added, here those of exp(bias)."""
    torch.manual_seed(0)

    class Exponential(nn.Module):
        def forward(self, x):
            return torch.exp(x)

    model = nn.Sequential(nn.Linear(6, 5), Exponential(), nn.Linear(5, 6), Exponential())
    x, target = torch.randn(tokens, 6), torch.rand(tokens, 6)
    loss, step = trained(model, x, target, narrow, precision)
    wanted, values = expected(model, x, target)
    sampled = [run["name"] for phase in step.stats["phases"] for run in phase.get("steps", []) if run["wire"] == "Index"]
    assert {"gradient of 0.weight", "gradient of 0.bias", "gradient of 2.weight", "gradient of 2.bias"} <= set(sampled)
    assert loss == pytest.approx(wanted, rel=tolerance)
    for name, value in values.items():
        torch.testing.assert_close(step.state_dict()[name], value, rtol=10 * tolerance, atol=tolerance)


def test_all_engines_add_alike(narrow):
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 6)), torch.randn(40, 6)
    steps = [wafer.train_step(model, mean_square, wafer.optim.SGD(lr=0.5), example=(x, x), machine=narrow, shards=1, engine=engine) for engine in ("functional", "cycle")]
    assert steps[0](x, x) == steps[1](x, x)
    first, second = (step.state_dict() for step in steps)
    assert all(torch.equal(first[name], second[name]) for name in first)
    macs = [[(run["name"], run["macs"], run["bytes"]) for phase in step.stats["phases"] for run in phase.get("steps", [])] for step in steps]
    assert macs[0] == macs[1]
