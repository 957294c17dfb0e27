"""The function tracer: calls of the kernel's FPU functions, beside its events. Some hosts forbid it."""

from __future__ import annotations

from contextlib import suppress

from pasidlab.errors import PasidlabError
from pasidlab.observe.kinds import FUNCTION
from pasidlab.observe.tracefs import Instance

FUNCTIONS = (
    "kernel_fpu_begin_mask", "kernel_fpu_end", "switch_fpu_return", "fpu_flush_thread", "fpu_clone", "fpu__drop", "fpregs_mark_activate",
    "fpu__clear_user_states", "fpu_swap_kvm_fpstate", "fpregs_assert_state_consistent", "fpregs_lock_and_load",
    "fpu_sync_fpstate", "xfpregs_set", "xstateregs_set", "fpregs_set", "ssp_set", "copy_fpstate_to_sigframe", "fpu__restore_sig",
)  # fmt: skip
"""Those that a kernel has inlined are left out, and said so."""


def trace_functions(instance: Instance, formats: dict[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Switch the function tracer on. Returns addresses, in hexadecimal digits, with names; and the names that the kernel does not trace.

    PasidlabError where the function tracer is forbidden.
    """
    traced, absent = [], []
    for name in FUNCTIONS:
        try:
            instance.append("set_ftrace_filter", name)
            traced.append(name)
        except PermissionError:
            hint = "without --functions; some hosts forbid it (lockdown, a container, a security module)"
            raise PasidlabError("this kernel does not permit the function tracer (set_ftrace_filter: EPERM)", hint=hint) from None
        except OSError:
            absent.append(name)
    if not traced:
        raise PasidlabError("none of the kernel's FPU functions can be traced", hint="without --functions")
    try:
        instance.write("current_tracer", "function")
    except OSError as error:
        raise PasidlabError(f"this kernel does not permit the function tracer: {error.strerror}", hint="without --functions") from None
    formats[FUNCTION.path] = instance.read(f"events/{FUNCTION.path}/format")
    return _addresses(set(traced)), tuple(absent)


def _addresses(names: set[str]) -> dict[str, str]:
    """Of the functions that /proc/kallsyms has; empty where it shows no addresses (kptr_restrict)."""
    found = {}
    with suppress(OSError), open("/proc/kallsyms", encoding="utf-8") as file:
        for line in file:
            address, _, name = line.split()[:3]
            if name in names and int(address, 16):
                found[address.lstrip("0")] = name
    return found
