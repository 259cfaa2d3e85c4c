"""Routers and experts: what they give, and for whom they work."""

import pytest
import torch
import wafer
from torch import nn
from torch.nn import functional as F
from wafer.models import experts
from wafer.models.mixtral import Expert, Experts

WIDTH, HIDDEN, TOKENS = 16, 24, 40


def macs(stats: dict) -> dict[str, int]:
    return {step["name"]: step["macs"] for phase in stats["phases"] for step in phase.get("steps", [])}


def test_equal_loads_have_balance_one_and_one_expert_for_all_has_as_many_as_there_are():
    even = torch.eye(4).repeat(5, 1) * 50
    assert float(experts.balance(even, 1)) == pytest.approx(1, rel=1e-5)
    assert float(experts.balance(torch.tensor([[50.0, 0, 0, 0]]).expand(7, 4), 1)) == pytest.approx(4, rel=1e-5)


def test_hash_routed_experts_work_for_the_tokens_of_their_ids():
    torch.manual_seed(0)
    model = experts.HashRouted([Expert(WIDTH, HIDDEN) for _ in range(4)], vocabulary=50).eval()
    ids, x = torch.randint(0, 50, (TOKENS,)), torch.randn(TOKENS, WIDTH)
    program = wafer.compile(model, (ids, x), machine="odd")
    torch.testing.assert_close(program(ids, x).detach(), model(ids, x).detach(), atol=2e-3, rtol=0)
    counts = macs(program.stats.as_dict())
    for i in range(4):
        mine = int((model.table[ids] == i).sum())
        assert [counts[f"experts.{i}.{name}.weight"] for name in ("w1", "w2", "w3")] == [mine * WIDTH * HIDDEN] * 3
    assert torch.bincount(model.table.long()).max() - torch.bincount(model.table.long()).min() <= 1


def test_shared_experts_work_for_all_tokens():
    torch.manual_seed(0)
    model = experts.Shared(Experts(WIDTH, HIDDEN, 4, 1), [Expert(WIDTH, HIDDEN)]).eval()
    x = torch.randn(TOKENS, WIDTH)
    program = wafer.compile(model, (x,), machine="odd")
    torch.testing.assert_close(program(x).detach(), model(x).detach(), atol=3e-3, rtol=0)
    counts = macs(program.stats.as_dict())
    assert counts["shared.0.w1.weight"] >= TOKENS * WIDTH * HIDDEN
    assert sum(count for name, count in counts.items() if "routed.experts" in name) == TOKENS * 3 * WIDTH * HIDDEN


def test_a_mixture_trains_with_its_balance_as_in_pytorch():
    class Balanced(nn.Module):
        def __init__(self):
            super().__init__()
            self.experts = Experts(WIDTH, HIDDEN, 4, 2)

        def forward(self, x):
            return self.experts(x), experts.balance(self.experts.gate(x), 2)

    def loss(result, target):
        return F.mse_loss(result[0], target) + 0.1 * result[1]

    torch.manual_seed(0)
    model, x, target = Balanced(), torch.randn(TOKENS, WIDTH), torch.randn(TOKENS, WIDTH)
    step = wafer.train_step(model, loss, wafer.optim.SGD(lr=0.1), (x, target), machine="odd", precision="f32", shards=1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(3):
        found = float(step(x, target))
        optimizer.zero_grad()
        wanted = loss(model(x), target)
        wanted.backward()
        optimizer.step()
        assert found == pytest.approx(wanted.item(), rel=1e-4)
