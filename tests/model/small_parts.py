"""Parts that take a second or two: small scopes, in which every statement of the kernel model that a step can execute is executed."""

from __future__ import annotations

from pasidlab.model.scope import Scope


def scope(events: str, *, cpus: int = 1, tasks: int = 1, mms: int = 1) -> Scope:
    """A scope with as many PASIDs as address spaces."""
    return Scope(cpus=cpus, tasks=tasks, mms=mms, pasids=mms, events=frozenset(events.split()))


SMALL = {
    "interrupts": scope("preempt softirq hardirq crypto idle gp"),
    "kvm": scope("preempt migrate kvm", cpus=2),
    "signals": scope("preempt signal fault"),
    "bind": scope("preempt ipi bind unbind exec exit device", mms=2),
    "moving": scope("preempt migrate softirq signal fault", cpus=2),
    "tracer": scope("preempt ptrace kthread", tasks=2),
    "threads": scope("preempt clone exit", tasks=2),
    "kin": scope("fork unbind exit", tasks=2, mms=2),
    "heirs": scope("fork write exit device", tasks=2, mms=2),
    "closers": scope("unbind write device", cpus=2, tasks=2),
    "borrowed": scope("ipi kthread bind unbind exit", cpus=2),
    "pushed": scope("preempt ipi bind unbind"),
    "switched": scope("preempt ipi bind", tasks=2, mms=2),
    "forks": scope("fork exec", tasks=2, mms=2),
    "rivals": scope("bind exit", cpus=2, tasks=2, mms=2),
    "left": scope("ipi bind unbind exec exit device", mms=2),
}
"""The quickest first."""
