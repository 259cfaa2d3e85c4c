"""Public models on one wafer and on many, by the cost model, beside figures that were published or that the project set itself."""

from __future__ import annotations

import contextlib
import json
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

import torch
from torch import nn

from wafer.bench import Row, median_seconds
from wafer.compiler import nothing_for
from wafer.planning import Block, Plan, plan
from wafer.planning.shapes import blocks


_COMMAND = "python -m wafer bench plan"
# Bytes that a process has taken at most that does nothing but plan.
_MEMORY = """
import resource
from wafer.planning import plan
from wafer.planning.shapes import blocks
plan(blocks("llama2-7b", 44), train=True)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def rows() -> Iterator[Row]:
    # Batches that have an entry for each band of a group of columns: a head in two columns, four bands, sixteen tokens in a core.
    yield from _training("llama2-7b", 1, 44, "131 to 136 thousand tokens/s (measured by users of a CS-3); goal 70 % of peak")
    yield from _training("llama2-70b", 1, 20, "1e9 tokens in a day: 11574 tokens/s")
    yield from _training("llama2-70b", 2048, 20, "2e12 tokens in a day: 23 million tokens/s")
    for requests in (1, 44):
        eight = _prefill("llama3-8b", requests, 4096)
        yield Row(f"tokens/s of a prefill, llama3-8b, {requests} x 4096 tokens, one wse3", f"{eight.tokens_per_second:.0f}; {_binding(eight)}", "5 times WaferLLM's 27686 for one request (WSE-2, 720 x 720 cores)", f"python -m wafer plan llama3-8b --batch {requests} --sequence 4096")
    yield from _kernels()
    yield from _published_grid()
    yield from _decoding()
    few, many = (plan(blocks("llama2-7b", 4, layers=layers), train=True) for layers in (2, 126))
    yield Row("modelled time of 126 layers over that of 2, per layer", f"{many.blocks[0].total('cycles') / few.blocks[0].total('cycles') / 63:.3f}", "1", "python -m wafer plan llama2-7b --train --batch 4 --layers 126")
    one, all_ = (plan(blocks("llama2-7b", 4), train=True, systems=systems) for systems in (1, 64))
    yield from _compiling()
    yield from _trillions()
    yield Row("tokens/s of 64 systems over 64 times those of one", f"{all_.tokens_per_second / one.tokens_per_second / 64:.3f}", "1 (linear)", "python -m wafer plan llama2-7b --train --batch 4 --systems 64")


def _kernels() -> Iterator[Row]:
    """The contraction alone: cycles of its rows, without the way of its input and result, of several so that this does not decide on the grid."""
    large, vector = (plan([_products(size, tokens, count)]) for size, tokens, count in ((12288, 262144, 32), (16384, 1, 1)))
    yield Row("share of peak of contractions alone, 12288 x 12288 weights, 262144 tokens, 32 one after the other, wse3", f"{_share_of_contractions(large):.1f} %", "92 %", _COMMAND)
    bound = 16384**2 / 2 / large.ingest
    yield Row("cycles of one token times 16384 x 16384 weights, over those of the stream alone, wse3", f"{vector.total('contractions') / bound:.3f}", "1.25", _COMMAND)


def _published_grid() -> Iterator[Row]:
    """As many cores as kernels were published for, of a wse3's clock and link. 22 requests have an entry for each band of a group of columns."""
    with _machine("published", 720, 720) as path:
        large, eight = plan([_products(12288, 276480, 32)], machine=path), plan(blocks("llama3-8b", 22, 4096), machine=path)
    yield Row("share of peak of contractions alone, 12288 x 12288 weights, 276480 tokens, 32 one after the other, 720 x 720 cores", f"{_share_of_contractions(large):.1f} %", "92 %", _COMMAND)
    yield Row("tokens/s of a prefill, llama3-8b, 22 x 4096 tokens, 720 x 720 cores", f"{eight.tokens_per_second:.0f}; {_binding(eight)}", "138430, 5 times WaferLLM's 27686", _COMMAND)


def _share_of_contractions(planned: Plan) -> float:
    return 100 * planned.total("macs") / (planned.peak * planned.total("contractions"))


@contextlib.contextmanager
def _machine(name: str, width: int, height: int) -> Iterator[pathlib.Path]:
    """A description of a wse3 with other cores."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, f"{name}.json")
        path.write_text(json.dumps(nothing_for("wse3").machine_description | {"name": name, "width": width, "height": height}))
        yield path


def _products(size: int, tokens: int, count: int) -> Block:
    with torch.device("meta"):
        return Block("products", nn.Sequential(*(nn.Linear(size, size, bias=False) for _ in range(count))), (torch.empty(tokens, size),))


def _decoding() -> Iterator[Row]:
    """Tokens of many requests, one each, without what was read before; the stream of weights alone takes as long however many there are."""
    for requests in (1, 4096):
        planned = plan(blocks("llama3-8b", requests, 1))
        bound = requests * planned.clock / (planned.parameters / 2 / planned.ingest)
        yield Row(
            f"tokens/s of llama3-8b decoding, {requests} requests, one wse3 (attention to what was read before left out)", f"{planned.tokens_per_second:.0f}, {planned.tokens_per_second / bound:.2f} of the stream's bound",
            f"{bound:.0f}, the bound", f"python -m wafer plan llama3-8b --batch {requests} --sequence 1",
        )  # fmt: skip


def _training(name: str, systems: int, batch: int, goal: str) -> Iterator[Row]:
    start = time.perf_counter()
    planned = plan(blocks(name, batch), train=True, systems=systems)
    took = time.perf_counter() - start
    command = f"python -m wafer plan {name} --train --batch {batch} --systems {systems}"
    yield Row(f"tokens/s in training, {name}, {systems} x wse3, {planned.tokens} tokens a system", f"{planned.tokens_per_second:.0f}, {100 * planned.utilisation:.2f} % of peak; {_binding(planned)}", goal, command)
    yield Row(f"time of this host to plan that, {name}", f"{took:.1f} s", "5 s for llama2-7b, 8 s for llama2-70b (an incumbent's cold compile: 57 min)", command)


def _compiling() -> Iterator[Row]:
    """What planning, in which each distinct layer is compiled, takes of this host, beside what it should not depend on."""
    peak = int(subprocess.run([sys.executable, "-c", _MEMORY], check=True, capture_output=True, text=True).stdout)
    yield Row("peak memory of this host to plan a training step of llama2-7b, PyTorch included", f"{peak / 1e9:.2f} GB", "1 GB", _COMMAND)
    many, few = (median_seconds(lambda layers=layers: plan(blocks("llama2-7b", 4, layers=layers), train=True), 3) for layers in (126, 2))
    yield Row("time of this host to plan 126 layers over that of 2", f"{many / few:.2f} ({many:.1f} / {few:.1f} s)", "1.05", _COMMAND)
    many, few = (median_seconds(lambda systems=systems: plan(blocks("llama2-7b", 4), train=True, systems=systems), 3) for systems in (2048, 1))
    yield Row("time of this host to plan for 2048 systems over that for one", f"{many / few:.2f} ({many:.1f} / {few:.1f} s)", "1.02", _COMMAND)
    with _machine("thousand", 32, 32) as path:
        many, few = (median_seconds(lambda machine=machine: plan(blocks("gpt2", 4), train=True, machine=machine), 3) for machine in ("wse3", path))
    yield Row("time of this host to plan a training step of gpt2 for 900 thousand cores over that for a thousand", f"{many / few:.2f} ({many:.1f} / {few:.1f} s)", "1.15", _COMMAND)


def _trillions() -> Iterator[Row]:
    start = time.perf_counter()
    planned = plan(blocks("moe-1t", 8), train=True, systems=2048)
    took = time.perf_counter() - start
    command = "python -m wafer plan moe-1t --train --batch 8 --systems 2048"
    yield Row(f"tokens of a training of three weeks, mixture of {planned.parameters / 1e12:.2f}e12 parameters, 2048 x wse3", f"{planned.tokens_per_second * 86400 * 21:.3g}; {_binding(planned)}", "a model of 1e12 parameters in three weeks", command)
    yield Row("time of this host to plan that", f"{took:.0f} s", "15 s", command)
    each = planned.memory_bytes / planned.parameters
    yield Row("bytes of weights, gradients and AdamW's state of 24e12 parameters", f"{24e12 * each:.3g}", f"{planned.dram + planned.flash:.3g}, what MemoryX of a wse3 holds (published: 24e12 parameters in 1.2e15 bytes)", _COMMAND)


def _prefill(name: str, batch: int, sequence: int) -> Plan:
    return plan(blocks(name, batch, sequence))


def _binding(planned: Plan) -> str:
    what, share = next(iter(planned.share().items()))
    return f"{100 * share:.0f} % of the time {what} bind{'s' if what != 'transfers' else ''}"
