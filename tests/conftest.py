"""What all tests share."""

import gc
import signal

from pasidlab.cli import COLLECT_AFTER

gc.set_threshold(*COLLECT_AFTER)

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Who starts the tests in the background has it ignored, and so would every program that a test interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
