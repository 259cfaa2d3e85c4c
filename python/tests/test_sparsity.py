"""Zeros that are made: by pruning, and in training; which weights are kept is the same everywhere and goes on after a stop."""

import copy
import json

import numpy
import pytest
import torch
import wafer
from torch import nn
from torch.nn import functional as F
from wafer import sparsity
from wafer.sparsity import GMP, SET, RigL, Static
from wafer.sparsity.masks import largest

X = torch.randn(40, 16, generator=torch.Generator().manual_seed(0))
Y = torch.randint(0, 4, (40,), generator=torch.Generator().manual_seed(1))


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(16, 24), nn.ReLU(), nn.Linear(24, 4))


def zeros(tensor):
    return 1 - tensor.count_nonzero().item() / tensor.numel()


# Pruning


@pytest.mark.parametrize("count", [0, 1, 7, 20, 33, 36])
def test_of_equal_scores_the_first_are_kept_and_what_is_no_number_last(count):
    scores = numpy.random.default_rng(0).integers(0, 5, 36).astype(numpy.float32)
    scores[[3, 11, 30]] = numpy.nan
    expected = numpy.zeros(36, bool)
    expected[numpy.argsort(-scores, kind="stable")[:count]] = True
    numpy.testing.assert_array_equal(largest(scores.reshape(6, 6), count), expected.reshape(6, 6))


def test_magnitude_keeps_the_largest():
    model, before = network(), network()
    masks = sparsity.prune(model, 0.75)
    assert set(masks) == {"0.weight", "2.weight"}
    for name, mask in masks.items():
        weight, old = model.get_parameter(name), before.get_parameter(name)
        assert zeros(weight) == 0.75
        assert old[torch.from_numpy(mask)].abs().min() >= old[~torch.from_numpy(mask)].abs().max()


def test_a_global_limit_leaves_more_where_weights_are_larger():
    model = network()
    with torch.no_grad():
        model[2].weight.mul_(10)
    sparsity.prune(model, 0.75, scope="global")
    assert zeros(model[2].weight) < 0.4 < 0.75 < zeros(model[0].weight)
    assert zeros(torch.cat([model[0].weight.flatten(), model[2].weight.flatten()])) == 0.75


def test_n_of_m_keeps_n_of_each_group():
    model = network()
    sparsity.prune(model, 0.5, pattern="2:4")
    assert (model[0].weight.reshape(-1, 4).count_nonzero(1) == 2).all()


def test_blocks_go_whole():
    model = network()
    sparsity.prune(model, 0.5, pattern="4x4", include=["0.*"])
    counts = model[0].weight.reshape(6, 4, 4, 4).permute(0, 2, 1, 3).reshape(-1, 16).count_nonzero(1)
    assert set(counts.tolist()) == {0, 16} and zeros(model[0].weight) == 0.5
    assert zeros(model[2].weight) == 0


@pytest.mark.parametrize("method", ["wanda", "sparsegpt"])
def test_methods_that_see_inputs_change_the_output_less(method):
    """Of inputs, half are next to nothing: weights that read them go first, whatever their size."""
    torch.manual_seed(3)
    layer, x = nn.Linear(32, 16), torch.randn(200, 32) * torch.cat([torch.full((16,), 0.05), torch.ones(16)])
    errors = {}
    for name in ("magnitude", method):
        model = nn.Sequential(copy.deepcopy(layer))
        sparsity.prune(model, 0.5, method=name, calibration=[x])
        assert abs(zeros(model[0].weight) - 0.5) < 0.01
        errors[name] = (model(x) - layer(x)).norm().item()
    assert errors[method] < 0.5 * errors["magnitude"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sparsity": 1.0}, "found sparsity 1.0"), ({"method": "best"}, "method 'best'"), ({"pattern": "3:5"}, "found 16 features for the pattern 3:5"),
        ({"pattern": "some"}, "pattern 'some'"), ({"include": ["fc.*"]}, "'fc.*', which fits no weight"), ({"method": "wanda"}, "no calibration"),
        ({"scope": "global", "pattern": "2:4"}, "scope 'global'"), ({"pattern": "5x5"}, "multiples of the block"),
    ],
)  # fmt: skip
def test_options_that_do_not_fit_are_refused(options, message):
    with pytest.raises(wafer.RuntimeError, match=message):
        sparsity.prune(network(), **{"sparsity": 0.5, **options})


def test_a_pruned_model_executes_fewer_macs_and_gives_the_bits_of_the_dense_program():
    model = nn.Linear(64, 32, bias=False)
    sparsity.prune(model, 0.75)
    x = torch.randn(16, 64)
    program = wafer.compile(model, (x,), machine="tiny")
    dense = wafer.compile(nn.Linear(64, 32, bias=False), (x,), machine="tiny").set_weights(model.state_dict())
    assert torch.equal(program(x), dense(x))
    assert program.stats.macs_executed == model.weight.count_nonzero().item() * 16
    assert dense.stats.macs_executed == 64 * 32 * 16


def test_weights_that_change_in_place_between_runs_are_seen():
    model = nn.Linear(64, 32, bias=False)
    sparsity.prune(model, 0.75)
    x = torch.randn(16, 64)
    program = wafer.compile(model, (x,), machine="tiny")
    first, counted = program(x), program.stats.macs_executed
    assert torch.equal(program(x), first)
    assert program.stats.macs_executed == counted
    with torch.no_grad():
        model.weight.mul_(torch.rand(32, 64) < 0.5)
    assert torch.equal(program(x), wafer.compile(model, (x,), machine="tiny")(x))
    assert program.stats.macs_executed == model.weight.count_nonzero().item() * 16


# Training


def step_of(method, **options):
    options = {"machine": "tiny", "precision": "f16", "shards": 2} | options
    return wafer.train_step(network(), F.cross_entropy, wafer.optim.AdamW(lr=1e-2), (X, Y), sparsity=method, **options)


METHODS = [Static(0.75), Static(0.75, from_weights=True), GMP(0.75, end=6, update_every=2), SET(0.75, end=8, update_every=2), RigL(0.75, end=8, update_every=2)]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_weights_that_are_not_kept_are_zero(method):
    step = step_of(method)
    first = {name: mask.copy() for name, mask in step.masks.items()}
    for _ in range(7):
        step(X, Y)
    for name, mask in step.masks.items():
        weight = step.state_dict()[name]
        assert zeros(torch.from_numpy(mask)) == 0.75
        assert not weight[~torch.from_numpy(mask)].any() and zeros(weight) < 0.8
        assert numpy.array_equal(mask, first[name]) == (method.name == "Static")


def test_rigl_lets_the_largest_gradients_in():
    method = RigL(0.5, update_every=1, end=100)
    mask = numpy.array([[True, True, True, False, False, False]])
    weight, gradient = numpy.array([[0.1, 3.0, 2.0, 0, 0, 0]]), numpy.array([[9.0, 0, 0, 1.0, -5.0, 2.0]])
    assert method.next("w", mask, weight, gradient, 1).tolist() == [[True, True, True, False, False, False]]  # 0.3 of 3 is none
    assert RigL(0.5, update_every=1, end=100, fraction=0.5).next("w", mask, weight, gradient, 1).tolist() == [[False, True, True, False, True, False]]


def test_gmp_follows_its_cubic():
    step = step_of(GMP(0.8, begin=0, end=4, update_every=2))
    found = []
    for _ in range(5):
        found.append(zeros(torch.from_numpy(step.masks["0.weight"])))
        step(X, Y)
    assert found == pytest.approx([0, 0, 0.8 - 0.8 / 8, 0.8 - 0.8 / 8, 0.8], abs=0.01)


def test_a_step_with_zeros_learns():
    step = step_of(RigL(0.75, end=40, update_every=5))
    losses = [step(X, Y) for _ in range(50)]
    assert losses[-1] < 0.7 * losses[0]


def test_the_wafer_skips_what_is_zero():
    dense, sparse = step_of(None), step_of(Static(0.75))
    for step in (dense, sparse):
        step(X, Y)
    assert sparse.stats["total"]["macs"] < 0.85 * dense.stats["total"]["macs"]


@pytest.mark.parametrize("method", [SET(0.75, end=8, update_every=2), RigL(0.75, end=8, update_every=2)], ids=lambda method: method.name)
def test_a_run_that_stopped_goes_on_with_the_same_bits(method, tmp_path):
    whole, first, second = (step_of(method) for _ in range(3))
    for _ in range(3):
        whole(X, Y)
        first(X, Y)
    first.save(tmp_path)
    second.load(tmp_path)
    for _ in range(4):
        whole(X, Y)
        second(X, Y)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[name])
    assert all(numpy.array_equal(mask, second.masks[name]) for name, mask in whole.masks.items())


def test_systems_change_no_bit():
    one, two = (step_of(RigL(0.75, end=8, update_every=2), systems=systems) for systems in (1, 2))
    for _ in range(3):
        one(X, Y)
        two(X, Y)
    assert all(torch.equal(tensor, two.state_dict()[name]) for name, tensor in one.state_dict().items())


def test_a_sparse_run_goes_on_dense(tmp_path):
    sparse, dense = step_of(Static(0.75)), step_of(None)
    sparse(X, Y)
    sparse.save(tmp_path)
    dense.load(tmp_path)
    dense(X, Y)
    assert zeros(dense.state_dict()["0.weight"]) < 0.5 and not dense.masks


def test_a_dense_run_does_not_go_on_sparse(tmp_path):
    dense = step_of(None)
    dense.save(tmp_path)
    with pytest.raises(wafer.RuntimeError, match="made with sparsity None, expected 'RigL'"):
        step_of(RigL(0.75)).load(tmp_path)


def test_methods_without_a_weight_are_refused():
    with pytest.raises(wafer.RuntimeError, match="fits no weight"):
        step_of(Static(0.5, include=["fc*"]))


# The report


def test_executed_macs_of_layers_are_those_of_the_engine():
    model = network()
    sparsity.prune(model, 0.75, include=["0.*"])
    program = wafer.compile(model, (X,), machine="odd")
    program(X)
    report = sparsity.report(program)
    assert report.total("macs_executed") == program.stats.macs_executed
    assert [layer.wire for layer in report.layers] == ["indexed16, bitmask", "packed16"]
    first = report.layers[0]
    assert first.zeros == 0.75 and first.macs_executed == first.macs_theoretical < first.macs_dense


def test_a_report_says_why_zeros_were_sent():
    model = network()
    sparsity.prune(model, 0.4)
    program = wafer.compile(model, (X,), machine="tiny")
    program(X)
    assert "at most half are zero" in str(sparsity.report(program))
    program.set_weights({name: tensor * 0 for name, tensor in model.state_dict().items()})(X)
    assert "made before the weights had zeros" in str(sparsity.report(program))


def test_a_report_with_inputs_says_what_that_is_in_time():
    model = nn.Linear(64, 64)
    sparsity.prune(model, 0.9)
    x = torch.randn(64, 64)
    report = sparsity.report(wafer.compile(model, (x,), machine="tiny"), (x,))
    assert report.cycles < report.cycles_dense and report.speedup > 1
    assert '"speedup"' in report.json()


def test_zeros_in_f32_save_as_many_macs():
    model = nn.Linear(64, 32, bias=False)
    sparsity.prune(model, 0.75)
    x = torch.randn(16, 64)
    program = wafer.compile(model, (x,), machine="tiny", precision="f32")
    functional = program(x)
    assert program.stats.macs_executed == model.weight.count_nonzero().item() * 16
    assert torch.equal(functional, program(x, engine="cycle"))
    torch.testing.assert_close(functional, model(x).detach())


@pytest.mark.parametrize("precision", ["f16", "bf16", "f32"])
@pytest.mark.parametrize("zeros", [0, 0.8])
def test_sums_of_rows_go_together(tmp_path, zeros, precision):
    """With a smaller accumulator cache each row has a command of its own; rows do not divide among the columns."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(33, 70), nn.ReLU(), nn.Linear(70, 33, bias=False))
    if zeros:
        sparsity.prune(model, zeros)
    x = torch.randn(16, 33)
    together = wafer.compile(model, (x,), machine="tiny", precision=precision)
    machine = tmp_path / "few_sums.json"
    machine.write_text(json.dumps(together.machine_description | {"name": "few_sums", "accumulator_bytes": 32}))
    alone = wafer.compile(model, (x,), machine=machine, precision=precision)
    result = together(x)
    functional = together.stats
    assert torch.equal(result, together(x, engine="cycle"))
    assert functional.macs_executed == together.stats.macs_executed
    assert torch.equal(result, together(x, engine="functional"))
    if zeros:
        torch.testing.assert_close(result, alone(x), rtol=1e-2, atol=1e-2)  # columns may be fewer
    else:
        assert torch.equal(result, alone(x))
    assert together.time().cycles < alone.time().cycles


@pytest.mark.parametrize("precision", ["f16", "f32"])
def test_zero_times_infinity_is_not_computed_in_a_sparse_format(precision):
    """What a weight of zero would be multiplied with is not read: dense formats give NaN there, sparse ones do not (docs/guides/sparsity.md)."""
    model = nn.Linear(4, 1, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, 0, 0, 0]]))
    x = torch.tensor([[2.0, float("inf"), float("nan"), 1.0]])
    sparse = wafer.compile(model, (x,), machine="tiny", precision=precision)
    dense = wafer.compile(nn.Linear(4, 1, bias=False), (x,), machine="tiny", precision=precision).set_weights(model.state_dict())
    assert sparse(x).item() == 2.0
    assert dense(x).isnan().all()


@pytest.mark.parametrize("layout", ["to_sparse_csr", "to_sparse_bsr"])
def test_weights_in_a_sparse_layout_of_pytorch_are_found_and_skipped(layout):
    torch.manual_seed(0)
    dense = torch.nn.Linear(64, 32).eval()
    with torch.no_grad():
        dense.weight.mul_(torch.rand(8, 16).repeat_interleave(4, 0).repeat_interleave(4, 1) < 0.25)
    sparse = torch.nn.Linear(64, 32).eval()
    sparse.load_state_dict(dense.state_dict())
    values = getattr(dense.weight.detach(), layout)(*([(4, 4)] if layout == "to_sparse_bsr" else []))
    sparse.weight = torch.nn.Parameter(values, requires_grad=False)
    x = torch.randn(5, 64)
    program = wafer.compile(sparse, (x,), machine="tiny")
    assert torch.equal(program(x), wafer.compile(dense, (x,), machine="tiny")(x))
    (step,) = [step for phase in program.stats.phases for step in phase.get("steps", [])]
    assert step["wire"] == "Indexed16" and step["macs"] < step["macs_dense"] / 3


def test_training_wants_dense_tensors():
    layer = torch.nn.Linear(8, 8)
    layer.weight = torch.nn.Parameter(layer.weight.detach().to_sparse_csr(), requires_grad=False)
    x = torch.randn(4, 8)
    with pytest.raises(wafer.CompileError, match="'weight' is sparse_csr, expected a dense tensor"):
        wafer.train_step(layer, torch.nn.functional.mse_loss, wafer.optim.SGD(lr=0.1), (x, x), machine="tiny")
