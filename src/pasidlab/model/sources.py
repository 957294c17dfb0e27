"""The files of the model that are written in the modelling language."""

from __future__ import annotations

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
