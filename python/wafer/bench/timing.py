"""The timing engine on a layer of public models, whole: a training step's forward and backward pass. Layers are alike, so that one stands for all."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator

from wafer.bench import Row
from wafer.planning import compiled, plan
from wafer.planning.shapes import blocks

_COMMAND = "python -m wafer bench timing"

# In a process of its own, whose memory is that of the engine and of Python.
_TIME = r"""
import json, pathlib, re, sys, time
import wafer
program = wafer.load(sys.argv[1], threads=int(sys.argv[2]))
start = time.perf_counter()
cycles = program.time().cycles
seconds = time.perf_counter() - start
# What a process is said to have had at most counts its parent, too, where this does not.
peak = 1024 * int(re.search(r"VmHWM:\s*(\d+)", pathlib.Path("/proc/self/status").read_text())[1])
print(json.dumps({"cycles": cycles, "seconds": seconds, "bytes": peak}))
"""


def rows() -> Iterator[Row]:
    yield from layer("llama2-7b", 44, train=False, goal="")
    yield from layer("llama2-7b", 44, train=True, goal="")
    yield from layer("llama2-70b", 20, train=True, goal="30 s, 2 GB")


def layer(name: str, batch: int, *, train: bool, goal: str, threads: int | None = None) -> Iterator[Row]:
    """Time and memory of this host, and what the engine says beside the cost model."""
    threads = threads or os.cpu_count() or 1
    block = blocks(name, batch)[0]
    with tempfile.TemporaryDirectory() as folder:
        program = pathlib.Path(folder, "layer.wexe")
        program.write_bytes(compiled(block, train=train))
        timed = json.loads(subprocess.run([sys.executable, "-c", _TIME, program, str(threads)], check=True, capture_output=True, text=True).stdout)
    planned = plan([dataclasses.replace(block, repeats=1)], train=train).total("cycles")
    what = f"{'training step' if train else 'forward pass'} of a layer of {name} ({block.repeats} are alike), batch {batch}, wse3"
    yield Row(f"time and memory of this host to time a {what}, {threads} threads", f"{timed['seconds']:.0f} s, {timed['bytes'] / 1e9:.2f} GB", goal, _COMMAND)
    yield Row(f"cycles of a {what}: timing engine over cost model", f"{timed['cycles'] / planned:.3f} ({timed['cycles']} / {planned:.0f})", "0.9 to 1.1", _COMMAND)
