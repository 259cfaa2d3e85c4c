"""Sums of column groups that are added below the grid: their bits, what leaves the wafer, and when this is done."""

import dataclasses
import itertools
import json
import pathlib
import re
import subprocess

import numpy
import pytest
import torch
import wafer
from torch import nn
from torch.nn import functional as F

MACHINES = pathlib.Path(__file__).parents[2] / "machines"
PASSES = "builtin.module(convert-stream-to-wafer,wafer.program(wafer-merge-loads,wafer-place,wafer-route,wafer-assign-colors,wafer-allocate-sram))"


@dataclasses.dataclass
class Case:
    """Gradients of one segment on a grid, by hand: (rows, columns of G, share of it that is kept) of each sample."""

    columns: int
    rows: int
    groups: int
    width: int
    height: int
    token_block: int = 2
    micro_batches: int = 1
    batches: int = 1  # entries with sums of their own, one at a time
    samples: tuple[tuple[int, int, float], ...] = ((5, 7, 1.0),)
    added: tuple[bool, ...] = ()

    @property
    def tokens(self) -> int:
        return self.rows * self.groups * self.token_block * self.micro_batches

    def is_added(self, sample: int) -> bool:
        return self.added[sample] if self.added else True


def block(features: int, columns: int) -> int:
    return -(-features // columns)


def text_of(case: Case, machine) -> str:
    lines, body = [f'stream.program @sums machine "{machine}" {{'], []
    for i, (n, k, share) in enumerate(case.samples):
        for name, features in (("d", n), ("x", k)):
            lines.append(f"  stream.tensor @{name}{i} <input> : tensor<{case.tokens}x{features}xf32>")
            body.append(f"    %{name}{i} = stream.send @{name}{i} : tensor<{case.tokens}x{features}xf32, #stream.layout<feature_block = {block(features, case.columns)}>>")
        lines.append(f"  stream.tensor @g{i} <output> : tensor<{case.batches}x{n}x{k}xf32>")
        pattern = ""
        if share < 1:
            lines.append(f"  stream.tensor @p{i} <input> : tensor<{n}x{k}xi8>")
            pattern = f"pattern @p{i} "
        types = ", ".join(f"tensor<{case.tokens}x{f}xf32, #stream.layout<feature_block = {block(f, case.columns)}>>" for f in (n, k))
        added = "groups_added " if case.is_added(i) else ""
        batches = f"batch_sizes = array<i64: {case.batches}>, batch_strides = array<i64: {n * k}>, " if case.batches > 1 else ""
        body.append(f"    stream.sample %d{i}, %x{i} {pattern}into @g{i} {added}{{{batches}row_stride = {k} : i64, column_stride = 1 : i64, offset = 0 : i64}} : {types}")
    grid = f"#stream.grid<columns = {case.columns}, rows = {case.rows}, groups = {case.groups}, token_block = {case.token_block}, micro_batches = {case.micro_batches}>"
    return "\n".join([*lines, f"  stream.segment batches {case.batches} grid {grid} {{", *body, "  }", "}", ""])


def values_of(case: Case, seed: int = 0) -> dict[str, numpy.ndarray]:
    """Numbers whose products are exact in f32 and whose sums are not."""
    random, arrays = numpy.random.default_rng(seed), {}
    for i, (n, k, share) in enumerate(case.samples):
        for name, features in (("d", n), ("x", k)):
            numbers = random.integers(-127, 128, (case.tokens, features)) * 2.0 ** random.integers(-5, 6, (case.tokens, features))
            arrays[f"{name}{i}"] = numbers.astype("f4")
        if share < 1:
            arrays[f"p{i}"] = (random.random((n, k)) < share).astype("i1")
    return arrays


def dot(a, b) -> numpy.float32:
    """As dotw adds: eight sums in turn, then pairs of them."""
    s = [numpy.float32(0)] * 8
    for j, (x, y) in enumerate(zip(a, b, strict=True)):
        s[j % 8] = numpy.float32(float(x) * float(y) + float(s[j % 8]))
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]))


def expected(case: Case, arrays) -> dict[str, numpy.ndarray]:
    results = {}
    for i, (n, k, share) in enumerate(case.samples):
        # [micro-batch, group, place in the core, row of cores, feature]
        d, x = (arrays[f"{name}{i}"].reshape(case.micro_batches, case.groups, case.token_block, case.rows, -1) for name in "dx")
        result = numpy.zeros((case.batches, n, k), "f4")
        each = case.micro_batches // case.batches
        for row, column in itertools.product(range(n), range(k)):
            if share < 1 and not arrays[f"p{i}"][row, column]:
                continue
            for m in range(case.micro_batches):
                total = None
                for g in range(case.groups):
                    south = numpy.float32(0)
                    for y in range(case.rows):
                        south = south + dot(d[m, g, :, y, row], x[m, g, :, y, column])
                    total = south if total is None else total + south
                entry = m // each
                result[entry, row, column] = total if m % each == 0 else result[entry, row, column] + total
        results[f"g{i}"] = result
    return results


def executable(tools, folder) -> wafer.Program:
    """Of folder/in.mlir, a program of segments on grids."""
    subprocess.run([tools / "wafer-opt", folder / "in.mlir", f"--pass-pipeline={PASSES}", "-o", folder / "out.mlir"], check=True)
    subprocess.run([tools / "wafer-translate", "--wafer-to-wexe", folder / "out.mlir", "-o", folder / "out.wexe"], check=True)
    return wafer.load(folder / "out.wexe")


@pytest.fixture
def made(tools, tmp_path):
    """made(case): the executable of the case, on a machine of its size."""
    numbers = itertools.count()

    def make(case: Case, **changes) -> wafer.Program:
        folder = tmp_path / str(next(numbers))
        folder.mkdir()
        description = json.loads((MACHINES / "tiny.json").read_text()) | {"name": "sized", "width": case.width, "height": case.height}
        (folder / "machine.json").write_text(json.dumps(description | changes))
        (folder / "in.mlir").write_text(text_of(case, folder / "machine.json"))
        return executable(tools, folder)

    return make


def run(program: wafer.Program, arrays, engine: str) -> tuple[dict[str, numpy.ndarray], dict]:
    results = program.run(arrays, engine=engine)
    return {name: numpy.asarray(value) for name, value in results.items()}, program.stats.as_dict()["total"]


CASES = {
    "two groups": Case(columns=3, rows=2, groups=2, width=6, height=5),
    "many groups": Case(columns=2, rows=3, groups=5, width=11, height=6, samples=((5, 7, 1.0),)),
    "one column": Case(columns=1, rows=4, groups=4, width=4, height=5, samples=((2, 3, 1.0),)),
    "one row": Case(columns=4, rows=1, groups=3, width=12, height=5, token_block=3),
    "rows below the strip": Case(columns=2, rows=2, groups=3, width=7, height=9),
    "sparse": Case(columns=3, rows=3, groups=3, width=9, height=6, samples=((8, 10, 0.3),)),
    "nothing kept of some columns": Case(columns=3, rows=2, groups=2, width=6, height=5, samples=((3, 7, 0.05),)),
    "several samples": Case(columns=2, rows=2, groups=3, width=6, height=4, samples=((4, 4, 1.0), (3, 6, 0.5), (1, 2, 1.0))),
    "some samples are not added": Case(columns=2, rows=2, groups=3, width=6, height=4, samples=((4, 4, 1.0), (3, 6, 0.5), (2, 5, 1.0)), added=(True, False, True)),
    "micro-batches": Case(columns=2, rows=3, groups=2, width=4, height=5, micro_batches=3, samples=((4, 5, 1.0), (3, 3, 0.5))),
    "batch entries, one at a time": Case(columns=2, rows=2, groups=3, width=6, height=4, micro_batches=4, batches=2, samples=((4, 5, 1.0),)),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_bits_and_counts_are_the_same_on_both_engines(made, case):
    program, arrays = made(case), values_of(case)
    wanted = expected(case, arrays)
    totals = []
    for engine in ("functional", "cycle"):
        found, total = run(program, arrays, engine)
        for name, value in wanted.items():
            numpy.testing.assert_array_equal(found[name].view("i4"), value.view("i4"), err_msg=f"{engine} {name}")
        totals.append({key: total[key] for key in ("macs", "instructions", "element_ops", "wavelets_in", "wavelets_out", "cores", "bytes_streamed")})
    assert totals[0] == totals[1]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_as_many_sums_leave_as_the_weight_has_positions(made, case):
    arrays = values_of(case)
    kept = [int(arrays[f"p{i}"].sum()) if share < 1 else n * k for i, (n, k, share) in enumerate(case.samples)]
    _, total = run(made(case), arrays, "functional")
    each = [1 if case.is_added(i) else case.groups for i in range(len(kept))]
    assert total["wavelets_out"] == case.micro_batches * sum(count * times for count, times in zip(kept, each, strict=True))
    without = dataclasses.replace(case, added=(False,) * len(kept))
    _, apart = run(made(without), arrays, "functional")
    assert apart["macs"] == total["macs"]
    assert apart["wavelets_out"] == case.micro_batches * case.groups * sum(kept)


# Of each: the number of groups, odd and even ones, what binds, and whether rows, rounds and micro-batches are left out.
TIMED = {
    "of three groups all are simulated": (Case(columns=3, rows=6, groups=3, width=9, height=10, samples=((40, 30, 1.0),)), {}),
    "even": (Case(columns=4, rows=20, groups=8, width=32, height=40, token_block=8, samples=((128, 64, 1.0),)), {}),
    "odd": (Case(columns=4, rows=20, groups=5, width=32, height=24, token_block=8, samples=((128, 64, 1.0),)), {}),
    "the way out binds": (Case(columns=8, rows=6, groups=6, width=48, height=15, token_block=1, samples=((128, 128, 1.0),)), {"egress_wavelets_per_cycle": 2}),
    "the way out binds when columns are full of sums": (Case(columns=8, rows=60, groups=2, width=16, height=68, token_block=2, samples=((150, 512, 1.0),)), {"egress_wavelets_per_cycle": 2}),
    "the way past the groups binds": (Case(columns=4, rows=2, groups=31, width=124, height=30, token_block=1, samples=((128, 64, 1.0),)), {"egress_wavelets_per_cycle": 16}),
    "one sample is not added": (Case(columns=8, rows=6, groups=5, width=48, height=15, token_block=1, samples=((64, 128, 1.0), (64, 64, 1.0)), added=(True, False)), {"egress_wavelets_per_cycle": 2}),
    "micro-batches": (Case(columns=8, rows=12, groups=4, width=32, height=20, token_block=4, micro_batches=6, samples=((32, 32, 1.0),)), {}),
}


@pytest.mark.parametrize(("case", "changes"), TIMED.values(), ids=TIMED.keys())
def test_time_and_bytes_are_those_of_the_cycle_engine(made, case, changes):
    program = made(case, **changes)
    _, cycle = run(program, values_of(case), "cycle")
    timed = program.time().as_dict()["total"]
    assert timed["bytes_streamed"] == cycle["bytes_streamed"]
    assert timed["macs"] == cycle["macs"]
    assert abs(timed["cycles"] - cycle["cycles"]) <= 0.01 * cycle["cycles"]


def test_where_the_way_out_binds_adding_is_faster(made):
    case = Case(columns=8, rows=6, groups=6, width=48, height=15, token_block=1, samples=((128, 128, 1.0),))
    added, apart = (made(dataclasses.replace(case, added=(is_added,)), egress_wavelets_per_cycle=2).time().cycles for is_added in (True, False))
    assert apart > 4 * added


@pytest.mark.parametrize("share", [None, 0.5], ids=["dense", "sparse"])
def test_gradients_of_a_training_step_are_those_of_pytorch(tools, tmp_path, share):
    """The layout adds groups where the way out is narrow: 480 tokens are on 16 groups or so."""
    description = json.loads((MACHINES / "small.json").read_text())
    (tmp_path / "narrow.json").write_text(json.dumps(description | {"name": "narrow", "egress_wavelets_per_cycle": 1}))
    random = torch.Generator().manual_seed(0)
    x, target = torch.randn(480, 12, generator=random), torch.randint(0, 4, (480,), generator=random)
    states = []
    for engine in ("functional", "cycle"):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(12, 20), nn.ReLU(), nn.Linear(20, 4))
        sparsity = {} if share is None else {"sparsity": wafer.sparsity.Static(share)}
        step = wafer.train_step(
            model, F.cross_entropy, wafer.optim.SGD(lr=1.0), (x, target), machine=str(tmp_path / "narrow.json"), precision="f32", shards=1, engine=engine, **sparsity
        )
        before = step.state_dict()
        step(x, target)
        states.append(step.state_dict())
    step.program.save(tmp_path / "step.wexe")
    text = subprocess.run([tools / "wafer-objdump", tmp_path / "step.wexe"], check=True, capture_output=True, text=True).stdout
    assert "groups_added" in text
    model.load_state_dict(before)
    F.cross_entropy(model(x), target).backward()
    for name, parameter in model.named_parameters():
        mask = torch.from_numpy(step.masks[name]) if share and name in step.masks else torch.ones_like(parameter, dtype=torch.bool)
        torch.testing.assert_close(before[name] - states[0][name], torch.where(mask, parameter.grad, 0.0), atol=1e-6, rtol=1e-5)
        assert torch.equal(states[0][name], states[1][name])


def test_loads_have_cores_of_their_own_below_their_grids(tools, tmp_path):
    """Two segments on grids of different heights: what is below one is not below the other."""
    cases = [Case(columns=2, rows=3, groups=3, width=7, height=5), Case(columns=3, rows=2, groups=2, width=7, height=5)]
    texts = [text_of(case, "odd") for case in cases]
    for name in ("d0", "x0", "g0"):
        texts[1] = re.sub(rf"([@%]){name}\b", rf"\1{name}b", texts[1])
    lines = [text.splitlines() for text in texts]
    tensors = [line for text in lines for line in text if line.startswith("  stream.tensor")]
    segments = [line for text in lines for line in text[text.index(next(row for row in text if "stream.segment" in row)) : -1]]
    (tmp_path / "in.mlir").write_text("\n".join([lines[0][0], *tensors, *segments, "}", ""]))
    program = executable(tools, tmp_path)
    arrays, others = values_of(cases[0]), values_of(cases[1], seed=1)
    wanted = expected(cases[0], arrays)["g0"], expected(cases[1], others)["g0"]
    for engine in ("functional", "cycle"):
        found, _ = run(program, arrays | {f"{name}b": value for name, value in others.items()}, engine)
        numpy.testing.assert_array_equal(found["g0"], wanted[0])
        numpy.testing.assert_array_equal(found["g0b"], wanted[1])
