"""How far rounding may carry the values of a graph, found by running it several times in f64 with noise in place of rounding.

A program on the wafer rounds what it stores to its precision, so each value is off by at most a factor of 1 +- u, u the unit roundoff, and this goes on
through the operations after it. Runs in f64 in which every result of an ATen operation is multiplied by 1 +- u at random show how far that reaches, whatever
the condition of the operations. What the precision holds exactly is not touched, and neither is what an operation only moves or chooses.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch._decomp import get_decompositions
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from random_graphs.graph import Graph, Line, evaluate, given_values

DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
UNIT = {"f32": 2.0**-24, "f16": 2.0**-11, "bf16": 2.0**-8}
SMALLEST = {"f32": 0.0, "f16": 2.0**-25, "bf16": 0.0}  # half the spacing of subnormal numbers
NOISY_RUNS = 5

# The difference that is allowed, over the largest that noise made in NOISY_RUNS runs: rounding may go worse than they did, and a sum of n terms rounds n times
# where noise hits each term once.
SAFETY = 8.0

# Operations whose results are elements of their operands.
_MOVING = set(
    """view _unsafe_view reshape transpose permute t expand repeat clone contiguous copy alias detach lift_fresh_copy unsqueeze squeeze slice select split
    split_with_sizes unbind cat stack gather index index_select embedding where masked_fill relu maximum minimum amax amin max min topk sort clamp
    clamp_min clamp_max abs neg flip roll tril triu diagonal unfold constant_pad_nd max_pool2d_with_indices as_strided reflection_pad1d reflection_pad2d
    replication_pad1d replication_pad2d index_put scatter _to_copy unsafe_split unsafe_chunk movedim _reshape_alias fill""".split()
)


# Operations that add up many products or elements in f32; noise of its own stands for the roundings of these additions.
_SUMMING = set("mm bmm addmm baddbmm dot mv convolution sum mean cumsum var var_mean linear matmul avg_pool2d avg_pool1d _adaptive_avg_pool2d prod cumprod remainder fmod".split())
_SUMMED_UNIT = 4 * UNIT["f32"]
# Equal terms that are added one after another round the same way many times: n of them are off by up to n / 2 times the unit, of which this is a part (SAFETY).
_SUM_OF_EQUALS = 1 / 16 * UNIT["f32"]

# Operations in which the smallest difference of an operand may decide.
_DECIDING = set("eq ne lt le gt ge floor ceil round trunc frac sign argmax argmin max min sort topk remainder fmod floor_divide".split())
_DECIDING_TRIES = 4

# Operations that are one for PyTorch and several for the wafer, which rounds in between.
_COMPOSED = """native_layer_norm native_group_norm native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training var std var_mean std_mean
    _softmax _log_softmax gelu softplus mish silu elu hardswish hardsigmoid log_sigmoid_forward softshrink lerp addcmul _fused_rms_norm logaddexp
    _scaled_dot_product_flash_attention_for_cpu _safe_softmax""".split()


class _Noise(TorchDispatchMode):
    """Multiplies what is computed by 1 +- u, each element by itself. `undecided` is set once that changes what an operation decides."""

    def __init__(self, precision: str, generator: torch.Generator, scale: float):
        super().__init__()
        self._dtype, self._unit, self._smallest = DTYPES[precision], UNIT[precision] * scale, SMALLEST[precision] * scale
        self._generator = generator
        packets = [getattr(torch.ops.aten, name) for name in _COMPOSED if hasattr(torch.ops.aten, name)]
        self._decompositions = get_decompositions(packets)
        self.undecided = False
        self.distances: list[torch.Tensor] = []  # of what was compared for equality, run by run

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function in self._decompositions:
            with self:
                return self._decompositions[function](*args, **kwargs)
        if function._can_decompose():  # what a decomposition calls may be composed itself
            with self:
                return function.decompose(*args, **kwargs)
        name = function.overloadpacket.__name__
        if name in _SUMMING:
            args = tree_map(lambda value: self._times(value, _SUMMED_UNIT), args)
        results = function(*args, **kwargs)
        if name in ("sum", "mean"):
            results = self._times(results, _SUM_OF_EQUALS * args[0].numel() / max(1, results.numel()))
        if name in _DECIDING:
            self._decide(function, args, kwargs, results)
        return results if name in _MOVING else tree_map(self.added_to, results)

    def _decide(self, function, args, kwargs, results) -> None:
        if function.overloadpacket.__name__ in ("eq", "ne"):  # which noise leaves unequal, and rounding may make equal
            distance = args[0] - args[1] if args[0].is_floating_point() else torch.zeros(1)
            self.distances.append(distance)
            self.undecided |= bool(((distance != 0) & (distance.abs() <= 4 * self._unit * abs(args[0]))).any())
            return
        for _ in range(_DECIDING_TRIES):
            others = function(*tree_map(lambda value: self.added_to(value, 4.0), args), **kwargs)
            for one, other in zip(tree_leaves(results), tree_leaves(others)):
                self.undecided |= not bool(((one == other) | ((one - other).abs() < 0.05) if one.is_floating_point() else one == other).all())

    def _times(self, tensor: object, unit: float) -> object:
        if not isinstance(tensor, torch.Tensor) or not tensor.is_floating_point():
            return tensor
        return tensor * (1 + unit * self._signs(tensor))

    def _signs(self, tensor: torch.Tensor) -> torch.Tensor:
        return (torch.randint(0, 2, tensor.shape, generator=self._generator) * 2 - 1).to(tensor.dtype)

    def added_to(self, tensor: object, times: float = 1.0) -> object:
        """A tensor with noise where its precision would round it; anything else as it is."""
        if not isinstance(tensor, torch.Tensor) or not tensor.is_floating_point():
            return tensor
        noisy = self._times(tensor, self._unit * times) + self._smallest * self._signs(tensor)
        return torch.where(tensor.to(self._dtype) == tensor, tensor, noisy)


@dataclasses.dataclass
class Value:
    """What a line gives: exactly, and in runs with noise."""

    clean: torch.Tensor
    noisy: list[torch.Tensor]
    undecided: bool = False

    @property
    def is_float(self) -> bool:
        return self.clean.is_floating_point()

    def deviation(self) -> torch.Tensor:
        """Per element the largest difference that noise made."""
        return torch.stack([(noisy - self.clean).abs() for noisy in self.noisy]).amax(0)


class Values:
    """Values of a graph's lines, one after another."""

    def __init__(self, precision: str, seed: int = 0, runs: int = NOISY_RUNS, scale: float = 1.0):
        self.of: dict[str, Value] = {}
        self._noise = _Noise(precision, torch.Generator().manual_seed(seed), scale)
        self._runs = runs

    def compute(self, line: Line) -> Value:
        """The line's value, which is not kept. Raises whatever PyTorch raises."""
        if line.is_given:
            tensor = given_values(line)
            tensor = tensor.to(torch.float64) if tensor.is_floating_point() else tensor
            return Value(tensor, [self._noise.added_to(tensor) for _ in range(self._runs)])
        in_f64 = Line(line.name, line.expression.replace("torch.float32", "torch.float64"))
        clean = evaluate(in_f64, {name: self.of[name].clean for name in line.uses})
        noisy, distances = [], []
        self._noise.undecided = False
        for run in range(self._runs):
            self._noise.distances = []
            with self._noise:
                noisy.append(evaluate(in_f64, {name: self.of[name].noisy[run] for name in line.uses}))
            distances.append(self._noise.distances)
        return Value(clean, noisy, self._noise.undecided or any(map(_on_both_sides, zip(*distances))))

    def add(self, line: Line) -> Value:
        self.of[line.name] = value = self.compute(line)
        return value


def _on_both_sides(distances: Sequence[torch.Tensor]) -> bool:
    """Whether some element is above zero in one run and below in another, so that it may as well be zero."""
    every = torch.stack(list(distances))
    return bool(((every > 0).any(0) & (every < 0).any(0)).any())


def values_of(graph: Graph, **options: object) -> Values:
    values = Values(graph.precision, **options)
    for line in graph.lines:
        values.add(line)
    return values


# Largest part of a tensor's largest element that noise may be for the tensor to be worth comparing.
_WORTH = {"f32": 1e-4, "f16": 2e-2, "bf16": 1e-1}
_LARGEST, _LEAST = 60.0, 0.02


def why_unfit(value: Value, precision: str) -> str:
    """Why a value is not to be computed with: it is not a number, too large, or noise decides what it is. Empty when it is fit."""
    if value.undecided:
        return "noise decides"
    if not value.is_float:
        return "" if all(torch.equal(noisy, value.clean) for noisy in value.noisy) else "noise decides"
    if value.clean.numel() == 0:
        return "empty"
    if not all(bool(tensor.isfinite().all()) for tensor in (value.clean, *value.noisy)):
        return "not a number"
    largest, deviation = value.clean.abs().max().item(), value.deviation().max().item()
    if largest > _LARGEST:
        return "large"
    if largest < _LEAST:
        return "small" if largest or deviation else ""
    return "" if deviation <= _WORTH[precision] * largest else "noise"


def tolerance(value: Value, precision: str) -> torch.Tensor:
    """What each element may be off by. An element that noise happened to spare shares in what it did to the others."""
    deviation = value.deviation()
    shared = deviation.max() if deviation.numel() else 0.0
    return SAFETY * (deviation + 0.1 * shared + UNIT[precision] * value.clean.abs()) + 2.0**-126
