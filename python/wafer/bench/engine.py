"""The functional engine beside the host: matrix products, a transformer block, and a problem that the vendor's simulator was timed on."""

from __future__ import annotations

import json
import pathlib
import tempfile
from collections.abc import Iterator

import torch
from torch import nn

import wafer
from wafer.bench import Row, median_seconds
from wafer.compiler import nothing_for
from wafer.models.gpt2 import Block

_COMMAND = "python -m wafer bench engine"


def rows() -> Iterator[Row]:
    before = torch.get_num_threads()
    try:
        yield from products()
        yield block()
        yield summa()
    finally:
        torch.set_num_threads(before)


def products(size: int = 1024) -> Iterator[Row]:
    """A weight-streamed product over the host's sgemm with as many threads."""
    torch.manual_seed(0)
    model, x = nn.Linear(size, size, bias=False).eval(), torch.rand(size, size)
    for precision, goal in (("f32", "0.9"), ("f16", "0.8")):
        program = wafer.compile(model, (x,), machine="small", precision=precision, progress=False)
        for threads in (1, 2):
            torch.set_num_threads(threads)
            own = median_seconds(lambda program=program, threads=threads: program(x, threads=threads))
            beside = median_seconds(lambda: torch.mm(x, x), 10)
            yield Row(f"rate of the functional engine over the host's sgemm, {size}^3, {precision}, {threads} threads, small", f"{beside / own:.2f} ({own * 1e3:.0f} / {beside * 1e3:.0f} ms)", goal, _COMMAND)


def block() -> Row:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model, x = Block(768, 12).eval(), torch.randn(4, 128, 768)
    program = wafer.compile(model, (x,), machine="small", progress=False)
    own = median_seconds(lambda: program(x))
    with torch.no_grad():
        beside = median_seconds(lambda: model(x))
    return Row("rate of the functional engine (f16) over PyTorch CPU eager (f32), GPT-2 block, batch 4, 128 tokens, 1 thread, small", f"{beside / own:.3f} ({own * 1e3:.0f} / {beside * 1e3:.0f} ms)", "0.7", _COMMAND)


def summa(side: int = 32, tile: int = 14) -> Row:
    """A product of matrices of side x tile on side x side cores."""
    with tempfile.TemporaryDirectory() as folder:
        machine = nothing_for("small").machine_description
        path = pathlib.Path(folder, "square.json")
        path.write_text(json.dumps(machine | {"name": "square", "width": side, "height": side}))
        torch.manual_seed(0)
        size = side * tile
        model, x = nn.Linear(size, size, bias=False).eval(), torch.rand(size, size)
        program = wafer.compile(model, (x,), machine=path, precision="f32", progress=False)
        own = median_seconds(lambda: program(x))
    return Row(f"time of a product of {size} x {size} matrices on {side} x {side} cores, f32, functional engine, 1 thread", f"{own * 1e3:.0f} ms", "10 ms (948 s in the vendor's simulator)", _COMMAND)
