"""A search over several processes, on one host or many, through MPI: ``mpirun -n N pasidlab check ...``.

States go to their owners by one Alltoallv a round. The wire is MPI's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from pasidlab.errors import PasidlabError
from pasidlab.search.exchange import CountArray, States

T = TypeVar("T")
_LOOK = 0.01  # seconds between two looks whether the others are there
_LEAVING = 10.0  # seconds for the others to come to the same end


class Ranks:
    """The ranks of an MPI program."""

    def __init__(self) -> None:
        """Join the others. PasidlabError where mpi4py or the MPI library is missing."""
        try:
            from mpi4py import MPI
        except (ImportError, RuntimeError) as error:  # RuntimeError: no libmpi
            what = f"mpirun started several processes of one check, and mpi4py cannot be used here: {error}"
            raise PasidlabError(what, hint="pip install 'pasidlab[cluster]', or start one process without mpirun") from None
        self._mpi: Any = MPI
        self._comm: Any = MPI.COMM_WORLD
        self.rank, self.size = int(self._comm.rank), int(self._comm.size)
        self.neighbours = int(self._comm.Split_type(MPI.COMM_TYPE_SHARED).size)
        self.seconds, self.sent = 0.0, 0
        self._out, self._in = np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.uint64)

    @property
    def bytes(self) -> int:
        """Bytes of the states on their way."""
        return self._out.nbytes + self._in.nbytes

    def total(self, counts: Sequence[int]) -> list[int]:
        """Allreduce."""
        start = time.perf_counter()
        summed = np.empty(len(counts), dtype=np.int64)
        self._comm.Allreduce(np.array(counts, dtype=np.int64), summed)
        self.seconds += time.perf_counter() - start
        return [int(one) for one in summed]

    def gather(self, mine: T) -> list[T]:
        """Allgather of Python objects: for little."""
        start = time.perf_counter()
        found: list[T] = self._comm.allgather(mine)
        self.seconds += time.perf_counter() - start
        return found

    def swap(self, shares: Sequence[tuple[States, CountArray]], words: int) -> States:
        """Alltoall of the numbers, and Alltoallv of the states."""
        start = time.perf_counter()
        sent = np.sum([np.diff(ends) for _, ends in shares], axis=0).astype(np.int64)
        received = np.empty_like(sent)
        self._comm.Alltoall(sent, received)
        self._out, self._in = _room(self._out, int(sent.sum()) * words), _room(self._in, int(received.sum()) * words)
        out, at = self._out[: int(sent.sum()) * words].reshape(-1, words), 0
        for rank in range(self.size):
            for states, ends in shares:
                some = states[ends[rank] : ends[rank + 1]]
                out[at : at + len(some)] = some
                at += len(some)
        state = self._mpi.UINT64_T.Create_contiguous(words).Commit()
        self._comm.Alltoallv([out, sent, _starts(sent), state], [self._in, received, _starts(received), state])
        state.Free()
        self.sent += (int(sent.sum()) - int(sent[self.rank])) * words * 8
        self.seconds += time.perf_counter() - start
        return self._in[: int(received.sum()) * words].reshape(-1, words)

    def once(self, work: Callable[[], T]) -> T:
        """Rank 0 works; the others sleep."""
        told: tuple[T | None, Exception | None] = None, None
        if self.rank == 0:
            try:
                told = work(), None
            except Exception as error:
                told = None, error
        self._meet(None)
        done, failed = self._comm.bcast(told)
        if failed is not None:
            raise failed
        result: T = done
        return result

    def leave(self, complain: Callable[[], object] | None = None, status: int = 0) -> None:
        """Come to the end together. A rank that fails, and alone, says so by ``complain``, and ends all with its exit status."""
        if not self._meet(_LEAVING if complain else None) and complain:
            complain()
            self._comm.Abort(status)

    def _meet(self, seconds: float | None) -> bool:
        """Wait for all ranks, without work for the processor: True once they are here, False if that takes longer."""
        request, start = self._comm.Ibarrier(), time.monotonic()
        while not request.Test():
            if seconds is not None and time.monotonic() - start > seconds:
                return False
            time.sleep(_LOOK)
        return True


def _room(words: States, needed: int) -> States:
    return words if len(words) >= needed else np.empty(needed + needed // 2, dtype=np.uint64)


def _starts(counts: CountArray) -> CountArray:
    return np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int64)
