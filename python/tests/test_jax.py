"""Functions for JAX: models and their gradients, the names of weights and results, places in the source, and what is refused."""

import inspect

import jax
import jax.numpy as jnp
import numpy
import pytest
import torch
import wafer
from jax import lax
from safetensors.numpy import save_file
from wafer.frontends.jax import import_function
from wafer.program import share_of_macs

CHANNELS_LAST = ("NHWC", "HWIO", "NHWC")


def random(*shape, seed=0, scale=1.0):
    return scale * jax.random.normal(jax.random.key(seed), shape)


def line_of(function, needle):
    lines, first = inspect.getsourcelines(function)
    return first + next(i for i, line in enumerate(lines) if needle in line)


def compiled(function, *args, **options):
    return wafer.compile(function, args, precision="f32", **options)


def check(function, params, *inputs, least_share=1):
    """The program's results are those of the function, with this share of multiply-accumulates on the wafer."""
    program = compiled(function, params, *inputs, weights_argnums=0)
    wanted = jax.tree_util.tree_leaves(jax.jit(function)(params, *inputs))
    for (name, found), reference in zip(program.run(inputs).items(), wanted, strict=True):
        error = numpy.linalg.norm(found - reference) / numpy.linalg.norm(reference)
        assert error < 1e-5, f"{name}: {error}"
    assert share_of_macs(program.ops, program.source.model.macs) >= least_share
    return program


# Models


def perceptron(params, x):
    for layer in params[:-1]:
        x = jax.nn.relu(x @ layer["w"] + layer["b"])
    return x @ params[-1]["w"] + params[-1]["b"]


PERCEPTRON = [{"w": random(7, 9, seed=1), "b": random(9, seed=2)}, {"w": random(9, 4, seed=3), "b": random(4, seed=4)}]
X = random(6, 7, seed=5)


def cnn(params, x):
    x = jax.nn.relu(lax.conv_general_dilated(x, params["first"], (1, 1), "SAME", dimension_numbers=CHANNELS_LAST))
    x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    x = jax.nn.relu(lax.conv_general_dilated(x, params["second"], (2, 2), "SAME", dimension_numbers=CHANNELS_LAST))
    return x.reshape(x.shape[0], -1) @ params["w"]


CNN = {"first": random(3, 3, 1, 4, seed=1, scale=0.4), "second": random(3, 3, 4, 6, seed=2, scale=0.3), "w": random(24, 5, seed=3, scale=0.3)}


def layer_norm(x, scale, shift):
    centred = x - x.mean(-1, keepdims=True)
    return centred * lax.rsqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * scale + shift


def block(params, x):
    """Causal attention and an MLP, as in GPT-2."""
    tokens = x.shape[-2]
    h = layer_norm(x, *params["norm1"])
    q, k, v = (jnp.einsum("btd,dhe->bhte", h, params[name]) for name in "qkv")
    scores = jnp.einsum("bhte,bhse->bhts", q, k) / q.shape[-1] ** 0.5
    scores = jnp.where(jnp.tril(jnp.ones((tokens, tokens), bool)), scores, -jnp.inf)
    x = x + jnp.einsum("bhts,bhse,hed->btd", jax.nn.softmax(scores), v, params["out"])
    h = layer_norm(x, *params["norm2"])
    return x + jax.nn.gelu(h @ params["up"]) @ params["down"]


BLOCK = {name: random(12, 3, 4, seed=i, scale=0.3) for i, name in enumerate("qkv")} | {
    "out": random(3, 4, 12, seed=4, scale=0.3),
    "norm1": (1 + random(12, seed=5), random(12, seed=6)),
    "norm2": (1 + random(12, seed=7), random(12, seed=8)),
    "up": random(12, 20, seed=9, scale=0.3),
    "down": random(20, 12, seed=10, scale=0.3),
}
TOKENS = random(2, 5, 12, seed=11)

MODELS = {"perceptron": (perceptron, PERCEPTRON, X), "cnn": (cnn, CNN, random(2, 8, 8, 1, seed=5)), "transformer block": (block, BLOCK, TOKENS)}


@pytest.mark.parametrize("name", MODELS)
def test_model(name):
    check(*MODELS[name])


@pytest.mark.parametrize("name", MODELS)
def test_gradient_of_a_model(name):
    model, params, x = MODELS[name]
    labels = jnp.arange(x.shape[0] * (x.shape[1] if name == "transformer block" else 1)).reshape(x.shape[:-1] if name == "transformer block" else x.shape[:1]) % 4

    def loss(params, x, labels):
        return -jnp.take_along_axis(jax.nn.log_softmax(model(params, x)), labels[..., None], -1).mean()

    check(jax.value_and_grad(loss), params, x, labels)


def recurrent(params, xs):
    def step(state, x):
        state = jnp.tanh(x @ params["w"] + state @ params["u"])
        return state, state.sum(-1)

    return lax.scan(step, jnp.zeros((xs.shape[1], params["u"].shape[0])), xs)


RECURRENT = {"w": random(7, 9, seed=1, scale=0.4), "u": random(9, 9, seed=2, scale=0.4)}
SEQUENCE = random(4, 3, 7, seed=3)


def test_a_scan_is_written_step_by_step_and_has_a_gradient():
    check(recurrent, RECURRENT, SEQUENCE)
    # The first state, zeros, comes out of an array of all states, and what it multiplies is computed in MemoryX.
    check(jax.grad(lambda params, xs: (recurrent(params, xs)[1] ** 2).sum()), RECURRENT, SEQUENCE, least_share=0.9)


def test_random_numbers_are_those_of_jax():
    def noisy(key, x):
        return x + jax.random.normal(key, x.shape), jax.random.bernoulli(jax.random.key(3), 0.7, x.shape)

    key = jax.random.PRNGKey(5)
    found, wanted = compiled(noisy, key, X)(key, X), noisy(key, X)
    numpy.testing.assert_allclose(found[0], wanted[0], rtol=1e-4, atol=1e-5)
    numpy.testing.assert_array_equal(found[1], wanted[1])


def test_a_function_under_jit_with_static_arguments_and_jitted_parts():
    @jax.jit
    def twice(x):
        return x * 2

    @jax.jit
    def layer(x, w, y):
        return twice(x @ w) + twice(twice(y))

    model = jax.jit(lambda x, w, power, kind: layer(x, w, 1.0) ** power if kind == "power" else x, static_argnums=(2, 3))
    w = random(7, 4)
    program = compiled(model, X, w, 3, "power", weights_argnums=1)
    numpy.testing.assert_allclose(program(X), model(X, w, 3, "power"), rtol=1e-5)
    assert [info.name for info in program.inputs] == ["x"]


# Names, types, weights


def test_weights_are_named_by_their_path():
    program = compiled(perceptron, PERCEPTRON, X, weights_argnums=(0,))
    assert {info.name for info in program.weights} == {"0.w", "0.b", "1.w", "1.b"}
    assert [info.name for info in program.inputs] == ["x"]


def test_weights_of_several_arguments_begin_with_the_argument():
    program = compiled(lambda encoder, decoder, x: x @ encoder["w"] @ decoder["w"], {"w": random(7, 3)}, {"w": random(3, 2)}, X, weights_argnums=(0, -2))
    assert {info.name for info in program.weights} == {"encoder.w", "decoder.w"}


def test_inputs_and_results_are_named_by_their_path():
    def function(batch, *, scale):
        return {"sum": batch["a"] + batch["b"][0], "parts": (batch["a"] * scale, 2.0)}

    batch = {"a": X, "b": [X]}
    program = wafer.compile(function, (batch,), kwargs={"scale": jnp.float32(3)}, precision="f32")
    assert [info.name for info in program.inputs] == ["batch.a", "batch.b.0", "scale"]
    found = program(X, X, scale=jnp.float32(3))
    assert list(found) == ["parts.0", "parts.1", "sum"]
    numpy.testing.assert_allclose(found["parts.0"], X * 3)
    assert found["parts.1"] == 2


def test_the_gradient_of_a_weight_has_its_name_as_an_output():
    program = compiled(jax.grad(lambda params, x: (x @ params["w"]).sum()), {"w": random(7, 3)}, X, weights_argnums=0)
    assert [info.name for info in program.outputs] == ["output.w"]


def test_arrays_come_back_as_they_were_given():
    program = compiled(lambda x: (x * 2, x.astype(jnp.bfloat16)), X)
    double, half = program(X)
    assert isinstance(double, jax.Array) and half.dtype == jnp.bfloat16
    assert isinstance(program(numpy.asarray(X))[0], numpy.ndarray)
    assert isinstance(program(torch.from_numpy(numpy.array(X)))[0], torch.Tensor)


def test_an_input_that_nothing_reads_is_an_input_still():
    program = compiled(lambda x, unused: x + 1, X, X)
    assert [info.name for info in program.inputs] == ["x", "unused"]
    numpy.testing.assert_allclose(program(X, X), X + 1)


def test_weights_without_values_come_from_a_checkpoint(tmp_path):
    shapes = jax.tree_util.tree_map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), PERCEPTRON)
    save_file({f"{i}.{name}": numpy.asarray(value) for i, layer in enumerate(PERCEPTRON) for name, value in layer.items()}, tmp_path / "model.safetensors")
    program = compiled(perceptron, shapes, X, weights_argnums=0, weights=tmp_path)
    numpy.testing.assert_allclose(program(X), perceptron(PERCEPTRON, X), rtol=1e-4, atol=1e-5)


def test_weights_are_not_in_the_text_and_constants_are_there_once():
    def masked(w, x):
        scores = jnp.einsum("btd,de,bse->bts", x, w, x)
        return jnp.where(jnp.tril(jnp.ones((5, 5), bool)), scores, 0.0)

    text = import_function(masked, (random(12, 12), TOKENS), weights_argnums=0).text
    assert "linalg.index" not in text  # the mask is computed now
    assert text.count("arith.constant dense") == 1 and "2x5x5xi8" not in text  # and not repeated for the batch


def test_weights_share_memory_with_the_arrays():
    assert numpy.shares_memory(numpy.asarray(PERCEPTRON[0]["w"]), import_function(perceptron, (PERCEPTRON, X), weights_argnums=0).parameters["0.w"].numpy())


# Places in the source


@jax.jit
def helper(x):
    shifted = x + 1
    return jax.nn.relu(shifted)


def other_caller(x):
    return helper(x * 5)


def placed(x):
    y = helper(x)
    z = jax.nn.relu(y - 3)
    return jnp.tanh(z) @ z.T


def test_operations_know_the_users_line():
    import_function(other_caller, (X,))  # JAX remembers what it traced of the helper, with that call
    text = import_function(placed, (X,)).text
    file = inspect.getsourcefile(placed)
    for label, function, needle in [("tanh", placed, "jnp.tanh"), ("dot_general", placed, "@ z.T"), ("sub", placed, "y - 3"), ("add", helper, "x + 1")]:
        place = next(line for line in text.splitlines() if f'fused<"{label}">' in line)
        assert f'{file.rpartition("/")[2]}":{line_of(function, needle)}:' in place, place
    relu = [line for line in text.splitlines() if 'fused<"max' in line]
    assert [line.partition('.py":')[2].partition(":")[0] for line in relu] == [str(line_of(helper, "jax.nn.relu")), str(line_of(placed, "jax.nn.relu"))]


# Bad input


def loop(x):
    return lax.while_loop(lambda v: v.sum() < 10, lambda v: v * 2, x)


def long_loop(x):
    return lax.fori_loop(0, 5000, lambda i, v: v, x)


def fourier(x):
    y = x * 2
    return jnp.fft.rfft(y).real


def solve(x):
    return jnp.linalg.inv(x[:6, :6])


UNSUPPORTED = {
    "a loop": (loop, (X,), "'stablehlo.while' .* is a loop that ends when data says so.* use lax.scan or lax.fori_loop", "lax.while_loop"),
    "a long loop": (long_loop, (X,), "'stablehlo.while' .* is a loop of more than 4096 steps", "lax.fori_loop"),
    "complex numbers": (fourier, (X,), "has elements of type complex<f32>, expected f32, .* keep real and imaginary parts", "jnp.fft.rfft"),
    "a library call": (solve, (X,), "'stablehlo.custom_call' .* calls 'lapack_sgetrf_ffi', which is a routine outside of the program", "jnp.linalg.inv"),
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_unsupported_operations_are_refused_with_the_users_line(name):
    function, args, message, needle = UNSUPPORTED[name]
    with pytest.raises(wafer.UnsupportedOpError, match=f"(?s){message}") as caught:
        compiled(function, *args)
    assert caught.value.location.line == line_of(function, needle)
    assert needle in str(caught.value)


def test_doubles_are_refused():
    with jax.enable_x64(True), pytest.raises(wafer.UnsupportedOpError, match=r"input 'x' has elements of type f64, .* turn jax_enable_x64 off"):
        compiled(lambda x: x + 1, numpy.zeros(3))


def test_a_complex_input_is_refused():
    with pytest.raises(wafer.UnsupportedOpError, match=r"input 'x' has elements of type complex<f32>"):
        compiled(lambda x: x + 1, jnp.zeros(3, jnp.complex64))


def positive_only(x):
    y = x + 1
    return y[y > 0]


def branch_of_python(x):
    return x if x.sum() > 0 else -x


@pytest.mark.parametrize(("function", "needle"), [(positive_only, "y[y > 0]"), (branch_of_python, "x.sum()")])
def test_shapes_and_branches_that_depend_on_data_are_refused(function, needle):
    with pytest.raises(wafer.CompileError, match="JAX cannot trace the function: .* must not depend on data: use jnp.where") as caught:
        compiled(function, X)
    assert caught.value.location.line == line_of(function, needle)


def test_an_array_that_the_function_closes_over_must_be_small():
    table = jnp.arange(5 << 20, dtype=jnp.float32)
    with pytest.raises(wafer.UnsupportedOpError, match="holds an array of 20971520 bytes that the function closes over, .* name it in weights_argnums"):
        compiled(lambda i: table[i], jnp.array([3]))


@pytest.mark.parametrize(
    ("args", "options", "message"),
    [
        ((X,), {"weights_argnums": 1}, "found 1 in weights_argnums, expected places among the 1 arguments"),
        ((torch.zeros(3),), {}, "found a torch.Tensor among the arguments of a function"),
        ((jax.ShapeDtypeStruct((3,), jnp.int32),), {"weights_argnums": 0}, "found the integers .* without their values"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(args, options, message):
    with pytest.raises(wafer.CompileError, match=message):
        compiled(lambda x: x + 1, *args, **options)


def test_weights_argnums_is_for_functions():
    with pytest.raises(wafer.CompileError, match="found weights_argnums for a model of type Linear"):
        wafer.compile(torch.nn.Linear(3, 3).eval(), (torch.zeros(3),), weights_argnums=0)


def test_a_function_needs_example_arguments():
    with pytest.raises(wafer.CompileError, match=r"found no example arguments, .* wafer.compile\(f, \(params, x\), weights_argnums=0\)"):
        wafer.compile(lambda x: x)
