"""How steps are called in a trace: rules, contexts and events in the words of the kernel list."""

from __future__ import annotations

from pasidlab.trace.steps import Step

ACTIONS = {
    "enqcmd": "ENQCMD",
    "use_fpu": "uses its registers",
    "arrive_hardirq": "<hard interrupt>",
    "arrive_softirq": "<softirq>",
    "arrive_ipi": "<IPI arrives>",
    "preempt": "<preempted>",
    "block": "<sleeps>",
    "open_device": "open(/dev/dsa/wq0.0), mmap()",
    "close_device": "munmap(), close()",
    "exec_program": "execve()",
    "fork_process": "fork()",
    "clone_thread": "pthread_create()",
    "exit_program": "exit()",
    "rt_sigreturn": "sigreturn()",
    "stop_for_tracer": "<stopped by a tracer>",
    "ptrace_setregset": "ptrace(PTRACE_GETREGSET, PTRACE_SETREGSET, PTRACE_CONT)",
    "kvm_run": "ioctl(KVM_RUN)",
    "intel_idle": "<idle gives the FPU up>",
    "kthread_use_mm": "<kthread_use_mm()>",
    "kthread_unuse_mm": "<kthread_unuse_mm()>",
    "device_access": "device translates an address",
    "device_page_request": "device sends a page request",
    "prq_event_thread": "page request is answered",
    "device_complete": "device completes its work",
}
"""Rule -> words. A rule not named here is shown under its own name."""


def words_for(step: Step) -> str:
    """What a step is, in a few words; for kernel code the function."""
    if step.move.action == "enqcmd":
        return _enqcmd(step)
    if step.move.action == "block" and step.task is None:
        return "<idle looks for work>"
    if step.move.action in ACTIONS:
        return ACTIONS[step.move.action]
    if step.context in ("schedule", "softirq", "hardirq"):
        return f"returns from the {step.context}" if step.context != "schedule" else "schedule() is done"
    return f"{step.main.function}()" if step.main else step.move.action if step.context != "kernel" else "goes on"


def _enqcmd(step: Step) -> str:
    faulted = any(change.name.endswith(".irqs_off") for change in step.changes)
    if faulted:
        return "ENQCMD -> #GP"
    seen = {value for line in step.lines for name, value in line.loads if name.endswith(".msr_pasid")}
    return f"ENQCMD with PASID {seen.pop().removeprefix('V|')}" if seen else "ENQCMD"
