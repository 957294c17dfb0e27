"""The scope of a check: how many of each thing there are, and which events happen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from pasidlab.errors import PasidlabError, counted
from pasidlab.lang.events import EventChoice
from pasidlab.lang.names import nearest
from pasidlab.lang.scope import Bounds

EVENTS: dict[str, str] = {
    "preempt": "a task loses its CPU where the kernel may be preempted, or in user mode",
    "migrate": "a task goes on on another CPU",
    "softirq": "a softirq that uses kernel_fpu_begin()",
    "hardirq": "a hard interrupt that uses kernel_fpu_begin() where irq_fpu_usable() allows",
    "crypto": "a system call that uses kernel_fpu_begin()",
    "ipi": "inter-processor interrupts the design sends",
    "fork": "fork(2): a new process with a copy of the address space",
    "clone": "a new thread",
    "exec": "execve(2): a new address space",
    "exit": "exit(2) of a thread",
    "signal": "a signal handler: frame saved, sigreturn by fast and slow path",
    "ptrace": "a tracer replaces the registers of a stopped task",
    "kthread": "a kernel thread borrows an address space",
    "bind": "a process opens the device",
    "unbind": "a process closes the device",
    "write": "write(2) and mmap(2) of the device's file, which a child may have from its parent",
    "fault": "page faults on user memory in kernel code, and signal frames that cannot be restored",
    "idle": "idle CPUs give the FPU up",
    "kvm": "KVM swaps the fpstate for a guest's",
    "gp": "an instruction that is not for user mode: #GP that no PASID mends",
    "device": "descriptors in flight, translations cached, page requests, drain",
}
"""Every event and what it is."""

NOT_COUNTED = {
    "ipi": "what a design has sent must arrive; count what makes it send, bind say",
    "migrate": "a task that was switched out goes on somewhere; count preempt instead",
}
"""Events of which there are any number or none, and why."""
CHOICE = EventChoice(tuple(EVENTS), frozenset(EVENTS), NOT_COUNTED)
DEFAULT_EVENTS = frozenset({"preempt", "migrate", "softirq", "ipi", "exec", "exit", "bind", "unbind", "device"})
LIMITS = {"cpus": (1, 4), "tasks": (1, 4), "mms": (1, 4), "pasids": (1, 4)}


@dataclass(frozen=True)
class Scope:
    """A finite scope. ``bounds`` limits how often an event may happen; an event not named there may happen any number of times."""

    cpus: int = 2
    tasks: int = 1
    mms: int = 2
    pasids: int = 2
    events: frozenset[str] = DEFAULT_EVENTS
    bounds: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, (low, high) in LIMITS.items():
            if not low <= getattr(self, name) <= high:
                raise PasidlabError(f"{name}={getattr(self, name)} is outside {low}..{high}")
        if self.pasids < self.mms:
            raise PasidlabError(f"pasids={self.pasids}, but {self.mms} address spaces may each need one", hint=f"--pasids {self.mms}")
        for name in [*self.events, *self.bounds]:
            if name not in EVENTS:
                raise PasidlabError(f"unknown event '{name}'", hint=nearest(name, EVENTS))

    def with_events(self, words: Iterable[str]) -> Scope:
        """Events as the command line gives them: ``a,b`` means just these, ``+a`` and ``-a`` change the set, ``a:1`` bounds, ``all``.

        ``all:1`` bounds all events but those of NOT_COUNTED.
        """
        events, bounds = CHOICE.read(words, self.events, self.bounds)
        return replace(self, events=events, bounds=bounds)

    def compiler_bounds(self) -> Bounds:
        """What the language's compiler needs to know."""
        sizes = {
            "cpus": self.cpus,
            "tasks": self.tasks,
            "mms": self.mms,
            "pasids": self.pasids,
            "pasid_mask": (1 << (self.pasids + 1).bit_length()) - 1,
        }
        return Bounds(sizes, self.events, {k: v for k, v in self.bounds.items() if k in self.events}, frozenset(EVENTS))

    def __str__(self) -> str:
        events = ",".join(f"{e}:{self.bounds[e]}" if e in self.bounds else e for e in EVENTS if e in self.events)
        sizes = ((self.cpus, "CPU"), (self.tasks, "task"), (self.mms, "mm"), (self.pasids, "PASID"))
        return f"{', '.join(counted(n, noun) for n, noun in sizes)}; {events or 'no events'}"


def scope_of(sizes: Mapping[str, int]) -> Scope:
    """The scope of these sizes; the others are as in ``Scope()``, with as many PASIDs as address spaces. PasidlabError for other names."""
    for name in sizes:
        if name not in LIMITS:
            raise PasidlabError(f"unknown size '{name}'", hint=nearest(name, LIMITS))
    usual = Scope()
    mms = sizes.get("mms", usual.mms)
    cpus, tasks, pasids = sizes.get("cpus", usual.cpus), sizes.get("tasks", usual.tasks), sizes.get("pasids", max(mms, 1))
    return Scope(cpus=cpus, tasks=tasks, mms=mms, pasids=pasids)


def _part(tasks: int, mms: int, events: str) -> Scope:
    return Scope(tasks=tasks, mms=mms, pasids=mms, events=frozenset(events.split()))


DEFAULT_PARTS: dict[str, Scope] = {
    "race": _part(2, 2, "preempt migrate softirq"),
    "traps": _part(1, 1, "preempt migrate softirq hardirq crypto signal fault kvm idle gp"),
    "life": _part(1, 2, "preempt migrate softirq ipi bind unbind exec exit device gp"),
    "bind": _part(2, 1, "preempt softirq ipi bind"),
    "family": _part(2, 2, "preempt fork clone exit"),
    "bonds": _part(2, 2, "ipi fork bind unbind write exit"),
    "others": _part(2, 1, "preempt ipi ptrace kthread"),
}
"""What is explored when no scope is given: two CPUs each time, every event in at least one part, each part to its end."""

THOROUGH_PARTS: dict[str, Scope] = {
    "everything": _part(1, 1, " ".join(EVENTS)),
    "threads": _part(2, 1, "preempt migrate softirq hardirq ipi fork clone kthread fault idle"),
}
"""What is explored as well with ``--thorough``: all events at once, and the largest unions of events with two tasks that end in minutes."""
