"""Programs that a seed decides, small enough for the cycle engine, with all that compilers do with sends, rows, groups, bands and loads."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import random
import re
from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.nn import functional as F

import wafer
from wafer import sparsity
from wafer.compiler import nothing_for
from wafer.frontends.aten import attend  # noqa: F401 - it defines torch.ops.wafer.attend
from wafer.models.gpt2 import Block


class Several(nn.Module):
    """Layers of one input, so that a result leaves while the next is computed."""

    def __init__(self, features: int, hidden: int):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(features, hidden, bias=False) for _ in range(3))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(layer(x) for layer in self.layers)


class Residual(nn.Module):
    """A second input, which comes while the products of the first are computed."""

    def __init__(self, features: int, layers: int):
        super().__init__()
        self.layers = nn.Sequential(*(nn.Linear(features, features, bias=False) for _ in range(layers)))

    def forward(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return self.layers(x) + z


class Chain(nn.Module):
    """More kernels than few tasks hold: they are spread over loads, and the second input comes beside the last of one and the first of the next."""

    def __init__(self, width: int):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(3))
        self.norm = nn.LayerNorm(width)

    def forward(self, x: torch.Tensor, gate: torch.Tensor) -> torch.Tensor:
        y = x
        for layer in self.layers:
            y = torch.tanh(layer(self.norm(y))) + x
        return y * x * gate


class Attend(nn.Module):
    """Attention in columns, or its gradient."""

    def __init__(self, heads: int, is_causal: bool, across: int):
        super().__init__()
        self.how = heads, 0.4, is_causal, across

    def forward(self, qkv: torch.Tensor, gradient: torch.Tensor | None = None) -> torch.Tensor:
        if gradient is None:
            return torch.ops.wafer.attend(qkv, None, *self.how)
        return torch.ops.wafer.attend_gradient(qkv, gradient, None, *self.how)


def model_of(draw: random.Random) -> tuple[str, nn.Module, torch.Tensor]:
    """A small model of a shape that only `draw` decides, and its input."""
    features, hidden, tokens = draw.randint(5, 200), draw.randint(5, 150), draw.randint(3, 400)
    x = torch.randn(tokens, features)
    kind = draw.choice(["linear", "sparse", "mlp", "norm", "softmax", "block", "several"])
    if kind == "linear":
        return kind, nn.Linear(features, hidden), x
    if kind == "sparse":
        layer = nn.Linear(features, hidden)
        sparsity.prune(layer, draw.choice([0.6, 0.8, 0.9]))
        return kind, layer, x
    if kind == "mlp":
        return kind, nn.Sequential(nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, features)), x
    if kind == "norm":
        return kind, nn.Sequential(nn.LayerNorm(features), nn.Linear(features, hidden), nn.GELU()), x
    if kind == "softmax":
        return kind, nn.Sequential(nn.Linear(features, hidden), nn.Softmax(-1)), x
    if kind == "several":
        return kind, Several(features, hidden), x
    heads = draw.choice([1, 2, 4])
    width = heads * draw.randint(4, 16)
    return kind, Block(width, heads).eval(), torch.randn(draw.randint(1, 2), draw.randint(8, 48), width)


def machine_of(name: str, folder: pathlib.Path) -> str | pathlib.Path:
    """A preset or description, or one that the name describes: tall-8x80-1 has 8 columns, 80 rows, and a link of one wavelet per cycle to MemoryX and back."""
    if not (numbers := re.fullmatch(r"tall-(\d+)x(\d+)-(\d+)", name)):
        return name
    return described(folder, *map(int, numbers.groups()))


def described(folder: pathlib.Path, width: int, height: int, link: int, **changes: object) -> pathlib.Path:
    """A machine like `small` but for its grid, its link and these."""
    path = folder / f"{width}x{height}-{link}.json"
    grid = {"name": "drawn", "width": width, "height": height, "ingest_wavelets_per_cycle": link, "egress_wavelets_per_cycle": link}
    path.write_text(json.dumps(nothing_for("small").machine_description | grid | changes))
    return path


@dataclasses.dataclass(frozen=True)
class Case:
    """A generated program, and how to run it cycle by cycle."""

    what: str
    program: wafer.Program
    run: Callable[[], dict]  # what it counted


def case_of_model(number: int, machines: Sequence[str], folder: pathlib.Path) -> Case:
    """A model of `model_of`; machines take turns. The folder is for their descriptions, as long as the case is used."""
    draw = random.Random(number)
    torch.manual_seed(number)
    kind, model, x = model_of(draw)
    machine, precision = machines[number % len(machines)], draw.choice(["f16", "f32"])
    return _forward(f"seed {number}: {kind} {list(x.shape)} on {machine} in {precision}", model, (x,), machine_of(machine, folder), precision)


def case_of_feature(number: int, folder: pathlib.Path) -> Case:
    """One of what `model_of` has none of, on a machine of its own."""
    draw = random.Random(number)
    torch.manual_seed(number)
    kind = list(_FEATURES)[number % len(_FEATURES)]
    return _FEATURES[kind](f"feature seed {number}: {kind}", draw, folder)


def _forward(what: str, model: nn.Module, inputs: tuple[torch.Tensor, ...], machine: str | pathlib.Path, precision: str) -> Case:
    program = wafer.compile(model, inputs, machine=machine, precision=precision, progress=False)

    def run() -> dict:
        program(*inputs, engine="cycle")
        return program.stats.as_dict()

    return Case(what, program, run)


def _grid(draw: random.Random, columns: Sequence[int], rows: Sequence[int], links: Sequence[int]) -> tuple[str, tuple[int, int, int]]:
    grid = draw.choice(columns), draw.choice(rows), draw.choice(links)
    return " on {}x{}-{}".format(*grid), grid


def _ahead(what: str, draw: random.Random, folder: pathlib.Path) -> Case:
    on, grid = _grid(draw, [4, 8, 16, 64], [8, 24, 40, 64], [1, 2, 4])
    features, tokens = draw.randint(24, 200), grid[1] * draw.randint(1, 8)
    x, z = torch.randn(tokens, features), torch.randn(tokens, features)
    return _forward(f"{what} [{tokens}, {features}]{on}", Residual(features, draw.choice([1, 2, 3])), (x, z), described(folder, *grid), draw.choice(["f16", "f32"]))


def _over_loads(what: str, draw: random.Random, folder: pathlib.Path) -> Case:
    on, grid = _grid(draw, [4, 8, 16, 64], [8, 16, 40, 64], [1, 2, 4])
    features, tokens = draw.randint(16, 80), grid[1] * draw.randint(1, 12)
    x, gate = torch.randn(tokens, features), torch.randn(tokens, features)
    return _forward(f"{what} [{tokens}, {features}]{on}", Chain(features).eval(), (x, gate), described(folder, *grid, control_tasks=12), draw.choice(["f16", "f32"]))


def _together(what: str, draw: random.Random, folder: pathlib.Path) -> Case:
    on, grid = _grid(draw, [4, 8, 16, 64], [2, 8, 40, 64], [1, 4, 8])
    features, hidden, tokens = draw.randint(100, 600), draw.randint(100, 600), draw.randint(1, 2 * grid[1])
    layer = nn.Linear(features, hidden)
    if draw.random() < 0.5:
        sparsity.prune(layer, draw.choice([0.6, 0.8, 0.9]))
    return _forward(f"{what} [{tokens}, {features} to {hidden}]{on}", nn.Sequential(layer, nn.Tanh()), (torch.randn(tokens, features),), described(folder, *grid), draw.choice(["f16", "f32"]))


def _columns(what: str, draw: random.Random, folder: pathlib.Path) -> Case:
    heads, size, across = draw.choice([1, 2, 4]), draw.choice([4, 8, 16]), draw.choice([1, 1, 2])
    bands, rows = draw.choice([1, 1, 2, 3]), draw.choice([6, 12, 24, 40, 64])
    tokens = rows // bands - draw.randint(0, 1)
    # Room for the sums of one token makes as many bands as entries.
    sums = 12 if bands > 1 else draw.choice([12, 512])
    machine = described(folder, heads * across * draw.choice([1, 2]), rows, draw.choice([1, 2]), accumulator_bytes=sums)
    model, batch = Attend(heads, draw.random() < 0.5, across), bands * draw.choice([1, 2])
    width, is_gradient, is_projected = heads * size, draw.random() < 0.4, draw.random() < 0.4
    what = f"{what} [{batch}, {tokens}, {width}] of {heads} heads on {machine.stem}"
    if is_gradient:
        return _forward(f"{what}, gradient", model, (torch.randn(batch, tokens, 3 * width), torch.randn(batch, tokens, width)), machine, "f16")
    if is_projected:
        return _forward(f"{what}, projected", nn.Sequential(nn.Linear(24, 3 * width), model, nn.Linear(width, 24)), (torch.randn(batch, tokens, 24),), machine, "f16")
    return _forward(what, model, (torch.randn(batch, tokens, 3 * width),), machine, "f16")


def _groups(what: str, draw: random.Random, folder: pathlib.Path) -> Case:
    on, grid = _grid(draw, [24, 40, 64], [4, 8, 24, 64], [1, 2, 8])
    features, hidden = draw.randint(6, 60), draw.randint(6, 60)
    tokens = grid[0] * grid[1] // draw.choice([2, 4, 8]) * draw.randint(1, 8)
    layers = draw.choice([Several(features, hidden), nn.Sequential(nn.LayerNorm(features), nn.Linear(features, hidden), nn.Softmax(-1)), Residual(features, 2)])
    inputs = tuple(torch.randn(tokens, features) for _ in range(2 if isinstance(layers, Residual) else 1))
    return _forward(f"{what} {type(layers).__name__} [{tokens}, {features} to {hidden}]{on}", layers, inputs, described(folder, *grid), draw.choice(["f16", "f32"]))


def _training(what: str, draw: random.Random, folder: pathlib.Path) -> Case:
    on, grid = _grid(draw, [8, 16, 32, 64], [6, 16, 40, 64], [1, 2, 4])
    features, hidden, tokens = draw.randint(8, 96), draw.randint(8, 96), draw.randint(1, 4) * grid[1] * draw.choice([1, 2, 4, 8])
    model = nn.Sequential(nn.Linear(features, hidden), nn.Tanh(), nn.Linear(hidden, 8))
    x, target = torch.randn(tokens, features), torch.arange(tokens) % 8
    step = wafer.train_step(model, F.cross_entropy, wafer.optim.SGD(lr=0.1), (x, target), machine=described(folder, *grid), precision=draw.choice(["f16", "f32"]), shards=1, engine="cycle")

    def run() -> dict:
        step(x, target)
        return step.stats

    return Case(f"{what} [{tokens}, {features} to {hidden}]{on}", step.program, run)


_FEATURES: dict[str, Callable[[str, random.Random, pathlib.Path], Case]] = {
    "a send ahead": _ahead,
    "a send over the end of a load": _over_loads,
    "rows together": _together,
    "attention in columns": _columns,
    "groups of columns": _groups,
    "a training step": _training,
}
