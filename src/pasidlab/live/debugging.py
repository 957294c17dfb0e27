"""What the tracer asks a debugger, and the answers where there is none."""

from __future__ import annotations

from pasidlab.live.state import Thread


class Undebugged:
    """No debugger."""

    def keeps(self, thread: Thread, stop: int, event: int) -> bool:
        """Whether this stop is kept for later, since everything is to stand still."""
        return False

    def born(self, thread: Thread) -> None:
        """A thread is about to execute its first instruction."""

    def executed(self, thread: Thread, *, at_exit: bool) -> None:
        """A new program is about to execute its first instruction; the thread may have come to execve(2)'s exit already."""

    def is_ours(self, thread: Thread, code: int) -> bool:
        """Whether a SIGTRAP with this si_code is a breakpoint's or the end of a step. Returns when the thread is to go on."""
        return False

    def carried_out(self, thread: Thread) -> None:
        """An instruction has been carried out in the thread's place. Returns when it is to go on."""

    def about_to_have(self, thread: Thread, signal: int, why: str = "") -> int:
        """The signal that the program gets in place of this one, 0 for none, when it is to go on."""
        return signal

    def rejected(self, thread: Thread, why: str) -> None:
        """A descriptor of the thread was rejected. Returns when the thread is to go on, if this is the handler of its stop."""

    def until_let_go(self, thread: Thread) -> None:
        """The device is done with a thread that waited for it. Returns when no debugger holds the thread."""

    def ended(self, pid: int, status: int) -> None:
        """A process is gone, with this wait status."""

    def holds(self) -> bool:
        """Whether everything stands still for a debugger."""
        return False

    def signalled(self) -> None:
        """A signal is on its way to the first process."""
