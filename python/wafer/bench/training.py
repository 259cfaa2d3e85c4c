"""Training: a step beside PyTorch's on the same CPU, MemoryX's rate beside the disk's, what a checkpoint holds up, and what overlaps on the machine."""

from __future__ import annotations

import pathlib
import tempfile
import time
from collections.abc import Iterator

import torch
from torch import nn

import wafer
from wafer.bench import Row, median_seconds
from wafer.models.gpt2 import GPT2
from wafer.training.losses import next_token

_COMMAND = "python -m wafer bench training"


def rows() -> Iterator[Row]:
    yield from steps()
    yield streaming()
    yield from overlap()


def _example() -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    ids = torch.randint(0, 96, (8, 33))
    return GPT2(96, 32, 64, 2, 4), ids[:, :-1].contiguous(), ids[:, 1:].contiguous()


def steps() -> Iterator[Row]:
    """Steps per second of a GPT-2 of 108288 parameters and 256 tokens, one thread, and what a checkpoint takes of one."""
    torch.set_num_threads(1)
    model, x, target = _example()
    optimizer = torch.optim.AdamW(model.parameters())

    def with_pytorch() -> None:
        optimizer.zero_grad()
        next_token(model(x), target).backward()
        optimizer.step()

    beside = median_seconds(with_pytorch)
    for precision in ("f32", "f16"):
        step = wafer.train_step(model, next_token, wafer.optim.AdamW(), (x, target), machine="tiny", precision=precision, shards=1)
        own = median_seconds(lambda step=step: step(x, target))
        yield Row(f"steps/s over PyTorch CPU eager, GPT-2 of 108288 parameters, 256 tokens, {precision}, tiny", f"{beside / own:.3f} ({1 / own:.2f} / {1 / beside:.0f})", "none given", _COMMAND)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        step.save(folder, wait=False)
        blocked = time.perf_counter() - start
        step.written()
    yield Row("time that a checkpoint holds up a step, of the step", f"{100 * blocked / own:.1f} %", "10 %, better 1 %", _COMMAND)


def streaming() -> Row:
    """Weights from a file of 256 MB through a DRAM tier of 32 MB, and the same file read by itself; both from the host's page cache."""
    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(0)
        layers = 16
        model = nn.Sequential(*[nn.Linear(2048, 2048, bias=False) for _ in range(layers)]).eval()
        x = torch.randn(1, 2048)
        path = pathlib.Path(folder, "w.safetensors")
        program = wafer.compile(model, (x,), machine="small", precision="f16")
        program.save_weights(path)
        program.save(pathlib.Path(folder, "m.wexe"))
        program = wafer.load(pathlib.Path(folder, "m.wexe"), weights=path)
        own = median_seconds(lambda: program.run([x], memoryx_dram=32 << 20), 3)
        read = median_seconds(lambda: path.read_bytes(), 3)
        size = path.stat().st_size
    return Row(
        "MemoryX streaming rate over the disk's, 256 MB of weights, DRAM tier of 32 MB, with the products of one token",
        f"{read / own:.2f} ({size / own / 1e9:.2f} / {size / read / 1e9:.2f} GB/s)", "none given", _COMMAND,
    )  # fmt: skip


def overlap() -> Iterator[Row]:
    """Sums over systems and updates that lie behind the passes, in the model of the machine."""
    model, x, target = _example()
    for systems in (1, 8):
        step = wafer.train_step(model, next_token, wafer.optim.AdamW(), (x, target), machine="small", systems=systems)
        found = step.time()
        yield Row(
            f"sums and updates that lie behind the passes, modelled, small, {systems} system{'s' if systems > 1 else ''}",
            f"{100 * found.hidden:.0f} % of {(found.sums + found.updates) * 1e6:.0f} us; step {found.seconds * 1e6:.0f} us", "all but the last gradient's", _COMMAND,
        )  # fmt: skip
