"""Who waits for what a liveness property promises, and sleeps in the kernel for something that is not there yet."""

from __future__ import annotations

from collections.abc import Sequence

from pasidlab.lang.ir import CPU, OWNER, Action, Instr
from pasidlab.lang.lowering.contexts import CURRENT
from pasidlab.lang.lowering.inline import own_op


def asleep(pending: Action, task: Action, sleeping: Sequence[int]) -> Action:
    """A predicate of the waiting task: it stands at one of the counters ``sleeping``, and what it waits for there does not hold.

    ``task`` is the lowered program of the tasks. A condition that looks at the executing CPU counts as one that does not hold.
    """
    waiter = pending.params[0][0]
    code = list(pending.code)
    truth = code.pop().args[0]
    code += [own_op("branch", truth, "waits", "fine"), own_op("label", "fine"), own_op("return", 0), own_op("label", "waits")]
    code.append(own_op("load", "%pc", "Task.pc", waiter))
    for counter in sleeping:
        here, on = f"here.{counter}", f"on.{counter}"
        code += [own_op("eq", "%here", "%pc", counter), own_op("branch", "%here", here, on), own_op("label", here)]
        code += _condition(task.code, counter, waiter)
        code.append(own_op("label", on))
    return Action(f"{pending.name}_asleep", pending.params, (*code, own_op("return", 0)))


def _condition(code: Sequence[Instr], counter: int, waiter: str) -> list[Instr]:
    """From the boundary before a ``wait``: returns 1 if its condition does not hold."""
    start = next(n for n, i in enumerate(code) if i.op == "label" and i.args[0] == f"resume.{counter}")
    end = next(n for n in range(start, len(code)) if code[n].op == "wait")
    mine = [_of(instr, waiter) for instr in code[start:end]]
    if any(CPU in instr.operands() or instr.op in ("store", "choose", "require") for instr in mine):
        return [own_op("return", 1)]
    labels = {str(i.args[0]): f"{i.args[0]}.asleep" for i in mine if i.op == "label"}
    copied = [instr.renamed({OWNER: waiter}, labels) for instr in mine]
    return [*copied, Instr("not", ("%asleep", code[end].args[0]), code[end].site), own_op("return", "%asleep")]


def _of(instr: Instr, waiter: str) -> Instr:
    """``current`` of the task's own code is the task."""
    own = instr.op == "load" and instr.args[1] == CURRENT and instr.args[2] == CPU
    return instr.with_args(instr.args[0], waiter, op="copy") if own else instr
