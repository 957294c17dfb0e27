"""What a successor function writes to ``observed``, word by word (64 bits each). ``NativeModel`` in ``result`` says when.

The compiled kernels hold these numbers: after a change here delete ``__pycache__``.
"""

from __future__ import annotations

STATE_BROKEN = 0  # set: mask of the properties that the state violates
STEP_BROKEN = 1  # set: mask of the properties that a step out of it violates
REACHED = 2  # or-ed: mask of what has been reached
ERROR = 3  # set: nonzero if a step failed
PENDING = 4  # set: mask of the liveness classes the state is pending in
AGAIN = 5  # set: mask of the liveness classes that a step out of it is a repeated fault of
LABELS = 6  # read: where to write the label of each successor; 0: nowhere
COUNTERS = 8  # added to: the first of the counters, which take up the rest
WORD = 8  # bytes
