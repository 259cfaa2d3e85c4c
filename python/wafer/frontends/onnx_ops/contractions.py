"""Operators that are sums of products."""

from __future__ import annotations

import torch

from wafer.frontends import deferred
from wafer.frontends.deferred import Any
from wafer.frontends.onnx_ops.node import Node
from wafer.frontends.onnx_ops.registry import operator

aten = torch.ops.aten


def matmul(a: Any, b: Any) -> Any:
    return deferred.whole(aten.matmul.default, a, b)


@operator("MatMul")
def _matmul(node: Node, a: Any, b: Any) -> Any:
    return matmul(a, b)


@operator("Gemm")
def _gemm(node: Node, a: Any, b: Any, c: Any | None = None) -> Any:
    a_labels, b_labels = "kt" if node.attribute("transA", 0) else "tk", "nk" if node.attribute("transB", 0) else "kn"
    product = deferred.contract(f"{a_labels},{b_labels}->tn", a, b)
    alpha, beta = node.attribute("alpha", 1.0), node.attribute("beta", 1.0)
    product = product if alpha == 1 else product * alpha
    if c is None or beta == 0:
        return product.to(a.dtype)
    return (product + (c if beta == 1 else c * beta)).to(a.dtype)


@operator("Einsum")
def _einsum(node: Node, *tensors: Any) -> Any:
    equation = node.attribute("equation").replace(" ", "")
    inputs, arrow, result = equation.partition("->")
    operands = inputs.split(",")
    if "..." in equation or any(len(set(labels)) != len(labels) for labels in (*operands, result)) or len(operands) != 2:
        return torch.einsum(equation, *tensors)
    if not arrow:
        result = "".join(sorted(label for label in set(inputs) if inputs.count(label) == 1 and label != ","))
    return deferred.contract(f"{inputs}->{result}", *tensors)


@operator("FusedMatMul", domain="com.microsoft")
def _fused_matmul(node: Node, a: Any, b: Any) -> Any:
    a = a.mT if node.attribute("transA", 0) else a
    b = b.mT if node.attribute("transB", 0) else b
    alpha = node.attribute("alpha", 1.0)
    return matmul(a, b) if alpha == 1 else matmul(a, b) * alpha


@operator("Det")
def _det(node: Node, x: Any) -> Any:
    """By cofactors of the first row: sizes up to 4."""
    size = x.shape[-1]
    if size > 4:
        raise node.refused(f"is the determinant of {size}x{size} matrices, expected at most 4x4")
    if size == 1:
        return x[..., 0, 0]
    result = None
    for column in range(size):
        minor = torch.cat([x[..., 1:, :column], x[..., 1:, column + 1 :]], -1)
        term = x[..., 0, column] * _det(node, minor)
        result = term if result is None else result + term if column % 2 == 0 else result - term
    return result


@operator("DFT")
def _dft(node: Node, x: Any, length: Any | None = None, axis: Any | None = None) -> Any:
    """As products with cosines and sines; a complex number is a last dimension of two."""
    place = node.attribute("axis", -2 if node.version >= 20 else 1) if axis is None else node.numbers(axis, "axis")[0]
    place, inverse, half = place % x.dim(), node.attribute("inverse", 0), node.attribute("onesided", 0)
    size = x.shape[place]
    count = node.numbers(length, "dft_length")[0] if length is not None else 2 * (size - 1) if inverse and half else size
    used = min(size, count // 2 + 1 if inverse and half else count)
    x = torch.narrow(x, place, 0, used)
    real, imaginary = torch.select(x, -1, 0), torch.select(x, -1, 1) if x.shape[-1] == 2 else None
    rows, columns = torch.arange(count // 2 + 1 if half and not inverse else count), torch.arange(used)
    angles = 2 * torch.pi * (rows.unsqueeze(1) * columns % count).to(torch.float64) / count
    cosine, sine = torch.cos(angles), torch.sin(angles) * (1 if inverse else -1)
    if inverse:
        # Of a half, all elements but the first and the middle one stand for two.
        twice = torch.where((columns > 0) & (2 * columns != count), 2, 1) if half else torch.ones(())
        cosine, sine = cosine * twice / count, sine * twice / count
    labels = "abcdefgh"[: real.dim()]
    equation = f"{labels},z{labels[place]}->{labels.replace(labels[place], 'z')}"

    def turned(part: Any, by: torch.Tensor) -> Any:
        return deferred.contract(equation, part, by.to(x.dtype))

    if imaginary is None:
        return torch.stack([turned(real, cosine), turned(real, sine)], -1)
    a = turned(real, cosine) - turned(imaginary, sine)
    return a.unsqueeze(-1) if inverse and half else torch.stack([a, turned(real, sine) + turned(imaginary, cosine)], -1)
