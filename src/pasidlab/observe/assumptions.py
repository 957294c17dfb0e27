"""What a user may say that a recorded kernel did not do: less is guessed then, so more is found.

Events do not tell where the kernel uses the FPU. On most machines it does so in fork, exec, exit and wait4 alone. A recording that
conforms without such steps has none of them; a contradiction may be one of the assumption.
"""

from __future__ import annotations

from collections.abc import Collection

from pasidlab.observe.automaton import Hidden

NO_BLIND = "no-blind"
ASSUMPTIONS: dict[str, tuple[Hidden, ...]] = {
    "no-softirq-fpu": (Hidden("kernel_fpu_begin", "softirq_uses_fpu"),),
    "no-syscall-fpu": (Hidden("kernel_fpu_begin", "sys_other"), Hidden("kernel_fpu_begin", "exit_to_user_mode_prepare")),
    "no-failed-fork": (Hidden("kernel_fpu_begin", "fork_returns_error"),),
    "no-tracer": (Hidden("fpu_force_restore", "tracer_sets_registers"), Hidden("ptrace_signal", "ptrace_signal")),
    "no-ia32": (Hidden("sys32_rt_sigreturn", "sys32_rt_sigreturn"),),
    NO_BLIND: (),
}
MEANINGS = {
    "no-softirq-fpu": "the kernel does not use the FPU in softirqs and hard interrupts (disk encryption, IPsec and the like do)",
    "no-syscall-fpu": "in system calls it does so in fork, exec, exit and wait4 alone (crypto and RAID do elsewhere)",
    "no-failed-fork": "no fork fails",
    "no-tracer": "no tracer sets the registers of a task, or takes a signal from it",
    "no-ia32": "no handler of a signal returns in a 32-bit program",
    NO_BLIND: "every switch is in the recording (some hosts hide those of some tasks)",
}
IDLE_TAKES_TILES = Hidden("intel_idle", "intel_idle")
"""fpu_idle_fpregs(), v5.19: only where the tile components are in use, which the save before it has told (XSTATE_BV)."""
XFEATURE_MASK_XTILE = 3 << 17
"""SDM vol. 1, 13.1: TILECFG and TILEDATA."""


def excluded(names: Collection[str]) -> frozenset[Hidden]:
    """The hidden steps that do not happen under these assumptions."""
    return frozenset(step for name in names for step in ASSUMPTIONS[name])
