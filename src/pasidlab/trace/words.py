"""How steps are called in a trace: rules, contexts and events in the words of the kernel list."""

from __future__ import annotations

from pasidlab.lang.words import Words
from pasidlab.trace.steps import Step

CONTEXTS = {
    "preempt": "<preempted>", "block": "<sleeps>", "look_for_work": "<idle looks for work>",
    "arrive_softirq": "<softirq>", "arrive_hardirq": "<hard interrupt>", "arrive_ipi": "<IPI arrives>",
}  # fmt: skip
"""What the language itself does to contexts (``lang/arrivals``) -> words."""


def words_for(step: Step, words: Words, arguments: str, arrival: bool) -> str:
    """What a step is, in a few words; for kernel code the function.

    ``arguments`` are those of a rule, as text; ``arrival``: the step is one of CONTEXTS.
    """
    action = step.move.action
    if action == "enqcmd" and action in words.actions:
        return _enqcmd(step)
    if arrival:
        return CONTEXTS[action]
    if action in words.actions:
        return words.actions[action]
    if step.context in ("schedule", "softirq", "hardirq"):
        return f"returns from the {step.context}" if step.context != "schedule" else "schedule() is done"
    if step.context != "kernel" and words.signatures:
        return f"{action}({arguments})"
    if step.main:
        return f"{step.main.function}()"
    return action if step.context != "kernel" else "goes on"


def _enqcmd(step: Step) -> str:
    faulted = any(change.name.endswith(".irqs_off") for change in step.changes)
    if faulted:
        return "ENQCMD -> #GP"
    seen = {value for line in step.lines for name, value in line.loads if name.endswith(".msr_pasid")}
    return f"ENQCMD with PASID {seen.pop().removeprefix('V|')}" if seen else "ENQCMD"
