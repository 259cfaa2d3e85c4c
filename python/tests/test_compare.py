"""Intermediate tensors by name, comparison with PyTorch operation by operation, and saying what would run where."""

import math

import pytest
import torch
import wafer
from torch import nn
from wafer.comparison import cosine, max_ulp, relative_error


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(7, 13), nn.ReLU())
        self.head = nn.Linear(13, 5)

    def forward(self, x):
        return self.head(self.encoder(x)).softmax(-1)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return Model().eval()


@pytest.fixture(scope="module")
def x():
    return torch.randn(3, 7, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def program(model, x):
    return wafer.compile(model, (x,), precision="f32")


# Taps


def test_tap_by_module_by_node_and_by_name_of_the_report(program, model, x):
    results = program.run(x, taps=["encoder", "linear_1", "encoder.0/linear"])
    assert set(results) == {"output", "encoder", "linear_1", "encoder.0/linear"}
    with torch.no_grad():
        torch.testing.assert_close(results["encoder"], model.encoder(x))
        torch.testing.assert_close(results["linear_1"], model.head(model.encoder(x)))
        torch.testing.assert_close(results["encoder.0/linear"], model.encoder[0](x))


def test_taps_do_not_change_the_output(program, x):
    assert torch.equal(program.run(x, taps=["head"])["output"], program(x))


def test_taps_of_a_transposed_tensor_and_of_an_operation_with_two_results(x):
    class Turned(nn.Module):
        def forward(self, x):
            values, places = (x * 2).t().topk(2, dim=0)
            return values + places

    results = wafer.compile(Turned(), (x,), precision="f32").run((x,), taps=["mul", "topk"])
    torch.testing.assert_close(results["mul"], x * 2)
    torch.testing.assert_close(results["topk"], (x * 2).t().topk(2, dim=0).values)


def test_taps_use_weights_that_were_given_later(model, x):
    program = wafer.compile(model, (x,), precision="f32")
    program.run(x, taps=["head"])
    zeros = {name: torch.zeros_like(value) for name, value in model.state_dict().items()}
    assert not program.set_weights(zeros).run(x, taps=["head"])["head"].any()


def test_unknown_tap_names_close_ones(program, x):
    with pytest.raises(wafer.RuntimeError, match=r"found the tap 'heat', .* close to it: head"):
        program.run(x, taps=["heat"])


def test_more_inputs_than_the_model_has_are_refused(program, x):
    with pytest.raises(wafer.RuntimeError, match="found 2 inputs, expected 1: x"):
        program.run((x, x))


def test_program_of_a_file_has_no_taps(program, x, tmp_path):
    program.save(tmp_path / "m.wexe")
    loaded = wafer.load(tmp_path / "m.wexe", weights=program.source.model.parameters)
    with pytest.raises(wafer.RuntimeError, match="does not know its model"):
        loaded.run(x, taps=["head"])
    with pytest.raises(wafer.RuntimeError, match="does not know its model"):
        wafer.compare(loaded, x)


# Measures


def test_ulp_counts_steps_between_neighbours():
    one = torch.tensor([1.0])
    assert max_ulp(one, one, "f32") == 0
    assert max_ulp(torch.nextafter(one, torch.tensor([2.0])), one, "f32") == 1
    assert max_ulp(torch.tensor([-0.0]), torch.tensor([0.0]), "f32") == 0
    assert max_ulp(torch.tensor([-1e-45]), torch.tensor([1e-45]), "f32") == 2
    assert max_ulp(torch.tensor([1 + 2**-10]), one, "f16") == 1
    assert max_ulp(torch.tensor([math.nan]), torch.tensor([math.nan]), "bf16") == 0


def test_relative_error_is_of_the_norm():
    assert relative_error(torch.tensor([3.0, 4.5]), torch.tensor([3.0, 4.0])) == pytest.approx(0.1)
    assert relative_error(torch.tensor([math.inf, 1.0]), torch.tensor([math.inf, 1.0])) == 0
    assert relative_error(torch.tensor([math.nan, 1.0]), torch.tensor([0.0, 1.0])) == math.inf
    assert relative_error(torch.tensor([0.1]), torch.tensor([0.0])) == math.inf
    assert cosine(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 2.0])) == 0


# Comparison


def test_every_operation_of_a_right_program_agrees(program, x, capsys):
    comparison = wafer.compare(program, x)
    assert comparison.ok and comparison.first is None
    assert [row.name for row in comparison.rows] == ["encoder.0/linear", "encoder.1/relu", "head/linear_1", "_softmax"]
    assert [row.name for row in comparison.outputs] == ["output"]
    assert "no operation of 4 diverges by more than 1e-05 (f32)" in capsys.readouterr().out


def test_first_operation_that_diverges_is_named_with_its_line(model, x, capsys):
    program = wafer.compile(model, (x,), precision="f32")
    wrong = {name: value.clone() for name, value in model.state_dict().items()}
    wrong["head.weight"][2, 3] += 0.5
    comparison = wafer.compare(program.set_weights(wrong), (x,))
    first = comparison.first
    assert first.name == "head/linear_1" and first.own_error > 1e-3 and first.placement == "wafer"
    # What follows is wrong because of it, not by itself.
    softmax = comparison.rows[-1]
    assert softmax.name == "_softmax" and softmax.error > 1e-3 and softmax.own_error < 1e-5
    printed = capsys.readouterr().out
    assert "head/linear_1 (aten.linear.default, wafer)" in printed and "test_compare.py" in printed
    assert "return self.head(self.encoder(x)).softmax(-1)" in printed
    assert "max ULP" in comparison.table()


def test_tolerance_follows_the_precision(model, x):
    comparison = wafer.compare(wafer.compile(model, (x,), precision="f16"), {"x": x.numpy()}, show=False)
    assert comparison.ok and comparison.tolerance == 2e-3
    assert comparison.worst.error > 1e-5


def test_share_of_macs_counts_contractions_that_fell_to_memoryx(x):
    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(7, 5)

        def forward(self, x):
            return self.fc(x) @ torch.full((5, 3), 0.5)  # a product with one number everywhere has no kernel

    program = wafer.compile(Mixed(), (x,))
    assert program.source.model.macs == {"fc/linear": 3 * 7 * 5, "matmul": 3 * 5 * 3}
    assert program.wafer_share == pytest.approx(105 / 150)


# Check


class Impossible(nn.Module):
    def forward(self, x):
        y = torch.fft.fft(x).abs()
        z = torch.special.bessel_j1(x)
        return nn.functional.linear(y, z) + x.flip(0)


def test_check_names_everything_that_cannot_be_imported():
    check = wafer.check(Impossible(), torch.ones(5, 5))
    assert not check.ok
    assert [problem.message.split("'")[1] for problem in check.problems] == ["aten._fft_r2c.default", "aten.special_bessel_j1.default"]
    lines = [problem.location.excerpt().strip().splitlines()[0] for problem in check.problems]
    assert lines == ["y = torch.fft.fft(x).abs()", "z = torch.special.bessel_j1(x)"]
    # The rest is placed as if these were there.
    assert any(op.name == "linear" and op.placement == "wafer" for op in check.ops)
    assert "100.00 % of the MACs" in str(check)


def test_check_of_a_model_that_compiles_is_its_report(program, model, x):
    check = wafer.check(model, (x,), precision="f32")
    assert check.ok and check.ops == program.ops
    assert check.wafer_share == program.wafer_share == 1


def test_check_tells_what_pytorch_cannot_export():
    class DataDependent(nn.Module):
        def forward(self, x):
            return x[x > 0]

    check = wafer.check(DataDependent(), torch.ones(3))
    assert not check.ok and "shape" in str(check)


def test_check_of_a_layer_that_is_too_large():
    check = wafer.check(nn.Linear(500_000, 4), torch.ones(1, 500_000))
    assert check.ok and any(op.placement == "memoryx" and "500000 features" in op.reason for op in check.ops)


def test_contraction_before_memoryx_and_a_load_without_one():
    """Routes of the first load's chain were laid in the second load too, where nobody sends on them."""

    class Added(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(5, 5)

        def forward(self, x):
            return self.fc(x) + x.flip(0)

    x = torch.randn(5, 5)
    module = Added().eval()
    torch.testing.assert_close(wafer.compile(module, (x,), precision="f32")(x), module(x), rtol=1e-5, atol=1e-5)
