"""Threads of pasidlab's own."""

from __future__ import annotations

import threading
from collections.abc import Callable

from pasidlab.errors import PasidlabError


def start_thread(work: Callable[[], object], name: str) -> threading.Thread:
    """A thread that does ``work``, and ends with pasidlab at the latest. Raises PasidlabError where the host allows no more."""
    thread = threading.Thread(target=work, name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError:  # all that start() may raise here: pthread_create(3) failed
        raise PasidlabError("pasidlab can start no more threads", hint="a higher limit: ulimit -u, or pids.max of the cgroup") from None
    return thread
