"""Counts the ONNX operators that give right results, by the test cases that come with the onnx package.

    PYTHONPATH=build/python .venv/bin/python benchmarks/onnx_coverage.py [--filter WORD] [--failures] [--json FILE]

Each case is compiled for a small machine at precision f32, run on the emulator, and compared with the outputs and the tolerance of the case. An
operator passes when all of its cases do; "some" counts those of which at least one does. Cases differ from the package's in three ways: inputs that
must be known when a model is compiled, such as the shape of Reshape, become initializers; elements of type double are computed with as f32; inputs
of real numbers first go through a product with the identity, because work next to no contraction stays in MemoryX anyway.
Outside of the count are other domains than the standard one, cases without tensors of numbers (strings, images) and of random numbers.
"""

from __future__ import annotations

import re
import sys
import warnings

import numpy
import onnx
import wafer
from operator_counts import Count, arguments_of, matches, place_of

INTEGERS = (onnx.TensorProto.INT64, onnx.TensorProto.INT32, onnx.TensorProto.BOOL)
PRODUCT = "_product"
NOT_NUMBERS = {"StringConcat", "StringNormalizer", "StringSplit", "RegexFullMatch", "TfIdfVectorizer", "LabelEncoder", "ImageDecoder"}
RANDOM = {"Bernoulli", "RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Multinomial"}


def operator_of(case) -> str | None:
    """The operator that a case is about: the one that its graph has besides constants; None for expanded functions."""
    if "_expanded" in case.name or any(node.domain not in ("", "ai.onnx") for node in case.model.graph.node):
        return None
    names = [node.op_type for node in case.model.graph.node if node.op_type != "Constant"] or ["Constant"]
    words = case.name.removeprefix("test_").replace("_", "")
    named = [name for name in dict.fromkeys(names) if words.startswith(name.lower())]
    return max(named or names[:1], key=len)


def known_when_compiled(model: onnx.ModelProto, error: Exception) -> str | None:
    """The input that an error asks to be a constant."""
    found = re.search(r"takes its [A-Za-z_ ]+( '([^']+)')? from data", str(error))
    if not found:
        return None
    asked = (found[2] or "").removesuffix(PRODUCT)
    # What a function inside of a model reads has another name: the first input of a few integers.
    few = [v.name for v in model.graph.input if v.type.tensor_type.elem_type in INTEGERS and len(v.type.tensor_type.shape.dim) <= 1]
    return asked if asked in [value.name for value in model.graph.input] else next(iter(few), None)


def changed(case, inputs: dict[str, object], constants: set[str]) -> onnx.ModelProto:
    """The case's model with some inputs as initializers, and a product with the identity between the others, if of finite real numbers, and what reads them."""
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    kept = [value for value in case.model.graph.input if value.name not in constants]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    model.graph.initializer.extend(onnx.numpy_helper.from_array(inputs[name], name) for name in sorted(constants))
    results = {output.name for output in model.graph.output}
    for value in kept:
        array = inputs.get(value.name)
        if (
            not isinstance(array, numpy.ndarray)
            or array.dtype != numpy.float32
            or not array.ndim
            or not array.size
            or not numpy.isfinite(array).all()
            or value.name in results
        ):
            continue
        for node in model.graph.node:
            renamed = [value.name + PRODUCT if read == value.name else read for read in node.input]
            del node.input[:]
            node.input.extend(renamed)
        identity = onnx.numpy_helper.from_array(numpy.eye(array.shape[-1], dtype=numpy.float32), f"{value.name}_identity")
        model.graph.initializer.append(identity)
        model.graph.node.insert(0, onnx.helper.make_node("MatMul", [value.name, identity.name], [value.name + PRODUCT]))
    return model


def compiled(case, inputs: dict[str, object]) -> wafer.Program:
    constants: set[str] = set()
    while True:
        try:
            left = {name: array for name, array in inputs.items() if name not in constants and not isinstance(array, list)}
            return wafer.compile(changed(case, inputs, constants), machine="small", precision="f32", kwargs=left)
        except wafer.CompileError as error:
            name = known_when_compiled(case.model, error)
            if name is None or name in constants:
                raise
            constants.add(name)


def as_array(value: object) -> object:
    """A tensor of a case; sequences stay lists."""
    if isinstance(value, list) or value is None:
        return value
    return onnx.numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else numpy.asarray(value)


def outcome(case) -> tuple[bool, str]:
    """Whether a case passes, and where it ran or why not."""
    model = case.model
    for inputs, outputs in case.data_sets:
        named = {value.name: as_array(array) for value, array in zip(model.graph.input, inputs)}
        try:
            program = compiled(case, named)
            # What the machine has no type for goes in as what it is computed with.
            left = {info.name: named[info.name].astype(DTYPES.get(info.dtype, named[info.name].dtype)) for info in program.inputs}
            results = program.run(left)
        except wafer.WaferError as error:
            return False, str(error).splitlines()[0]
        for value, wanted in zip(model.graph.output, outputs):
            wanted = as_array(wanted)
            # Intermediate values of 16-bit floats are rounded at other places than in the case.
            least = {"float16": 2e-3, "bfloat16": 2e-2}.get(wanted.dtype.name, 1e-5)
            if value.name and not matches(results[value.name], wanted, max(case.rtol, least), max(case.atol, least)):
                return False, f"output '{value.name}' differs"
        place = place_of(program)
    return True, place


DTYPES = {"f32": numpy.float32, "i32": numpy.int32, "i16": numpy.int16, "i8": numpy.int8}


def main() -> int:
    arguments = arguments_of(__doc__.split("\n")[0])
    warnings.simplefilter("ignore")
    from onnx.backend.test.loader import load_model_tests

    count = Count(arguments)
    for case in load_model_tests(kind="node"):
        op = operator_of(case)
        if op is not None and op not in NOT_NUMBERS | RANDOM and arguments.filter in case.name:
            count.add(case.name, op, lambda: outcome(case))  # noqa: B023 - called at once
    count.print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
