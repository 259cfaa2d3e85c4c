"""Training steps of JAX functions, against JAX."""

import numpy
import pytest
import torch
import wafer

jax = pytest.importorskip("jax")
jnp = jax.numpy

X = numpy.random.default_rng(0).normal(size=(6, 8)).astype("f4")
TARGET = numpy.arange(6) % 4


def first_params():
    random = numpy.random.default_rng(1)
    layer = lambda k, n: {"w": (random.normal(size=(k, n)) * 0.3).astype("f4"), "b": numpy.zeros(n, "f4")}  # noqa: E731
    return {"layers": [layer(8, 16), layer(16, 4)]}


def apply(params, x):
    first, last = params["layers"]
    return jax.nn.gelu(x @ first["w"] + first["b"]) @ last["w"] + last["b"]


def loss(logits, target):
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), target[:, None], 1).mean()


def make(params=None, **options):
    options = {"machine": "tiny", "precision": "f32", "shards": 2} | options
    return wafer.train_step(apply, loss, wafer.optim.SGD(lr=0.5), (X, TARGET), params=params or first_params(), **options)


def test_it_trains_as_jax_does():
    step, params = make(), first_params()
    for _ in range(5):
        wanted, gradients = jax.value_and_grad(lambda p: loss(apply(p, X), TARGET))(params)
        assert step(X, TARGET) == pytest.approx(float(wanted), rel=1e-5)
        params = jax.tree_util.tree_map(lambda p, g: p - 0.5 * g, params, gradients)
    found = step.params
    assert jax.tree_util.tree_structure(found) == jax.tree_util.tree_structure(params)
    for one, other in zip(jax.tree_util.tree_leaves(found), jax.tree_util.tree_leaves(params), strict=True):
        numpy.testing.assert_allclose(one, other, atol=1e-6)


def test_f16_scales_the_loss_and_reports_it_unscaled():
    step = make(precision="f16")
    assert step(X, TARGET) == pytest.approx(float(loss(apply(first_params(), X), TARGET)), rel=2e-3)
    assert step.loss_scale > 1 and step.skipped == 0


def test_batches_may_be_tensors_of_pytorch_or_arrays():
    assert make()(torch.from_numpy(X), torch.from_numpy(TARGET)) == make()(jnp.asarray(X), TARGET)


def test_systems_give_the_same_bytes():
    one, two = make(systems=1), make(systems=2)
    for step in (one, two):
        step(X, TARGET)
    assert all(torch.equal(tensor, two.state_dict()[name]) for name, tensor in one.state_dict().items())


def test_a_run_goes_on_from_its_checkpoint(tmp_path):
    one, two = make(), make()
    one(X, TARGET)
    one.save(tmp_path)
    two.load(tmp_path)
    assert one(X, TARGET) == two(X, TARGET)
    assert list(two.state_dict()) == ["layers.0.b", "layers.0.w", "layers.1.b", "layers.1.w"]


def test_zeros_are_kept():
    step = make(sparsity=wafer.sparsity.Static(0.75))
    step(X, TARGET)
    assert numpy.count_nonzero(step.params["layers"][0]["w"]) == 32


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(model=apply), "expected a torch.nn.Module, or a function of JAX"),
        (dict(model=torch.nn.Linear(8, 4), params={"w": X}), "which has parameters of its own"),
        (dict(model=apply, params={"w": numpy.zeros(3, "i4")}), "found int32 among params, expected float32"),
        (dict(model=apply, params={}), "without arrays"),
        (dict(model=apply, params=first_params(), loss_fn=lambda logits, target: logits), r"found a loss that is float32\[3, 4\], expected one float32 number"),
    ],
)
def test_refuses(options, message):
    with pytest.raises(wafer.CompileError, match=message):
        wafer.train_step(**({"loss_fn": loss, "optimizer": wafer.optim.SGD(lr=0.5), "example": (X, TARGET), "machine": "tiny", "shards": 2} | options))


def test_the_trainer_leaves_evaluation_to_callbacks():
    batches = [(X, TARGET)] * 2
    trainer = wafer.Trainer(apply, loss, wafer.optim.SGD(lr=0.5), batches, steps=2, params=first_params(), machine="tiny", shards=2)
    assert trainer.fit()["loss"] > 0 and trainer.step.step == 2
    with pytest.raises(wafer.RuntimeError, match="evaluate trainer.step.params in a callback"):
        wafer.Trainer(apply, loss, wafer.optim.SGD(lr=0.5), batches, steps=2, params=first_params(), evaluation=batches, machine="tiny")
