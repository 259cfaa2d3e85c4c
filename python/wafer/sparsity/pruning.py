"""Zeros in a model that is trained already."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy

from wafer.errors import RuntimeError  # noqa: A004
from wafer.sparsity.masks import by_pattern, check, chosen, largest_of_all

if TYPE_CHECKING:
    import torch

METHODS = ("magnitude", "wanda", "sparsegpt")
_DAMPING = 0.01  # of the mean of the diagonal, so that the inverse exists
_COLUMNS = 128  # that SparseGPT chooses masks for at once


def prune(
    model: torch.nn.Module,
    sparsity: float,
    *,
    method: str = "magnitude",
    scope: str = "layer",
    pattern: str = "unstructured",
    include: Sequence[str] = ("*",),
    exclude: Sequence[str] = (),
    calibration: Iterable[object] = (),
) -> dict[str, numpy.ndarray]:
    """Set weights of a model to zero.

    Args:    sparsity: share of zeros, in each weight or of all; for "n:m" the pattern says it.
             method: "magnitude" keeps the largest weights; "wanda" (Sun and others, 2023) those with the largest product of magnitude and norm of their
             input, per output; "sparsegpt" (Frantar and Alistarh, 2023) those whose loss changes a layer's output most, and corrects the others. The
             last two see linear layers only and need `calibration`, inputs of the model.
             scope: "layer", or "global" for one limit over all weights (magnitude, unstructured). pattern: "unstructured", "2:4", or blocks, "4x4".
             include, exclude: patterns of parameters' names. Parameters of fewer than two dimensions stay, and so do embeddings.
    Returns: masks of what was kept, by the parameter's name. The model is changed.
    Raises:  RuntimeError for options that do not go together, a pattern that fits nothing, and weights that a pattern does not divide.
    """
    import torch

    check(sparsity)
    if method not in METHODS:
        raise RuntimeError(f"found pruning method '{method}', expected one of {', '.join(METHODS)}")
    if scope not in ("layer", "global") or (scope == "global" and (method != "magnitude" or pattern != "unstructured")):
        raise RuntimeError(f"found scope '{scope}' for method '{method}' and pattern '{pattern}', expected 'layer', or 'global' for magnitude and unstructured")
    embeddings = {f"{name}.{own}" for name, module in model.named_modules() if isinstance(module, torch.nn.Embedding) for own, _ in module.named_parameters()}
    weights = {name: parameter for name, parameter in model.named_parameters() if parameter.dim() > 1 and name not in embeddings}
    names = chosen(weights, include, exclude)
    if method == "magnitude":
        masks = _by_magnitude({name: weights[name] for name in names}, sparsity, scope, pattern)
    else:
        masks = _by_inputs(model, [name for name in names], sparsity, method, pattern, list(calibration))
    with torch.no_grad():
        for name, mask in masks.items():
            weights[name].mul_(torch.from_numpy(mask))
    return masks


def _by_magnitude(weights: Mapping[str, torch.nn.Parameter], sparsity: float, scope: str, pattern: str) -> dict[str, numpy.ndarray]:
    scores = {name: weight.detach().abs().cpu().float().numpy() for name, weight in weights.items()}
    if scope == "global":
        return largest_of_all(scores, sparsity)
    return {name: by_pattern(array.reshape(array.shape[0], -1), pattern, sparsity).reshape(array.shape) for name, array in scores.items()}


def _by_inputs(model: torch.nn.Module, names: Sequence[str], sparsity: float, method: str, pattern: str, calibration: Sequence[object]) -> dict[str, numpy.ndarray]:
    import torch

    if not calibration:
        raise RuntimeError(f"found no calibration for method '{method}', expected inputs of the model: prune(model, {sparsity}, method='{method}', calibration=[x])")
    linear = {f"{name}.weight": module for name, module in model.named_modules() if isinstance(module, torch.nn.Linear) and f"{name}.weight" in names}
    products = {name: torch.zeros(module.in_features, module.in_features, dtype=torch.float64) for name, module in linear.items()}
    hooks = []
    for name, module in linear.items():

        def add(module: torch.nn.Module, inputs: tuple, output: object, name: str = name) -> None:
            seen = inputs[0].detach().reshape(-1, module.in_features).double()
            products[name] += seen.T @ seen

        hooks.append(module.register_forward_hook(add))
    try:
        with torch.no_grad():
            for inputs in calibration:
                model(*inputs) if isinstance(inputs, (tuple, list)) else model(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    masks = {}
    for name, module in linear.items():
        weight = module.weight.detach().double()
        if method == "wanda":
            scores = (weight.abs() * products[name].diagonal().sqrt()).numpy()
            masks[name] = numpy.concatenate([by_pattern(row[None], pattern, sparsity) for row in scores]) if pattern == "unstructured" else by_pattern(scores, pattern, sparsity)
        else:
            corrected, masks[name] = _sparsegpt(weight, products[name], sparsity, pattern)
            with torch.no_grad():
                module.weight.copy_(corrected)
    return masks


def _sparsegpt(weight: torch.Tensor, product: torch.Tensor, sparsity: float, pattern: str) -> tuple[torch.Tensor, numpy.ndarray]:
    """Column by column: what a removed weight gave is spread over the columns after it, by the inverse of the inputs' products."""
    import torch

    weight, features = weight.clone(), weight.shape[1]
    product = product + torch.eye(features, dtype=torch.float64) * (_DAMPING * product.diagonal().mean() + torch.finfo(torch.float64).tiny)
    inverse = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(product)), upper=True)
    mask = numpy.ones(weight.shape, bool)
    for begin in range(0, features, _COLUMNS):
        part = slice(begin, min(begin + _COLUMNS, features))
        scores = (weight[:, part] / inverse.diagonal()[part]).square().numpy()
        mask[:, part] = by_pattern(scores, pattern, sparsity)
        for column in range(part.start, part.stop):
            removed = torch.where(torch.from_numpy(mask[:, column]), 0.0, weight[:, column]) / inverse[column, column]
            weight[:, column:] -= removed[:, None] * inverse[column, column:][None]
    return weight, mask
