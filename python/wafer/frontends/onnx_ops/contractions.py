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
