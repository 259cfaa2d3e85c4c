"""Counts the operators of PyTorch's core ATen set that give right results, by calls that PyTorch's own test samples make of them.

    PYTHONPATH=build/python .venv/bin/python benchmarks/aten_coverage.py [--filter WORD] [--failures] [--json FILE]

The set is that of the overloads in torch.ops.aten with the tag torch.Tag.core. Each sample of PyTorch's OpInfo database (f32, and int64 or bool for what
knows no floats) runs once forward and backward, and what it comes down to in core operators is recorded with its arguments; what no sample comes down to
has calls of its own. Up to CASES calls of each operator, spread over all that were recorded, are compiled for a small machine at precision f32, run on the
emulator, and compared with what PyTorch computes. Tensors of real numbers first go through a product with the identity, because work next to no contraction
stays in MemoryX anyway.
An operator passes when all of its cases do. Outside of the count are operators that compute no tensor with a shape and values that follow from
static shapes and given values: see NOT_APPLICABLE. An operator without a case is counted as one that does not pass.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator

import torch
import wafer
from operator_counts import Count, arguments_of, matches, place_of
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

CASES = 8
SAMPLES = 12  # of each OpInfo
MOST_ELEMENTS = 20_000  # of a case's tensors together: the emulator is no fast machine
TYPES = (torch.float32, torch.int64, torch.bool)

NOT_APPLICABLE = {
    "numbers about a tensor, not tensors": ["sym_is_contiguous.default", "sym_numel.default", "sym_size.int", "sym_storage_offset.default", "sym_stride.int"],
    "a shape or a number from data": ["_local_scalar_dense.default", "nonzero.default"],
    "random numbers": ["rand.default", "randn.default", "randperm.default"],
    "values that nobody set": ["empty.memory_format", "empty_strided.default"],
    "complex numbers": ["_fft_c2r.default", "_fft_r2c.default"],
    "a change of an argument, which exported programs do not have": ["atan2.out", "resize_.default", "_native_batch_norm_legit.default"],
}


def others() -> dict[str, list[tuple]]:
    """Calls of operators that no sample comes down to."""
    torch.manual_seed(0)
    image, line, numbers = torch.randn(2, 3, 7, 5), torch.randn(2, 3, 11), torch.randint(-9, 9, (3, 7))
    mean, spread = torch.randn(3), torch.rand(3) + 0.5
    return {
        "_native_batch_norm_legit_no_training.default": [((image, mean, spread, mean, spread, 0.1, 1e-5), {}), ((line, None, None, mean, spread, 0.1, 1e-3), {})],
        "adaptive_avg_pool1d.default": [((line, [1]), {}), ((line, [4]), {}), ((line[..., :10], [5]), {})],
        "avg_pool1d.default": [((line, [3]), {}), ((line, [4], [2], [1]), {}), ((line, [2], [3], [1], True, False), {})],
        "bitwise_and.Scalar": [((numbers, 5), {}), ((numbers > 0, True), {})],
        "bitwise_or.Scalar": [((numbers, 5), {}), ((numbers > 0, True), {})],
        "bitwise_xor.Scalar": [((numbers, -3), {}), ((numbers > 0, True), {})],
        "copy.default": [((line, line[0]), {}), ((line, torch.ones(2, 3, 11, dtype=torch.int64)), {})],
        "div.Scalar_mode": [((line, 0.3), {"rounding_mode": mode}) for mode in (None, "floor", "trunc")] + [((numbers, 4), {"rounding_mode": "floor"})],
        "native_dropout.default": [((line, 0.5, False), {})],
        "upsample_bilinear2d.vec": [((image, [10, 9], False, None), {}), ((image, None, True, [2.0, 1.5]), {}), ((image, [3, 4], False, None), {})],
        "upsample_nearest2d.vec": [((image, [10, 9], None), {}), ((image, None, [2.0, 3.0]), {})],
        "var.dim": [((line, [0, 2]), {}), ((line, [1], False, True), {})],
    }


def core_operators() -> list[str]:
    """As "add.Tensor"."""
    found = []
    for name in torch._C._dispatch_get_all_op_names():
        namespace, _, rest = name.partition("::")
        packet, _, overload = rest.partition(".")
        operator = getattr(getattr(torch.ops.aten, packet, None), overload or "default", None) if namespace == "aten" else None
        if operator is not None and torch.Tag.core in operator.tags:
            found.append(str(operator).removeprefix("aten."))
    return sorted(found)


class Recorder(TorchDispatchMode):
    """Keeps calls of core operators with their arguments, one for each combination of shapes, types and other arguments."""

    def __init__(self):
        super().__init__()
        self.calls: dict[str, dict[str, tuple]] = {}
        self._table = torch.export.default_decompositions()

    def __torch_dispatch__(self, function, kinds, args=(), kwargs=None):
        kwargs = kwargs or {}
        if torch.Tag.core in function.tags:
            self._record(function, args, kwargs)
        elif function in self._table:
            with self:
                result = self._table[function](*args, **kwargs)
            if result is not NotImplemented:
                return result
        return function(*args, **kwargs)

    def _record(self, function, args, kwargs) -> None:
        leaves = pytree.tree_leaves((args, kwargs))
        if any(isinstance(leaf, torch.dtype) and leaf not in (*TYPES, torch.float16, torch.bfloat16, torch.int32, torch.int16, torch.int8) for leaf in leaves):
            return  # a type that no program has
        tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
        if any(t.dtype not in TYPES or t.layout != torch.strided for t in tensors) or sum(t.numel() for t in tensors) > MOST_ELEMENTS:
            return
        if any(t.dtype == torch.int64 and t.numel() and (t.min() < -(2**31) or t.max() >= 2**31) for t in tensors):
            return  # what no program holds, such as memory that nobody set
        signature = str(pytree.tree_map_only(torch.Tensor, lambda t: (tuple(t.shape), t.dtype), (args, kwargs)))
        calls = self.calls.setdefault(str(function).removeprefix("aten."), {})
        if signature not in calls:
            calls[signature] = pytree.tree_map_only(torch.Tensor, lambda t: t.detach().clone(), (args, kwargs))


def recorded() -> dict[str, list[tuple]]:
    from torch.testing._internal.common_methods_invocations import op_db

    recorder = Recorder()
    for info in op_db:
        types = info.supported_dtypes("cpu")
        dtype = next((dtype for dtype in TYPES if dtype in types), None)
        if dtype is None:
            continue
        torch.manual_seed(0)
        for number, sample in enumerate(info.sample_inputs("cpu", dtype, requires_grad=dtype.is_floating_point and info.supports_autograd)):
            if number == SAMPLES:
                break
            try:
                with recorder:
                    results = pytree.tree_leaves(info.op(sample.input, *sample.args, **sample.kwargs))
                    results = [t for t in results if isinstance(t, torch.Tensor) and t.requires_grad]
                    if results:
                        sum(t.sum() for t in results).backward()
            except Exception:  # noqa: BLE001, S112 - a sample that PyTorch itself cannot run here is no case
                continue
    return {operator: list(calls.values()) for operator, calls in recorder.calls.items()}


def spread(calls: list[tuple]) -> Iterator[tuple]:
    """CASES of them, from the first to the last."""
    count = min(CASES, len(calls))
    for i in range(count):
        yield calls[i * (len(calls) - 1) // max(count - 1, 1)]


class Call(torch.nn.Module):
    """A call whose tensors are the inputs."""

    def __init__(self, function, args, kwargs):
        super().__init__()
        leaves, self._spec = pytree.tree_flatten((args, kwargs))
        self._function = function
        self._leaves = [None if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves]
        self.inputs = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
        self._is_tensor = [isinstance(leaf, torch.Tensor) for leaf in leaves]
        self.finite = [bool(t.dtype == torch.float32 and t.dim() and t.numel() and torch.isfinite(t).all()) for t in self.inputs]
        for i, tensor in enumerate(self.inputs):
            if self.finite[i]:
                self.register_buffer(f"identity{i}", torch.eye(tensor.shape[-1]))

    def forward(self, *inputs):
        given = iter([x @ getattr(self, f"identity{i}") if self.finite[i] else x for i, x in enumerate(inputs)])
        leaves = [next(given) if is_tensor else leaf for is_tensor, leaf in zip(self._is_tensor, self._leaves)]
        args, kwargs = pytree.tree_unflatten(leaves, self._spec)
        results = self._function(*args, **kwargs)
        return [t for t in pytree.tree_leaves(results) if isinstance(t, torch.Tensor)]


def outcome(function, args, kwargs) -> tuple[bool, str]:
    """Whether a call gives the right result, and where it ran or why not."""
    model = Call(function, args, kwargs).eval()
    with torch.no_grad():
        wanted = model(*(t.clone() for t in model.inputs))
    try:
        program = wafer.compile(model, tuple(model.inputs), machine="small", precision="f32")
        found = list(program.run(model.inputs).values())
    except wafer.WaferError as error:
        return False, str(error).splitlines()[0]
    for number, (result, reference) in enumerate(zip(found, wanted, strict=True)):
        if not matches(torch.as_tensor(result).numpy(), reference.numpy(), rtol=1e-4, atol=1e-5):
            return False, f"result {number} differs: {function} on {[tuple(t.shape) for t in model.inputs]}"
    return True, place_of(program)


def main() -> int:
    arguments = arguments_of(__doc__.split("\n")[0])
    warnings.simplefilter("ignore")
    operators = core_operators()
    left_out = {name: why for why, names in NOT_APPLICABLE.items() for name in names if name in operators}
    calls = others() | recorded()
    count = Count(arguments)
    for name in operators:
        if name in left_out or arguments.filter not in name:
            continue
        packet, _, overload = name.partition(".")
        function = getattr(getattr(torch.ops.aten, packet), overload)
        for number, (args, kwargs) in enumerate(spread(calls.get(name, []))):
            count.add(f"{name} {number}", name, lambda: outcome(function, args, kwargs))  # noqa: B023 - called at once
        if name not in calls:
            count.add(name, name, lambda: (False, "no sample of PyTorch's makes such a call"))
    print(f"core ATen: {len(operators)} overloads, {len(left_out)} of them not applicable: {', '.join(sorted(left_out))}")
    count.print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
