"""Update rules that look at a whole tensor: norms, means along dimensions, products of matrices. Written in PyTorch, compiled for MemoryX and the wafer."""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy

from wafer.errors import CompileError
from wafer.training.programs import Host
from wafer.training.rules import Hyperparameter, Rule

if TYPE_CHECKING:
    from wafer.program import Program

Shape = tuple[int, ...]
Arrays = Mapping[str, numpy.ndarray]


@dataclasses.dataclass(frozen=True)
class TensorRule(Rule):
    """Made by calling what `tensor_rule` gives. `shapes` gives the shapes of a parameter's state, which is zero at first."""

    shapes: Callable[[Shape], Mapping[str, Shape]] = dict
    matrices_only: bool = False


def tensor_rule(shapes: Callable[[Shape], Mapping[str, Shape]], *, matrices_only: bool = False) -> Callable[[Callable], Callable[..., TensorRule]]:
    """Make an update rule of a function of whole tensors; use it as a decorator.

        @wafer.optim.tensor_rule(lambda shape: {"momentum": shape})
        def normalized(parameter, gradient, momentum, *, lr, beta=0.9, step):
            momentum = beta * momentum + gradient
            return parameter - lr * momentum / momentum.norm(), momentum

    Args:    shapes: from a parameter's shape to the names and shapes of its state. matrices_only: refuse other parameters.
             The function takes the parameter, its gradient and its state as tensors of PyTorch and, after the star, hyperparameters: numbers, or tensors
             of no dimension where they depend on the step, as `step` itself does, which is 1 for the first. It returns the new parameter and state.
    Returns: as `rule`: a function of the hyperparameters, clip_norm and clip_value that gives a rule.
    """

    def decorate(function: Callable) -> Callable[..., TensorRule]:
        name = function.__name__
        known = {p.name: p.default for p in inspect.signature(function).parameters.values() if p.kind == p.KEYWORD_ONLY and p.name != "step"}

        def make(*, clip_norm: float | None = None, clip_value: float | None = None, **given: Hyperparameter) -> TensorRule:
            values = known | given
            for key, value in values.items():
                if key not in known:
                    raise TypeError(f"update rule '{name}' has no hyperparameter '{key}', it has {', '.join(known)}")
                if value is inspect.Parameter.empty:
                    raise TypeError(f"update rule '{name}' needs the hyperparameter '{key}'")
            takes_step = "step" in inspect.signature(function).parameters
            return TensorRule(name, function, {}, values, takes_step, clip_norm, clip_value, shapes, matrices_only)

        make.__name__ = make.__qualname__ = name
        make.__doc__ = function.__doc__
        return make

    return decorate


class TensorUpdates:
    """Applies such rules: a program per rule and shape."""

    def __init__(self, host: Host):
        self._host = host
        self._programs: dict[tuple[int, Shape], Program] = {}

    def apply(self, rule: TensorRule, name: str, parameter: numpy.ndarray, gradient: numpy.ndarray, state: Arrays, step: int, scale: float) -> dict[str, numpy.ndarray]:
        """"new parameter" and "new NAME" for each state."""
        if rule.matrices_only and parameter.ndim != 2:
            hint = f"use wafer.optim.groups({{PATTERN: wafer.optim.{rule.name}(...)}}, others=wafer.optim.AdamW(...))"
            raise CompileError(f"found '{name}' of shape {list(parameter.shape)} for {rule.name}, which updates matrices; {hint}")
        shapes = rule.shapes(parameter.shape)
        key = (id(rule), parameter.shape)
        if key not in self._programs:
            self._programs[key] = self._program(rule, parameter.shape, shapes)
        program = self._programs[key]
        numbers = [scale, float(step + 1), *(value(step) for value in rule.hyperparameters.values() if callable(value))]
        inputs = {"parameter": parameter, "gradient": gradient, "numbers": numpy.array(numbers, dtype=numpy.float32)}
        inputs |= {key: state.get(key, numpy.zeros(shape, numpy.float32)) for key, shape in shapes.items()}
        found = program.run({info.name: inputs[info.name] for info in program.inputs})
        return dict(zip(["new parameter", *(f"new {key}" for key in shapes)], map(numpy.asarray, found.values())))

    def _program(self, rule: TensorRule, shape: Shape, shapes: Mapping[str, Shape]) -> Program:
        import torch

        from wafer.compiler import compile as compile_program

        class Update(torch.nn.Module):
            def forward(self, parameter, gradient, numbers, **state):
                later = iter(range(2, 2 + len(rule.hyperparameters)))
                given = {key: numbers[next(later)] if callable(value) else value for key, value in rule.hyperparameters.items()}
                if rule.takes_step:
                    given["step"] = numbers[1]
                gradient = gradient * numbers[0]
                if rule.clip_value is not None:
                    gradient = gradient.clamp(-rule.clip_value, rule.clip_value)
                return rule.function(parameter, gradient, *state.values(), **given)

        count = 2 + sum(map(callable, rule.hyperparameters.values()))
        kwargs = {key: torch.empty(size) for key, size in {"parameter": shape, "gradient": shape, "numbers": (count,), **shapes}.items()}
        host = self._host
        return compile_program(Update().eval(), (), kwargs=kwargs, machine=host.machine, precision="f32", name="update", progress=False, engine=host.engine, threads=host.threads)


@tensor_rule(lambda shape: {"exp_avg": shape, "exp_avg_sq": shape})
def Lamb(parameter, gradient, exp_avg, exp_avg_sq, *, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-6, weight_decay=0.01, step):
    """Layer-wise adaptive moments. You and others, 2019."""
    exp_avg = beta1 * exp_avg + (1 - beta1) * gradient
    exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * gradient * gradient
    change = exp_avg / (1 - beta1**step) / ((exp_avg_sq / (1 - beta2**step)).sqrt() + eps) + weight_decay * parameter
    size, length = _norm(parameter), _norm(change)
    both = ((size > 0) & (length > 0)).float()
    trust = both * (size / length.clamp(min=1e-30)) + (1 - both)
    return parameter - lr * trust * change, exp_avg, exp_avg_sq


def _factored(shape: Shape) -> dict[str, Shape]:
    return {"row_var": (*shape[:-1], 1), "col_var": (*shape[:-2], 1, shape[-1])} if len(shape) > 1 else {"variance": shape}


@tensor_rule(_factored)
def Adafactor(parameter, gradient, *state, lr=1e-2, beta2_decay=-0.8, eps1=2.0**-23, eps2=1e-3, d=1.0, weight_decay=0.0, step):
    """Moments of rows and columns instead of elements. Shazeer and Stern, 2018; arithmetic and defaults are those of torch.optim."""
    new = step**beta2_decay
    rate = (1 / step.sqrt()).clamp(max=lr) * (_norm(parameter) / math.sqrt(parameter.numel())).clamp(min=eps2)
    parameter = parameter * (1 - lr * weight_decay)
    if gradient.dim() > 1:
        rows, columns = (old + new * ((gradient * gradient).mean(dim, keepdim=True) - old) for old, dim in zip(state, (-1, -2)))
        state = (rows, columns)
        variance = rows * columns / rows.mean(-2, keepdim=True).clamp(min=eps1)
    else:
        variance = state[0] + new * (gradient * gradient - state[0])
        state = (variance,)
    change = variance.clamp(min=eps1 * eps1).rsqrt() * gradient
    longest = (_norm(change) / (math.sqrt(change.numel()) * d)).clamp(min=1.0)
    return parameter - rate / longest * change, *state


@tensor_rule(lambda shape: {"momentum_buffer": shape}, matrices_only=True)
def Muon(parameter, gradient, momentum_buffer, *, lr=1e-3, momentum=0.95, nesterov=True, weight_decay=0.1, eps=1e-7, iterations=5):
    """Momentum made orthogonal by Newton-Schulz iterations, which run on the wafer in f32. Jordan and others, 2024; defaults of torch.optim."""
    momentum_buffer = momentum_buffer + (1 - momentum) * (gradient - momentum_buffer)
    change = gradient + momentum * (momentum_buffer - gradient) if nesterov else momentum_buffer
    is_tall = parameter.shape[0] > parameter.shape[1]
    x = change.T if is_tall else change
    x = x / _norm(x).clamp(min=eps)
    for _ in range(iterations):
        gram = x @ x.T
        x = 3.4445 * x + (-4.775 * gram + 2.0315 * gram @ gram) @ x
    rate = lr * math.sqrt(max(1, parameter.shape[0] / parameter.shape[1]))
    return parameter * (1 - lr * weight_decay) - rate * (x.T if is_tall else x), momentum_buffer


def _norm(tensor):
    return (tensor * tensor).sum().sqrt()
