"""wafer.compile: from a model to a Program."""

from __future__ import annotations

import os
import pathlib
import sys
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from wafer import _native, cache
from wafer.errors import CompileError, CompileWarning, Diagnostic, SourceLocation
from wafer.precision import Precision, check_names, coarsest, is_int8, text_of, uses_int8
from wafer.program import Program, Weights
from wafer.progress import steps
from wafer.taps import Source

if TYPE_CHECKING:
    from wafer.frontends.torch import ImportedModel


def compile(  # noqa: A001 - the name that users expect
    model: object,
    example_inputs: Sequence[object] | None = None,
    *,
    machine: str | os.PathLike = "small",
    precision: Precision = "f16",
    name: str | None = None,
    progress: bool | None = None,
    kwargs: Mapping[str, object] | None = None,
    weights: Weights | None = None,
    weights_argnums: Sequence[int] | int = (),
    calibration: Sequence[object] | None = None,
    activation_zeros: float = 0.5,
    engine: str = "functional",
    threads: int = 1,
    entries: Mapping[str, Sequence[object]] | None = None,
    decision_trace: str | os.PathLike | None = None,
    ir_dump_dir: str | os.PathLike | None = None,
) -> Program:
    """Compile a model for a machine.

    Args:    model: a torch.nn.Module in eval mode, a torch ExportedProgram, an ONNX model (its path or its proto), a function for JAX (under
             jax.jit or not), MLIR text, or the path of a .mlir file.
             example_inputs: the inputs of forward, whose shapes and types the program will have; kwargs: those given by name. An ONNX model needs
             them only where its own input shapes are open.
             machine: a preset (see wafer.machines) or the path of a description. precision: of values on the wafer, "f16", "bf16" or "f32"; "int8" for
             weights and what they are multiplied with, symmetric, per channel and per tensor, beside f16; or a
             mapping, {"default": "f16", "fc1": "f32", "layers.*.attn": "bf16"}, by modules and by operations as reports call them, * for any part of
             a name; the last that fits counts.
             weights: values for the model's parameters instead of its own: safetensors files, a Hugging Face checkpoint directory or tensors by
             name. The model may then be made on PyTorch's device "meta", so that its parameters take no memory.
             weights_argnums: of a function, the places of the arguments whose float arrays are weights. Arguments are pytrees: their arrays are
             weights and inputs by their path ("layers.0.w"), everything else in them is part of the program.
             name: of the program's entry, default "forward". progress: show steps; None: on a terminal.
             entries: of a torch.nn.Module, example inputs by method instead of those of forward: {"prefill": (ids,), "decode": (one, position)}. Each is
             an entry of the program; weights are there once, and so are buffers that a method changes, which are the program's states.
             calibration: for int8, inputs of a PyTorch model (each a tuple), from whose activations their scales come; default the example inputs.
             activation_zeros: the share of zeros to expect in activations that have some (after ReLU, under masks). They are skipped however many there are; the
             share decides how streamed activations travel, and is what program.time() assumes.
             engine, threads: defaults of the program's calls.
             decision_trace: file for what the compiler chose and why, as JSON lines. ir_dump_dir: folder for the IR after each pass.
    Returns: the program with the model's weights, which it shares with the model.
    Raises:  UnsupportedOpError, CompileError; both name the line of the model's source.
    """
    if not 0.001 <= activation_zeros <= 1:
        raise CompileError(f"found activation_zeros={activation_zeros}, expected a share from 0.001 to 1")
    thousandths = round(1000 * activation_zeros)
    precision_text = text_of(precision)
    with steps(progress) as step:
        names = list(entries) if entries else [name or "forward"]

        other_names: Mapping[str, Sequence[str]] = {}

        def compile_text(text: str, dump: str | os.PathLike | None = None, only_memoryx: bool = False, entry: str | None = None) -> Program:
            step(f"compiling for machine '{machine}'")
            executable, diagnostics = cache.compile_text(
                text, os.fspath(machine), precision_text, [entry] if entry else names, os.fspath(decision_trace or ""), os.fspath(dump or ""), only_memoryx, thousandths
            )
            found = [diagnostic_of(diagnostic) for diagnostic in diagnostics]
            if executable is None:
                raise CompileError(found or "the compiler gave no reason")
            for diagnostic in found:
                if diagnostic.severity == "warning":
                    warnings.warn(str(diagnostic), CompileWarning, stacklevel=3)
            step("verifying the program")
            return Program(executable, engine=engine, threads=threads, mlir=text, other_names=other_names)

        step("importing the model")
        models: list[ImportedModel] = []
        if calibration is not None and not uses_int8(precision):
            raise CompileError("found a calibration for a precision without int8, which needs none")
        if entries:
            if example_inputs is not None or kwargs or name:
                raise CompileError("found entries together with example_inputs, kwargs or name; entries have the names and the example inputs of all")
            if uses_int8(precision):
                raise CompileError("found precision int8 for several entries, whose layers would be quantised apart; compile them as programs of their own, or in another precision")
            models = _import_methods(model, entries)
            text = _SPLIT.join(imported.text for imported in models)
        else:
            quantization = {"is_int8": lambda label: is_int8(precision, label), "calibration": calibration} if uses_int8(precision) else {}
            if quantization and weights is not None:
                raise CompileError("found weights for precision int8, which quantises the model's own; load them into the model before compiling")
            text, imported = _mlir_of(model, example_inputs, kwargs, names[0], weights_argnums, quantization, machine)
            models = [imported] if imported else []
        if models:
            other_names = models[0].other_names
            check_names(precision, [label for imported in models for label in imported.names.values()])
        program = compile_text(text, ir_dump_dir)
        for entry, imported in zip(names, models):
            program.entries[entry].source = Source(imported, entry, coarsest(precision), lambda text, *args, entry=entry, **options: compile_text(text, *args, entry=entry, **options))
        for imported in models:
            given = imported.parameters if weights is None else {name: value for name, value in imported.parameters.items() if name in {info.name for info in program.states}}
            if given:
                program.set_weights(given)
        return program.set_weights(weights) if weights else program


# Between the texts of entries, as tools of MLIR have it.
_SPLIT = "\n// -----\n\n"


def machines() -> list[str]:
    """Names of the machine descriptions that come with the package."""
    return _native.module().machine_presets()


def nothing_for(machine: str | os.PathLike) -> Program:
    """A program that does nothing, and knows its machine: for who needs the description and has no model yet."""
    return compile("func.func @forward(%x: tensor<1xf32>) -> tensor<1xf32> { return %x : tensor<1xf32> }\n", machine=machine, progress=False)


def supported_ops() -> list[str]:
    """The ATen operations that the PyTorch importer knows."""
    from wafer.frontends import aten, registry  # noqa: F401 - aten registers them

    return registry.supported()


def _mlir_of(
    model: object, example_inputs: Sequence[object] | None, kwargs: Mapping[str, object] | None, name: str, weights_argnums: Sequence[int] | int,
    quantization: Mapping[str, object], machine: str | os.PathLike,
) -> tuple[str, ImportedModel | None]:
    model = getattr(model, "model_proto", model)  # what torch.onnx.export returns
    is_torch = not (_is_function(model) or _is_onnx(model) or isinstance(model, (str, os.PathLike)))
    if quantization and not is_torch:
        raise CompileError(f"found precision int8 for a model of type {type(model).__name__}, expected one of PyTorch, or a model that is quantised already")
    if _is_function(model):
        imported = _import_jax(model, example_inputs, kwargs, name, weights_argnums)
        return imported.text, imported
    if weights_argnums != ():
        raise CompileError(f"found weights_argnums for a model of type {type(model).__name__}, which knows its weights; it is for functions")
    if _is_onnx(model):
        imported = _import_onnx(model, example_inputs, kwargs, name)
        return imported.text, imported
    if isinstance(model, os.PathLike) or (isinstance(model, str) and "\n" not in model and model.endswith(".mlir")):
        try:
            return pathlib.Path(model).read_text(encoding="utf-8"), None
        except OSError as error:
            raise CompileError(f"{os.fspath(model)}: cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise CompileError(f"{os.fspath(model)}: byte {error.start} is not UTF-8, expected MLIR text") from error
    if isinstance(model, str):
        return model, None
    imported = _import_torch(model, example_inputs, kwargs, name, quantization, machine)
    return imported.text, imported


def _is_onnx(model: object) -> bool:
    """Whether it is an ONNX model or the path of one; does not import onnx."""
    if isinstance(model, (str, os.PathLike)):
        return os.fspath(model).lower().endswith(".onnx") and "\n" not in os.fspath(model)
    return type(model).__name__ == "ModelProto" and type(model).__module__.partition(".")[0] == "onnx"


def _import_onnx(model: object, example_inputs: Sequence[object] | None, kwargs: Mapping[str, object] | None, name: str) -> ImportedModel:
    try:
        import onnx  # noqa: F401
        import torch  # noqa: F401
    except ImportError as error:
        raise CompileError(f"found an ONNX model, and {error.name} cannot be imported ({error}); install onnx and torch") from error
    from wafer.frontends.onnx import import_model

    if example_inputs is not None and not isinstance(example_inputs, (tuple, list)):
        example_inputs = (example_inputs,)
    return import_model(model, example_inputs or (), kwargs, name)


def _is_function(model: object) -> bool:
    """Whether it is meant for JAX: callable, and nothing of PyTorch."""
    torch = sys.modules.get("torch")
    return callable(model) and not (torch is not None and isinstance(model, (torch.nn.Module, torch.export.ExportedProgram)))


def _import_jax(
    function: object, args: Sequence[object] | None, kwargs: Mapping[str, object] | None, name: str, weights_argnums: Sequence[int] | int
) -> ImportedModel:
    try:
        import jax  # noqa: F401
        import torch  # noqa: F401
    except ImportError as error:
        raise CompileError(f"found a function, which is for JAX, and {error.name} cannot be imported ({error}); install jax and torch, or give a torch.nn.Module") from error
    from wafer.frontends.jax import import_function

    if args is None and not kwargs:
        raise CompileError("found no example arguments, expected those of the function: wafer.compile(f, (params, x), weights_argnums=0)")
    if args is not None and not isinstance(args, (tuple, list)):
        args = (args,)
    return import_function(function, args or (), kwargs, name, weights_argnums)


def _import_methods(model: object, entries: Mapping[str, Sequence[object]]) -> list[ImportedModel]:
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(model, torch.nn.Module):
        raise CompileError(f"found entries for a model of type {type(model).__name__}, expected a torch.nn.Module with methods of these names")
    from wafer.frontends.entries import import_methods

    return import_methods(model, entries)


def _import_torch(
    model: object, example_inputs: Sequence[object] | None, kwargs: Mapping[str, object] | None, name: str, quantization: Mapping[str, object], machine: str | os.PathLike
) -> ImportedModel:
    try:
        import torch
    except ImportError as error:
        raise CompileError(f"found a model of type {type(model).__name__}, and PyTorch cannot be imported ({error}); install torch, or give MLIR text") from error
    from wafer.frontends.torch import import_model

    if example_inputs is None and isinstance(model, torch.nn.Module):
        raise CompileError("found no example inputs, expected those of forward: wafer.compile(model, (x,))")
    if isinstance(example_inputs, torch.Tensor):
        example_inputs = (example_inputs,)
    return import_model(model, example_inputs or (), kwargs, name, machine=nothing_for(machine).machine_description, **quantization)


def diagnostic_of(described: tuple) -> Diagnostic:
    """From the form that the compiled module gives."""
    severity, message, file, line, column, notes = described
    location = SourceLocation(file, line, column) if file and line else None
    return Diagnostic(severity, message, location, tuple(diagnostic_of(note) for note in notes))
