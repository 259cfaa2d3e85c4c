"""Results that a mask hides are not computed: counts of both engines beside independent ones, and the bits of the program that computes everything."""

import numpy
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import wafer

LENGTH, SIZE, HEADS = 48, 128, 2


class Attention(nn.Module):
    def __init__(self, mask: torch.Tensor | None = None):
        super().__init__()
        self.mask = mask

    def forward(self, q, k, v):
        return F.scaled_dot_product_attention(q, k, v, attn_mask=self.mask, is_causal=self.mask is None)


class Masked(nn.Module):
    def __init__(self):
        super().__init__()
        self.project = nn.Linear(SIZE, LENGTH)

    def forward(self, x, wanted):
        return torch.where(wanted > 0, self.project(x), 7.0)


def projections() -> tuple[torch.Tensor, ...]:
    torch.manual_seed(0)
    return tuple(torch.randn(1, HEADS, LENGTH, SIZE) for _ in range(3))


def infinities(seen: torch.Tensor) -> torch.Tensor:
    return torch.zeros(seen.shape).masked_fill(~seen, -torch.inf)


def masked_steps(program: wafer.Program) -> list[dict]:
    return [step for phase in program.stats.phases for step in phase.get("steps", []) if step["skips_outputs"]]


def run_on_both_engines(program: wafer.Program, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
    results = []
    for engine in ("functional", "cycle"):
        results.append(program.run(inputs, engine=engine)["output"])
        (step,) = masked_steps(program)
        results.append(step["macs"])
    assert results[1] == results[3]
    assert torch.equal(results[0], results[2])
    return results[0]


@pytest.mark.parametrize("machine", ["tiny", "odd"])
@pytest.mark.parametrize("precision", ["f32", "f16", "bf16"])
def test_scores_that_a_causal_mask_hides_are_not_computed(precision, machine):
    inputs = projections()
    program = wafer.compile(Attention(), inputs, machine=machine, precision=precision)
    found = run_on_both_engines(program, inputs)
    (scores,) = masked_steps(program)
    padding = scores["macs_dense"] - HEADS * SIZE * LENGTH**2  # tokens that are not there see everything
    assert scores["macs"] == HEADS * SIZE * LENGTH * (LENGTH + 1) // 2 + padding

    class Whole(nn.Module):
        def forward(self, q, k, v, mask):
            return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)  # nobody knows what it hides

    inputs = (*inputs, infinities(torch.ones(LENGTH, LENGTH, dtype=torch.bool).tril()))
    whole = wafer.compile(Whole(), inputs, machine=machine, precision=precision)
    assert torch.equal(found, whole(*inputs))
    assert masked_steps(whole) == []


@pytest.mark.parametrize("kind", ["window", "blocks", "anything"])
def test_scores_that_another_mask_hides_are_not_computed(kind):
    inputs = projections()
    queries, keys = torch.meshgrid(torch.arange(LENGTH), torch.arange(LENGTH), indexing="ij")
    seen = {"window": (keys <= queries) & (keys > queries - 8), "blocks": queries // 12 == keys // 12, "anything": torch.rand(LENGTH, LENGTH) < 0.3}[kind]
    seen.fill_diagonal_(True)
    model = Attention(infinities(seen))
    program = wafer.compile(model, inputs, machine="tiny", precision="f32")
    found = run_on_both_engines(program, inputs)
    (scores,) = masked_steps(program)
    assert scores["macs"] == HEADS * SIZE * int(seen.sum())
    numpy.testing.assert_allclose(found, model(*inputs), atol=1e-5)


def test_a_window_that_hides_more_takes_less_time():
    inputs = projections()
    queries, keys = torch.meshgrid(torch.arange(LENGTH), torch.arange(LENGTH), indexing="ij")
    cycles = []
    for window in (4, 24):
        seen = (keys <= queries) & (keys > queries - window)
        cycles.append(wafer.compile(Attention(infinities(seen)), inputs, machine="tiny", precision="f32").time().cycles)
    assert cycles[0] < 0.9 * cycles[1]


def test_what_a_mask_of_the_caller_replaces_is_not_computed():
    torch.manual_seed(0)
    precision = "f32"  # in f16 rows whose sums go together are faster than those of a mask, which come one by one
    model, x, wanted = Masked().eval(), torch.randn(LENGTH, SIZE), (torch.rand(LENGTH, LENGTH) < 0.4).float()
    program = wafer.compile(model, (x, wanted), machine="tiny", precision=precision)
    found = run_on_both_engines(program, (x, wanted))
    (step,) = masked_steps(program)
    assert step["macs"] == (SIZE + 1) * int(wanted.sum())
    # Where next to nothing is expected to be hidden, a mask does not pay.
    whole = wafer.compile(model, (x, wanted), machine="tiny", precision=precision, activation_zeros=0.001)
    assert torch.equal(found, whole(x, wanted))
    assert masked_steps(whole) == []


def test_a_weight_that_is_no_number_does_not_reach_what_is_hidden():
    model, x, wanted = Masked().eval(), torch.randn(LENGTH, SIZE), (torch.rand(LENGTH, LENGTH) < 0.4).float()
    wanted[:, 3] = 0
    with torch.no_grad():
        model.project.weight[3] = torch.nan
        model.project.weight[5, 0] = torch.inf
    program = wafer.compile(model, (x, wanted), machine="tiny", precision="f32")
    with torch.no_grad():
        numpy.testing.assert_allclose(run_on_both_engines(program, (x, wanted)), model(x, wanted), atol=1e-5)


def test_a_mask_is_not_made_where_it_takes_longer():
    x, wanted = torch.randn(LENGTH, 4), (torch.rand(LENGTH, 6) < 0.4).float()

    class Small(nn.Module):
        def __init__(self):
            super().__init__()
            self.project = nn.Linear(4, 6)

        def forward(self, x, wanted):
            return torch.where(wanted > 0, self.project(x), 0.0)

    program = wafer.compile(Small().eval(), (x, wanted), machine="small")
    program(x, wanted)
    assert masked_steps(program) == []


def test_deltas_behind_a_relu_are_computed_where_it_was_positive():
    """Five of six products: up alone has a dense input and results that all count."""
    torch.manual_seed(0)
    width, hidden, tokens = 64, 96, 48
    model = nn.Sequential(nn.Linear(width, width, bias=False), nn.Linear(width, hidden, bias=False), nn.ReLU(), nn.Linear(hidden, width, bias=False))
    x, target = torch.randn(tokens, width), torch.randn(tokens, width)
    dense, kept = tokens * hidden * width, int((F.relu(model[1](model[0](x))) != 0).sum()) * width
    weights = {name: value.detach().clone() for name, value in model.state_dict().items()}
    gradients = torch.autograd.grad(F.mse_loss(model(x), target), list(model.parameters()))
    for engine in ("functional", "cycle"):
        model.load_state_dict(weights)
        step = wafer.train_step(model, F.mse_loss, wafer.optim.SGD(lr=1.0), (x, target), machine="tiny", precision="f32", shards=1, engine=engine)
        step(x, target)
        counted = [run["macs"] for phase in step.stats["phases"] for run in phase.get("steps", [])]
        assert sum(counted) == 2 * tokens * width * width + dense + 5 * kept
        for (name, value), gradient in zip(step.state_dict().items(), gradients):
            numpy.testing.assert_allclose(weights[name] - value, gradient, atol=1e-5)


def test_report_says_that_results_are_skipped():
    inputs = projections()
    program = wafer.compile(Attention(), inputs, machine="tiny", precision="f32")
    program(*inputs)
    (scores,) = [layer for layer in wafer.sparsity.report(program).layers if layer.skips_outputs]
    assert scores.macs_executed == scores.macs_theoretical < scores.macs_dense
    assert "results" in str(wafer.sparsity.report(program))
