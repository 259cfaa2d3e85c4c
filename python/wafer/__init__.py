"""Wafer: compile a model for a wafer-scale machine and run it on the bundled emulator.

    program = wafer.compile(model, (x,), machine="small")
    y = program(x)                     # torch in, torch out; NumPy in, NumPy out
    print(program.stats, program.report())
    program.save("m.wexe")
    program.save_weights("m.safetensors")
    program = wafer.load("m.wexe", weights="m.safetensors")     # or a Hugging Face checkpoint directory

    step = wafer.train_step(model, loss_fn, wafer.optim.AdamW(lr=3e-4), (x, target), machine="small")
    loss = step(x, target)             # one training step; step.save("ckpt/"), step.load("ckpt/"), model.load_state_dict(step.state_dict())
    wafer.check(model, (x,))           # what would run where, and what not at all
    wafer.compare(program, x)          # the first operation whose numbers leave PyTorch's
    wafer.bisect(program, x)           # the first pass after which they do
    program.run(x, taps=["fc1"])       # intermediate tensors by name

`import wafer` imports neither torch nor the compiled module; each is imported when it is first needed.
"""

from wafer import optim, sparsity
from wafer.bisection import bisect
from wafer.checking import check
from wafer.comparison import compare
from wafer.compiler import compile, machines, supported_ops  # noqa: A004
from wafer.errors import (
    CompileError,
    CompileWarning,
    Diagnostic,
    ExecutableError,
    MachineError,
    RuntimeError,  # noqa: A004
    SourceLocation,
    TrapError,
    UnsupportedOpError,
    WaferError,
)
from wafer.program import Program, load
from wafer.stats import Stats

__version__ = "0.1.0"


_NEED_TORCH = {"train_step": "wafer.training.step", "TrainStep": "wafer.training.step", "Trainer": "wafer.training.trainer", "lora": "wafer.lora"}


def __getattr__(name: str):
    if name in _NEED_TORCH:
        import importlib

        module = importlib.import_module(_NEED_TORCH[name])
        return module if module.__name__ == f"wafer.{name}" else getattr(module, name)
    raise AttributeError(f"module 'wafer' has no attribute '{name}'")


__all__ = [
    "CompileError",
    "CompileWarning",
    "Diagnostic",
    "ExecutableError",
    "MachineError",
    "Program",
    "RuntimeError",
    "SourceLocation",
    "Stats",
    "TrainStep",
    "Trainer",
    "TrapError",
    "UnsupportedOpError",
    "WaferError",
    "bisect",
    "check",
    "compare",
    "compile",
    "load",
    "lora",
    "machines",
    "optim",
    "sparsity",
    "supported_ops",
    "train_step",
]
