"""Update rules: how a parameter changes, given its gradient, its state and some numbers."""

from __future__ import annotations

import dataclasses
import fnmatch
import inspect
from collections.abc import Callable, Mapping

from wafer.training.expressions import Number, Trace

# A hyperparameter: a number, or a function of the step (0 for the first).
Hyperparameter = Number | Callable[[int], Number]

# Of the function update(parameter, gradient, ...); "numbers" is what a trace adds.
_RESERVED = ("numbers",)


@dataclasses.dataclass(frozen=True)
class Rule:
    """An update rule with its hyperparameters; made by calling what `rule` gives, e.g. wafer.optim.Adam(lr=1e-3)."""

    name: str
    function: Callable
    state: Mapping[str, float]  # names of state tensors, and what their elements are at first
    hyperparameters: Mapping[str, Hyperparameter]
    takes_step: bool
    clip_norm: float | None = None
    clip_value: float | None = None

    def of(self, name: str) -> Rule:
        """The rule for the parameter of this name."""
        return self

    def numbers(self, step: int) -> dict[str, Number]:
        """The hyperparameters at a step; steps count from 0."""
        return {name: value(step) if callable(value) else value for name, value in self.hyperparameters.items()}

    def trace(self, step: int, scale: float = 1.0, *, clip_value: float | None = None) -> Trace:
        """The rule at a step, with the gradient multiplied by `scale` and then kept within -clip_value and clip_value."""
        from wafer.training import expressions

        trace = Trace(["parameter", "gradient", *self.state])
        parameter, gradient, *state = trace.elements
        gradient = gradient * scale
        clip_value = self.clip_value if clip_value is None else clip_value
        if clip_value is not None:
            gradient = expressions.maximum(expressions.minimum(gradient, float(clip_value)), -float(clip_value))
        numbers = self.numbers(step)
        if self.takes_step:
            numbers["step"] = step + 1
        given = self.function(parameter, gradient, *state, **numbers)
        given = given if isinstance(given, tuple) else (given,)
        if len(given) != 1 + len(self.state):
            expected = ", ".join(["the new parameter", *(f"the new {name}" for name in self.state)])
            raise TypeError(f"update rule '{self.name}' returned {len(given)} values, expected {1 + len(self.state)}: {expected}")
        trace.results = [trace.symbol(value) for value in given]
        return trace


@dataclasses.dataclass(frozen=True)
class Groups(Rule):
    """Rules by patterns of parameters' names; made by `groups`."""

    chosen: tuple[tuple[str, Rule], ...] = ()
    others: Rule | None = None

    def of(self, name: str) -> Rule:
        return next((rule for pattern, rule in self.chosen if fnmatch.fnmatchcase(name, pattern)), self.others)


def groups(rules: Mapping[str, Rule], *, others: Rule, clip_norm: float | None = None) -> Groups:
    """Different rules for different parameters.

    Args:  rules: by patterns of names such as "*.bias"; the first that matches counts. others: for all other parameters. clip_norm: the largest norm of
           all gradients together.
    """
    for rule in (*rules.values(), others):
        if rule.clip_norm is not None:
            raise TypeError(f"found clip_norm in a group, for '{rule.name}', expected it of groups(..., clip_norm=...), which clips all gradients together")
    name = f"groups({', '.join(dict.fromkeys(rule.name for rule in (*rules.values(), others)))})"
    return Groups(name, others.function, {}, {}, False, clip_norm, None, tuple(rules.items()), others)


def rule(function: Callable) -> Callable[..., Rule]:
    """Make an update rule of a function; use it as a decorator.

        @wafer.optim.rule
        def signum(parameter, gradient, momentum=0.0, *, lr, beta=0.9):
            momentum = beta * momentum + (1 - beta) * gradient
            return parameter - lr * wafer.optim.sign(momentum), momentum

    Args:    a function of one element: the parameter, its gradient, then its state, with the value that the state begins with; after the star the
             hyperparameters. One called `step` is not given by the user: it is the number of the step, 1 for the first. The function returns the new
             parameter and the new state, in this order. It may use + - * / ** abs, comparisons, the functions of wafer.optim, and any Python on
             numbers, which are computed in double precision.
    Returns: a function of the hyperparameters that gives a Rule: signum(lr=1e-3). Each is a number or a function of the step, 0 for the first.
             Also takes clip_norm and clip_value, which every rule has: the largest norm of all gradients together, and the largest gradient.
    Raises:  TypeError, from the call, for a function of another form or a hyperparameter that is missing or unknown.
    """
    parameters = list(inspect.signature(function).parameters.values())
    positional = [p for p in parameters if p.kind == p.POSITIONAL_OR_KEYWORD]
    keywords = [p for p in parameters if p.kind == p.KEYWORD_ONLY]
    name = function.__name__
    if len(positional) < 2 or len(positional) + len(keywords) != len(parameters):
        raise TypeError(f"update rule '{name}' has the signature {inspect.signature(function)}, expected (parameter, gradient, state=0.0, ..., *, lr, ...)")
    state = {}
    for p in positional[2:]:
        if not isinstance(p.default, (int, float)) or p.name in _RESERVED:
            raise TypeError(f"state '{p.name}' of update rule '{name}' has no number to begin with, or a reserved name; expected e.g. momentum=0.0")
        state[p.name] = float(p.default)
    known = {p.name: p.default for p in keywords if p.name != "step"}
    takes_step = any(p.name == "step" for p in keywords)

    def make(*, clip_norm: float | None = None, clip_value: float | None = None, **given: Hyperparameter) -> Rule:
        unknown = given.keys() - known.keys()
        if unknown:
            raise TypeError(f"update rule '{name}' has no hyperparameter '{sorted(unknown)[0]}', it has {', '.join(known)}")
        values = known | given
        missing = [key for key, value in values.items() if value is inspect.Parameter.empty]
        if missing:
            raise TypeError(f"update rule '{name}' needs the hyperparameter '{missing[0]}'")
        made = Rule(name, function, state, values, takes_step, clip_norm, clip_value)
        made.trace(0)  # so that what is wrong with it is said here
        return made

    make.__name__ = make.__qualname__ = name
    make.__doc__ = function.__doc__
    return make
