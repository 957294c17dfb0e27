"""The files of the model that are written in the modelling language."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

_NAMES = (
    "state",
    "x86/cpu", "x86/enqcmd", "x86/device", "x86/iommu",
    "contents",
    "linux/exit", "linux/fpu", "linux/idle", "linux/initial", "linux/interrupts", "linux/kvm", "linux/locks", "linux/mm", "linux/process",
    "properties",
    "linux/crypto", "linux/ptrace", "linux/random", "linux/sched", "linux/signal", "linux/sva", "linux/tracepoints", "linux/traps",
)  # fmt: skip

MODEL_FILES = tuple(Path(__file__).parent / f"{name}.py" for name in _NAMES)
"""In the order in which they are read. Of two steps to the same state a trace shows the one that is declared first."""

PREEMPT_RT_FILES = (Path(__file__).parent / "linux/preempt_rt.py",)
"""What CONFIG_PREEMPT_RT=y puts in the place of functions of those."""

_NO_KERNEL = ("x86/cpu", "x86/enqcmd", "contents", "properties")
_NO_KERNEL_FUNCTIONS = (
    "submit_work", "pasid_entry", "pasid_entry_maps",  # x86/: what the device and the IOMMU do
    "may_run_here", "pick_next_task", "set_current", "work_is_waiting",  # linux/sched.py: which task runs where
    "return_from_syscall",  # linux/traps.py: what must be true there
    "bind_from_the_start", "join", "new_process", "run_in_user_mode",  # linux/initial.py: how the story begins
)  # fmt: skip


@cache
def fixed_functions() -> frozenset[str]:
    """Functions of the model that are no kernel code. A design replaces none of them, nor an event, a promise, a struct, a constant."""
    texts = [(Path(__file__).parent / f"{name}.py").read_text(encoding="utf-8") for name in _NO_KERNEL]
    return frozenset([*_NO_KERNEL_FUNCTIONS, *(name for text in texts for name in re.findall(r"^def (\w+)", text, re.MULTILINE))])
