"""Sums of products: linear layers and matrix products, each one linalg.generic; biases are added by an operation of their own."""

from __future__ import annotations

from wafer.frontends.context import Context
from wafer.frontends.registry import lowering
from wafer.frontends.tensor import Tensor

_TOKENS = "abcdefghij"  # labels of leading dimensions


def _plus(ctx: Context, product: Tensor, other: Tensor) -> Tensor:
    return ctx.elementwise(lambda b, x, y: b.add(x, y), product, other, compute=ctx.dtype)


@lowering("aten.linear.default")
def _linear(ctx: Context, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    tokens = _TOKENS[: x.rank - 1]
    if weight.rank == 1:
        product = ctx.contract(f"{tokens}k,k->{tokens}", x, weight)
    else:
        product = ctx.contract(f"{tokens}k,nk->{tokens}n", x, weight)
    return product if bias is None else _plus(ctx, product, bias)


@lowering("aten.mm.default")
def _mm(ctx: Context, a: Tensor, b: Tensor) -> Tensor:
    return ctx.contract("tk,kn->tn", a, b)


@lowering("aten.bmm.default")
def _bmm(ctx: Context, a: Tensor, b: Tensor) -> Tensor:
    return ctx.contract("atk,akn->atn", a, b)


@lowering("aten.mv.default")
def _mv(ctx: Context, a: Tensor, b: Tensor) -> Tensor:
    return ctx.contract("tk,k->t", a, b)


@lowering("aten.dot.default")
def _dot(ctx: Context, a: Tensor, b: Tensor) -> Tensor:
    return ctx.contract("k,k->", a, b)


def _scaled(ctx: Context, tensor: Tensor, factor: float) -> Tensor:
    return tensor if factor == 1 else ctx.elementwise(lambda b, x: b.mul(x, b.like(factor, x)), tensor)


def _add_product(ctx: Context, equation: str, bias: Tensor, a: Tensor, b: Tensor, beta: float, alpha: float) -> Tensor:
    product = _scaled(ctx, ctx.contract(equation, a, b), alpha)
    return product if beta == 0 else _plus(ctx, product, _scaled(ctx, bias, beta) if beta != 1 else bias)


@lowering("aten.addmm.default")
def _addmm(ctx: Context, bias: Tensor, a: Tensor, b: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    return _add_product(ctx, "tk,kn->tn", bias, a, b, beta, alpha)


@lowering("aten.baddbmm.default")
def _baddbmm(ctx: Context, bias: Tensor, a: Tensor, b: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    return _add_product(ctx, "atk,akn->atn", bias, a, b, beta, alpha)


@lowering("aten.matmul.default")
def _matmul(ctx: Context, a: Tensor, b: Tensor) -> Tensor:
    """NumPy's rules: leading dimensions are a batch and broadcast, vectors lose their dimension."""
    batch_a, batch_b = max(a.rank - 2, 0), max(b.rank - 2, 0)
    batch = max(batch_a, batch_b)
    labels = _TOKENS[:batch]

    def batch_labels(tensor: Tensor, count: int) -> tuple[Tensor, str]:
        # A batch dimension of size one that the other operand repeats is read at 0: it gets no label.
        keep = [d for d in range(count) if tensor.shape[d] != 1 or ctx.shape[batch - count + d] == 1]
        shape = tuple(tensor.shape[d] for d in keep) + tensor.shape[count:]
        return (tensor if len(keep) == count else tensor.with_units(shape)), "".join(labels[batch - count + d] for d in keep)

    a, labels_a = batch_labels(a, batch_a)
    b, labels_b = batch_labels(b, batch_b)
    rows = "t" if a.rank - len(labels_a) == 2 else ""
    columns = "n" if b.rank - len(labels_b) == 2 else ""
    return ctx.contract(f"{labels_a}{rows}k,{labels_b}k{columns}->{labels}{rows}{columns}", a, b)
