"""What Ctrl-C does: it ends the command, or sets a flag that long work looks at.

Where it is ignored, it stays so: a shell does that for what it begins in the background.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Protocol

_AGAIN = 0.01  # seconds
_IMPORTS = "<frozen importlib._bootstrap>"  # the file of Python's functions that import


class StopFlag(Protocol):
    """Something that Ctrl-C sets."""

    def is_set(self) -> bool:
        """True once Ctrl-C was pressed."""


class RaisedBySignals:
    """A flag that signals set, as often as they come: ``signal.signal(SIGINT, flag.handler)``.

    No threading.Event: a handler runs in the middle of anything, also where its own thread holds the event's lock.
    """

    def __init__(self) -> None:
        self._raised = self._answered = False

    def is_set(self) -> bool:
        """True once the signal came."""
        self._answered = self._raised
        return self._raised

    def is_unanswered(self) -> bool:
        """True if the signal came, and nobody has looked since."""
        return self._raised and not self._answered

    def handler(self, number: int, frame: FrameType | None) -> None:
        """A signal came."""
        self._raised = True


def is_ignored(number: int) -> bool:
    """True if whoever began this process wants it to go on after the signal: nohup(1), a shell in the background."""
    return signal.getsignal(number) == signal.SIG_IGN


@contextmanager
def ctrl_c(does: Any) -> Iterator[None]:
    """Inside, Ctrl-C calls this handler, which may be SIG_DFL; afterwards what it called before, unless somebody has set another meanwhile.

    Nothing changes where it is ignored, and in threads, which cannot say.
    """
    if is_ignored(signal.SIGINT) or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, does)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGINT) == does:
            signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)  # None: it was not Python's


@contextmanager
def ctrl_c_raises() -> Iterator[None]:
    """Inside, Ctrl-C raises KeyboardInterrupt, where that arrives.

    What is imported may swallow it, or make another error of it. Callbacks of C libraries, destructors and weak references cannot
    pass it on: Python prints it and goes on (``sys.unraisablehook``). Ctrl-C is pressed again then, until the place is another.
    """
    before = sys.unraisablehook

    def lost(what: sys.UnraisableHookArgs) -> None:
        _press_again() if issubclass(what.exc_type, KeyboardInterrupt) else before(what)

    sys.unraisablehook = lost
    try:
        with ctrl_c(_raise_outside_imports):
            yield
    finally:
        sys.unraisablehook = before


def _raise_outside_imports(number: int, frame: FrameType | None) -> None:
    at = frame
    while at is not None:
        if at.f_code.co_filename == _IMPORTS:
            _press_again()
            return
        at = at.f_back
    signal.default_int_handler(number, frame)


def _press_again() -> None:
    press = threading.Timer(_AGAIN, os.kill, (os.getpid(), signal.SIGINT))
    press.daemon = True
    press.start()


@contextmanager
def ctrl_c_waits() -> Iterator[None]:
    """Inside, Ctrl-C does nothing yet, and nothing at all in processes that are forked there."""
    came = RaisedBySignals()
    try:
        with ctrl_c(came.handler):  # blocked, it would go to another thread, and from there to the handler
            yield
    finally:
        if came.is_set():
            signal.raise_signal(signal.SIGINT)


@contextmanager
def interrupts(flag: StopFlag | None) -> Iterator[StopFlag]:
    """The flag, or else one that Ctrl-C sets. Python's exception would come in the middle of something."""
    if flag is not None:
        yield flag
        return
    own = RaisedBySignals()
    try:
        with ctrl_c(own.handler):
            yield own
    finally:
        if own.is_unanswered():  # it came after the last look
            signal.raise_signal(signal.SIGINT)
