"""What a run did, as the runtime counted it."""

from __future__ import annotations

import dataclasses
import json
import os

from wafer import _native


@dataclasses.dataclass(frozen=True)
class OpStats:
    """Where an operation of the model runs: placement is "wafer" or "memoryx", `reason` says why not on the wafer, `macs` are dense."""

    name: str
    location: str
    placement: str
    reason: str
    macs: int


class Stats:
    """Counters of one run. `as_dict()` has everything, in the form of `wafer-run --stats`."""

    def __init__(self, text: str):
        self._values = json.loads(text)

    def as_dict(self) -> dict:
        return self._values

    def trace(self, path: str | os.PathLike) -> None:
        """Write a timeline of what the timing engine found, a Chrome trace for Perfetto: compute, stream of weights, activations in and out, functions of MemoryX.

        Raises: RuntimeError for a run of another engine, or when the file cannot be written.
        """
        _native.module().write_timeline(os.fspath(path), [("system", "", 0.0, json.dumps(self._values))], [])

    @property
    def engine(self) -> str:
        return self._values["engine"]

    @property
    def machine(self) -> str:
        return self._values["machine"]

    @property
    def cycles(self) -> int | None:
        """Cycles on the wafer; None when the engine does not count time."""
        return self._values["total"]["cycles"]

    @property
    def wafer_seconds(self) -> float | None:
        """The same in seconds at the machine's clock."""
        return self._values["wafer_seconds"]

    @property
    def seconds(self) -> float:
        """Time that the emulation took on this host."""
        return self._values["seconds"]

    @property
    def macs_executed(self) -> int:
        """Multiply-accumulates that cores executed, padding included."""
        return self._values["total"]["macs"]

    @property
    def macs_dense(self) -> int:
        """Multiply-accumulates of the model's operations on the wafer if no weight were zero."""
        return sum(op.macs for op in self.ops)

    @property
    def bytes_streamed(self) -> int:
        """Bytes between MemoryX and the wafer, both ways; what goes to several columns at once counts once."""
        return self.bytes_by_kind["total"]

    @property
    def bytes_by_kind(self) -> dict[str, int]:
        """Of weights, activations_in, activations_out, commands and total."""
        return self._values["total"]["bytes_streamed"]

    @property
    def weights_stored_on_wafer(self) -> int:
        """0: the loader proved it for every colour that carries weights."""
        return self._values["weights_stored_on_wafer"]

    @property
    def weight_colours_proved(self) -> int:
        return self._values["weight_colours_proved"]

    @property
    def activation_zeros(self) -> float | None:
        """Share of zeros in what weights would have multiplied, where zeros alone are skipped and weights are sent in order; None where there is no such place. Good
        for `wafer.compile(..., activation_zeros=)`."""
        steps = [step for phase in self.phases for step in phase.get("steps", []) if step["skips_input_zeros"] and not step["skips_outputs"] and not step["wire"].startswith("Indexed")]
        dense = sum(step["macs_dense"] for step in steps)
        return 1 - sum(step["macs"] for step in steps) / dense if dense else None

    @property
    def ops(self) -> list[OpStats]:
        return [OpStats(**op) for op in self._values["ops"]]

    @property
    def phases(self) -> list[dict]:
        """Counters of each phase in order."""
        return self._values["phases"]

    @property
    def utilisation(self) -> float | None:
        """Part of all core-cycles in which a core computed; None when the engine does not count time."""
        by_activity = self._values["total"]["core_cycles"]
        if not by_activity:
            return None
        return (by_activity.get("busy", 0) + by_activity.get("microthread", 0)) / max(1, sum(by_activity.values()))

    def __str__(self) -> str:
        kinds = self.bytes_by_kind
        cycles = "not counted by this engine" if self.cycles is None else f"{self.cycles} ({self.wafer_seconds * 1e6:.2f} us)"
        lines = [
            f"machine: {self.machine}, engine: {self.engine}",
            f"cycles: {cycles}",
            f"MACs: {self.macs_executed} executed, {self.macs_dense} in the dense model",
            f"bytes streamed: {kinds['total']} (weights {kinds['weights']}, activations in {kinds['activations_in']}, "
            f"activations out {kinds['activations_out']}, commands {kinds['commands']})",
            f"weights stored on the wafer: {self.weights_stored_on_wafer} (proved for {self.weight_colours_proved} weight colours)",
        ]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<wafer.Stats of a run on '{self.machine}', {self.engine} engine, {self.macs_executed} MACs>"
