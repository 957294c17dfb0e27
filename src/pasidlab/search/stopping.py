"""What ends long work early: Ctrl-C, taken as a flag that the work looks at."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pasidlab.search.result import StopFlag


@contextmanager
def interrupts(flag: StopFlag | None) -> Iterator[StopFlag]:
    """The flag, or else an event that Ctrl-C sets. Python's exception would come in the middle of something."""
    event = threading.Event()
    if flag is not None or threading.current_thread() is not threading.main_thread():
        yield flag or event
        return
    before = signal.signal(signal.SIGINT, lambda _number, _frame: event.set())
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)  # None: it was not Python's
