"""Sums of column groups that are added below the grid: their bits, what leaves the wafer, and when this is done."""

import dataclasses
import itertools
import json
import pathlib
import subprocess

import numpy
import pytest
import wafer

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
        lines.append(f"  stream.tensor @g{i} <output> : tensor<{n}x{k}xf32>")
        pattern = ""
        if share < 1:
            lines.append(f"  stream.tensor @p{i} <input> : tensor<{n}x{k}xi8>")
            pattern = f"pattern @p{i} "
        types = ", ".join(f"tensor<{case.tokens}x{f}xf32, #stream.layout<feature_block = {block(f, case.columns)}>>" for f in (n, k))
        added = "groups_added " if case.is_added(i) else ""
        body.append(f"    stream.sample %d{i}, %x{i} {pattern}into @g{i} {added}{{row_stride = {k} : i64, column_stride = 1 : i64, offset = 0 : i64}} : {types}")
    grid = f"#stream.grid<columns = {case.columns}, rows = {case.rows}, groups = {case.groups}, token_block = {case.token_block}, micro_batches = {case.micro_batches}>"
    return "\n".join([*lines, f"  stream.segment grid {grid} {{", *body, "  }", "}", ""])


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
        result = numpy.zeros((n, k), "f4")
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
                result[row, column] = total if m == 0 else result[row, column] + total
        results[f"g{i}"] = result
    return results


@pytest.fixture
def made(tools, tmp_path):
    """made(case): the executable of the case, on a machine of its size."""
    numbers = itertools.count()

    def make(case: Case, preset: str = "tiny") -> wafer.Program:
        folder = tmp_path / str(next(numbers))
        folder.mkdir()
        description = json.loads((MACHINES / f"{preset}.json").read_text())
        (folder / "machine.json").write_text(json.dumps(description | {"name": "sized", "width": case.width, "height": case.height}))
        (folder / "in.mlir").write_text(text_of(case, folder / "machine.json"))
        subprocess.run([tools / "wafer-opt", folder / "in.mlir", f"--pass-pipeline={PASSES}", "-o", folder / "out.mlir"], check=True)
        subprocess.run([tools / "wafer-translate", "--wafer-to-wexe", folder / "out.mlir", "-o", folder / "out.wexe"], check=True)
        return wafer.load(folder / "out.wexe")

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
