"""Recurrent layers, unrolled: one step after another."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F

from wafer.frontends import deferred
from wafer.frontends.deferred import Any
from wafer.frontends.onnx_ops.node import Node
from wafer.frontends.onnx_ops.registry import operator

_ACTIVATIONS: dict[str, Callable[[Any, float | None, float | None], Any]] = {
    "sigmoid": lambda x, a, b: torch.sigmoid(x),
    "tanh": lambda x, a, b: torch.tanh(x),
    "relu": lambda x, a, b: torch.relu(x),
    "affine": lambda x, a, b: x * (1.0 if a is None else a) + (0.0 if b is None else b),
    "leakyrelu": lambda x, a, b: F.leaky_relu(x, 0.01 if a is None else a),
    "thresholdedrelu": lambda x, a, b: torch.where(x > (1.0 if a is None else a), x, torch.zeros(())),
    "scaledtanh": lambda x, a, b: (1.0 if a is None else a) * torch.tanh((1.0 if b is None else b) * x),
    "hardsigmoid": lambda x, a, b: torch.clamp(x * (0.2 if a is None else a) + (0.5 if b is None else b), 0, 1),
    "elu": lambda x, a, b: F.elu(x, 1.0 if a is None else a),
    "softsign": lambda x, a, b: x / (1 + torch.abs(x)),
    "softplus": lambda x, a, b: F.softplus(x),
}


def _activations(node: Node, default: Sequence[str], directions: int) -> list[list[Callable[[Any], Any]]]:
    """The functions of each direction."""
    names = node.attribute("activations", list(default) * directions)
    alphas, betas = node.attribute("activation_alpha", []), node.attribute("activation_beta", [])
    made = []
    for i, name in enumerate(names):
        if name.lower() not in _ACTIVATIONS:
            raise node.refused(f"has the activation '{name}', expected {', '.join(sorted(_ACTIVATIONS))}")
        a, b = (values[i] if i < len(values) else None for values in (alphas, betas))
        made.append(lambda x, function=_ACTIVATIONS[name.lower()], a=a, b=b: function(x, a, b))
    return [made[d * len(default) : (d + 1) * len(default)] for d in range(directions)]


Step = Callable[[Any, list[Any]], list[Any]]  # of the step's input products and the states; the first state is the output


def _run(
    node: Node, x: Any, lengths: Any | None, states: Sequence[Any | None], make_step: Callable[[int], tuple[Callable[[Any], Any], Step]], hidden: int
) -> list[Any]:
    """All outputs [time, directions, batch, hidden], then the last of each state [directions, batch, hidden].

    `make_step` gives for a direction what is computed of all inputs at once, and the step.
    """
    if node.attribute("layout", 0):
        x = x.permute(1, 0, 2)
        states = [None if state is None else state.permute(1, 0, 2) for state in states]
    clip = node.attribute("clip")
    if clip:
        raise node.refused("clips what its activations read, expected a layer without clip")
    # Exporters write an initial state of zeros as an initializer.
    states = [None if state is not None and deferred.known(state) is not None and not bool(deferred.known(state).any()) else state for state in states]
    time, batch, _ = x.shape
    kind = node.attribute("direction", "forward")
    directions = 2 if kind == "bidirectional" else 1
    outputs, finals = [], []
    for d in range(directions):
        backward = kind == "reverse" or d == 1
        before, step = make_step(d)
        products = before(x)
        now = [torch.zeros(batch, hidden, dtype=x.dtype) if state is None else torch.select(state, 0, d) for state in states]
        found: list[Any] = [None] * time
        for t in reversed(range(time)) if backward else range(time):
            new = step(torch.select(products, 0, t), now)
            if lengths is None:
                now, found[t] = new, new[0]
                continue
            alive = torch.lt(torch.full((), t), lengths).reshape(-1, 1)
            found[t] = torch.where(alive, new[0], torch.zeros((), dtype=x.dtype))
            now = [torch.where(alive, after, old) for after, old in zip(new, now)]
        outputs.append(torch.stack(found, 0))
        finals.append(now)
    y = torch.stack(outputs, 1)
    last = [torch.stack([final[i] for final in finals], 0) for i in range(len(states))]
    if node.attribute("layout", 0):
        return [y.permute(2, 0, 1, 3)] + [state.permute(1, 0, 2) for state in last]
    return [y, *last]


def _products(x: Any, weight: Any, bias: Any | None) -> Any:
    """[time, batch, in] by [out, in]."""
    product = deferred.contract("tbi,oi->tbo", x, weight)
    return product if bias is None else product + bias


def _recurrent(state: Any, weight: Any) -> Any | None:
    """None for the state that a layer begins with if none is given: there is nothing to add."""
    if not isinstance(state, deferred.Deferred) and not bool(state.any()):
        return None
    return deferred.contract("bh,oh->bo", state, weight)


def _half(bias: Any | None, d: int, which: int) -> Any | None:
    """The biases of the input products, or of the recurrent ones."""
    if bias is None:
        return None
    row = torch.select(bias, 0, d)
    half = row.shape[0] // 2
    return torch.narrow(row, 0, which * half, half)


def _directions(node: Node) -> int:
    return 2 if node.attribute("direction", "forward") == "bidirectional" else 1


def _plus(a: Any | None, b: Any | None) -> Any | None:
    return b if a is None else a if b is None else a + b


@operator("RNN")
def _rnn(node: Node, x: Any, w: Any, r: Any, bias: Any | None = None, lengths: Any | None = None, initial: Any | None = None) -> tuple[Any, ...]:
    functions = _activations(node, ["Tanh"], _directions(node))

    def make_step(d: int):
        weight, (f,) = torch.select(r, 0, d), functions[d]
        both = None if bias is None else _half(bias, d, 0) + _half(bias, d, 1)
        return (lambda inputs: _products(inputs, torch.select(w, 0, d), both)), (lambda product, state: [f(_plus(product, _recurrent(state[0], weight)))])

    return tuple(_run(node, x, lengths, [initial], make_step, r.shape[-1]))


@operator("GRU")
def _gru(node: Node, x: Any, w: Any, r: Any, bias: Any | None = None, lengths: Any | None = None, initial: Any | None = None) -> tuple[Any, ...]:
    functions, hidden = _activations(node, ["Sigmoid", "Tanh"], _directions(node)), r.shape[-1]
    after_product = node.attribute("linear_before_reset", 0)

    def make_step(d: int):
        weight, (f, g), own = torch.select(r, 0, d), functions[d], _half(bias, d, 1)
        gates, candidate = torch.narrow(weight, 0, 0, 2 * hidden), torch.narrow(weight, 0, 2 * hidden, hidden)
        own_gates = None if own is None else torch.narrow(own, 0, 0, 2 * hidden)
        own_candidate = None if own is None else torch.narrow(own, 0, 2 * hidden, hidden)

        def step(product: Any, state: list[Any]) -> list[Any]:
            (h,) = state
            zr = f(_plus(_plus(torch.narrow(product, 1, 0, 2 * hidden), _recurrent(h, gates)), own_gates))
            z, reset = torch.split(zr, hidden, 1)
            inner = _plus(_recurrent(h if after_product else reset * h, candidate), own_candidate)
            inner = reset * inner if after_product and inner is not None else inner
            new = g(_plus(torch.narrow(product, 1, 2 * hidden, hidden), inner))
            return [(1 - z) * new + z * h]

        return (lambda inputs: _products(inputs, torch.select(w, 0, d), _half(bias, d, 0))), step

    return tuple(_run(node, x, lengths, [initial], make_step, hidden))


@operator("LSTM")
def _lstm(
    node: Node,
    x: Any,
    w: Any,
    r: Any,
    bias: Any | None = None,
    lengths: Any | None = None,
    initial: Any | None = None,
    cell: Any | None = None,
    peephole: Any | None = None,
) -> tuple[Any, ...]:
    functions, hidden = _activations(node, ["Sigmoid", "Tanh", "Tanh"], _directions(node)), r.shape[-1]
    if node.attribute("input_forget", 0):
        raise node.refused("couples its input and forget gates, expected a layer with input_forget=0")

    def make_step(d: int):
        weight, (f, g, h) = torch.select(r, 0, d), functions[d]
        both = None if bias is None else _half(bias, d, 0) + _half(bias, d, 1)
        peep = [None] * 3 if peephole is None else [torch.narrow(torch.select(peephole, 0, d), 0, i * hidden, hidden) for i in range(3)]

        def seen(gate: Any, p: Any | None, c: Any) -> Any:
            return gate if p is None else gate + p * c

        def step(product: Any, state: list[Any]) -> list[Any]:
            gates = _plus(product, _recurrent(state[0], weight))
            i, o, forget, c = torch.split(gates, hidden, 1)
            c = f(seen(forget, peep[2], state[1])) * state[1] + f(seen(i, peep[0], state[1])) * g(c)
            return [f(seen(o, peep[1], c)) * h(c), c]

        return (lambda inputs: _products(inputs, torch.select(w, 0, d), both)), step

    return tuple(_run(node, x, lengths, [initial, cell], make_step, hidden))
