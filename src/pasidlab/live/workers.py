"""Threads of pasidlab's own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

from pasidlab.errors import PasidlabError

Post = Callable[[Callable[[], None]], None]
"""Has the loop call a function soon: ``EventLoop.post``."""


def start_thread(work: Callable[[], object], name: str, post: Post) -> threading.Thread:
    """A thread that does ``work``, and ends with pasidlab at the latest.

    What ``work`` raises is raised in the loop, and ends the run. Raises PasidlabError where the host allows no more threads.
    """

    def run() -> None:
        try:
            work()
        except BaseException as error:
            post(partial(_raise, error))

    thread = threading.Thread(target=run, name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError:  # all that start() may raise here: pthread_create(3) failed
        raise PasidlabError("pasidlab can start no more threads", hint="a higher limit: ulimit -u, or pids.max of the cgroup") from None
    return thread


def _raise(error: BaseException) -> None:
    raise error
