"""Random small models with contexts, as source text: tasks in user and kernel mode, softirqs, interrupts, IPIs, a scheduler."""

from __future__ import annotations

from hypothesis import strategies as st

HEAD = """\
from typing import Annotated

@struct(count=size("cpus"))
class Cpu(CpuContext):
    current: Task = NULL
    slot: Annotated[int, Range(0, 2)] = 0
    busy: bool = False

@struct(count=size("tasks"))
class Task(TaskContext):
    mine: Annotated[int, Range(0, 2)] = 0
    flag: bool = False

@struct(count=1)
class Shared:
    n: Annotated[int, Range(0, 2)] = 0
    lock: Task = NULL

shared = singleton(Shared)

@initial
def begin() -> None:
    at(Cpu, 0).current = at(Task, 0)
    at(Task, 0).on_cpu = True

def work_is_waiting() -> bool:
    for task in each(Task):
        if not task.on_cpu:
            return True
    return False

@context("schedule")
def schedule() -> None:
    prev = current
    task = next_task()
    if prev is not None and prev.flag:
        prev.mine = this_cpu.slot
    this_cpu.current = task if task is not None else NULL
    if task is not None:
        this_cpu.slot = task.mine
    if prev is not None:
        release(prev)

@user()
def call() -> None:
    require(shared.n < 2)
    enter(sys_call)

@user()
def touch() -> None:
    this_cpu.slot = (this_cpu.slot + 1) % 3

@exit_to_user
def leave() -> None:
    local_irq_disable()
    if current.flag:
        current.flag = False

@never("p", "a CPU runs its task with a slot that is not the task's")
def wrong_slot(cpu: Cpu) -> bool:
    return cpu.current is not None and cpu.current.flag and cpu.slot != cpu.current.mine

"""

NEXT = """
@instruction
def next_task() -> Task | None:
"""
SCHEDULERS = [
    "    return take(pick(Task))\n",
    "    if maybe():\n        return None\n    return take(pick(Task))\n",
    "    if not work_is_waiting():\n        return None\n    return take(pick(Task))\n",
    "    if not work_is_waiting() or (current is not None and maybe()):\n        return None\n    return take(pick(Task))\n",
    "    task = take(pick(Task))\n    require(shared.n != 1)\n    return task\n",
]
"""Which task is next; some look at what others do, and some may find none."""
HEAD += NEXT + SCHEDULERS[0]

LEAVE = "def leave() -> None:\n"
LEAVING = ["", "    while this_cpu.irqs_off and maybe():\n        local_irq_enable()\n"]
"""What comes first on the way to user mode: nothing, or a loop that comes back to its entry."""

PLACES = ["this_cpu.slot", "current.mine", "shared.n"]
FLAGS = ["this_cpu.busy", "current.flag"]
IN_INTERRUPTS = ["this_cpu.slot", "shared.n", "shared.n", "this_cpu.slot"]
MASKS = [
    ("local_irq_disable()", "local_irq_enable()"),
    ("preempt_disable()", "preempt_enable()"),
    ("local_bh_disable()", "local_bh_enable()"),
]


def statements(places: list[str], flags: list[str]) -> st.SearchStrategy[list[str]]:
    """Accesses: copies, increments, flags, checks."""
    place, flag = st.sampled_from(places), st.sampled_from(flags)
    return st.one_of(
        st.tuples(place, place).map(lambda t: [f"{t[0]} = {t[1]}"]),
        place.map(lambda p: [f"{p} = ({p} + 1) % 3"]),
        st.tuples(flag, st.booleans()).map(lambda t: [f"{t[0]} = {t[1]}"]),
        st.tuples(flag, place).map(lambda t: [f"if {t[0]}:", f"    {t[1]} = 0"]),
        st.tuples(place, place).map(lambda t: [f"check('q', {t[0]} != 2 or {t[1]} != 1, 'two and one')"]),
        place.map(lambda p: [f"if {p} == 2:", "    reached('p')"]),
        st.tuples(place, flag).map(lambda t: [f"{t[0]} = 1 if maybe() else 2", f"{t[1]} = True"]),
    )


def indented(lines: list[str]) -> list[str]:
    return ["    " + line for line in lines]


def flat(parts: list[list[str]]) -> list[str]:
    return [line for part in parts for line in part]


def kernel_code() -> st.SearchStrategy[list[str]]:
    """A system call: accesses, some inside masked sections, waits and locks between them."""
    simple = statements(PLACES, FLAGS)
    section = st.tuples(st.sampled_from(MASKS), st.lists(simple, min_size=1, max_size=3)).map(
        lambda t: [t[0][0], *flat(t[1]), t[0][1]]
    )
    locked = st.lists(simple, min_size=1, max_size=2).map(
        lambda body: ["wait_until(shared.lock is None)", "shared.lock = current", *flat(body), "shared.lock = NULL"]
    )
    return st.lists(st.one_of(simple, simple, section, section, locked), min_size=1, max_size=4).map(flat)


def interrupt_code() -> st.SearchStrategy[list[str]]:
    return st.lists(statements(IN_INTERRUPTS, ["this_cpu.busy"]), min_size=1, max_size=2).map(flat)


def conditions() -> st.SearchStrategy[str]:
    """What somebody else may see of a CPU, its task and another task."""
    seen = st.sampled_from([
        "cpu.irqs_off", "cpu.current is None", "cpu.current is task", "cpu.busy", "cpu.slot == 1", "cpu.schedule_pc != 0",
        "task.on_cpu", "task.flag", "task.mine == 2", "task.pc > 1", "task.pc == 1", "task.pc == 0", "shared.lock is task", "shared.n == 1",
    ])  # fmt: skip
    one = st.tuples(st.sampled_from(["", "not "]), seen).map(lambda t: f"{t[0]}({t[1]})")
    return st.lists(one, min_size=2, max_size=4).map(" and ".join)


def onlookers() -> st.SearchStrategy[str]:
    """A predicate of a CPU and a task, or of all of them; perhaps a rule that changes something where it sees something."""
    predicate = st.tuples(conditions(), st.booleans()).map(
        lambda t: (
            f"@never('q', 'seen')\ndef seen(cpu: Cpu, task: Task) -> bool:\n    return {t[0]}\n"
            if t[1]
            else "@never('q', 'seen')\ndef seen(task: Task) -> bool:\n    for cpu in each(Cpu):\n"
            f"        if not ({t[0]}):\n            return False\n    return True\n"
        )
    )
    changes = ["task.flag = True", "task.mine = 2", "shared.n = 1", "cpu.slot = 2", "check('q', not task.flag or task.mine != 1)"]
    meddle = "@rule()\ndef meddle(cpu: Cpu, task: Task) -> None:\n    require({})\n    {}\n"
    rule = st.tuples(conditions(), st.sampled_from(changes)).map(lambda t: meddle.format(*t))
    return st.tuples(predicate, st.one_of(st.just(""), rule)).map("\n".join)


def function(decorator: str, name: str, body: list[str]) -> str:
    return "\n".join([decorator, f"def {name}() -> None:", *indented(body), ""])


def models() -> st.SearchStrategy[tuple[str, str]]:
    """Source text, and the events that are enabled."""
    events = st.sampled_from(["preempt", "preempt softirq", "preempt hardirq", "hardirq softirq", "preempt softirq hardirq"])
    heads = st.tuples(st.sampled_from(SCHEDULERS), st.sampled_from(LEAVING)).map(
        lambda t: HEAD.replace(SCHEDULERS[0], t[0]).replace(LEAVE, LEAVE + t[1])
    )
    return st.tuples(kernel_code(), interrupt_code(), interrupt_code(), events, heads, onlookers()).map(
        lambda t: (
            t[4]
            + "\n".join([
                function('@entry("syscall")', "sys_call", t[0]),
                function('@context("softirq", event="softirq")', "softirq", t[1]),
                function('@context("hardirq", event="hardirq")', "hardirq", t[2]),
                t[5],
            ]),
            t[3],
        )
    )
