"""What ends long work early: Ctrl-C, taken as a flag that the work looks at."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol


class StopFlag(Protocol):
    """Something that Ctrl-C sets."""

    def is_set(self) -> bool:
        """True once Ctrl-C was pressed."""


class RaisedBySignals:
    """A flag that signals set, as often as they come: ``signal.signal(SIGINT, flag.handler)``.

    No threading.Event: a handler runs in the middle of anything, also where its own thread holds the event's lock.
    """

    def __init__(self) -> None:
        self._raised = False

    def is_set(self) -> bool:
        """True once the signal came."""
        return self._raised

    def handler(self, number: int, frame: FrameType | None) -> None:
        """A signal came."""
        self._raised = True


@contextmanager
def interrupts(flag: StopFlag | None) -> Iterator[StopFlag]:
    """The flag, or else one that Ctrl-C sets. Python's exception would come in the middle of something."""
    own = RaisedBySignals()
    if flag is not None or threading.current_thread() is not threading.main_thread():
        yield flag or own
        return
    before = signal.signal(signal.SIGINT, own.handler)
    try:
        yield own
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)  # None: it was not Python's
