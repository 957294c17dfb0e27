"""Tells that a process of a cluster's search was lost, and ends the others: MPI alone would let them wait, or kill them without a word.

Each rank has a watcher, a small process forked before anything else. The watcher reads a pipe whose other end only the rank holds: the end
of file without a good-bye says that the rank is gone. The launcher would see its socket to the rank closed, kill all others and exit with
the signal's number. So the watcher holds that socket open. Instead it asks for an abort with the exit code of "inconclusive": PMI-1
``cmd=abort``, as PMI_Abort() sends it (src/pmi/src/pmi_v1.c of MPICH). Other launchers end the program in their own way.
"""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress

INCONCLUSIVE = 3  # exit code
_GRACE = 0.5  # seconds in which a launcher that kills everybody is gone itself
_RANK = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK")
_OF_HYDRA = "MPI_LOCALNRANKS"  # Slurm has a PMI_FD as well, and another protocol there
_SIZE = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE")


def launched() -> tuple[int, int] | None:
    """Rank and number of the processes that a launcher of MPI programs started; 0: it does not say how many. None: there is no such one."""
    rank = next((os.environ[name] for name in _RANK if os.environ.get(name, "").isdigit()), None)
    size = next((os.environ[name] for name in _SIZE if os.environ.get(name, "").isdigit()), "0")
    return None if rank is None or int(size) == 1 else (int(rank), int(size))


class Watched:
    """This process, watched until ``farewell``."""

    def __init__(self, rank: int, hint: str) -> None:
        """Fork the watcher. ``hint``: what it tells the user to do."""
        read, self._pipe = os.pipe()
        if os.fork() == 0:
            try:
                os.close(self._pipe)
                os.setsid()
                _watch(read, rank, hint)
            finally:
                os._exit(0)
        os.close(read)

    def farewell(self) -> None:
        """Say that the end of this process is none of a lost rank."""
        with suppress(OSError):
            os.write(self._pipe, b".")


def _watch(pipe: int, rank: int, hint: str) -> None:
    if os.read(pipe, 1):
        return
    time.sleep(_GRACE)
    launcher = _launcher()
    if launcher is None or not _answers(launcher):
        return
    os.write(2, f"error: rank {rank} was lost: not settled\n  hint: {hint}\n".encode())
    if _OF_HYDRA not in os.environ:
        return
    with suppress(OSError):
        launcher.sendall(f"cmd=abort exitcode={INCONCLUSIVE}\n".encode())


def _launcher() -> socket.socket | None:
    with suppress(KeyError, ValueError, OSError):
        return socket.socket(fileno=int(os.environ["PMI_FD"]))
    return None


def _answers(launcher: socket.socket) -> bool:
    """Whether the launcher is still there: then it did not end this rank itself."""
    try:
        return launcher.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False
