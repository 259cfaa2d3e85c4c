"""Conditions, loops and sequences: what is known at import time is unrolled, so that the program has neither."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from wafer.frontends import deferred
from wafer.frontends.deferred import Any
from wafer.frontends.onnx_ops.node import Node
from wafer.frontends.onnx_ops.registry import operator

# More steps than this are taken for a mistake.
_MOST_STEPS = 4096


@operator("If")
def _if(node: Node, condition: Any) -> tuple[Any, ...]:
    chosen = deferred.known(condition)
    if chosen is not None:
        return tuple(node.run(node.attribute("then_branch" if bool(chosen.item()) else "else_branch"), []))
    # Neither branch has an effect: both are computed.
    results = []
    for yes, no in zip(node.run(node.attribute("then_branch"), []), node.run(node.attribute("else_branch"), [])):
        if not isinstance(yes, torch.Tensor) or not isinstance(no, torch.Tensor) or yes.shape != no.shape:
            raise node.refused("chooses between results of different shapes by a condition that depends on data, expected a constant condition or equal shapes")
        results.append(torch.where(condition.reshape(()), yes, no))
    return tuple(results)


@operator("Loop")
def _loop(node: Node, count: Any | None, condition: Any | None, *state: Any) -> tuple[Any, ...]:
    steps = None if count is None else int(node.numbers(count, "number of steps")[0])
    going = True if condition is None else bool(node.constant(condition, "condition").item())
    carried, scanned, done = list(state), None, 0
    while going and (steps is None or done < steps):
        if done == _MOST_STEPS:
            raise node.refused(f"takes more than {_MOST_STEPS} steps; they are unrolled")
        results = node.run(node.attribute("body"), [torch.tensor(done), torch.tensor(True), *carried])
        going = bool(node.constant(results[0], "condition").item())
        carried, new = results[1 : 1 + len(state)], results[1 + len(state) :]
        scanned = [[] for _ in new] if scanned is None else scanned
        for line, value in zip(scanned, new):
            line.append(value)
        done += 1
    if scanned is None:
        scanned = [[] for _ in range(len(node.proto.output) - len(state))]
    if any(not line for line in scanned):
        raise node.refused("takes no step and gives a result per step, whose shape is then not known")
    return (*carried, *(torch.stack(line, 0) for line in scanned))


@operator("Scan")
def _scan(node: Node, *inputs: Any) -> tuple[Any, ...]:
    if node.version < 9:
        raise node.refused("is of an opset before 9, expected a newer one; convert the model with onnx.version_converter")
    body, many = node.attribute("body"), node.attribute("num_scan_inputs")
    carried, lines = list(inputs[: len(inputs) - many]), list(inputs[len(inputs) - many :])
    count = len(node.proto.output) - len(carried)
    axes, out_axes = node.attribute("scan_input_axes", [0] * many), node.attribute("scan_output_axes", [0] * count)
    turned, out_turned = node.attribute("scan_input_directions", [0] * many), node.attribute("scan_output_directions", [0] * count)
    steps = lines[0].shape[axes[0]]
    if steps > _MOST_STEPS:
        raise node.refused(f"takes {steps} steps, expected at most {_MOST_STEPS}; they are unrolled")
    scanned: list[list[Any]] = [[] for _ in range(count)]
    for step in range(steps):
        parts = [torch.select(line, axis, steps - 1 - step if backward else step) for line, axis, backward in zip(lines, axes, turned)]
        results = node.run(body, [*carried, *parts])
        carried = results[: len(carried)]
        for line, value in zip(scanned, results[len(carried) :]):
            line.append(value)
    stacked = [torch.stack(line[::-1] if backward else line, axis) for line, axis, backward in zip(scanned, out_axes, out_turned)]
    return (*carried, *stacked)


# Sequences are Python lists; an optional value is the value or None.


@operator("SequenceConstruct")
def _sequence(node: Node, *values: Any) -> list[Any]:
    return list(values)


@operator("SequenceEmpty")
def _empty(node: Node) -> list[Any]:
    return []


@operator("SequenceAt")
def _at(node: Node, values: Sequence[Any], index: Any) -> Any:
    return values[node.numbers(index, "index")[0]]


@operator("SequenceLength")
def _length(node: Node, values: Sequence[Any]) -> torch.Tensor:
    return torch.tensor(len(values))


@operator("SequenceInsert")
def _insert(node: Node, values: Sequence[Any], value: Any, index: Any | None = None) -> list[Any]:
    result = list(values)
    result.insert(len(result) if index is None else node.numbers(index, "index")[0], value)
    return result


@operator("SequenceErase")
def _erase(node: Node, values: Sequence[Any], index: Any | None = None) -> list[Any]:
    result = list(values)
    del result[-1 if index is None else node.numbers(index, "index")[0]]
    return result


@operator("SplitToSequence")
def _split_to_sequence(node: Node, x: Any, split: Any | None = None) -> list[Any]:
    axis = node.attribute("axis", 0)
    if split is None:
        parts = torch.split(x, 1, axis)
        return [part if node.attribute("keepdims", 1) else part.squeeze(axis) for part in parts]
    sizes = node.numbers(split, "split")
    return list(torch.split(x, sizes if split.dim() else sizes[0], axis))


@operator("ConcatFromSequence")
def _concat_from_sequence(node: Node, values: Sequence[Any]) -> Any:
    return torch.stack(list(values), node.attribute("axis")) if node.attribute("new_axis", 0) else torch.cat(list(values), node.attribute("axis"))


@operator("Optional")
def _optional(node: Node, value: Any | None = None) -> Any:
    return value


@operator("OptionalGetElement")
def _optional_value(node: Node, value: Any) -> Any:
    return value


@operator("OptionalHasElement")
def _optional_has(node: Node, value: Any | None = None) -> torch.Tensor:
    return torch.tensor(value is not None)
