"""Programs of a training step: compiled once, run on sessions of which each is a MemoryX and a wafer."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable

from wafer import _native
from wafer.arrays import Pair
from wafer.compiler import compile as compile_program
from wafer.program import Program


@dataclasses.dataclass(frozen=True)
class Host:
    """What the sessions of a training run are on. `dram`: bytes of MemoryX's DRAM tier, None: the machine's. `flash`: folder of its flash tier, or ""."""

    machine: str | os.PathLike
    engine: str = "functional"
    threads: int = 1
    dram: int | None = None
    flash: str = ""


class Sessions:
    """A program, and the sessions that run it."""

    def __init__(self, text: str, name: str, precision: str, host: Host):
        self.program: Program = compile_program(text, machine=host.machine, precision=precision, name=name, progress=False)
        self.inputs = {info.name: info for info in self.program.inputs}
        self.weights = {info.name: info for info in self.program.weights}
        self._name = name
        self._host = host
        self._sessions: list[object] = []

    def session(self, number: int = 0) -> object:
        """The session of this number; made when first asked for."""
        while len(self._sessions) <= number:
            self._sessions.append(_native.module().Session(self.program._sessions.verified, self._host.engine, self._host.threads, "", self._host.dram, self._host.flash))
        return self._sessions[number]

    def run(self, weights: dict[str, Pair], inputs: dict[str, Pair], number: int = 0, made: Callable[[str, Pair], None] | None = None) -> dict[str, Pair]:
        """Runs a session on what the program reads of these weights and inputs. Nothing is copied: MemoryX reads the arrays in place. `made` is told each
        output when it is there, while the run goes on."""
        session = self.session(number)
        for name in self.weights:
            session.set_weight(name, weights[name])
        return session.run(self._name, {name: inputs[name] for name in self.inputs}, made)
