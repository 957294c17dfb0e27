"""What all tests share."""

import gc

from pasidlab.cli import COLLECT_AFTER

gc.set_threshold(*COLLECT_AFTER)
