"""A function for each differentiable operation of the importer, and the tensors for which gradients are wanted."""

import torch
import torch.nn.functional as F


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed + sum(shape)))


X, Y = random(3, 5), random(3, 5, seed=1)
POSITIVE = X.abs() + 0.3
IMAGE = random(2, 4, 7, 6)
VOLUME = random(2, 2, 4, 6, 6)
AVERAGE, SPREAD = random(4, seed=5), random(4, seed=6).abs() + 1
IDS = torch.tensor([[3, 0, 4], [1, 1, 2]])
COLUMNS = torch.tensor([[3, 0, 4, 1, 1], [1, 1, 2, 0, 3], [0, 4, 4, 2, 3]])


def _one(function, *tensors):
    return function, tensors or (X,)


UNARY = {name: _one(getattr(torch, name)) for name in "abs asinh atan cos cosh erf exp exp2 expm1 neg relu sigmoid sin sinh square tan tanh".split()}
UNARY |= {name: _one(getattr(torch, name), POSITIVE) for name in "log log10 log1p log2 reciprocal rsqrt sqrt".split()}
UNARY |= {name: _one(getattr(torch, name), X.tanh() * 0.9) for name in "acos asin atanh".split()}
UNARY |= {
    "acosh": _one(torch.acosh, POSITIVE + 1),
    "clamp": _one(lambda x: x.clamp(-0.5, 0.7)),
    "clamp.Tensor": _one(lambda x: torch.clamp(x, min=Y - 1)),
    "elu": _one(F.elu),
    "gelu": _one(F.gelu),
    "gelu.tanh": _one(lambda x: F.gelu(x, approximate="tanh")),
    "hardsigmoid": _one(F.hardsigmoid),
    "hardswish": _one(F.hardswish),
    "hardtanh": _one(F.hardtanh),
    "leaky_relu": _one(F.leaky_relu),
    "relu6": _one(F.relu6),
    "silu": _one(F.silu),
    "softplus": _one(F.softplus),
    "mish": _one(F.mish),
    "masked_fill": _one(lambda x: x.masked_fill(Y > 0, 2.0)),
    "_to_copy": _one(lambda x: x.to(torch.bfloat16).float() * 0 + x),
    "pow.Tensor_Scalar": _one(lambda x: x**3 + x**2),
    "pow.Scalar": _one(lambda x: 2.0**x),
    "remainder": _one(lambda x: x % 0.7),
    "fmod": _one(lambda x: torch.fmod(x, 0.7)),
    "clone": _one(lambda x: x.clone() * 2),
    "fill": _one(lambda x: x * torch.fill(Y, 3.0)),
}

BINARY = {
    "add": _one(lambda x, y: torch.add(x, y, alpha=0.5), X, Y),
    "sub": _one(lambda x, y: torch.sub(x, y, alpha=0.5), X, Y),
    "rsub": _one(lambda x, y: torch.rsub(x, y, alpha=2), X, Y),
    "mul": _one(lambda x, y: x * y, X, Y[:1]),
    "div": _one(lambda x, y: x / y, X, POSITIVE),
    "atan2": _one(torch.atan2, X, Y),
    "maximum": _one(torch.maximum, X, Y),
    "minimum": _one(torch.minimum, X, Y),
    "pow.Tensor_Tensor": _one(lambda x, y: x**y, POSITIVE, Y),
    "lerp": _one(lambda x, y: torch.lerp(x, y, 0.3), X, Y),
    "lerp.Tensor": _one(torch.lerp, X, Y, random(3, 5, seed=2)),
    "addcmul": _one(lambda x, y, z: torch.addcmul(x, y, z, value=0.5), X, Y, POSITIVE),
    "addcdiv": _one(lambda x, y, z: torch.addcdiv(x, y, z, value=0.5), X, Y, POSITIVE),
    "where": _one(lambda x, y: torch.where(x > y, x * 2, y), X, Y),
}

PRODUCTS = {
    "linear": _one(F.linear, random(2, 3, 7), random(5, 7), random(5)),
    "mm": _one(torch.mm, random(3, 7), random(7, 5)),
    "bmm": _one(torch.bmm, random(2, 3, 7), random(2, 7, 5)),
    "mv": _one(torch.mv, random(3, 7), random(7)),
    "dot": _one(torch.dot, random(7), random(7, seed=1)),
    "addmm": _one(lambda c, a, b: torch.addmm(c, a, b, beta=0.5, alpha=2), random(5), random(3, 7), random(7, 5)),
    "baddbmm": _one(torch.baddbmm, random(2, 3, 5), random(2, 3, 7), random(2, 7, 5)),
    "matmul": _one(torch.matmul, random(2, 1, 3, 7), random(4, 7, 5)),
    "scaled_dot_product_attention": _one(
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True), *(random(2, 3, 5, 4, seed=s) for s in range(3))
    ),
    "scaled_dot_product_attention.gqa": _one(
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True),
        random(1, 4, 5, 4), random(1, 2, 5, 4), random(1, 2, 5, 4, seed=1),
    ),  # fmt: skip
}

REDUCTIONS = {
    "sum": _one(lambda x: x.sum(1)),
    "mean": _one(lambda x: x.mean(0, keepdim=True)),
    "amax": _one(lambda x: x.amax(1)),
    "amin": _one(lambda x: x.amin(0)),
    "max": _one(lambda x: x.max(1).values),
    "max.all": _one(lambda x: x.max()),
    "min": _one(lambda x: x.min(0).values),
    "min.all": _one(lambda x: x.min()),
    "prod": _one(lambda x: x.prod(1)),
    "cumsum": _one(lambda x: x.cumsum(1)),
    "cumprod": _one(lambda x: x.cumprod(1)),
    "var": _one(lambda x: x.var(1)),
    "var_mean": _one(lambda x: sum(torch.var_mean(x, 1))),
    "_cdist_forward": _one(lambda x, y: torch.cdist(x, y), random(4, 5), random(3, 5, seed=2)),
    "_cdist_forward.1": _one(lambda x, y: torch.cdist(x, y, p=1.0), random(2, 4, 5), random(2, 3, 5, seed=2)),
    "_cdist_forward.3": _one(lambda x, y: torch.cdist(x, y, p=3.0), random(4, 5), random(3, 5, seed=2)),
    "_pdist_forward": _one(lambda x: F.pdist(x), random(5, 4)),
    "masked_scatter": _one(lambda x, y: x.masked_scatter(torch.arange(12).reshape(3, 4) % 3 == 0, y), random(3, 4), random(2, 5, seed=2)),
    "linalg_vector_norm": _one(lambda x: x.norm(dim=1)),
    "_softmax": _one(lambda x: x.softmax(1)),
    "_log_softmax": _one(lambda x: x.log_softmax(1)),
    "logsumexp": _one(lambda x: torch.logsumexp(x, 1)),
    "native_layer_norm": _one(lambda x, w, b: F.layer_norm(x, (5,), w, b), X, random(5), random(5, seed=1)),
    "_fused_rms_norm": _one(lambda x, w: F.rms_norm(x, (5,), w), X, random(5)),
    "native_group_norm": _one(lambda x, w, b: F.group_norm(x, 2, w, b), IMAGE, random(4), random(4, seed=1)),
    "_native_batch_norm_legit": _one(lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True), IMAGE, random(4), random(4, seed=1)),
    "_native_batch_norm_legit_functional": _one(
        lambda x, w, b: F.batch_norm(x, torch.zeros(4), torch.ones(4), w, b, training=True), IMAGE, random(4), random(4, seed=1)
    ),
    "_native_batch_norm_legit_no_training": _one(
        lambda x, w, b: F.batch_norm(x, AVERAGE, SPREAD, w, b, training=False), IMAGE, random(4), random(4, seed=1)
    ),
    "cross_entropy": _one(lambda x: F.cross_entropy(x, torch.tensor([1, -100, 4]), label_smoothing=0.1)),
}

SHAPES = {
    "view": _one(lambda x: x.view(5, 3)),
    "reshape": _one(lambda x: x.t().reshape(3, 5)),
    "unsqueeze": _one(lambda x: x.unsqueeze(1)),
    "squeeze": _one(lambda x: x.unsqueeze(0).squeeze()),
    "permute": _one(lambda x: x.permute(1, 0)),
    "transpose": _one(lambda x: x.transpose(0, 1) * Y.t()),
    "t": _one(lambda x: x.t()),
    "expand": _one(lambda x: x.unsqueeze(1).expand(3, 4, 5)),
    "repeat": _one(lambda x: x.repeat(2, 3)),
    "slice": _one(lambda x: x[1:, ::2]),
    "select": _one(lambda x: x[:, 2]),
    "split_with_sizes": _one(lambda x: x.split([2, 3], 1)[1]),
    "split": _one(lambda x: sum(x.split(1, 0))),
    "unbind": _one(lambda x: x.unbind(1)[3]),
    "diagonal": _one(lambda x: x.diagonal(1)),
    "unfold": _one(lambda x: x.unfold(1, 3, 1)),
    "cat": _one(lambda x, y: torch.cat([x, y[:, :2]], 1), X, Y),
    "stack": _one(lambda x, y: torch.stack([x, y], 1), X, Y),
    "slice_scatter": _one(lambda x, y: torch.slice_scatter(x, y[:, :2], 1, 1, 3), X, Y),
    "select_scatter": _one(lambda x, y: torch.select_scatter(x, y[:, 0], 1, 2), X, Y),
    "constant_pad_nd": _one(lambda x: F.pad(x, (1, 2, -1, 1))),
    "flip": _one(lambda x: x.flip(1)),
    "roll": _one(lambda x: x.roll(2, 1)),
    "tril": _one(lambda x: x.tril()),
    "triu": _one(lambda x: x.triu(1)),
    "embedding": _one(lambda x: F.embedding(IDS, x), random(6, 5)),
    "index_select": _one(lambda x: x.index_select(1, IDS[0])),
    "gather": _one(lambda x: x.gather(1, COLUMNS)),
    "index": _one(lambda x: x[IDS % 3, IDS]),
    "scatter.src": _one(lambda x, y: x.scatter(1, Y.argsort(1), y), X, Y),
    "scatter.value": _one(lambda x: x.scatter(1, COLUMNS, 2.0)),
    "scatter_add": _one(lambda x, y: x.scatter_add(1, COLUMNS, y), X, Y),
    "scatter_reduce": _one(lambda x, y: x.scatter_reduce(1, COLUMNS, y, "sum"), X, Y),
    "sort": _one(lambda x: x.sort(1).values),
    "topk": _one(lambda x: x.topk(3, 1).values),
    "index_add": _one(lambda x, y: x.index_add(1, IDS[0], y[:, :3], alpha=0.5), X, Y),
    "index_put": _one(lambda x, y: x.index_put((IDS[0] % 3, IDS[1]), y[0, :3], accumulate=True), X, Y),
}

WINDOWS = {
    "convolution": _one(lambda x, w, b: F.conv2d(x, w, b, stride=2, padding=1), IMAGE, random(3, 4, 3, 3), random(3)),
    "convolution.groups": _one(lambda x, w: F.conv2d(x, w, groups=2, dilation=2, padding=(2, 0)), IMAGE, random(6, 2, 3, 1)),
    "convolution.1d": _one(lambda x, w: F.conv1d(x, w, padding=2), random(2, 3, 9), random(4, 3, 5)),
    "convolution.transposed": _one(lambda x, w, b: F.conv_transpose2d(x, w, b, stride=2, padding=1), IMAGE, random(4, 3, 3, 3), random(3)),
    "max_pool2d_with_indices": _one(lambda x: F.max_pool2d(x, 3, 2, 1), IMAGE),
    "avg_pool1d": _one(lambda x: F.avg_pool1d(x, 2), random(2, 3, 8)),
    "avg_pool2d": _one(lambda x: F.avg_pool2d(x, 3, 2, 1), IMAGE),
    "avg_pool2d.ceil": _one(lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True, count_include_pad=False), IMAGE),
    "max_pool3d_with_indices": _one(lambda x: F.max_pool3d(x, 3, 2, 1), VOLUME),
    "avg_pool3d": _one(lambda x: F.avg_pool3d(x, 2, 2, 1, count_include_pad=False), VOLUME),
    "_adaptive_avg_pool3d": _one(lambda x: F.adaptive_avg_pool3d(x, (1, 2, 3)), VOLUME),
    "_adaptive_avg_pool3d.uneven": _one(lambda x: F.adaptive_avg_pool3d(x, (3, 2, 4)), VOLUME),
    "_adaptive_avg_pool2d": _one(lambda x: F.adaptive_avg_pool2d(x, (1, 3)), IMAGE),
    "_adaptive_avg_pool2d.uneven": _one(lambda x: F.adaptive_avg_pool2d(x, (3, 4)), IMAGE),
}

CASES = {"unary": UNARY, "binary": BINARY, "products": PRODUCTS, "reductions": REDUCTIONS, "shapes": SHAPES, "windows": WINDOWS}

# Derivative zero or none: comparisons, whole numbers, places.
NOT_DIFFERENTIABLE = set(
    (
        "all any argmax argmin bitwise_and bitwise_left_shift bitwise_right_shift bitwise_not bitwise_or bitwise_xor ceil eq floor floor_divide ge gt "
        "isfinite isinf isnan le logical_and logical_not logical_or logical_xor lt ne one_hot round sign trunc bernoulli copy quantized_decomposed"
    ).split()
)
# Other forms of an operation that has a case: what export, decomposition or autograd makes of it, or makes it of.
SAME_AS_ANOTHER = set(
    (
        "_adaptive_avg_pool2d_backward _adaptive_avg_pool3d_backward _safe_softmax _unsafe_index _unsafe_index_put _unsafe_view alias as_strided avg_pool2d_backward avg_pool3d_backward contiguous "
        "convolution_backward detach diagonal_copy diagonal_scatter lift_fresh_copy log_softmax max_pool2d_with_indices_backward max_pool3d_with_indices_backward softmax to "
        "native_dropout prims"
    ).split()
)
