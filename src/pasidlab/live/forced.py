"""What the kernel did to a thread's signals when its instruction raised one (force_sig_info_to_task(), kernel/signal.c, v6.12).

A signal that the thread blocked is unblocked, and its handler, which all threads have in common, is reset. So a handler that is
reset says that some thread blocked the signal. That was this thread if no other has stopped for the signal, or is about to.
Where others have, what the thread blocked before decides, and where that says nothing, the other signals that it blocks.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from dataclasses import dataclass

from pasidlab.live import ptrace
from pasidlab.live.descriptors import OutOfDescriptors, open_file
from pasidlab.live.placement import Placement
from pasidlab.live.state import Thread
from pasidlab.live.status import signals_of, status_of

# Positions in /proc/PID/stat, counted from the end: it has had 52 fields since Linux 3.5 (fs/proc/array.c).
_BLOCKED, _CAUGHT, _CPU = -21, -19, -14


@dataclass(frozen=True, slots=True)
class Found:
    """What there is to be undone."""

    reset: bool = False  # the handler
    blocked: bool = False  # by the thread, until its instruction raised it
    waits: bool = False  # it is blocked now: no instruction raised it
    guessed: bool = False  # that it was blocked: other threads reset and restore the same handler


NOTHING, WAITS = Found(), Found(waits=True)


class Forced:
    """Looks at threads that have stopped for one of ``signals``."""

    def __init__(self, placement: Placement, signals: tuple[int, ...]) -> None:
        self._placement, self._signals, self._stats = placement, signals, _Stats()

    def look(self, thread: Thread, signal: int) -> Found:
        """At the stop of ``signal``. Mostly one read, which also tells the CPU."""
        state = thread.process.signals
        if not state.armed or signal not in self._signals:
            return NOTHING
        fields = self._stats.read(thread).rsplit(b" ", -_BLOCKED)
        self._placement.seen(thread.tid, fields[_CPU])
        mask, bit = int(fields[_BLOCKED]), 1 << signal - 1
        if mask & bit:
            return WAITS
        reset, guessed = not int(fields[_CAUGHT]) & bit, False
        blocked = reset and (thread.masks.get(signal) == (True, mask) or self._alone(thread, signal))
        if not blocked and (reset or state.resets or thread.restores != state.restores):
            blocked = guessed = self._guess(thread, signal, mask)
        thread.masks[signal], thread.restores = (blocked, mask), state.restores
        if not (reset or blocked):
            return NOTHING
        if reset:
            state.resets.add((thread.tid, signal))
        return Found(reset, blocked, guessed=guessed)

    @staticmethod
    def _alone(thread: Thread, signal: int) -> bool:
        """Whether no other thread can have had the handler reset since it was last set."""
        if any(number == signal and tid != thread.tid for tid, number in thread.process.signals.resets):
            return False
        return not any(_raises(tid, signal) for tid in thread.mm.threads if tid != thread.tid)

    def _guess(self, thread: Thread, signal: int, mask: int) -> bool:
        """Whether the thread blocked the signal, where others reset and restore the same handler."""
        before, then = thread.masks.get(signal, (False, -1))
        return before if then == mask else any(mask >> (one - 1) & 1 for one in self._signals)

    @staticmethod
    def restored(thread: Thread, signal: int) -> None:
        """The handler is set anew."""
        state = thread.process.signals
        state.resets.discard((thread.tid, signal))
        state.restores += 1
        thread.restores = state.restores

    def ended(self, thread: Thread) -> None:
        """The thread is gone."""
        state = thread.process.signals
        state.resets.difference_update([one for one in state.resets if one[0] == thread.tid])
        self._stats.forget(thread)


def _raises(tid: int, signal: int) -> bool:
    """Whether the thread has stopped for a signal, or the signal waits for it alone and is not blocked.

    Taking a signal and stopping for it are one step to those who read the status: both take the same lock (get_signal()).
    """
    try:
        fields = status_of(tid)
        if (signals_of(fields, "SigPnd") & ~signals_of(fields, "SigBlk")) >> (signal - 1) & 1:
            return True
        return ptrace.stopped_by(tid) == signal
    except (OSError, ptrace.Gone):  # gone, or not stopped
        return False


class _Stats:
    """Open /proc/PID/task/TID/stat files of the threads that were asked for last: as many as that, however many there are."""

    MOST = 64

    def __init__(self) -> None:
        self._files: OrderedDict[int, tuple[Thread, int]] = OrderedDict()  # by thread id

    def read(self, thread: Thread) -> bytes:
        """The text of the thread's file."""
        owner, fd = self._files.get(thread.tid, (None, -1))
        if owner is not thread:
            self._files.pop(thread.tid, None)
            fd = self._open(thread, fd)
        self._files.move_to_end(thread.tid)
        try:
            return os.pread(fd, 1024, 0)
        except ProcessLookupError:
            raise ptrace.Gone(thread.tid) from None

    def forget(self, thread: Thread) -> None:
        """The thread is gone: its file is closed."""
        owner, fd = self._files.get(thread.tid, (None, -1))
        if owner is thread:
            del self._files[thread.tid]
            os.close(fd)

    def _open(self, thread: Thread, before: int) -> int:
        """``before`` is a descriptor to give up for it, negative if there is none."""
        if before < 0 and len(self._files) >= self.MOST:
            before = self._files.popitem(last=False)[1][1]
        if before >= 0:
            os.close(before)
        path = f"/proc/{thread.process.pid}/task/{thread.tid}/stat"
        while True:
            try:
                fd = open_file(path, os.O_RDONLY)
                break
            except FileNotFoundError:
                self._files.pop(thread.tid, None)
                raise ptrace.Gone(thread.tid) from None
            except OutOfDescriptors:
                if not self._files:
                    raise
                os.close(self._files.popitem(last=False)[1][1])
        self._files[thread.tid] = thread, fd
        return fd
