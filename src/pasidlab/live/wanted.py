"""Whether a thread that stands still for us would have something else to do by now: a signal to take, or the stop of its group."""

from __future__ import annotations

from collections.abc import Callable

from pasidlab.live.state import Thread
from pasidlab.live.status import signals_of, status_of


def has_signal(thread: Thread) -> bool:
    """Whether a signal waits that the thread does not block, or the thread is gone."""
    try:
        fields = status_of(thread.tid)
    except OSError:
        return True
    pending = signals_of(fields, "SigPnd") | signals_of(fields, "ShdPnd")
    return bool(pending & ~(signals_of(fields, "SigBlk") if thread.blocks is None else thread.blocks))


def when_wanted(thread: Thread, threads: dict[int, Thread]) -> Callable[[], bool]:
    """A function that says whether the thread, which stands at an instruction of its own, is wanted; ``threads``: all that there are."""
    process, stops = thread.process, thread.process.stops

    def answer() -> bool:
        stopped = process.stops != stops or any(threads[tid].listens for tid in process.threads if tid in threads)
        return stopped or has_signal(thread)

    return answer
