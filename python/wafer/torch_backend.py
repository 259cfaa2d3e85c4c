"""torch.compile(model, backend="wafer"): each graph that PyTorch captures becomes a program.

PyTorch finds the backend by the entry point of the package. Where it breaks the graph, the parts are programs of their own; the code between them
runs in Python. Parameters and float buffers are weights of the program and shared with the model.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence

import torch

from wafer.compiler import compile as compile_program
from wafer.errors import CompileError
from wafer.frontends.names import unique
from wafer.program import Program

Options = Mapping[str, object]

_OPTIONS = ("machine", "precision", "engine", "threads")


def backend(graph: torch.fx.GraphModule, example_inputs: Sequence[object], *, options: Options | None = None, mode: str | None = None) -> Callable[..., Sequence[object]]:
    """The backend for torch.compile.

    Args:    options: machine, precision (default "f32"), engine and threads as for wafer.compile; on_program: called with each program made.
    Returns: a function of the graph's inputs. Its results cannot be differentiated: their backward raises CompileError.
    Raises:  UnsupportedOpError, CompileError; PyTorch wraps them in BackendCompilerFailed, whose message holds theirs.
    """
    options = {"precision": "f32", **(options or {})}
    on_program = options.pop("on_program", None) or (lambda program: None)
    for name in options:
        if name not in _OPTIONS:
            raise CompileError(f"found option '{name}' for the backend wafer, expected one of {', '.join(_OPTIONS)}, on_program")
    if mode is not None:
        raise CompileError(f"found mode '{mode}', which the backend wafer does not have; use options")
    # Now: PyTorch forgets where inputs come from when this function has returned.
    known = [(_name_of(node), _is_static(node)) for node in graph.graph.find_nodes(op="placeholder")]
    parts: dict[tuple, _Part] = {}

    def part(inputs: Sequence[object]) -> _Part:
        # A graph of symbolic shapes has a program for each shape that it meets.
        key = tuple((tuple(value.shape), value.dtype) if isinstance(value, torch.Tensor) else value for value in inputs)
        if key not in parts:
            parts[key] = _Part(graph, known, inputs, options, on_program)
        return parts[key]

    if not any(map(_is_symbolic, example_inputs)):
        part(example_inputs)  # refuses now what it cannot compile
    return lambda *inputs: part(inputs)(*inputs)


def _is_symbolic(value: object) -> bool:
    sizes = value.shape if isinstance(value, torch.Tensor) else [value]
    return any(isinstance(size, (torch.SymInt, torch.SymFloat, torch.SymBool)) for size in sizes)


@dataclasses.dataclass(frozen=True)
class _Result:
    """A tensor among the results, as the model makes it."""

    dtype: torch.dtype
    device: torch.device


@dataclasses.dataclass
class _Returned:
    """What a graph returns, known once it has been exported. An object of its own, because torch.export puts attributes of modules back."""

    results: list[object] = dataclasses.field(default_factory=list)


class _Module(torch.nn.Module):
    """A captured graph with its parameters as its own again, under the names that they have in the model."""

    def __init__(self, graph: torch.fx.GraphModule, inputs: Sequence[object], weights: Mapping[str, int], places: Mapping[str, int], returned: _Returned):
        super().__init__()
        self._graph = (graph,)  # in a tuple, because it is no submodule
        self._given = inputs
        self._returned = returned
        self._places = places
        self._where: dict[int, tuple[torch.nn.Module, str]] = {}
        for name, place in weights.items():
            *path, leaf = name.split(".")
            owner = self
            for step in path:
                owner = owner._modules.setdefault(step, torch.nn.Module())
            kept = owner._parameters if isinstance(inputs[place], torch.nn.Parameter) else owner._buffers
            kept[leaf] = inputs[place]
            self._where[place] = (kept, leaf)

    def forward(self, **inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        values = list(self._given)
        for place, (kept, leaf) in self._where.items():
            values[place] = kept[leaf]
        for name, place in self._places.items():
            values[place] = inputs[name]
        with torch.fx.traceback.preserve_node_meta():  # and with it the user's lines
            found = torch.fx.Interpreter(self._graph[0]).run(*values)
        self._returned.results = [_Result(value.dtype, value.device) if isinstance(value, torch.Tensor) else value for value in found]
        return tuple(value for value in found if isinstance(value, torch.Tensor))


class _Part:
    """A captured graph at given shapes, as a program. `known`: of each input, its name and whether it is a tensor of the model."""

    def __init__(
        self, graph: torch.fx.GraphModule, known: Sequence[tuple[str, bool]], inputs: Sequence[object], options: Options, on_program: Callable[[Program], None]
    ):
        self._weights: dict[str, int] = {}  # places among the inputs
        places: dict[str, int] = {}
        for place, ((name, is_static), value) in enumerate(zip(known, inputs, strict=True)):
            if isinstance(value, torch.Tensor):
                is_weight = is_static and value.is_floating_point()
                name = name if is_weight else name.replace(".", "_")
                (self._weights if is_weight else places)[unique(name, self._weights.keys() | places.keys())] = place
        self._places = list(places.values())
        self._seen = self._versions(inputs)
        module = _Module(graph, inputs, self._weights, places, returned := _Returned()).eval()
        self._program = compile_program(module, (), kwargs={name: inputs[place] for name, place in places.items()}, **options)
        self._results = returned.results
        on_program(self._program)

    def _versions(self, inputs: Sequence[object]) -> list[tuple[int, int]]:
        return [(inputs[place].data_ptr(), inputs[place]._version) for place in self._weights.values()]

    def __call__(self, *inputs: object) -> Sequence[object]:
        versions = self._versions(inputs)
        if versions != self._seen:  # changed, or other tensors
            self._program.set_weights({name: inputs[place].detach() for name, place in self._weights.items()})
            self._seen = versions
        if torch.is_grad_enabled() and any(isinstance(value, torch.Tensor) and value.requires_grad for value in inputs):
            return _InferenceOnly.apply(self._run, *inputs)
        return self._run(*inputs)

    def _run(self, *inputs: object) -> tuple[object, ...]:
        given = {info.name: inputs[place].detach() for info, place in zip(self._program.inputs, self._places, strict=True)}
        found = iter(self._program.run(given).values())
        return tuple(self._restored(next(found), result) if isinstance(result, _Result) else result for result in self._results)

    @staticmethod
    def _restored(value: object, wanted: _Result) -> torch.Tensor:
        """int64 and bool come back narrower or wider than they are; without inputs, arrays come back."""
        return torch.as_tensor(value).to(wanted.device, wanted.dtype)


class _InferenceOnly(torch.autograd.Function):
    """Results that say why they have no gradients when somebody wants them."""

    @staticmethod
    def forward(ctx: object, run: Callable[..., tuple[object, ...]], *inputs: object) -> tuple[object, ...]:
        results = run(*inputs)
        ctx.mark_non_differentiable(*(value for value in results if isinstance(value, torch.Tensor) and not value.is_floating_point()))
        return results

    @staticmethod
    def backward(ctx: object, *gradients: object) -> None:
        raise CompileError("found a backward through a model compiled with the backend wafer, which is for inference; train the model without torch.compile")


# Names


def _is_static(node: torch.fx.Node) -> bool:
    """Whether the graph reads a tensor of the model itself."""
    return "_dynamo_static_input_type" in (node.meta.get("tensor_dict") or {})


def _name_of(node: torch.fx.Node) -> str:
    """"fc1.weight" for L['self']._modules['fc1']._parameters['weight'], "x" for L['x']."""
    source = getattr(node.meta.get("grapharg"), "source", None)
    name = getattr(source, "name", "")
    name = name() if callable(name) else name
    steps = re.findall(r"\w+", re.sub(r"\b_(modules|parameters|buffers)\b", "", name.removeprefix("L")))
    return ".".join(steps[1:] if _is_static(node) and len(steps) > 1 else steps) or node.name
