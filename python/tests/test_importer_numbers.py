"""What the importer writes computes what PyTorch computes, operation by operation.

The IR is lowered and run by upstream MLIR. Tolerances are a few units in the last place of f32 unless a case says otherwise; sizes are odd. Functions of
the same inputs share a model, whose outputs have their names, because each export and lowering takes half a second.
"""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


def random(*shape, seed=0, scale=1.0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * scale


X = random(3, 5, 7, scale=2)
Y = random(3, 5, 7, seed=1)
POSITIVE = X.abs() + 0.1
SPECIAL = torch.tensor([0.0, -0.0, 1.0, -1.5, 2.5, -2.5, 0.5, math.inf, -math.inf, math.nan, 30.0, -30.0])
IDS = torch.tensor([[3, 0, 4], [1, 1, 2]])

UNARY = {
    name: getattr(torch, name)
    for name in "relu neg abs sign floor ceil round trunc exp expm1 exp2 sin cos tanh erf sigmoid square isnan isinf isfinite logical_not atan".split()
} | {
    "silu": F.silu,
    # PyTorch's vectorised kernel gives NaN for infinity and its scalar one infinity.
    "gelu": lambda x: F.gelu(x.clamp(-40, 40)),
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "softplus": F.softplus,
    "elu": F.elu,
    "leaky_relu": F.leaky_relu,
    "hardswish": F.hardswish,
    "hardsigmoid": F.hardsigmoid,
    "relu6": F.relu6,
    "mish": F.mish,
    "clamp": lambda x: x.clamp(-0.5, 0.75),
    "clamp_min": lambda x: x.clamp(min=0.1),
    "cube": lambda x: x**3,
    "zero_power": lambda x: x**0,
    "scalars": lambda x: (2 - x) * 0.1 + x / 3 - 1,
    "compare": lambda x: (x > 0.5) & (x <= 1.0) | (x == 2.5) ^ (x != x),
    "where": lambda x: torch.where(x > 0, x, -1.0),
    "masked_fill": lambda x: x.masked_fill(x < 0, 3.0),
    "to_int": lambda x: x.nan_to_num().clamp(-5, 5).to(torch.int32),
    "to_f16": lambda x: x.to(torch.float16),
    "bool_to_float": lambda x: (x > 0).float() + (x > 1),
    "floor_division": lambda x: x.nan_to_num(1, 1, 1) // 0.7,
    "remainder": lambda x: x.nan_to_num(1, 1, 1) % 0.7,
}


def each(functions):
    """A model of all functions of a dictionary, with an output for each."""
    return Function(lambda *inputs: {name: function(*inputs) for name, function in functions.items()})


def test_functions_of_one_tensor(check):
    check(each(UNARY), torch.cat([X.flatten(), SPECIAL]))


def test_functions_of_positive_numbers(check):
    check(each({name: getattr(torch, name) for name in "log log2 log10 log1p sqrt rsqrt reciprocal".split()}), POSITIVE)


def test_powers(check):
    check(Function(lambda x, y: (x**0.5, x**-0.5, x**-1, x**2.3, x**y, 2.0**y)), POSITIVE, Y)


def test_binary_operations_broadcast(check):
    check(Function(lambda x, y, z: (x + y, x - y, x * z, x / y, torch.add(x, z, alpha=0.5), torch.maximum(x, z), torch.minimum(x, y))), X, Y, random(5, 1, seed=2))


def test_tensor_of_rank_zero(check):
    check(Function(lambda x, s: (x * s, s + 1, s.reshape(1, 1), s.expand(2, 3))), X, torch.tensor(1.5))


def test_integers(check):
    i = torch.tensor([7, -7, 3, -3, 0, 5])
    j = torch.tensor([2, 2, -2, -2, 5, 5])
    check(Function(lambda i, j: (i + j, i * j, i - 3, i // j, i % j, i / j, i > j, (i & j) | 1, i.float() * 0.5, torch.div(i, j, rounding_mode="trunc"), ~i)), i, j)


def test_bool_input(check):
    check(Function(lambda m, x: (torch.where(m, x, 0.0), m.logical_not(), m & (x > 0), m.float().sum(), m.any(), m.all(-1))), X > 0, Y)


# Contractions


def test_linear_for_any_number_of_leading_dimensions(check):
    torch.manual_seed(0)
    model = Function(lambda *inputs: [model.linear(x) for x in inputs])
    model.linear = nn.Linear(7, 5)
    shapes = [(7,), (3, 7), (2, 3, 7), (1, 7), (2, 1, 3, 7)]
    check(model, *(random(*shape, seed=seed) for seed, shape in enumerate(shapes)))


def test_matmul_with_any_ranks(check):
    vector, matrix, batch, square = random(7), random(3, 7, seed=1), random(2, 3, 7, seed=2), random(7, 5, seed=3)
    batches, heads, outer = random(2, 7, 5, seed=4), random(2, 4, 3, 7, seed=5), random(4, 7, 5, seed=6)
    pairs = [
        (matrix, square), (vector, vector), (vector, square), (matrix, vector), (batch, batches), (heads, outer),
        (heads[:, :1], outer), (matrix[:, :1], square[:1]), (batch, vector), (heads, random(7, 5, seed=7)),
    ]  # fmt: skip
    check(Function(lambda *inputs: [a @ b for a, b in zip(inputs[::2], inputs[1::2])]), *(operand.contiguous() for pair in pairs for operand in pair))


def test_matrix_products(check):
    a, b = random(3, 7), random(7, 5, seed=1)
    check(Function(lambda a, b, c: (torch.mm(a, b), torch.addmm(c, a, b, beta=0.5, alpha=2), a @ b.t().t(), torch.einsum("ij,jk->ki", a, b), b.t() @ a.t())), a, b, random(5, seed=2))


def test_product_with_a_repeated_operand(check):
    check(Function(lambda a, b: (a.expand(3, 7) @ b, a.t().expand(7, 7) @ b, a.t() @ a)), random(1, 7), random(7, 5, seed=1))


def test_half_precision_sums_in_f32(check):
    torch.manual_seed(0)
    check(nn.Sequential(nn.Linear(64, 9), nn.GELU(), nn.LayerNorm(9), nn.Softmax(-1)).to(torch.float16), random(3, 64).half(), tolerance=2e-3)


def test_bfloat16(check):
    torch.manual_seed(0)
    check(nn.Sequential(nn.Linear(64, 9), nn.SiLU(), nn.RMSNorm(9)).to(torch.bfloat16), random(3, 64).bfloat16(), tolerance=2e-2)


# Reductions and normalisations

REDUCTIONS = {
    "sum": lambda x: (x.sum(), x.sum(1), x.sum((0, 2), keepdim=True)),
    "mean": lambda x: (x.mean(), x.mean(-1, keepdim=True), x.mean((0, 1))),
    "max": lambda x: (x.max(), x.amax(1), x.amin((0, 2), keepdim=True), x.min()),
    "max_with_index": lambda x: (*x.max(1), *x.min(-1, keepdim=True)),
    "argmax": lambda x: (x.argmax(), x.argmax(1), x.argmin(-1, keepdim=True)),
    "var": lambda x: (x.var(), x.var(-1, unbiased=False), x.std(1), *torch.var_mean(x, -1)),
    "norm": lambda x: (x.norm(dim=-1), torch.linalg.vector_norm(x, 1, -1), torch.linalg.vector_norm(x, math.inf)),
    "prod": lambda x: (x.prod(-1), x.prod()),
    "cumsum": lambda x: (x.cumsum(1), x.cumsum(-1)),
    "any": lambda x: ((x > 1).any(-1), (x > -3).all(0), (x > 0).sum(-1)),
    "softmax": lambda x: (x.softmax(-1), x.softmax(1), x.softmax(0)),
    "log_softmax": lambda x: (x.log_softmax(-1), F.log_softmax(x, 1)),
    "logsumexp": lambda x: torch.logsumexp(x, -1),
    "of_a_transpose": lambda x: (x.transpose(0, 2).sum(-1), x.mT.softmax(-1)),
    "of_an_expansion": lambda x: x[:, :1].expand(3, 4, 7).sum(1),
}


def test_reductions(check):
    check(each(REDUCTIONS), X)


def test_first_of_equal_maxima_and_nan(check):
    check(Function(lambda x: (*x.max(-1), x.argmin(-1))), torch.tensor([[1.0, 3.0, 3.0], [1.0, math.nan, 3.0], [-math.inf, -math.inf, -math.inf]]))


@pytest.mark.parametrize(
    "module, shape",
    [
        (nn.LayerNorm(7), (3, 5, 7)),
        (nn.LayerNorm((5, 7)), (3, 5, 7)),
        (nn.LayerNorm(7, elementwise_affine=False), (3, 7)),
        (nn.LayerNorm(7, bias=False), (3, 7)),
        (nn.RMSNorm(7), (3, 5, 7)),
        (nn.GroupNorm(3, 6), (2, 6, 5, 3)),
        (nn.BatchNorm2d(6), (2, 6, 5, 3)),
        (nn.BatchNorm1d(7, affine=False), (5, 7)),
        (nn.InstanceNorm2d(6, affine=True), (2, 6, 5, 3)),
    ],
    ids=str,
)
def test_normalisation(check, module, shape):
    with torch.no_grad():
        for seed, tensor in enumerate([*module.parameters(), *module.buffers()]):
            if tensor.is_floating_point():
                tensor.copy_(random(*tensor.shape, seed=seed).abs() + 0.5)
    check(module, random(*shape, scale=3))


# Shapes

SHAPES = {
    "view": lambda x: (x.view(15, 7), x.view(-1), x.view(3, 35), x.reshape(7, 15), x.view(3, 5, 7, 1), x.view(1, 3, 5, 7), x.view(5, 3, 7)),
    "units": lambda x: (x.unsqueeze(0), x.unsqueeze(-1), x[:, :1].squeeze(1), x.unsqueeze(2).squeeze()),
    "permute": lambda x: (x.permute(2, 0, 1), x.mT, x.permute(1, 0, 2).reshape(5, 21), x.unsqueeze(1).transpose(1, 3)),
    "expand": lambda x: (x[:1].expand(4, 5, 7), x[:, :, :1].expand(2, 3, 5, 6), x.unsqueeze(1).expand(-1, 2, -1, -1).reshape(6, 5, 7)),
    "repeat": lambda x: (x.repeat(2, 1, 3), x.repeat(2, 1, 1, 1), x.repeat_interleave(2, 1)),
    "slice": lambda x: (x[1:], x[:, 1:4:2], x[..., -3:], x[1], x[:, -1, 2:5], x.mT[:, 2:4]),
    "split": lambda x: (*x.split(2, 1), *x.chunk(3, -1), *x.unbind(0), *x.split([1, 4, 2], -1)),
    "cat": lambda x: (torch.cat([x, x[:, :2]], 1), torch.cat([x.mT, x.mT], -1), torch.stack([x, -x], 1)),
    "pad": lambda x: (F.pad(x, (1, 2)), F.pad(x, (0, 0, 2, 0), value=-1.0), F.pad(x, (-1, 1))),
    "flip_roll": lambda x: (x.flip(1), x.flip((0, 2)), x.roll(2, 1), x.roll(-1), x.roll((1, 2), (0, 2))),
    "triangle": lambda x: (x.tril(), x.triu(1), x.tril(-1)),
    "diagonal": lambda x: (x.diagonal(dim1=1, dim2=2), x.diagonal(1, 0, 2), x[0].diagonal(-1)),
    "unfold": lambda x: x.unfold(2, 3, 2),
    "constants": lambda x: (x + torch.arange(7), torch.ones_like(x), x * torch.eye(7)[2], torch.full_like(x, 2) + x, torch.zeros(3)),
    "identity": lambda x: (x, x + 1, x.mT),
}


def test_shapes(check):
    check(each(SHAPES), X)


def test_reads_by_index(check):
    table = random(6, 7)
    functions = lambda t, i: (F.embedding(i, t), t[i], t.index_select(1, i[0]), t[:, i], t[i[0], i[1]], t[-1 - i], F.one_hot(i, 5), t[i, 2])  # noqa: E731
    check(Function(functions), table, IDS)


def test_gather(check):
    check(Function(lambda x, i: (x.gather(1, i), x.gather(0, i % 2), torch.take_along_dim(x, i, 1))), random(2, 6), IDS)


# Convolution and pooling


@pytest.mark.parametrize(
    "module, shape",
    [
        (nn.Conv2d(3, 4, 3), (2, 3, 7, 6)),
        (nn.Conv2d(3, 4, 3, stride=2, padding=1, bias=False), (1, 3, 8, 7)),
        (nn.Conv2d(4, 8, (3, 1), groups=4, dilation=2, padding=(2, 0)), (2, 4, 7, 5)),
        (nn.Conv2d(3, 4, 3, padding="same"), (3, 7, 6)),
        (nn.Conv1d(3, 4, 5, padding=2), (2, 3, 9)),
        (nn.Conv3d(2, 3, 2), (1, 2, 4, 3, 5)),
        (nn.MaxPool2d(2), (2, 3, 7, 6)),
        (nn.MaxPool2d(3, 2, 1), (2, 3, 7, 6)),
        (nn.MaxPool2d(3, 2, ceil_mode=True), (2, 3, 8, 6)),
        (nn.AvgPool2d(2), (2, 3, 7, 6)),
        (nn.AvgPool2d(3, 2, 1), (2, 3, 7, 6)),
        (nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False), (2, 3, 8, 6)),
        (nn.AdaptiveAvgPool2d(1), (2, 3, 7, 6)),
        (nn.AdaptiveAvgPool2d((2, 3)), (2, 3, 8, 6)),
        (nn.MaxPool1d(2), (2, 3, 7)),
    ],
    ids=str,
)
def test_window(check, module, shape):
    torch.manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    check(module, random(*shape))


# Attention


@pytest.mark.parametrize("causal", [False, True])
def test_attention(check, causal):
    q, k, v = (random(2, 3, 5, 4, seed=seed) for seed in range(3))
    check(Function(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=causal)), q, k, v)


def test_attention_with_masks(check):
    q, k, v = random(2, 3, 5, 4), random(2, 3, 6, 4, seed=1), random(2, 3, 6, 7, seed=2)
    added, seen = random(5, 6, seed=3), random(2, 1, 5, 6, seed=4) > 0
    seen[0, 0, 1] = False  # a query that sees nothing
    check(Function(lambda q, k, v, a, s: (F.scaled_dot_product_attention(q, k, v, a), F.scaled_dot_product_attention(q, k, v, s, scale=0.5))), q, k, v, added, seen)


def test_attention_with_shared_key_heads(check):
    q, k, v = random(2, 6, 5, 4), random(2, 3, 5, 4, seed=1), random(2, 3, 5, 4, seed=2)
    check(Function(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)), q, k, v)
