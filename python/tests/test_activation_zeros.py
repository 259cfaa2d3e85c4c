"""Zeros that arise in activations are not multiplied: counts of both engines beside independent ones."""

import numpy
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import wafer
from wafer.models.mixtral import Experts

TOKENS, WIDTH, HIDDEN = 48, 16, 40


class FeedForward(nn.Module):
    def __init__(self):
        super().__init__()
        self.up, self.down = nn.Linear(WIDTH, HIDDEN), nn.Linear(HIDDEN, WIDTH, bias=False)
        with torch.no_grad():
            self.up.bias.fill_(-0.6)

    def forward(self, x):
        return self.down(F.relu(self.up(x)))


def macs(stats: dict) -> dict[str, int]:
    return {step["name"]: step["macs"] for phase in stats["phases"] for step in phase.get("steps", [])}


def compiled(model: nn.Module, *inputs: torch.Tensor, **options: object) -> wafer.Program:
    return wafer.compile(model.eval(), inputs, machine="odd", **options)


@pytest.mark.parametrize("precision", ["f16", "bf16", "f32"])
def test_zeros_of_a_relu_are_not_multiplied(precision):
    torch.manual_seed(0)
    model, x = FeedForward(), torch.randn(TOKENS, WIDTH)
    program = compiled(model, x, precision=precision)
    results = [program.run((x,), engine=engine) for engine in ("functional", "cycle")]
    assert torch.equal(results[0]["output"], results[1]["output"])
    hidden = F.relu(model.up(x))
    kept = int((hidden != 0).sum())
    assert kept < hidden.numel() / 2
    # Rounding on the wafer may carry a number or two over zero.
    assert macs(program.stats.as_dict())["down.weight"] == pytest.approx(kept * WIDTH, abs=3 * WIDTH)
    assert macs(program.stats.as_dict())["up.weight"] >= TOKENS * HIDDEN * (WIDTH + 1)


def test_counts_of_both_engines_are_the_same_and_add_up():
    torch.manual_seed(0)
    x = torch.randn(TOKENS, WIDTH)
    program = compiled(FeedForward(), x)
    counts = []
    for engine in ("functional", "cycle"):
        program.run((x,), engine=engine)
        counts.append(macs(program.stats.as_dict()))
        assert sum(counts[-1].values()) == program.stats.macs_executed
    assert counts[0] == counts[1]


def test_result_is_the_dense_one():
    torch.manual_seed(0)

    class Dense(FeedForward):
        def forward(self, x, zero):
            return self.down(F.relu(self.up(x)) + zero)  # nobody knows that it has zeros

    dense, x = Dense(), torch.randn(TOKENS, WIDTH)
    sparse = FeedForward()
    sparse.load_state_dict(dense.state_dict())
    zero = torch.zeros(TOKENS, HIDDEN)
    program = compiled(dense, x, zero)
    wanted = program(x, zero)
    assert not any(step["skips_input_zeros"] for phase in program.stats.phases for step in phase.get("steps", []))
    assert torch.equal(compiled(sparse, x)(x), wanted)


def test_experts_work_for_their_tokens_only():
    torch.manual_seed(0)
    experts, taken = 8, 2
    model, x = Experts(WIDTH, HIDDEN, experts, taken), torch.randn(TOKENS, WIDTH)
    program = compiled(model, x)
    numpy.testing.assert_allclose(program(x).detach(), model(x).detach(), atol=2e-3)
    chosen = model.gate(x).topk(taken, dim=-1).indices
    counts = macs(program.stats.as_dict())
    for i in range(experts):
        mine = int((chosen == i).sum())
        for weight in ("w1", "w2", "w3"):
            assert counts[f"experts.{i}.{weight}.weight"] == mine * WIDTH * HIDDEN
    assert sum(count for name, count in counts.items() if "experts" in name) == TOKENS * taken * 3 * WIDTH * HIDDEN


def test_keys_that_a_causal_mask_hides_are_not_multiplied_with_values():
    class Attention(nn.Module):
        def forward(self, q, k, v):
            return F.scaled_dot_product_attention(q, k, v, is_causal=True)

    torch.manual_seed(0)
    length, size = 12, 8
    q, k, v = (torch.randn(1, 2, length, size) for _ in range(3))
    program = compiled(Attention(), q, k, v)
    numpy.testing.assert_allclose(program(q, k, v), F.scaled_dot_product_attention(q, k, v, is_causal=True), atol=2e-3)
    steps = [step for phase in program.stats.phases for step in phase.get("steps", [])]
    (values,) = [step for step in steps if step["skips_input_zeros"]]
    assert values["macs"] == 2 * size * length * (length + 1) // 2


def test_training_skips_zeros_in_four_of_six_products():
    """Down forward, both gradients, and the delta of up; up has a dense input, and the delta of down is too small for a mask."""
    torch.manual_seed(0)
    model, x, target = nn.Sequential(nn.Linear(WIDTH, WIDTH, bias=False), FeedForward()), torch.randn(TOKENS, WIDTH), torch.randn(TOKENS, WIDTH)
    hidden = F.relu(model[1].up(model[0](x)))
    dense, kept = hidden.numel() * WIDTH, int((hidden != 0).sum()) * WIDTH
    step = wafer.train_step(model, F.mse_loss, wafer.optim.SGD(lr=0.0), (x, target), machine="odd", precision="f32", shards=1)
    step(x, target)
    counted = [run["macs"] for phase in step.stats["phases"] for run in phase.get("steps", [])]
    first = 2 * TOKENS * WIDTH * WIDTH  # of the layer before: forward and gradient, which both are dense
    biases = TOKENS * HIDDEN
    assert sum(counted) == pytest.approx(first + 2 * dense + 4 * kept + biases, rel=0.05)


def test_report_says_that_zeros_of_inputs_are_skipped():
    torch.manual_seed(0)
    x = torch.randn(TOKENS, WIDTH)
    program = compiled(FeedForward(), x)
    program(x)
    report = wafer.sparsity.report(program)
    down = {layer.name: layer for layer in report.layers}["down.weight"]
    assert down.skips_input_zeros and down.macs_executed < down.macs_dense / 2
    assert "skipped" in str(report)


@pytest.mark.parametrize("share", [0.0, 1.5])
def test_share_of_zeros_is_from_a_thousandth_to_one(share):
    with pytest.raises(wafer.CompileError, match=f"found activation_zeros={share}"):
        compiled(FeedForward(), torch.randn(TOKENS, WIDTH), activation_zeros=share)


def test_modelled_time_falls_with_the_zeros_that_are_expected():
    x = torch.randn(512, WIDTH)
    cycles = [compiled(FeedForward(), x, activation_zeros=share).time().cycles for share in (0.1, 0.95)]
    assert cycles[1] < cycles[0]


def test_weights_of_an_expert_that_no_token_takes_are_not_streamed():
    torch.manual_seed(0)
    experts, taken = 8, 2
    model, x = Experts(WIDTH, HIDDEN, experts, taken), torch.randn(1, WIDTH)
    program = compiled(model, x)
    for engine in ("functional", "cycle"):
        numpy.testing.assert_allclose(program.run((x,), engine=engine)["output"].detach(), model(x).detach(), atol=2e-3)
        sent = {step["name"]: step["bytes"] for phase in program.stats.phases for step in phase.get("steps", []) if "experts" in step["name"]}
        chosen = set(model.gate(x).topk(taken, dim=-1).indices.flatten().tolist())
        assert {name for name, count in sent.items() if count} == {f"experts.{i}.{weight}.weight" for i in chosen for weight in ("w1", "w2", "w3")}


def test_share_of_zeros_of_a_run_is_what_the_next_program_may_expect():
    torch.manual_seed(0)
    x = torch.randn(TOKENS, WIDTH)
    model = FeedForward()
    program = compiled(model, x)
    program(x)
    hidden = F.relu(model.up(x))
    assert program.stats.activation_zeros == pytest.approx(float((hidden == 0).float().mean()), abs=0.1)
    executed = program.stats.macs_executed
    assert compiled(model, x, activation_zeros=program.stats.activation_zeros).time().macs_executed == pytest.approx(executed, rel=0.01)


def test_a_causal_mask_that_is_made_when_the_program_runs_hides_the_same_keys(monkeypatch):
    from wafer.frontends import torch as importer
    from wafer.frontends.aten import attention, shapes

    for module in (importer, attention, shapes):
        monkeypatch.setattr(module, "MOST_CONSTANTS", 16)

    class Model(nn.Module):
        def forward(self, q, k, v, x):
            return F.scaled_dot_product_attention(q, k, v, is_causal=True), x.tril(-1), x.triu(2)

    torch.manual_seed(0)
    length, size = 12, 8
    q, k, v, x = *(torch.randn(1, 2, length, size) for _ in range(3)), torch.randn(length, length)
    program = compiled(Model(), q, k, v, x, precision="f32")
    assert "0xFF800000" not in max(program.mlir.splitlines(), key=len)
    for found, wanted in zip(program(q, k, v, x), Model()(q, k, v, x)):
        numpy.testing.assert_allclose(found, wanted, atol=1e-5)
    (values,) = [step for phase in program.stats.phases for step in phase.get("steps", []) if step["skips_input_zeros"]]
    assert values["macs"] == 2 * size * length * (length + 1) // 2


def test_a_query_that_sees_no_key_trains_as_in_pytorch():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.project = nn.Linear(WIDTH, WIDTH, bias=False)

        def forward(self, x, mask):
            y = self.project(x)
            return F.scaled_dot_product_attention(y, y, y, attn_mask=mask)

    torch.manual_seed(0)
    model, x, target = Model(), torch.randn(1, 6, WIDTH), torch.randn(1, 6, WIDTH)
    mask = torch.ones(6, 6, dtype=torch.bool).tril()
    mask[2] = False
    mask = mask[None]
    step = wafer.train_step(model, F.mse_loss, wafer.optim.SGD(lr=0.5), (x, mask, target), machine="tiny", precision="f32", shards=1)
    found = [float(step(x, mask, target)) for _ in range(2)]
    wanted = []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for _ in range(2):
        optimizer.zero_grad()
        loss = F.mse_loss(model(x, mask), target)
        loss.backward()
        optimizer.step()
        wanted.append(loss.item())
    numpy.testing.assert_allclose(found, wanted, rtol=1e-5)
