"""What a graph may consist of. Each function writes an expression, or several, on operands that it asks the builder for; it raises Skip when nothing fits.

An operation is drawn as often as it stands in OPERATIONS.
"""

from __future__ import annotations

import math

from random_graphs.generate import Builder, Operand, Skip

_SMOOTH = (
    "F.relu({v})", "{v}.neg()", "{v}.abs()", "torch.tanh({v})", "torch.sigmoid({v})", "F.gelu({v})", "F.gelu({v}, approximate='tanh')", "F.silu({v})",
    "torch.exp({v}.clamp(max=3))", "torch.sin({v})", "torch.cos({v})", "{v}.square()", "torch.sqrt({v}.abs() + 0.5)", "torch.rsqrt({v}.abs() + 0.5)",
    "torch.log({v}.abs() + 0.5)", "({v}.abs() + 0.5).reciprocal()", "torch.erf({v})", "F.softplus({v})", "F.elu({v})", "F.leaky_relu({v}, 0.1)",
    "F.hardswish({v})", "F.hardsigmoid({v})", "F.hardtanh({v})", "F.relu6({v})", "F.mish({v})", "{v}.clamp(-1.0, 0.75)", "F.logsigmoid({v})",
    "torch.expm1({v}.clamp(max=2))", "torch.log1p({v}.abs())", "F.softsign({v})", "F.tanhshrink({v})", "F.celu({v}, 0.7)", "F.selu({v})", "{v}**3",
    "torch.atan({v})", "{v} * 0.5 + 1.0", "1.0 - {v}", "2.0 / ({v}.abs() + 1.0)", "torch.sinh({v}.clamp(-2, 2))", "torch.cosh({v}.clamp(-2, 2))",
    "torch.asinh({v})", "torch.exp2({v}.clamp(max=3))", "torch.log2({v}.abs() + 0.25)", "({v}.abs() + 0.1)**0.75", "F.threshold({v}, 0.2, -0.5)",
    "F.softshrink({v}, 0.4)", "F.hardshrink({v}, 0.4)", "torch.nan_to_num({v})", "F.glu(torch.cat([{v}, {v}], -1), -1)",
)  # fmt: skip
_STEPS = ("torch.floor({v})", "torch.ceil({v})", "torch.round({v})", "torch.trunc({v})", "torch.sign({v})", "torch.frac({v})", "{v} % 0.7", "torch.floor_divide({v}, 0.7)")  # fmt: skip


def unary(b: Builder) -> str:
    return b.pick(_SMOOTH).format(v=b.value())


def steps(b: Builder) -> str:
    return b.pick(_STEPS).format(v=b.value())


def _broadcasts_with(shape: tuple[int, ...]):
    def fits(other: tuple[int, ...]) -> bool:
        return all(a == b or 1 in (a, b) for a, b in zip(shape[::-1], other[::-1]))

    return fits


def _broadcast_of(b: Builder, shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape that goes with `shape`: some leading dimensions left out, some sizes 1, sometimes more dimensions."""
    kept = shape[b.choose(len(shape) + 1) if b.flag() else 0 :]
    kept = tuple(1 if b.flag(4) else size for size in kept)
    return (b.size(), *kept) if len(kept) == len(shape) and len(shape) < 4 and b.flag(6) else kept


_BINARY = (
    "{v} + {o}", "{v} * {o}", "{v} - {o}", "torch.maximum({v}, {o})", "torch.minimum({v}, {o})", "{v} / ({o}.abs() + 0.5)", "{o} - {v}",
    "torch.lerp({v}, {o}, 0.3)", "torch.addcmul({v}, {v}, {o}, value=0.5)", "torch.add({v}, {o}, alpha=0.5)", "torch.atan2({v}, {o}.abs() + 0.5)",
    "({v}.abs() + 0.5)**{o}.clamp(-2, 2)", "torch.logaddexp({v}, {o})", "torch.fmod({v}, {o}.abs() + 0.5)",
)  # fmt: skip


def binary(b: Builder) -> str:
    v = b.value()
    return b.pick(_BINARY).format(v=v, o=b.like(v, _broadcasts_with(v.shape), _broadcast_of(b, v.shape)))


def scalar(b: Builder) -> str:
    return f"{b.value()} {b.pick('+*-')} {b.pick((0.5, -1.25, 0.1, 3, 1e-3))}"


# Contractions


def _width(v: Operand, d: int = -1) -> int:
    if v.rank < -d:
        raise Skip
    return v.shape[d]


def _in_range(count: int) -> float:
    return 1 / math.sqrt(max(count, 1))


def linear(b: Builder) -> str:
    v = b.value(1)
    k, n = _width(v), b.size()
    w = b.weight(n, k, scale=_in_range(k))
    return f"F.linear({v}, {w}, {b.weight(n)})" if b.flag() else f"F.linear({v}, {w})"


def matmul_weight(b: Builder) -> str:
    v, n = b.value(1), b.size()
    if v.rank >= 2 and b.flag():
        return f"{b.weight(n, v.shape[-2], scale=_in_range(v.shape[-2]))} @ {v}"
    k = _width(v)
    return f"{v} @ {b.weight(k, n, scale=_in_range(k)) if b.flag(3) is False else b.weight(k, scale=_in_range(k))}"


def matmul_batched(b: Builder) -> str:
    v = b.value(2)
    form = b.choose(4)
    if form == 0:
        return f"{v} @ {v}.transpose(-1, -2) * {_in_range(v.shape[-1]):.3g}"
    if form == 1:
        return f"{v}.mT @ {v} * {_in_range(v.shape[-2]):.3g}"
    batch = tuple(1 if b.flag(4) else size for size in v.shape[:-2][b.choose(v.rank - 1) :])
    shape = (*batch, v.shape[-1], b.size())

    def fits(other: tuple[int, ...]) -> bool:
        return len(other) >= 2 and other[-2] == v.shape[-1] and _broadcasts_with(v.shape[:-2])(other[:-2])

    return f"{v} @ {b.like(v, fits, shape)} * {_in_range(v.shape[-1]):.3g}"


def einsum(b: Builder) -> str:
    v = b.value(1, 4)
    mine = "abcd"[: v.rank]
    sizes = dict(zip(mine, v.shape))
    theirs = [letter for letter in mine if b.flag()]
    for letter in "ef"[: b.choose(3)]:
        sizes[letter] = b.size()
        theirs.insert(b.choose(len(theirs) + 1), letter)
    _shuffle(b, theirs)
    result = [letter for letter in sizes if letter not in mine or letter not in theirs or b.flag()]
    result = [letter for letter in result if not (letter in mine and letter not in theirs and b.flag(6))]
    _shuffle(b, result)
    shape = tuple(sizes[letter] for letter in theirs)
    summed = math.prod(sizes[letter] for letter in sizes if letter not in result)
    if summed > 400 or math.prod(sizes.values()) > 100_000 or math.prod(shape) > 3000:
        raise Skip
    o = b.like(v, lambda other: other == shape, shape)
    return f"torch.einsum('{mine},{''.join(theirs)}->{''.join(result)}', {v}, {o}) * {_in_range(summed):.3g}"


def _shuffle(b: Builder, letters: list[str]) -> None:
    for i in range(len(letters) - 1):
        j = i + b.choose(len(letters) - i)
        letters[i], letters[j] = letters[j], letters[i]


def _image(b: Builder, spatial: int) -> tuple[str, tuple[int, ...]]:
    """An operand of batch x channels x `spatial` dimensions (sometimes without batch), made of one with other rank where there is none."""
    v = b.value(1, 4)
    if v.rank == spatial + 2 or (v.rank == spatial + 1 and b.flag()):
        return v.name, v.shape
    if v.rank == spatial + 1:
        return f"{v}[None]", (1, *v.shape)
    if v.rank > spatial + 2:
        merged = (math.prod(v.shape[: v.rank - spatial - 1]), *v.shape[v.rank - spatial - 1 :])
        return f"{v}.reshape({', '.join(map(str, merged))})", merged
    shape = b.shape(spatial + 2)
    return b.input(*shape).name, shape


def _conv_options(b: Builder, sizes: tuple[int, ...], same: bool = False) -> tuple[list[int], str]:
    """Kernel sizes and the arguments stride, padding and dilation."""
    kernel, stride, padding, dilation = [], [], [], []
    for size in sizes:
        padding.append(b.choose(3))
        dilation.append(1 + b.choose(2))
        stride.append(1 + b.choose(3))
        most = (size + 2 * padding[-1] - 1) // dilation[-1] + 1
        kernel.append(1 + b.choose(max(1, min(3, most))))
    options = "".join(f", {name}={tuple(values)}" for name, values in (("stride", stride), ("padding", padding), ("dilation", dilation)) if b.flag() or name == "padding")
    if ", dilation" not in options:
        dilation = [1] * len(sizes)
    return kernel, options


def _groups(b: Builder, channels: int) -> int:
    dividing = [g for g in range(1, channels + 1) if channels % g == 0]
    return b.pick(dividing)


def convolution(b: Builder) -> str:
    spatial = 1 + b.choose(2)
    v, shape = _image(b, spatial)
    channels, sizes = shape[-spatial - 1], shape[-spatial:]
    kernel, options = _conv_options(b, sizes)
    groups = _groups(b, channels)
    out = groups * (1 + b.choose(4))
    summed = channels // groups * math.prod(kernel)
    w = b.weight(out, channels // groups, *kernel, scale=_in_range(summed))
    bias = f", {b.weight(out)}" if b.flag() else ""
    return f"F.conv{spatial}d({v}, {w}{bias}{options}, groups={groups})"


def transposed_convolution(b: Builder) -> str:
    spatial = 1 + b.choose(2)
    v, shape = _image(b, spatial)
    channels = shape[-spatial - 1]
    groups = _groups(b, channels)
    out, kernel = 1 + b.choose(3), [1 + b.choose(3) for _ in range(spatial)]
    w = b.weight(channels, out, *kernel, scale=_in_range(channels // groups * math.prod(kernel)))
    stride, dilation = 1 + b.choose(2), 1 + b.choose(2)
    padding = b.choose(1 + min(dilation * (size - 1) for size in kernel))
    return f"F.conv_transpose{spatial}d({v}, {w}, stride={stride}, padding={padding}, dilation={dilation}, groups={groups})"


def pooling(b: Builder) -> str:
    spatial = 1 + b.choose(2)
    v, shape = _image(b, spatial)
    kernel = [1 + b.choose(min(3, size)) for size in shape[-spatial:]]
    form = b.choose(4)
    if form == 3:
        return f"F.adaptive_avg_pool{spatial}d({v}, {tuple(b.pick([n for n in range(1, size + 1) if size % n == 0]) for size in shape[-spatial:])})"
    options = f", stride={tuple(1 + b.choose(2) for _ in kernel)}" if b.flag() else ""
    options += f", padding={tuple(size // 2 if b.flag() else 0 for size in kernel)}" if b.flag() else ""
    options += ", ceil_mode=True" if b.flag(4) else ""
    if form == 2:
        return f"F.avg_pool{spatial}d({v}, {tuple(kernel)}{options}{', count_include_pad=False' if b.flag() else ''})"
    return f"F.max_pool{spatial}d({v}, {tuple(kernel)}{options})"


def attention(b: Builder) -> str:
    v = b.value(2, 4)
    length, width = 1 + b.choose(9), v.shape[-1]
    heads = v.shape[:-2]
    form = b.choose(5)
    if form == 0:
        return f"F.scaled_dot_product_attention({v}, {v}, {v})"
    if form == 1:
        return f"F.scaled_dot_product_attention({v}, {v}, {v}, is_causal=True)"
    k, values = b.input(*heads, length, width), b.input(*heads, length, b.size())
    if form == 2:
        return f"F.scaled_dot_product_attention({v}, {k}, {values})"
    if form == 3:
        return f"F.scaled_dot_product_attention({v}, {k}, {values}, attn_mask={b.input(v.shape[-2], length)}, scale=0.5)"
    mask = b.mask(v.shape[-2], length)
    return f"F.scaled_dot_product_attention({v}, {k}, {values}, attn_mask={mask} | (torch.arange({length}) == 0))"


# Normalisations and reductions


def normalisation(b: Builder) -> str:
    v = b.value(1)
    form = b.choose(5)
    if form == 0:
        shape = v.shape[v.rank - 1 - b.choose(v.rank) :]
        affine = f", {b.weight(*shape)}, {b.weight(*shape)}" if b.flag() else ""
        return f"F.layer_norm({v}, {shape}{affine}, eps=0.01)"
    if form == 1:
        shape = v.shape[-1:]
        return f"F.rms_norm({v}, {shape}{f', {b.weight(*shape)}' if b.flag() else ''}, eps=0.01)"
    if v.rank < 2:
        raise Skip
    channels = v.shape[1]
    if form == 2:
        affine = f", {b.weight(channels)}, {b.weight(channels)}" if b.flag() else ""
        return f"F.batch_norm({v}, {b.weight(channels)}, {b.parameter(channels)}{affine})"
    if form == 3:
        if math.prod(v.shape) == channels:
            raise Skip
        affine = f", {b.weight(channels)}, {b.weight(channels)}" if b.flag() else ""
        return f"F.group_norm({v}, {_groups(b, channels)}{affine}, eps=0.01)"
    return f"F.normalize({v}, dim={b.dim(v.rank)}, eps=0.01)"


def softmax(b: Builder) -> str:
    v = b.value(1)
    return f"{b.pick(('torch.softmax', 'F.log_softmax', 'F.softmin', 'torch.softmax'))}({v}, dim={b.dim(v.rank)})"


def reduction(b: Builder) -> str:
    v = b.value()
    name = b.pick(("sum", "mean", "amax", "amin", "var", "std", "norm", "logsumexp", "sum", "prod"))
    keep = ", keepdim=True" if b.flag() else ""
    if name == "prod":
        return f"{v}.prod(dim={b.dim(v.rank)}{keep})"
    if name == "logsumexp" and not v.rank:
        raise Skip
    if not v.rank or (b.flag(5) and name != "logsumexp"):
        return f"{v}.{name}()" if name not in ("var", "std") else f"{v}.{name}(correction=0)"
    dims = b.dims(v.rank)
    correction = ", correction=0" if name in ("var", "std") and (b.flag() or math.prod(v.shape[d] for d in dims) == 1) else ""
    scale = f" * {_in_range(math.prod(v.shape[d] for d in dims)):.3g}" if name == "sum" else ""
    return f"{v}.{name}(dim={dims}{correction}{keep}){scale}"


def selection(b: Builder) -> list[str] | str:
    v = b.value(1)
    d = b.dim(v.rank)
    form = b.choose(6)
    if form == 0:
        return f"{v}.{b.pick(('argmax', 'argmin'))}(dim={d}{', keepdim=True' if b.flag() else ''})"
    if form == 1:
        name = b.pick(("max", "min"))
        return [f"{v}.{name}(dim={d})[0]", f"{v}.{name}(dim={d})[1]"]
    if form == 2:
        return f"{v}.{b.pick(('argmax', 'argmin'))}()"
    if form == 3:
        arguments = f"stable=True, dim={d}, descending={b.flag()}"
        return [f"{v}.sort({arguments})[0]", f"{v}.sort({arguments})[1]"]
    k = 1 + b.choose(v.shape[d])
    largest = "" if b.flag() else ", largest=False"
    # Which of equal ones comes first is up to PyTorch, so that only values are looked at.
    return f"{v}.topk({k}, dim={d}{largest})[0]"


def scan(b: Builder) -> str:
    v = b.value(1)
    return f"{v}.{b.pick(('cumsum', 'cumsum', 'cumprod'))}(dim={b.dim(v.rank)}) * 0.25"


# Moving data


def concatenation(b: Builder) -> str:
    v = b.value(1)
    d = b.dim(v.rank)
    at = d % v.rank
    parts = [v]
    for _ in range(1 + b.choose(2)):
        shape = tuple(b.size() if i == at else size for i, size in enumerate(v.shape))
        parts.append(b.like(v, lambda other: len(other) == v.rank and all(i == at or a == c for i, (a, c) in enumerate(zip(v.shape, other))), shape))
    if b.flag():
        parts.reverse()
    return f"torch.cat([{', '.join(map(str, parts))}], dim={d})"


def stacking(b: Builder) -> str:
    v = b.value(0, 3)
    return f"torch.stack([{v}, {b.like(v, lambda other: other == v.shape, v.shape)}], dim={b.choose(v.rank + 1)})"


def slicing(b: Builder) -> str:
    v = b.value(1)
    index = []
    for size in v.shape[: 1 + b.choose(v.rank)]:
        form = b.choose(5)
        start = b.choose(size)
        stop = start + 1 + b.choose(size - start)
        index.append((":", f"{start}:{stop}", f"{start}::{1 + b.choose(3)}", str(b.choose(2 * size) - size), f"None, {start}:{stop}:2")[form])
    return f"{v}[{'..., ' if len(index) == v.rank and b.flag(6) else ''}{', '.join(index)}]"


def padding(b: Builder) -> str:
    v = b.value(1)
    form = b.choose(4)
    if form < 2:
        amounts = [b.choose(4) for _ in range(2 * (1 + b.choose(min(v.rank, 3))))]
        amounts[0] = 0 if amounts[0] == 3 else amounts[0]
        if b.flag(4):
            amounts[1] = -b.choose(_width(v))
        return f"F.pad({v}, {tuple(amounts)}{', value=0.5' if form else ''})"
    if v.rank not in (2, 3):
        raise Skip
    size = v.shape[-1]
    most = size - 1 if form == 2 else 3
    return f"F.pad({v}, ({b.choose(most + 1)}, {b.choose(most + 1)}), mode='{'reflect' if form == 2 else 'replicate'}')"


def permutation(b: Builder) -> str:
    v = b.value(2)
    if b.flag():
        order = list(range(v.rank))
        _shuffle(b, order)
        return f"{v}.permute({', '.join(map(str, order))})"
    return f"{v}.transpose({b.dim(v.rank)}, {b.dim(v.rank)})"


def reshaping(b: Builder) -> str:
    v = b.value()
    factors = [p for size in v.shape for p in _primes(size)]
    shape = [1] * (1 + b.choose(4))
    if b.flag():
        _shuffle(b, factors)
    place = 0
    for factor in factors:
        # In order, so that dimensions merge and split at other places than before.
        place = min(place + (1 if b.flag(3) else 0), len(shape) - 1)
        shape[place] *= factor
    if b.flag(4):
        shape[b.choose(len(shape))] = -1
    return f"{v}.reshape({', '.join(map(str, shape))})"


def _primes(size: int) -> list[int]:
    factors, p = [], 2
    while size > 1:
        while size % p == 0:
            factors.append(p)
            size //= p
        p += 1
    return factors


def dimensions(b: Builder) -> str:
    v = b.value()
    form = b.choose(6)
    if form == 0:
        return f"{v}.unsqueeze({b.choose(v.rank + 1)})"
    if form == 1:
        return f"{v}.squeeze()" if b.flag() or not v.rank else f"{v}.squeeze({b.dim(v.rank)})"
    if form == 2:
        return f"{v}.expand({', '.join(map(str, (*(b.size() for _ in range(b.choose(2))), *(b.size() if size == 1 else -1 for size in v.shape))))})"
    if form == 3:
        return f"{v}.repeat({', '.join(str(1 + b.choose(2)) for _ in range(max(1, v.rank + b.choose(2))))})"
    if not v.rank:
        raise Skip
    if form == 4:
        d = b.dim(v.rank)
        size = 1 + b.choose(v.shape[d])
        return f"{v}.unfold({d}, {size}, {1 + b.choose(3)})"
    first = b.choose(v.rank)
    return f"{v}.flatten({first}, {first + b.choose(v.rank - first)})"


def turning(b: Builder) -> str:
    v = b.value(1)
    if b.flag():
        return f"torch.flip({v}, {b.dims(v.rank)})"
    return f"torch.roll({v}, {b.choose(5) - 2}, {b.dim(v.rank)})"


def gathering(b: Builder) -> str:
    v = b.value(1)
    d = b.dim(v.rank)
    form = b.choose(5)
    if form == 0:
        return f"F.embedding({b.ids(7, *b.shape(1 + b.choose(2)))}, {b.weight(7, b.size())})"
    if form == 1:
        return f"torch.index_select({v}, {d}, {b.ids(v.shape[d], b.size())})"
    if form == 2:
        shape = tuple(b.size() if i == d % v.rank else size for i, size in enumerate(v.shape))
        if math.prod(shape) > 3000:
            raise Skip
        return f"torch.gather({v}, {d}, {b.ids(v.shape[d], *shape)})"
    if form == 3:
        return f"{v}[{b.ids(v.shape[0], *b.shape(1 + b.choose(2)))}]"
    if v.rank < 2:
        raise Skip
    count = b.size()
    return f"{v}[{b.ids(v.shape[0], count)}, {b.ids(v.shape[1], count)}]"


def scattering(b: Builder) -> str:
    v = b.value(1)
    d = b.dim(v.rank)
    form = b.choose(3)
    if form == 0:
        return f"torch.scatter_add({v}, {d}, {b.ids(v.shape[d], *v.shape)}, {b.like(v, lambda other: other == v.shape, v.shape)})"
    if form == 1:
        count = 1 + b.choose(4)
        shape = tuple(count if i == d % v.rank else size for i, size in enumerate(v.shape))
        return f"torch.index_add({v}, {d}, {b.ids(v.shape[d], count)}, {b.input(*shape)})"
    ids = b.ids(5, *b.shape(b.choose(3)))
    return f"F.one_hot({ids}, 5).to(torch.float32)"


def splitting(b: Builder) -> list[str]:
    v = b.value(1)
    d = b.dim(v.rank)
    if v.shape[d] < 2:
        raise Skip
    size = 1 + b.choose(v.shape[d] - 1)
    return [f"{v}.split({size}, dim={d})[{i}]" for i in range(2)]


def triangles(b: Builder) -> str:
    v = b.value(2)
    return (f"torch.tril({v}, {b.choose(5) - 2})", f"torch.triu({v}, {b.choose(5) - 2})", f"torch.diagonal({v}, 0, {v.rank - 2}, {v.rank - 1})")[b.choose(3)]


# Choices


def comparison(b: Builder) -> str:
    v = b.value()
    o = b.pick((0.125, b.like(v, _broadcasts_with(v.shape), _broadcast_of(b, v.shape)))) if b.flag() else b.pick((0.0, 0.3, -0.5))
    return f"{v} {b.pick(('>', '<', '>=', '<=', '==', '!='))} {o}"


def logic(b: Builder) -> str:
    m = b.value(kind="bool")
    return b.pick(("~{m}", "{m}.to(torch.float32)", "{m} & {o}", "{m} | {o}", "{m} ^ {o}", "{m}.any({d})", "{m}.all({d})", "{m}.sum({d})")).format(
        m=m, o=b.mask(*m.shape), d=b.dim(m.rank) if m.rank else ""
    )


def where(b: Builder) -> str:
    v = b.value()
    condition = b.mask(*_broadcast_of(b, v.shape)) if b.flag() else f"{v} > {b.pick((0.0, 0.3, -0.6))}"
    form = b.choose(3)
    if form == 0:
        return f"torch.where({condition}, {v}, {b.pick((0.0, -1.0, 0.5))})"
    if form == 1:
        return f"{v}.masked_fill({condition}, {b.pick((0.0, -1.0))})" if isinstance(condition, str) else f"torch.where({condition}, 0.25, {v})"
    return f"torch.where({condition}, {v}, {b.like(v, _broadcasts_with(v.shape), _broadcast_of(b, v.shape))})"


def integers(b: Builder) -> str:
    i = b.value(kind="int")
    return b.pick(("{i} + 3", "{i} * 2", "{i} - {i}.max()", "{i} % 3", "{i} // 2", "{i}.to(torch.float32) * 0.125", "{i} > 1", "{i}.sum()", "-{i}", "{i} / 4")).format(i=i)


OPERATIONS = (
    unary, unary, unary, binary, binary, scalar, linear, linear, matmul_weight, matmul_batched, einsum, convolution, convolution, transposed_convolution,
    pooling, attention, normalisation, normalisation, softmax, reduction, reduction, selection, scan, concatenation, stacking, slicing, slicing, padding,
    permutation, reshaping, reshaping, dimensions, turning, gathering, scattering, splitting, triangles, comparison, logic, where, integers, steps,
)  # fmt: skip
