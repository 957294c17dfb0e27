"""What all tests share."""

import gc
import signal

import pytest

from pasidlab.cli import COLLECT_AFTER

gc.set_threshold(*COLLECT_AFTER)

# Who starts the tests in the background has these ignored, and so would every program that a test ends by one of them.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
for ends in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM):
    if signal.getsignal(ends) is signal.SIG_IGN:
        signal.signal(ends, signal.SIG_DFL)


HANDLERS = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}


@pytest.fixture(autouse=True)
def signals_are_heard() -> None:
    """A command that ran in this process may have left signals ignored, since the process was to end with it."""
    for number, handler in HANDLERS.items():
        signal.signal(number, handler)
