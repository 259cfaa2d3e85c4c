"""Runs imported MLIR on the host: mlir-opt lowers it, LLVM's compiler makes a shared library, ctypes calls it.

Independent of this project's own compiler, so that the importer is checked against PyTorch by upstream MLIR alone.
"""

import ctypes
import functools
import os
import pathlib
import shutil
import subprocess

import numpy
import torch

_PIPELINE = (
    "builtin.module(canonicalize,cse,empty-tensor-to-alloc-tensor,"
    "one-shot-bufferize{bufferize-function-boundaries=true function-boundary-type-conversion=identity-layout-map},"
    "buffer-results-to-out-params{modify-public-functions=true},"
    "func.func(llvm-request-c-wrappers,convert-linalg-to-loops),expand-strided-metadata,lower-affine,"
    "math-extend-to-supported-types{target-type=f32},arith-emulate-unsupported-floats{source-types=f16,bf16 target-type=f32},"
    "arith-expand{include-bf16=true},convert-scf-to-cf,convert-math-to-llvm,convert-math-to-libm,convert-arith-to-llvm,"
    "finalize-memref-to-llvm,convert-func-to-llvm,convert-cf-to-llvm,reconcile-unrealized-casts)"
)


@functools.cache
def tool(name: str) -> str:
    """Path of a tool of LLVM 22: from $WAFER_LLVM_TOOLS, or under its usual names."""
    folder = os.environ.get("WAFER_LLVM_TOOLS")
    candidates = [str(pathlib.Path(folder, name))] if folder else []
    candidates += [f"{name}-22", name]
    config = shutil.which("llvm-config-22")
    if config:
        candidates.append(str(pathlib.Path(subprocess.check_output([config, "--bindir"], text=True).strip(), name)))
    for candidate in candidates:
        if found := shutil.which(candidate):
            return found
    raise FileNotFoundError(f"found no {name} of LLVM 22; set WAFER_LLVM_TOOLS to the folder it is in")


def run_tool(name: str, *arguments: str, text: str) -> str:
    done = subprocess.run([tool(name), *arguments], input=text, capture_output=True, text=True)
    assert done.returncode == 0, f"{name} failed:\n{done.stderr[:4000]}"
    return done.stdout


def verify(text: str) -> None:
    """Parses and verifies with upstream's mlir-opt; `graph` attributes are of a dialect that it does not know."""
    run_tool("mlir-opt", "--allow-unregistered-dialect", "-o", os.devnull, text=text)


def _descriptor(array: numpy.ndarray) -> ctypes.Structure:
    rank = array.ndim

    class Descriptor(ctypes.Structure):
        _fields_ = [("base", ctypes.c_void_p), ("data", ctypes.c_void_p), ("offset", ctypes.c_int64)] + (
            [("sizes", ctypes.c_int64 * rank), ("strides", ctypes.c_int64 * rank)] if rank else []
        )

    strides = [stride // array.itemsize for stride in array.strides]
    fields = [array.ctypes.data, array.ctypes.data, 0]
    return Descriptor(*fields, *([(ctypes.c_int64 * rank)(*array.shape), (ctypes.c_int64 * rank)(*strides)] if rank else []))


# How an element type of PyTorch is stored in the IR.
_STORED = {torch.int64: torch.int32, torch.bool: torch.int8}


def _bits(tensor: torch.Tensor) -> numpy.ndarray:
    tensor = tensor.detach().to(_STORED.get(tensor.dtype, tensor.dtype)).contiguous()
    return tensor.view(torch.int16).numpy() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor.numpy()


def call(imported, inputs, folder: pathlib.Path) -> list[torch.Tensor]:
    """The results of an imported model, which is verified first, with the types that its IR gives them."""
    lowered = run_tool("mlir-opt", "--allow-unregistered-dialect", f"--pass-pipeline={_PIPELINE}", text=imported.text)
    ir = run_tool("mlir-translate", "--allow-unregistered-dialect", "--mlir-to-llvmir", text=lowered)
    library = folder / "model.so"
    (folder / "model.ll").write_text(ir)
    utilities = pathlib.Path(os.path.realpath(tool("mlir-opt"))).parent.parent / "lib"
    subprocess.run(
        [tool("clang"), "-O1", "-fPIC", "-shared", "-Wno-override-module", "-o", str(library), str(folder / "model.ll")]
        + [f"-L{utilities}", f"-Wl,-rpath,{utilities}", "-lmlir_c_runner_utils", "-lm"],
        check=True,
    )
    by_name = dict(imported.parameters) | dict(zip((info.name for info in imported.inputs), inputs, strict=True))
    order = [part.split('"')[0] for part in imported.text.split("-> (tensor")[0].split('graph.name = "')[1:]]
    arrays = [_bits(by_name[name]) for name in order]
    outputs = [torch.full(info.shape, 77, dtype=_STORED.get(info.dtype, info.dtype)) for info in imported.outputs]
    arguments = [_descriptor(array) for array in arrays + [_bits(output) for output in outputs]]
    function = ctypes.CDLL(str(library))._mlir_ciface_forward
    function.restype = None
    function(*(ctypes.byref(argument) for argument in arguments))
    return outputs
