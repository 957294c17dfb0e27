"""Independent checks over the ranks of an MPI program: one rank does the whole of each, and takes another when it is done.

``mpi4py.futures`` hands them out. Rank 0 does none: it keeps the results, in order.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any

from pasidlab.checking.processes import available_cpus
from pasidlab.checking.result import CheckResult
from pasidlab.errors import PasidlabError
from pasidlab.search.exchange import Exchange

Cell = Callable[[], CheckResult | None]
"""One check of a campaign; None: it was interrupted before anything was explored."""

_CELLS: ContextVar[Sequence[Cell]] = ContextVar("cells")
"""The checks of this rank, set as the campaign begins. Checks cannot be pickled, so rank 0 sends only the number of each."""


def campaign(cells: Sequence[Cell], peers: Exchange) -> Iterator[CheckResult]:
    """What the checks give, in their order, up to the first that was interrupted.

    Rank 0 gives each result as soon as it is known, the other ranks give theirs at the end. All ranks make this call, with the
    same checks. PasidlabError in all of them if a check raises it.
    """
    from mpi4py import MPI
    from mpi4py.futures import MPICommExecutor

    _CELLS.set(cells)
    done: list[CheckResult] = []
    failed: PasidlabError | None = None
    try:
        pool: Any = MPICommExecutor(MPI.COMM_WORLD, root=0)
        with pool as executor:
            if executor is not None:  # rank 0; the others are here when all is done
                try:
                    for result in executor.map(_do, range(len(cells))):
                        if result is None:
                            break
                        done.append(result)
                        yield result
                        if result.interrupted:
                            break
                except PasidlabError as error:
                    failed = error
                finally:
                    executor.shutdown(wait=False, cancel_futures=True)
    finally:
        known = peers.once(lambda: (done, failed))
    if peers.rank != 0:
        yield from known[0]
    if known[1] is not None:
        raise known[1]


def threads_each(peers: Exchange) -> int:
    """How many CPUs a rank of a campaign may use: those of its host, shared among the ranks there that do checks."""
    hosts = peers.gather(socket.gethostname())
    mine = hosts[peers.rank]
    return max(available_cpus() // max(hosts[1:].count(mine), 1), 1)


def _do(number: int) -> CheckResult | None:
    return _CELLS.get()[number]()
