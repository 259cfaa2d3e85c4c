"""What the importer makes of StableHLO computes what JAX computes, operation by operation.

A program returns many results, because JAX and this compiler need a moment for each function. Sizes are odd; tolerances a few units of f32.
"""

import jax
import jax.numpy as jnp
import numpy
import pytest
import wafer
from jax import lax

CHANNELS_LAST = ("NHWC", "HWIO", "NHWC")


def random(*shape, seed=0, scale=1.0):
    return scale * jax.random.normal(jax.random.key(seed), shape)


X, Y = random(3, 5, 7), random(3, 5, 7, seed=1)
POSITIVE = jnp.abs(X) + 0.1
SPECIAL = jnp.array([0.0, -0.0, 1.5, -1.5, 2.5, -2.5, 0.49999997, numpy.inf, -numpy.inf, numpy.nan, 30.0, -30.0])
IDS = jnp.array([2, 0, 1, 2], jnp.int32)
IMAGE, KERNEL = random(2, 9, 8, 3, seed=2), random(3, 3, 3, 4, seed=3, scale=0.3)


def check(function, *args, tolerance=2e-5):
    """The program's results are those of the function; gives the program."""
    program = wafer.compile(function, args, precision="f32")
    found = program.run(args)
    wanted = jax.tree_util.tree_leaves(jax.jit(function)(*args))
    for info, reference in zip(program.outputs, wanted, strict=True):
        assert info.shape == reference.shape, info.name
        numpy.testing.assert_allclose(numpy.asarray(found[info.name], "f8"), numpy.asarray(reference, "f8"), rtol=tolerance, atol=tolerance, err_msg=info.name)
    return program


def each(module, names, *operands):
    return {name: getattr(module, name)(*operands) for name in names.split()}


def test_functions_of_one_array():
    check(lambda x: each(lax, "abs neg sign floor ceil round exp expm1 tanh logistic sin cos tan erf erfc is_finite cbrt square sinh cosh", x), X)


def test_numbers_that_are_special():
    def function(x):
        away = lax.round(x, lax.RoundingMethod.AWAY_FROM_ZERO)
        return each(lax, "abs neg floor ceil round exp tanh logistic erf is_finite", x) | {"away": away, "relu": jax.nn.relu(x), "nan": jnp.isnan(x), "inf": jnp.isinf(x)}

    check(function, SPECIAL)


def test_functions_of_positive_numbers():
    check(lambda x: each(lax, "log log1p sqrt rsqrt", x) | {"half": x**2.5, "own": lax.pow(x, x), "cube": x**3, "inverse": 1 / x}, POSITIVE)


def test_functions_of_two_arrays():
    check(lambda x, y: each(lax, "add sub mul div max min rem atan2 eq ne lt le gt ge", x, y) | {"mod": x % y, "floor": x // y}, X, Y)


def test_integers():
    def function(a, b):
        return each(lax, "add sub mul div rem max min bitwise_and bitwise_or bitwise_xor lt", a, b) | {"mod": a % b, "floor": a // b, "not": ~a, "abs": abs(b), "float": a / b}

    check(function, IDS, jnp.array([3, -2, 2, -3], jnp.int32))


def test_inverse_functions():
    names = "asin acos atan asinh atanh erf_inv"
    check(lambda x: (each(lax, names, x), lax.acosh(x + 3), lax.erf_inv(jnp.array([-1.0, 1.0]) * (1 + 0 * x[0, 0, 0]))), jnp.tanh(X))


def test_truth_and_choices():
    def function(x, y):
        a, b = x > 0, y > 0
        chosen = jnp.where(a, x, y), jnp.where(a, 1.0, y), lax.select(b, x, y), jnp.clip(x, -0.5, 0.5), lax.clamp(-0.1, x, y + 3)
        return a & b, a | b, a ^ b, ~a, a + b, a.astype(jnp.float32), a * 1.5, (a & b).any(-1), a.all(0), a.sum(1), *chosen

    check(function, X, Y)


def test_reductions():
    def function(x):
        whole = x.sum(), x.argmax(), jnp.linalg.norm(x), jax.nn.logsumexp(x, -1)
        some = x.sum(1), x.max((0, 2)), x.min(-1), x.prod(-1), x.mean((1, 2)), x.var(0), (x > 0).sum(-1), lax.reduce(x, 1.5, lax.add, (1,))
        return *whole, *some, x.argmax(-1), x.argmin(1), jnp.cumsum(x, 1), jnp.cumprod(x, -1), lax.cummax(x, 2)

    check(function, X)


def test_views_slices_and_joins():
    def function(x):
        views = x.T, x.reshape(5, 21), x.reshape(15, 7).T.reshape(3, 35), jnp.expand_dims(x, (0, 2)), jnp.broadcast_to(x[0], (4, 5, 7)), lax.broadcast_in_dim(x[0], (5, 2, 7), (0, 2))
        slices = x[:, 1:4:2, ::-1], x[1], x[-1, ..., None], jnp.split(x, [2, 4], 1)[1], lax.associative_scan(jnp.add, x[:, :2], axis=1), lax.rev(x, (1, 2))
        joins = jnp.concatenate([x, x * 2], 1), jnp.stack([x[0], x[1]]), jnp.tile(x, (2, 1, 1)), jnp.repeat(x, 2, 1), jnp.roll(x, 2, 1)
        pads = jnp.pad(x, ((0, 0), (1, 2), (3, 0))), jnp.pad(x, ((1, 1), (0, 0), (0, 0)), constant_values=2.0), lax.pad(x, 0.0, ((-1, 0, 0), (0, 1, 2), (1, -1, 1)))
        return *views, *slices, *joins, *pads, jnp.tril(x), jnp.triu(x, 1), jnp.arange(7) * x, jnp.eye(5) + x[..., :5]

    check(function, X)


def test_products_over_any_dimensions():
    def function(x, y, w):
        equations = "bij,bkj->bik", "bij,bij->b", "bij,cij->bc", "bij,bkj->kbi", "bij,bik->bjk", "bij,ckj->bcik"
        others = x @ w, jnp.einsum("ij,kl->ikjl", x[0], w), jnp.tensordot(x, y, ((0, 2), (0, 2))), x[0, 0] @ w, jnp.vdot(x, y), jnp.outer(x[0, 0], x[0, 1])
        return *(jnp.einsum(equation, x, y) for equation in equations), *others

    program = check(function, X, Y, random(7, 4, seed=5))
    assert {op.placement for op in program.ops if op.macs} == {"wafer"}


def test_convolutions():
    def function(x, k):
        def convolve(weight=k, **options):
            return lax.conv_general_dilated(x, weight, dimension_numbers=CHANNELS_LAST, **options)

        return (
            convolve(window_strides=(2, 1), padding="SAME"),
            convolve(window_strides=(1, 1), padding=((1, 0), (2, -1))),
            convolve(window_strides=(1, 1), padding="VALID", rhs_dilation=(2, 1)),
            convolve(window_strides=(1, 1), padding=((2, 2), (1, 3)), lhs_dilation=(2, 3)),
            convolve(jnp.ones_like(k), window_strides=(1, 1), padding="SAME"),
            convolve(k[:, :, :1].repeat(3, 3)[..., :6], window_strides=(1, 1), padding="SAME", feature_group_count=3),
            lax.conv_general_dilated(x.transpose(0, 3, 1, 2), k.transpose(3, 2, 0, 1), (1, 1), "SAME"),
            lax.conv_transpose(x, k, (2, 2), "SAME", dimension_numbers=CHANNELS_LAST),
            lax.conv_general_dilated(x[:, 0].transpose(0, 2, 1), k[0].transpose(2, 1, 0), (1,), "SAME"),
        )

    check(function, IMAGE, KERNEL)


@pytest.mark.parametrize(
    "options",
    [
        {"window_strides": (1, 1), "padding": "SAME"},
        {"window_strides": (2, 2), "padding": "SAME"},
        {"window_strides": (2, 1), "padding": "VALID", "feature_group_count": 3},
        {"window_strides": (1, 1), "padding": "SAME", "rhs_dilation": (2, 2)},
    ],
    ids=["plain", "strided", "grouped", "dilated"],
)
def test_gradients_of_convolutions(options):
    """They are convolutions with padded, dilated and reversed operands."""
    kernel = KERNEL[:, :, :1].repeat(3, 3)[..., :6] if "feature_group_count" in options else KERNEL

    def loss(x, k):
        return (lax.conv_general_dilated(x, k, dimension_numbers=CHANNELS_LAST, **options) ** 2).sum()

    check(jax.grad(loss, (0, 1)), IMAGE, kernel, tolerance=1e-4)


def pooled(x, start, combine, window, strides, padding, **options):
    return lax.reduce_window(x, start, combine, (1, *window, 1), (1, *strides, 1), padding, **options)


def test_pooling():
    def function(x):
        return (
            pooled(x, -jnp.inf, lax.max, (2, 2), (2, 2), "VALID"),
            pooled(x, -jnp.inf, lax.max, (3, 3), (2, 1), "SAME"),
            pooled(x, 0.0, lax.add, (2, 3), (1, 1), "SAME"),
            pooled(x, jnp.inf, lax.min, (2, 2), (1, 1), ((0, 0), (1, 0), (0, 1), (0, 0)), window_dilation=(1, 2, 1, 1)),
            pooled(x, 0.0, lax.add, (2, 1), (1, 1), "VALID", base_dilation=(1, 2, 1, 1)),
        )

    check(function, IMAGE)


def test_gradients_of_pooling():
    """Of equal elements in a window, the first gets the gradient."""

    def loss(x, combine, start, *window):
        return (pooled(x, start, combine, *window) ** 2).sum()

    def function(x):
        greatest, total = jax.grad(lambda *a: loss(a[0], lax.max, -jnp.inf, *a[1:])), jax.grad(lambda *a: loss(a[0], lax.add, 0.0, *a[1:]))
        return greatest(x, (2, 2), (2, 2), "VALID"), greatest(x, (3, 3), (2, 1), "SAME"), total(x, (2, 2), (2, 2), "SAME")

    check(function, jnp.round(IMAGE))


def test_reading_at_computed_places():
    def function(x, i):
        rows = x[i], jnp.take(x, i, axis=1), jnp.take(x, i, axis=2, mode="clip"), x[:, i, i], x[i, :, i], x[i, 1:3], x[0, i[0]], x.at[i + 1].get(mode="fill", fill_value=4.0)
        constant = jnp.take(x, jnp.array([0, 2])), x[jnp.array([[0, 1], [2, 0]]), 2], x[jnp.array([1])]
        slices = lax.dynamic_index_in_dim(x, i[1], 1), lax.dynamic_slice(x, (i[0], 0, i[1]), (2, 3, 4)), lax.dynamic_slice(x, (2, 4, 4), (2, 3, 4))
        batched = jax.vmap(lambda a, j: a[j])(x, i[:3]), jax.vmap(lambda a, j: lax.dynamic_slice(a, (j, 0), (2, 3)))(x, i[:3]), jnp.take_along_axis(x, x.argsort(-1)[..., :2], -1)
        return *rows, *constant, *slices, *batched

    check(function, X, IDS)


def test_writing_at_computed_places():
    def function(x, i, u):
        rows = x.at[i].add(u), x.at[i].set(u), x.at[:, i].add(1.0), x.at[:, i].mul(2.0), x.at[i, i].max(0.3), x.at[i + 1].min(u, mode="drop"), x.at[:, i[0], 2:4].add(1.0)
        constant = x.at[0, 1].set(5.0), x.at[1:3, 2].set(0.0), x.at[jnp.array([0, 2])].set(1.0)
        slices = lax.dynamic_update_slice(x, u[:1, :2, :3], (i[0], i[1], 3)), lax.dynamic_update_slice(x, u[:1, :2, :3], (1, 9, -3))
        return *rows, *constant, *slices, jax.vmap(lambda a, j: a.at[j].add(1.0))(x, i[:3]), jax.ops.segment_sum(u, i, 3)

    check(function, X, IDS, random(4, 5, 7, seed=9))


def test_loops_with_a_known_end_and_branches():
    def function(x, i):
        loops = lax.fori_loop(0, 3, lambda n, v: v * 1.5 + n, x), lax.map(lambda row: row @ row.T, x), lax.while_loop(lambda s: s[0] < 4, lambda s: (s[0] * 2, s[1] + 1), (1, x))[1]
        chosen = lax.cond(i[0] > 1, jnp.sin, jnp.cos, x), lax.switch(i[3], [jnp.sin, jnp.cos, lambda v: v * x[0]], x), lax.switch(i[1] - 7, [jnp.sin, jnp.cos], x)
        return *loops, *chosen, lax.cond(True, jnp.tanh, jnp.cos, x)

    check(function, X, IDS)


def test_bits_and_unsigned_integers():
    def function(x, i):
        bits = lax.bitcast_convert_type(x, jnp.int32), i << 3, i << 33, i >> 1, lax.shift_right_logical(i, jnp.int32(1)), lax.population_count(i), lax.clz(i)
        u = i.astype(jnp.uint32)
        high = u - 3  # all but one above 2^31
        return *bits, high > u, jnp.maximum(high, u).astype(jnp.float32), high.astype(jnp.float32), (high // 3).astype(jnp.float32), (high % 5).astype(jnp.int32)

    check(function, X, jnp.array([2, -1, 7, -(2**31)], jnp.int32))


def test_sorting():
    check(lambda x: (lax.sort((jnp.round(x), x), num_keys=2), jnp.sort(x, -1), jnp.argsort(x, 1), lax.top_k(x, 3), jnp.sort(x, 0, descending=True), lax.sort((x, x * 2), dimension=1)[1], jnp.median(x, -1)), X)


def test_sixteen_bits():
    def function(x, y):
        a, b = x.astype(jnp.bfloat16), y.astype(jnp.bfloat16)
        constants = a * jnp.array([1.0, -2.0, jnp.inf, 0.5, 3, 4, 5], jnp.bfloat16), a + jnp.bfloat16(1.5)
        return *constants, a.sum(-1), jnp.einsum("bij,bkj->bik", a, b), jnp.exp(a), x.astype(jnp.float16) * 2, lax.dot_general(a, b, (((2,), (2,)), ((0,), (0,))), preferred_element_type=jnp.float32)

    check(function, X, Y, tolerance=2e-2)
