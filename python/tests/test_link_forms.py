"""How weights with zeros come from MemoryX to the edge of the wafer: fewer bytes, the same numbers."""

from __future__ import annotations

import json
import pathlib

import numpy
import pytest
import torch
from torch import nn

import wafer
from wafer.frontends.zeros import zeros_of
from wafer.sparsity import prune
from wafer.sparsity.report import without_zeros

FEATURES, OUT = 128, 96


def layer(pattern: str, zeros: float) -> nn.Linear:
    torch.manual_seed(0)
    made = nn.Linear(FEATURES, OUT, bias=False).eval()
    prune(made, zeros, pattern=pattern)
    return made


def words(bits: int) -> int:
    return -(-bits // 32)


def expected_words(weight: numpy.ndarray, link: str, bits: int) -> int:
    """Of all rows, by docs/spec/weight-stream.md section 3, counted here."""
    total = 0
    for row in weight:
        kept = row != 0
        if link == "Bitmask":
            total += words(row.size) + words(int(kept.sum()) * bits)
        elif link == "Structured":  # 1 of 4
            places = row.size // 4
            total += 1 + words(places * bits) + words(places * 2)
        elif link == "Blocks":  # of 4
            total += words(row.size // 4) + words(4 * int(kept.reshape(-1, 4).any(1).sum()) * bits)
    return total


@pytest.mark.parametrize("precision, bits", [("f16", 16), ("bf16", 16), ("f32", 32), ("int8", 8)])
@pytest.mark.parametrize("pattern, zeros, link", [("unstructured", 0.75, "Bitmask"), ("2:4", 0.5, "Bitmask"), ("1:4", 0.75, "Structured"), ("4x4", 0.75, "Blocks"), ("unstructured", 0.4, "Bitmask")])
def test_rows_come_in_the_shortest_form_and_give_the_bits_of_a_dense_stream(pattern, zeros, link, precision, bits):
    model, x = layer(pattern, zeros), torch.randn(40, FEATURES)
    program = wafer.compile(model, (x,), machine="tiny", precision=precision)  # small enough that both have one grid, and so one order of sums
    found = program(x)
    (step,) = [step for phase in program.stats.phases for step in phase.get("steps", []) if "weight" in step["name"] and "scale" not in step["name"]]
    assert step["link"] == link
    assert step["bytes"] % (4 * expected_words(model.weight.detach().numpy(), link, bits)) == 0  # once for each micro-batch
    assert torch.equal(found, program(x, engine="cycle"))
    dense = program.source.compile_text(without_zeros(program.mlir))
    dense._sessions.share_weights(program._sessions)
    assert torch.equal(found, torch.from_numpy(dense.run({"input": x.numpy()})["output"]))
    assert next(step for phase in dense.stats.phases for step in phase.get("steps", []) if "weight" in step["name"])["link"] == "Wavelets"


def test_weights_that_lose_their_structure_are_streamed_all_the_same():
    x = torch.randn(8, FEATURES)
    program = wafer.compile(layer("1:4", 0.75), (x,), machine="tiny")
    other = layer("unstructured", 0.3)
    found = program.set_weights(other.state_dict())(x)
    assert torch.equal(found, wafer.compile(nn.Linear(FEATURES, OUT, bias=False), (x,), machine="tiny").set_weights(other.state_dict())(x))
    assert torch.equal(found, program(x, engine="cycle"))


def test_a_weight_with_few_zeros_comes_without_them_and_cores_get_all():
    """Below half, a bit for each weight pays on the link, and an index does not on the fabric: nothing else changes, not even NaN beside zero."""
    model, x = layer("unstructured", 0.2), torch.randn(4, FEATURES)
    x[0, 0] = float("inf")
    program = wafer.compile(model, (x,), machine="tiny")
    found = program(x)
    (step,) = [step for phase in program.stats.phases for step in phase.get("steps", [])]
    assert (step["wire"], step["link"]) == ("Packed16", "Bitmask") and step["bytes"] < 0.9 * step["bytes_dense"]
    dense = wafer.compile(nn.Linear(FEATURES, OUT, bias=False), (x,), machine="tiny").set_weights(model.state_dict())
    numpy.testing.assert_array_equal(found.numpy(), dense(x).numpy())
    assert found.isnan().any()


def test_a_stream_that_the_link_holds_up_is_as_much_faster(tmp_path):
    """One token and a link of one word a cycle: at 75 % zeros a row of 512 weights is 16 + 64 words and 4 commands in place of 256 and 4."""
    description = json.loads((pathlib.Path(__file__).parents[2] / "machines/tiny.json").read_text()) | {"name": "narrow", "ingest_wavelets_per_cycle": 1}
    (tmp_path / "narrow.json").write_text(json.dumps(description))
    x, cycles = torch.randn(1, 512), []
    torch.manual_seed(0)
    model = nn.Linear(512, 64, bias=False)
    for zeros in (0, 0.75):
        if zeros:
            prune(model, zeros)
        program = wafer.compile(model, (x,), machine=str(tmp_path / "narrow.json"))
        program(x, engine="cycle")
        cycles.append(program.stats.cycles)
        assert abs(program.time().cycles - cycles[-1]) <= 0.02 * cycles[-1]
    assert 2.2 < cycles[0] / cycles[1] < 260 / 84


def test_time_and_bytes_are_those_of_the_cycle_engine():
    model, x = layer("unstructured", 0.75), torch.randn(40, FEATURES)
    program = wafer.compile(model, (x,), machine="odd")
    program(x, engine="cycle")
    timed = program.time()
    assert timed.bytes_by_kind == program.stats.bytes_by_kind
    assert abs(timed.cycles - program.stats.cycles) <= 0.02 * program.stats.cycles


@pytest.mark.parametrize("pattern, zeros, encoding", [
    ("unstructured", 0.75, "d0 : dense, d1 : compressed"), ("2:4", 0.5, "d0 : dense, d1 floordiv 4 : dense, d1 mod 4 : structured[2, 4]"),
    ("4x4", 0.75, "d0 floordiv 4 : dense, d1 floordiv 4 : compressed, d0 mod 4 : dense, d1 mod 4 : dense")])  # fmt: skip
def test_the_structure_of_zeros_is_found_and_noted_on_the_weight(pattern, zeros, encoding):
    program = wafer.compile(layer(pattern, zeros), (torch.randn(4, FEATURES),), machine="tiny")
    assert f"graph.encoding = #sparse_tensor.encoding<{{ map = (d0, d1) -> ({encoding}) }}>" in program.mlir


def test_groups_are_found_along_the_other_dimension_and_in_kernels():
    mask = torch.zeros(32, 20)
    mask[::4] = 1
    assert "d1 : dense, d0 floordiv 4 : dense, d0 mod 4 : structured[1, 4]" in zeros_of(mask).encoding
    assert "d3 : compressed" in zeros_of(torch.randn(8, 3, 3, 3) * (torch.rand(8, 3, 3, 3) > 0.6)).encoding
    assert zeros_of(torch.ones(4, 4)) is None and zeros_of(torch.zeros(5)) is None


def test_a_weight_that_is_declared_sparse_travels_so():
    text = """
      #csr = #sparse_tensor.encoding<{ map = (d0, d1) -> (d0 : dense, d1 : compressed) }>
      func.func @forward(%x: tensor<4x64xf32> {graph.name = "x", graph.role = "input"},
                         %w: tensor<64x32xf32, #csr> {graph.name = "w", graph.role = "parameter"}) -> (tensor<4x32xf32> {graph.name = "y"}) {
        %zero = arith.constant 0.0 : f32
        %empty = tensor.empty() : tensor<4x32xf32>
        %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<4x32xf32>) -> tensor<4x32xf32>
        %y = linalg.matmul ins(%x, %w : tensor<4x64xf32>, tensor<64x32xf32, #csr>) outs(%init : tensor<4x32xf32>) -> tensor<4x32xf32>
        return %y : tensor<4x32xf32>
      }"""
    x, w = torch.randn(4, 64), torch.randn(64, 32) * (torch.rand(64, 32) < 0.2)
    program = wafer.compile(text, machine="tiny", precision="f32").set_weights({"w": w})
    torch.testing.assert_close(torch.from_numpy(program.run({"x": x.numpy()})["y"]), x @ w)
    (step,) = [step for phase in program.stats.phases for step in phase.get("steps", [])]
    assert (step["wire"], step["link"]) == ("Indexed32", "Bitmask") and step["macs"] == 4 * int(w.count_nonzero())
