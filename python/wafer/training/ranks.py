"""Ranks of MPI, each of which hosts some of the systems: how sums travel between them.

Every transfer is waited for with pauses, so that waiting ranks leave their cores to those that compute, and with a deadline. A rank that ends with an
error takes the others with it; one that is killed is noticed by mpirun, which ends them all.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Mapping

import numpy

from wafer.errors import RuntimeError  # noqa: A004

Sums = Mapping[str, numpy.ndarray]

_SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE")
_PATIENCE = "WAFER_SWARMX_TIMEOUT"  # seconds, in the environment


def world() -> Ranks | None:
    """The ranks that mpirun started, or None where this process is the only one. Does not import mpi4py then."""
    size = next((os.environ[name] for name in _SIZES if os.environ.get(name, "1") not in ("", "1")), None)
    if size is None:
        return None
    try:
        from mpi4py import MPI
    except ImportError as error:
        raise RuntimeError(f"found {size} MPI ranks, and mpi4py cannot be imported ({error}); install mpi4py, or start one process with systems=N") from error
    return Ranks(MPI.COMM_WORLD)


class Ranks:
    """The ranks of a communicator."""

    def __init__(self, communicator: object):
        self._communicator = communicator
        self.rank: int = communicator.Get_rank()
        self.size: int = communicator.Get_size()
        self._patience = float(os.environ.get(_PATIENCE, "600"))
        if sys.excepthook is not self._end:
            sys.excepthook = self._end

    def send(self, sums: Sums, to: int) -> None:
        requests = [self._communicator.Isend(numpy.asarray(sums[name], order="C"), dest=to) for name in sorted(sums)]
        self._wait(requests, f"rank {to} to take sums")

    def receive(self, like: Sums, source: int) -> Sums:
        """Sums of the names, shapes and types of `like`."""
        sums = {name: numpy.empty_like(like[name], order="C") for name in sorted(like)}
        self._wait([self._communicator.Irecv(array, source=source) for array in sums.values()], f"sums of rank {source}")
        return sums

    def from_first(self, sums: Sums | None, like: Sums) -> Sums:
        """What rank 0 has, at all ranks."""
        found = sums if self.rank == 0 else {name: numpy.empty_like(array, order="C") for name, array in like.items()}
        found = {name: numpy.asarray(found[name], order="C") for name in sorted(found)}
        self._wait([self._communicator.Ibcast(array, root=0) for array in found.values()], "the sums of all shards")
        return found

    def together(self) -> None:
        """Returns when all ranks are here."""
        self._wait([self._communicator.Ibarrier()], "all ranks")

    def _wait(self, requests: list[object], what: str) -> None:
        deadline, pause = time.monotonic() + self._patience, 1e-5
        while not type(requests[0]).Testall(requests):
            if time.monotonic() > deadline:
                hint = f"did one leave the training loop? ({_PATIENCE}: how long to wait)"
                raise RuntimeError(f"rank {self.rank} of {self.size} waited {self._patience:g} s for {what}; {hint}")
            time.sleep(pause)
            pause = min(2 * pause, 2e-3)

    def _end(self, kind: type[BaseException], error: BaseException, trace: object) -> None:
        """An error that nobody catches: the other ranks would wait for this one."""
        traceback.print_exception(kind, error, trace)
        print(f"rank {self.rank} of {self.size} ends with this error, and the others with it; training goes on from the last checkpoint", file=sys.stderr, flush=True)
        self._communicator.Abort(1)
