"""``current`` and ``this_cpu``: the names kernel code uses without passing them.

They are the task and the CPU of the context that executes. Here they only have their types: the files of a model are read, not run.
"""

from __future__ import annotations

from typing import cast

from pasidlab.lang.declare import NULL
from pasidlab.model.state import Cpu, Task

current = cast(Task, NULL)
this_cpu = cast(Cpu, NULL)
