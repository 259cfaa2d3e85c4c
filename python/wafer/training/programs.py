"""Programs of a training step: compiled once, run on sessions of which each is a MemoryX and a wafer."""

from __future__ import annotations

import os

from wafer import _native
from wafer.arrays import Pair
from wafer.compiler import compile as compile_program
from wafer.program import Program


class Sessions:
    """A program, and the sessions that run it."""

    def __init__(self, text: str, name: str, machine: str | os.PathLike, precision: str, *, engine: str = "functional", threads: int = 1):
        self.program: Program = compile_program(text, machine=machine, precision=precision, name=name, progress=False)
        self.inputs = {info.name: info for info in self.program.inputs}
        self.weights = {info.name: info for info in self.program.weights}
        self._name = name
        self._engine = engine
        self._threads = threads
        self._sessions: list[object] = []

    def session(self, number: int = 0) -> object:
        """The session of this number; made when first asked for."""
        while len(self._sessions) <= number:
            self._sessions.append(_native.module().Session(self.program._verified, self._engine, self._threads))
        return self._sessions[number]

    def run(self, weights: dict[str, Pair], inputs: dict[str, Pair], number: int = 0) -> dict[str, Pair]:
        """Runs a session on what the program reads of these weights and inputs. Nothing is copied: MemoryX reads the arrays in place."""
        session = self.session(number)
        for name in self.weights:
            session.set_weight(name, weights[name])
        return session.run(self._name, {name: inputs[name] for name in self.inputs})
