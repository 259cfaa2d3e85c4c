"""Heads of an attention are batch entries with keys and values of their own; several of them are on the wafer at a time."""

import pytest
import torch
from torch import nn

import wafer


class Attention(nn.Module):
    def forward(self, q, k, v):
        return nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)


def operands(heads: int, shared_by: int, tokens: int = 24):
    torch.manual_seed(heads)
    q = torch.randn(2, heads, tokens, 16)
    k, v = (torch.randn(2, heads // shared_by, tokens, 16) for _ in range(2))
    return q, k, v


@pytest.mark.parametrize("machine", ["tiny", "odd", "small"])
@pytest.mark.parametrize(("heads", "shared_by"), [(4, 1), (6, 1), (8, 4), (3, 3), (5, 1)])
def test_heads_give_pytorchs_numbers_and_both_engines_the_same_bits(machine, heads, shared_by):
    q, k, v = operands(heads, shared_by)
    program = wafer.compile(Attention(), (q, k, v), machine=machine, precision="f32", progress=False)
    found = program(q, k, v)
    torch.testing.assert_close(found, Attention()(q, k, v), rtol=1e-5, atol=1e-5)
    macs = program.stats.macs_executed
    assert torch.equal(program(q, k, v, engine="cycle"), found)
    assert program.stats.macs_executed == macs


@pytest.mark.parametrize(("heads", "tokens"), [(4, 24), (6, 24), (4, 128)])  # the last: keys of all heads are multiplied while more are read
def test_threads_that_share_heads_change_no_bit_and_no_count(heads, tokens):
    operand = operands(heads, 1, tokens)
    program = wafer.compile(Attention(), operand, machine="small", progress=False)
    found, counted = program(*operand, threads=1), program.stats.as_dict()["total"]
    for threads in (2, 3):
        assert torch.equal(program(*operand, threads=threads), found)
        assert program.stats.as_dict()["total"] == counted


def test_small_heads_do_not_take_the_wafer_one_by_one():
    program = wafer.compile(Attention(), operands(8, 1), machine="small", progress=False)
    assert [phase["micro_batches"] for phase in _stats(program, operands(8, 1)).phases if phase.get("steps")] == [pytest.approx(2, abs=2)]


def test_heads_that_share_keys_share_their_stream():
    """Four heads of one key head are streamed its keys once; were they apart, four times."""
    shared, apart = (streamed(shared_by) for shared_by in (4, 1))
    assert shared < 0.6 * apart


def streamed(shared_by: int) -> int:
    operand = operands(8, shared_by)
    phases = _stats(wafer.compile(Attention(), operand, machine="small", progress=False), operand).phases
    return sum(step["bytes"] for phase in phases for step in phase.get("steps", []))


def _stats(program, operand):
    program(*operand)
    return program.stats


def test_the_time_of_heads_at_once_is_that_of_the_cycle_engine():
    operand = operands(8, 1, 32)
    program = wafer.compile(Attention(), operand, machine="small", progress=False)
    program(*operand, engine="cycle")
    cycles, streamed = program.stats.cycles, program.stats.bytes_by_kind
    program.time()
    assert program.stats.cycles == pytest.approx(cycles, rel=0.02)
    assert program.stats.bytes_by_kind == streamed
