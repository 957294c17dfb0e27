"""``mpirun -n N pasidlab check ...``: every rank runs the same command, rank 0 alone speaks."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pasidlab.commands.asked import Asked
from pasidlab.errors import PasidlabError
from pasidlab.search.lost_rank import INCONCLUSIVE, Watched, launched

if TYPE_CHECKING:
    from pasidlab.interrupts import StopFlag
    from pasidlab.search.exchange import Exchange

_BAD_INPUT = 2  # exit code


@dataclass(frozen=True)
class Together:
    """The ranks of this command, and the flag that Ctrl-C sets where there are several (None: it raises KeyboardInterrupt)."""

    peers: Exchange
    interrupted: StopFlag | None
    speaks: bool = True  # this process writes the files


@contextmanager
def ranks(asked: Asked) -> Iterator[Together]:
    """Join the other ranks if a launcher started several; leave them at the end, however it comes."""
    place = launched()
    if place is None:
        from pasidlab.search.exchange import ALONE

        yield Together(ALONE, None)
        return
    rank, _ = place
    watched = Watched(rank, _hint(asked))
    try:
        with nullcontext() if rank == 0 else _silence():
            yield from _joined(asked)
    finally:
        watched.farewell()


def _joined(asked: Asked) -> Iterator[Together]:
    from pasidlab.interrupts import RaisedBySignals, ctrl_c
    from pasidlab.search.cluster import Ranks

    peers, interrupted = Ranks(), RaisedBySignals()
    with ctrl_c(interrupted.handler):
        try:
            _must_fit(asked)
            yield Together(peers, interrupted, peers.rank == 0)
        except BaseException as error:
            said = f"{_said(peers.rank, error)}\n".encode()
            peers.leave(lambda: os.write(2, said), _status(error))
            raise
        peers.leave()


def _said(rank: int, error: BaseException) -> str:
    """What a rank that ends alone says."""
    if isinstance(error, MemoryError):
        return f"error: rank {rank}: memory ran out: not settled\n  hint: --max-memory, more ranks, or --spill DIR"
    if isinstance(error, KeyboardInterrupt):
        return f"rank {rank}: interrupted"
    return f"error: rank {rank}: {error}" if isinstance(error, PasidlabError) else traceback.format_exc()


def _status(error: BaseException) -> int:
    return INCONCLUSIVE if isinstance(error, (MemoryError, KeyboardInterrupt)) else _BAD_INPUT


def _must_fit(asked: Asked) -> None:
    """Raises PasidlabError for what is not done over several ranks."""
    if asked.simulate is not None:
        raise PasidlabError("--simulate makes its walks in one process", hint="one process for each --seed, without mpirun")
    if asked.prove:
        raise PasidlabError("--prove works in one process", hint="leave out mpirun")
    if "-" in asked.names:
        raise PasidlabError("- is standard input, which rank 0 alone would read", hint="a file that all hosts have")


def _hint(asked: Asked) -> str:
    if asked.checkpoint:
        return "the same command goes on from the last level that all ranks have saved"
    return "with --checkpoint DIR the same command would go on from the last complete level"


@contextmanager
def _silence() -> Iterator[None]:
    """What this process prints goes nowhere; its descriptors stay for the messages of the MPI library."""
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115 (until the process ends)
    yield
