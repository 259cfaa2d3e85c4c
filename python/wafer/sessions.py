"""What the entries of a program have in common: weights, states, and the sessions of the runtime that run them."""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from wafer import _native, arrays, checkpoints
from wafer.errors import RuntimeError  # noqa: A004

if TYPE_CHECKING:
    from wafer.program import TensorInfo, Weights


class Sessions:
    """Of one executable. `lock` is held by whoever uses it."""

    def __init__(self, executable: bytes, other_names: Mapping[str, Sequence[str]]):
        """Raises ExecutableError when `executable` breaks a rule of the machine. `other_names`: of tied parameters, of which a checkpoint holds one."""
        self.verified = _native.module().Program(executable)
        self.lock = threading.Lock()
        self._pairs: dict[str, arrays.Pair] = {}
        self._files: list[str] = []
        self._other_names = other_names
        self._sessions: dict[tuple, object] = {}
        self._last: object = None  # the session whose states count

    def set_weights(self, weights: Weights, infos: Mapping[str, TensorInfo], names: Mapping[str, str], states: Collection[str]) -> None:
        """See Program.set_weights; `infos` are weights and states, and `states` the names of the latter, which files need not have."""
        wanted = {name: [names[name]] if name in names else [name, *self._other_names.get(name, ())] for name in infos}
        self._sessions.clear()
        self._last = None
        if isinstance(weights, Mapping):
            for name, candidates in wanted.items():
                if given := next((candidate for candidate in candidates if candidate in weights), None):
                    what = f"weight '{name}'"
                    self._pairs[name] = arrays.converted(arrays.pair_of(weights[given], what), infos[name].dtype, what)
            return
        paths = [weights] if isinstance(weights, (str, os.PathLike)) else list(weights)
        self._files, chosen = checkpoints.find(paths, wanted, states)
        kept = {name: pair for name, pair in self._pairs.items() if name in states and name not in chosen}
        self._pairs = kept | {name: checkpoints.mapped(self._files, given, f"weight '{name}'") for name, given in chosen.items() if name != given}

    def share_weights(self, other: Sessions) -> None:
        """Run with the weights that `other` has now, and begin with its states."""
        self._pairs, self._files = other._pairs, other._files
        self._sessions.clear()
        self._last = None

    def weights(self) -> dict[str, arrays.Pair]:
        """All values that were given, by name."""
        given = dict(self._pairs)
        for file in self._files:
            given = _native.module().read_safetensors(file) | given
        return given

    def get(self, engine: str, threads: int, trace: str, dram: int | None):
        """The session with these options, the weights, and the states as the last run left them."""
        options = (engine, threads, trace, dram)
        session = self._sessions.get(options)
        if session is None:
            session = _native.module().Session(self.verified, engine, threads, trace, dram)
            if self._files:
                session.load_weights(self._files)
            for name, pair in self._pairs.items():
                session.set_weight(name, pair)
            self._sessions[options] = session
        if self._last is not None and self._last is not session:
            for name, pair in self._last.states().items():
                session.set_state(name, pair)
        self._last = session
        return session
