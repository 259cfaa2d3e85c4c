"""Wafers with dead cores: the same program on maps of them, beside the wafer without."""

from __future__ import annotations

import json
import pathlib
import tempfile
from collections.abc import Iterator

import numpy
import torch

import wafer
from wafer.bench import Row
from wafer.compiler import nothing_for
from wafer.models.gpt2 import Block

SHARE = 0.072  # of the cores of a wafer that are not used: 970 thousand are made, 900 thousand sold (vendor)
MAPS, SPARE = 100, 8


def rows() -> Iterator[Row]:
    """A GPT-2 block on 16 x 16 cores of wafers that have 24 columns; dead cores at random, in clumps, and as many as a row can lose."""
    with tempfile.TemporaryDirectory() as folder:
        plain = nothing_for("small").machine_description
        draw = numpy.random.default_rng(0)
        maps = [(f"{MAPS} random maps with {100 * SHARE:g} % dead cores", [at_random(plain, draw) for _ in range(MAPS)]), ("maps with a clump, and with rows that lose all spare cores", [clump(plain), worst_rows(plain)])]
        wanted, without = _run(plain, folder)
        for what, dead in maps:
            found = [_run(plain | {"defects": {"columns": plain["width"] + SPARE, "cores": cores}}, folder) for cores in dead]
            same = sum(bits == wanted for bits, _ in found)
            largest = max(abs(cycles - without) / without for _, cycles in found)
            yield Row(f"{what}, GPT-2 block on 16 x 16 cores: results with the same bits; cycles differ by at most", f"{same} of {len(found)}; {100 * largest:.2f} %", "all; 5 %", "python -m wafer bench defects")


def at_random(machine: dict, draw: numpy.random.Generator) -> list[list[int]]:
    """Dead cores of a wafer, each with the same chance; drawn again when a row is left with too few."""
    while True:
        dead = draw.random((machine["height"], machine["width"] + SPARE)) < SHARE
        if dead.sum(1).max() <= SPARE:
            return [[int(x), int(y)] for y, x in zip(*dead.nonzero())]


def clump(machine: dict) -> list[list[int]]:
    return [[x, y] for x in range(5, 5 + SPARE) for y in range(4, 9)]


def worst_rows(machine: dict) -> list[list[int]]:
    """Every other row without its first cores, the others without their last ones: links between rows are as long as they can be."""
    columns = machine["width"] + SPARE
    return [[x if y % 2 else columns - 1 - x, y] for y in range(machine["height"]) for x in range(SPARE)]


def _run(machine: dict, folder: str) -> tuple[bytes, int]:
    path = pathlib.Path(folder, "machine.json")
    path.write_text(json.dumps(machine))
    torch.manual_seed(0)
    model, x = Block(64, 4).eval(), torch.randn(2, 64, 64)
    program = wafer.compile(model, (x,), machine=path, engine="cycle", progress=False)
    return program(x).detach().numpy().tobytes(), program.stats.cycles
