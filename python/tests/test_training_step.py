"""Training steps: the losses and weights of PyTorch, whatever the number of systems."""

import hashlib
import math
import sys

import numpy
import pytest
import torch
import wafer
from torch import nn
from torch.nn import functional as F
from wafer import optim

GENERATOR = torch.Generator().manual_seed(0)
X, TARGET = torch.randn(24, 12, generator=GENERATOR), torch.randint(0, 5, (24,), generator=GENERATOR)


def mlp(dropout=0.0):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(12, 9), nn.ReLU(), nn.Dropout(dropout), nn.Linear(9, 5))


def make(model, rule=None, example=(X, TARGET), loss=F.cross_entropy, **options):
    return wafer.train_step(model, loss, rule or optim.Adam(lr=1e-2), example, machine="tiny", **{"precision": "f32", **options})


def hash_of(step):
    return hashlib.sha256(b"".join(tensor.numpy().tobytes() for tensor in step.state_dict().values())).hexdigest()


def beside_pytorch(model, optimizer, step, steps, batch=(X, TARGET), loss=F.cross_entropy):
    """Losses of both, as pairs."""
    pairs = []
    for _ in range(steps):
        optimizer.zero_grad()
        result = loss(model(*batch[:-1]), batch[-1])
        result.backward()
        optimizer.step()
        pairs.append((step(*batch), result.item()))
    return pairs


def test_losses_and_weights_are_those_of_pytorch():
    model = mlp()
    step = make(model)
    for found, wanted in beside_pytorch(model, torch.optim.Adam(model.parameters(), lr=1e-2), step, 20):
        assert found == pytest.approx(wanted, rel=1e-5)
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(step.state_dict()[name], tensor, rtol=1e-3, atol=1e-4)


def test_contractions_of_both_passes_run_on_the_wafer():
    program = make(mlp()).program
    products = [op for op in program.ops if op.macs]
    # Forward and weight gradient of both layers, and the delta of the second.
    assert sum(op.macs >= 3 * 45 for op in products) == 5
    assert {op.placement for op in products} == {"wafer"}


def test_the_model_keeps_its_weights_while_training():
    model = mlp()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    step = make(model)
    step(X, TARGET)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])
    model.load_state_dict(step.state_dict())
    assert not torch.equal(model.state_dict()["0.weight"], before["0.weight"])


def test_systems_change_no_bit():
    hashes = set()
    for systems in (1, 2, 3, 8):
        step = make(mlp(0.2), optim.AdamW(lr=1e-2, clip_norm=0.5), systems=systems, precision="f16")
        for _ in range(20):
            step(X, TARGET)
        hashes.add(hash_of(step))
    assert len(hashes) == 1


def test_shards_are_averaged_to_the_whole_batch():
    one, eight = make(mlp(), optim.SGD(lr=0.1), shards=1), make(mlp(), optim.SGD(lr=0.1), shards=8)
    for _ in range(3):
        assert one(X, TARGET) == pytest.approx(eight(X, TARGET), rel=1e-6)
    added = make(mlp(), optim.SGD(lr=0.1 / 24), loss=lambda y, t: F.cross_entropy(y, t, reduction="sum"), reduction="sum", shards=4)
    for _ in range(3):
        added(X, TARGET)
    torch.testing.assert_close(one.state_dict()["0.weight"], added.state_dict()["0.weight"], rtol=1e-4, atol=1e-6)


def test_batches_need_not_divide_nor_be_alike():
    """23 samples in 5 shards, then a short batch of 7, then one of 3, which has fewer shards."""
    model, step = mlp(), make(mlp(), optim.SGD(lr=0.1), example=(X[:23], TARGET[:23]), shards=5)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for size in (23, 7, 3):
        ((found, wanted),) = beside_pytorch(model, optimizer, step, 1, (X[:size], TARGET[:size]))
        assert found == pytest.approx(wanted, rel=1e-6)
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(step.state_dict()[name], tensor, rtol=1e-5, atol=1e-6, msg=name)


def test_systems_change_no_bit_of_batches_that_do_not_divide():
    hashes = set()
    for systems in (1, 3, 8):
        step = make(mlp(0.2), systems=systems, example=(X[:21], TARGET[:21]))
        step(X[:21], TARGET[:21])
        step(X[:9], TARGET[:9])
        hashes.add(hash_of(step))
    assert len(hashes) == 1


def test_dropout_is_a_function_of_seed_and_step():
    first, second, other = make(mlp(0.5)), make(mlp(0.5)), make(mlp(0.5), seed=1)
    losses = [first(X, TARGET) for _ in range(3)]
    assert [second(X, TARGET) for _ in range(3)] == losses
    assert other(X, TARGET) != losses[0]
    assert hash_of(first) == hash_of(second)


def test_dropout_keeps_the_share_that_it_should():
    class Kept(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, x):
            return F.dropout(x * self.scale, 0.25, training=True)

    step = make(Kept(), optim.SGD(lr=0.0), (torch.ones(8, 5000), torch.zeros(8)), lambda y, t: (y > 0).float().mean() + 0 * y.sum() + 0 * t.sum())
    shares = [step(torch.ones(8, 5000), torch.zeros(8)) for _ in range(3)]
    # Of 40,000 draws; five standard deviations.
    assert all(abs(share - 0.75) < 5 * math.sqrt(0.75 * 0.25 / 40000) for share in shares)
    assert len(set(shares)) == 3


def test_batch_statistics_tied_and_unused_parameters():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(7, 6)
            self.norm = nn.BatchNorm1d(6)
            self.head = nn.Linear(6, 7, bias=False)
            self.head.weight = self.embedding.weight
            self.unused = nn.Linear(3, 3)

        def forward(self, ids):
            return self.head(self.norm(self.embedding(ids).mean(1)))

    torch.manual_seed(0)
    model, batch = Model(), (torch.randint(0, 7, (8, 4)), torch.randint(0, 7, (8,)))
    step = make(model, optim.SGD(lr=0.5), batch, shards=1)
    for found, wanted in beside_pytorch(model, torch.optim.SGD(model.parameters(), lr=0.5), step, 5, batch):
        assert found == pytest.approx(wanted, rel=1e-5)
    found = step.state_dict()
    assert torch.equal(found["head.weight"], found["embedding.weight"])
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-4, atol=1e-5)


def test_convolutions_and_pooling_train_as_in_pytorch():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(3, 4, 2, stride=2), nn.GELU(), nn.Flatten(), nn.Linear(16, 5))
    batch = (torch.randn(4, 1, 8, 8), torch.tensor([0, 4, 2, 2]))
    step = make(model, optim.SGD(lr=0.1, momentum=0.9), batch, shards=2)
    for found, wanted in beside_pytorch(model, torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9), step, 5, batch):
        assert found == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("precision", ["f16", "bf16"])
def test_narrow_formats_follow_f32(precision):
    model = mlp()
    step = make(model, precision=precision)
    found, wanted = beside_pytorch(model, torch.optim.Adam(model.parameters(), lr=1e-2), step, 20)[-1]
    assert found == pytest.approx(wanted, rel=2e-2)
    assert (step.loss_scale > 1) == (precision == "f16")


def test_an_overflow_skips_the_step_and_halves_the_scale():
    step = make(mlp(), precision="f16", loss=lambda y, t: F.cross_entropy(y, t) * 500)
    before, scale = hash_of(step), step.loss_scale
    step(X, TARGET)
    assert (step.skipped, step.loss_scale) == (1, scale / 2)
    assert hash_of(step) == before
    for _ in range(12):
        step(X, TARGET)
    assert hash_of(step) != before
    assert step.skipped < 13


def test_clipping_by_norm_is_pytorchs():
    model = mlp()
    step = make(model, optim.SGD(lr=1.0, clip_norm=0.01))
    F.cross_entropy(model(X), TARGET).backward()
    nn.utils.clip_grad_norm_(model.parameters(), 0.01)
    step(X, TARGET)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(step.state_dict()[name], parameter.detach() - parameter.grad, rtol=1e-5, atol=1e-6)


def test_engines_agree_on_every_bit_of_a_training_step():
    steps = [make(mlp(), precision="f16", engine=engine, shards=2) for engine in ("functional", "cycle")]
    for step in steps:
        step(X[:24], TARGET[:24])
    assert hash_of(steps[0]) == hash_of(steps[1])


def test_what_does_not_fit_is_refused_and_changes_nothing(monkeypatch):
    step = make(mlp())
    before = hash_of(step)
    with pytest.raises(wafer.RuntimeError, match="found systems=4 for 3 shards of a batch"):
        make(mlp(), systems=4)(X[:3], TARGET[:3])
    with pytest.raises(wafer.RuntimeError, match="found a batch of the form"):
        step(X, X, TARGET)
    with pytest.raises(wafer.RuntimeError, match="is f32\\[3x11\\], expected f32\\[3x12\\]"):
        step(X[:, :11], TARGET)
    assert hash_of(step) == before and step.step == 0
    with pytest.raises(wafer.RuntimeError, match="found 25 shards for a batch of 24"):
        make(mlp(), shards=25)
    with pytest.raises(wafer.RuntimeError, match="found systems=9 for 8 shards"):
        make(mlp(), systems=9)
    with pytest.raises(wafer.CompileError, match="'0.weight' is bfloat16, expected float32"):
        make(mlp().bfloat16())
    with pytest.raises(wafer.CompileError, match="expected a rule such as wafer.optim.AdamW"):
        make(mlp(), torch.optim.SGD)
    with pytest.raises(wafer.CompileError, match="found a loss that is a tensor of shape \\[3, 5\\]"):
        make(mlp(), loss=lambda y, t: y)
    with pytest.raises(wafer.CompileError, match="no parameter that requires a gradient"):
        make(nn.Identity())
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "4")
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(wafer.RuntimeError, match="found 4 MPI ranks, and mpi4py cannot be imported"):
        make(mlp())


def test_sums_do_not_depend_on_the_order_of_arrival():
    from wafer.training.systems import TreeSum

    for terms in (1, 2, 3, 5, 8):
        values = [numpy.float32(10.0**i) + numpy.float32(0.1) for i in range(terms)]
        results = set()
        for seed in range(5):
            tree = TreeSum(terms)
            for i in numpy.random.default_rng(seed).permutation(terms):
                tree.add(int(i), "x", values[i])
            results.add(float(tree.result["x"]))
        assert len(results) == 1


def test_a_sum_is_told_when_its_terms_are_there_and_others_are_not():
    from wafer.training.systems import TreeSum

    told = []
    tree = TreeSum(2, whole=lambda name, array: told.append((name, float(array))))
    tree.add(1, "last layer", numpy.float32(2))
    tree.add(0, "last layer", numpy.float32(1))
    assert told == [("last layer", 3.0)]
    tree.add(0, "first layer", numpy.float32(4))
    assert len(told) == 1


def test_updates_begin_while_the_backward_pass_goes_on(monkeypatch):
    from wafer.training.programs import Sessions
    from wafer.training.round import Round

    events = []
    update, run = Round.gradient, Sessions.run

    def gradient(self, name, array):
        events.append(name)
        update(self, name, array)

    def timed(self, *arguments, **options):
        results = run(self, *arguments, **options)
        if "loss" in results:
            events.append("the passes are done")
        return results

    monkeypatch.setattr(Round, "gradient", gradient)
    monkeypatch.setattr(Sessions, "run", timed)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    x, target = torch.randn(4, 8), torch.tensor([0, 1, 2, 3])
    step = wafer.train_step(model, F.cross_entropy, wafer.optim.SGD(lr=0.1), (x, target), machine="tiny", shards=1)
    step(x, target)
    assert set(events[:-1]) == {"0.weight", "0.bias", "2.weight", "2.bias"} and events[-1] == "the passes are done"
    # The last layer's gradient comes first.
    assert events.index("2.weight") < events.index("0.weight")
