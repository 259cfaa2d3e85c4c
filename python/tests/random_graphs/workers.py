"""Processes that check graphs, so that one that hangs or crashes ends a process and not the run."""

from __future__ import annotations

import gc
import multiprocessing
import multiprocessing.connection
import os
import time
from collections.abc import Callable, Iterable, Iterator

from random_graphs import quick_export
from random_graphs.check import Outcome, check
from random_graphs.graph import parse

LIMIT_SECONDS = 60.0

# PyTorch's caches grow with each graph; a new process begins with those of this one.
GRAPHS_PER_PROCESS = 50

_context = multiprocessing.get_context("fork")  # so that a new one need not import PyTorch again


def _serve(connection: multiprocessing.connection.Connection, graph_of: Callable[[object], str]) -> None:
    gc.disable()  # a tenth of the time; the process ends soon
    parent = os.getppid()
    while True:
        while not connection.poll(5.0):
            if os.getppid() != parent:  # whose end of the pipe its other children may hold open
                return
        try:
            task = connection.recv()
        except EOFError:
            return
        text = graph_of(task)
        connection.send((text, None))  # known even if the check does not return
        connection.send((text, check(parse(text))))


class Worker:
    """One process. `graph_of` makes the text of a graph from a task, by default the task itself."""

    def __init__(self, graph_of: Callable[[object], str] = str, limit: float = LIMIT_SECONDS):
        self._graph_of, self._limit = graph_of, limit
        self.task: object = None
        self._start()

    def _start(self) -> None:
        quick_export.install()
        self.connection, theirs = _context.Pipe()
        self._process = _context.Process(target=_serve, args=(theirs, self._graph_of), daemon=True)
        self._process.start()
        theirs.close()
        self._graphs = 0

    def give(self, task: object) -> None:
        if self._graphs == GRAPHS_PER_PROCESS:
            self.close()
            self._start()
        self._graphs += 1
        self.task, self._text, self._until = task, "", time.monotonic() + self._limit
        self.connection.send(task)

    def result(self, wait: float) -> tuple[str, Outcome] | None:
        """The graph's text and what became of it, or None while that is not known."""
        try:
            while self.connection.poll(min(wait, max(0.0, self._until - time.monotonic()))):
                self._text, outcome = self.connection.recv()
                if outcome is not None:
                    self.task = None
                    return self._text, outcome
        except (EOFError, ConnectionError):
            self._process.join()
            return self._again(Outcome("crash", f"the process ended with exit code {self._process.exitcode}"))
        if time.monotonic() < self._until:
            return None
        return self._again(Outcome("no end", f"no result after {self._limit:g} s"))

    def _again(self, outcome: Outcome) -> tuple[str, Outcome]:
        self.close()
        self._start()
        self.task = None
        return self._text, outcome

    def close(self) -> None:
        self._process.kill()
        self._process.join()
        self.connection.close()

    def check(self, task: object) -> Outcome:
        self.give(task)
        while (result := self.result(1.0)) is None:
            pass
        return result[1]


def check_all(tasks: Iterable[object], jobs: int, graph_of: Callable[[object], str]) -> Iterator[tuple[object, str, Outcome]]:
    """Task, text and outcome of each, in the order in which they end."""
    workers = [Worker(graph_of) for _ in range(jobs)]
    left = iter(tasks)
    try:
        for worker in workers:
            if (task := next(left, None)) is not None:
                worker.give(task)
        while busy := [worker for worker in workers if worker.task is not None]:
            multiprocessing.connection.wait([worker.connection for worker in busy], timeout=0.5)
            for worker in busy:
                task = worker.task
                if (result := worker.result(0.0)) is not None:
                    yield task, *result
                    if (task := next(left, None)) is not None:
                        worker.give(task)
    finally:
        for worker in workers:
            worker.close()
