"""Random operator graphs: both engines give the same bits, and differ from PyTorch by no more than rounding can do.

`benchmarks/random_graphs.py` runs many; here are a few, and all that ever failed (random_graphs/regressions).
"""

import pathlib

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, note, seed, settings
from random_graphs import numbers
from random_graphs.check import check
from random_graphs.generate import graph_of_seed
from random_graphs.graph import Graph, Line, parse
from random_graphs.shrink import shrink
from random_graphs.strategy import graphs
from random_graphs.workers import Worker

REGRESSIONS = sorted((pathlib.Path(__file__).parent / "random_graphs" / "regressions").glob("*.txt"))
GRAPHS = 20
SEED = 20261130  # the same in every run: whether a commit passes depends on the commit

SMALL = "machine tiny, precision f16, threads 1\nx0 = normal(3, 7)\nw1 = normal(5, 7, scale=0.4)\nv2 = F.linear(x0, w1)\nreturn v2\n"


@pytest.fixture(scope="module")
def worker():
    worker = Worker()
    yield worker
    worker.close()


@pytest.mark.parametrize("path", REGRESSIONS, ids=lambda path: path.stem)
def test_graph_that_once_failed(worker, path):
    outcome = worker.check(str(parse(path.read_text())))
    assert outcome.ok, outcome.problem


# Of one that fails hypothesis prints the smallest that it finds.
@seed(SEED)
@settings(max_examples=GRAPHS, deadline=None, database=None, phases=(Phase.generate, Phase.shrink), suppress_health_check=list(HealthCheck))
@given(graph=graphs())
def test_generated_graphs(worker, graph):
    note(f"the graph:\n{graph}")
    outcome = worker.check(str(graph))
    assert outcome.ok, outcome.problem


# The tester itself


def test_text_of_a_graph_reads_back():
    for number in range(5):
        graph = graph_of_seed(number)
        assert parse(str(graph)) == graph
        assert graph_of_seed(number) == graph


def test_result_that_is_wrong_by_more_than_rounding_is_found(monkeypatch):
    import wafer

    run = wafer.Program.run
    assert check(parse(SMALL)).ok

    def off(program, *args, **options):
        return {name: tensor + 0.1 * (torch.arange(tensor.numel()).reshape(tensor.shape) == 3) for name, tensor in run(program, *args, **options).items()}

    monkeypatch.setattr(wafer.Program, "run", off)
    assert check(parse(SMALL)).kind == "differs from PyTorch"


def test_engines_that_differ_in_one_bit_are_found(monkeypatch):
    import wafer

    run = wafer.Program.run

    def off(program, *args, engine=None, **options):
        results = run(program, *args, engine=engine, **options)
        return {name: torch.nextafter(tensor, tensor + 1) if engine == "cycle" else tensor for name, tensor in results.items()}

    monkeypatch.setattr(wafer.Program, "run", off)
    assert check(parse(SMALL)).kind == "engines differ"


def test_graph_that_is_refused_is_a_finding():
    outcome = check(parse("machine tiny, precision f16, threads 1\nx0 = normal(3)\nv1 = torch.special.i0(x0)\nreturn v1\n"))
    assert outcome.kind.startswith("UnsupportedOpError")


def test_process_that_ends_is_a_finding_and_the_next_graph_runs(worker):
    assert worker.check("no graph").kind == "crash"
    assert worker.check(SMALL).ok


def test_tolerance_grows_with_the_condition_of_the_graph():
    """The difference of two numbers near 8 is off by what is lost of them, not by a part of itself."""
    values = numbers.values_of(
        parse("machine tiny, precision f16, threads 1\nx0 = positive(50)\nv1 = x0 + 7.0\nv2 = v1 - 7.0\nv3 = x0 * 1.5\nreturn v2, v3\n")
    )
    assert numbers.tolerance(values.of["v2"], "f16").median() > 2 * numbers.tolerance(values.of["v3"], "f16").median()


def test_choice_that_noise_could_change_is_not_made():
    graph = parse("machine tiny, precision f16, threads 1\nx0 = normal(1)\nx1 = normal(1)\nv2 = torch.cat([x0, x0 + 1e-5, x1 - 9.0])\nv3 = v2.argmax()\nreturn v3\n")
    values = numbers.values_of(graph)
    assert not numbers.why_unfit(values.of["v2"], "f16")
    clear = Graph((*graph.lines[:2], Line("v2", "torch.cat([x0, x0 + 1.0, x1 - 9.0])"), *graph.lines[3:]), graph.outputs)
    assert numbers.why_unfit(values.of["v3"], "f16") and not numbers.why_unfit(numbers.values_of(clear).of["v3"], "f16")


def test_shrinking_keeps_what_fails():
    graph = graph_of_seed(3)
    wanted = next(line for line in graph.computed if line.uses)
    operation = wanted.expression.split("(")[0].split(".")[-1]
    smaller = shrink(graph, lambda other: any(operation in line.expression for line in other.computed), most=60)
    assert len(smaller.lines) < len(graph.lines) and operation in str(smaller)
