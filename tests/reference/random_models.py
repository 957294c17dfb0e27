"""Random models of the language, small enough for a search without any reduction. A seed always gives the same model.

Each has CPUs, tasks, a scheduler, a system call or an exception, and some of: softirqs, hard interrupts, IPIs, an environment.
The accesses are few; what stands between them is as varied as the language allows.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass

SYMMETRIC = {False: "", True: ", symmetric=True"}


@dataclass(frozen=True)
class RandomModel:
    """Source text, sizes, events, and how often they may happen."""

    text: str
    sizes: dict[str, int]
    events: frozenset[str]
    limits: dict[str, int]

    @property
    def asks_cpu(self) -> bool:
        """Whether ``this_cpu`` is used as a value. Whether that is a step of its own depends on what is known of the masks there."""
        return re.search(r"this_cpu(?!\.)", self.text) is not None


HEAD = """\
from typing import Annotated

Small = Annotated[int, Range(0, 2)]

@struct(count=size("cpus"){cpu})
class Cpu(CpuContext):
    current: Task = NULL
    slot: Small = 0
    busy: bool = False

@struct(count=size("tasks"){task})
class Task(TaskContext):
    mine: Small = 0
    flag: bool = False
    home: Cpu = NULL

@struct(count=2{box})
class Box:
    n: Small = 0
    next: Box = NULL

@struct(count=1)
class Shared:
    n: Small = 0
    on: bool = False
    lock: Task = NULL
    box: Box = NULL

shared = singleton(Shared)

@initial
def begin() -> None:
    at(Cpu, 0).current = at(Task, 0)
    at(Task, 0).on_cpu = True
    at(Task, 0).home = at(Cpu, 0)
    shared.box = at(Box, 0)
    at(Box, 0).next = at(Box, 1)
    {first}

def work_is_waiting() -> bool:
    for task in each(Task):
        if not task.on_cpu and not sleeping(task.pc):
            return True
    return False

@instruction
def next_task() -> Task | None:
    if current is not None and maybe():
        return None
    return take(pick(Task))

@user()
def call() -> None:
    require({calls})
    enter(entry_point)

@rule()
def keep() -> None:
    require(shared.n == 1 and shared.n == 2)
    shared.n, shared.on, shared.lock, shared.box = 1, True, at(Task, 0), at(Box, 1)
    for cpu in each(Cpu):
        cpu.slot, cpu.busy = 1 if cpu.slot == 2 and cpu.busy else 2, not cpu.busy
    for task in each(Task):
        task.mine, task.flag = 1 if task.mine == 2 and task.flag and task.home is None else 2, True
        task.home = at(Cpu, 0)
    for box in each(Box):
        box.n = 1 if box.n == 2 and box.next is None else 2
        box.next = NULL

def more(number: int) -> int:
    return (number + 1) % 3

def twice_read() -> bool:
    return shared.n == shared.n

def later(box: Box | None) -> Box | None:
    return box.next if box is not None else shared.box

def slot_of(cpu: Cpu) -> int:
    return cpu.slot

def nonzero(number: int) -> bool:
    return number != 0

@instruction
def swap() -> None:
    shared.n, this_cpu.slot = this_cpu.slot, shared.n

@instruction
def fetch() -> int:
    old = shared.n
    shared.n = (old + 1) % 3
    return old

@instruction
def acquire() -> None:
    wait_until(shared.lock is None)
    shared.lock = current
"""
SCHEDULES = (
    """\
@context("schedule")
def schedule() -> None:
    prev = current
    task = next_task()
    this_cpu.current = task
    if prev is not None:
        release(prev)
""",
    """\
@context("schedule")
def schedule() -> None:
    prev = current
    task = next_task()
    if prev is not None:
        prev.mine = this_cpu.slot
    this_cpu.current = task
    if task is not None:
        this_cpu.slot = task.mine
        task.home = this_cpu
    if prev is not None:
        release(prev)
""",
    """\
@context("schedule")
def schedule() -> None:
    prev = current
    task = next_task()
    this_cpu.current = task
    if prev is not None:
        release(prev)
        prev.flag = True
""",
)
PREDICATES = (
    """\
@never("p", "a CPU runs its task with a slot that is not the task's")
def wrong_slot(cpu: Cpu) -> bool:
    return cpu.current is not None and cpu.current.flag and cpu.slot != cpu.current.mine
""",
    """\
@never("p", "the lock is held in user mode")
def held(cpu: Cpu) -> bool:
    return cpu.current is not None and cpu.current.pc == 0 and shared.lock is cpu.current
""",
    """\
@never("p", "two and busy")
def two(cpu: Cpu, box: Box) -> bool:
    return cpu.busy and box.n == 2 and shared.n == 2
""",
    """\
@never("p", "a task thinks that it is elsewhere")
def elsewhere(cpu: Cpu, task: Task) -> bool:
    return cpu.current is task and task.flag and task.home is not cpu and cpu.schedule_pc == 0
""",
)
STUCK = """\
@stuck("q", "nothing can happen, but somebody waits")
def waits(task: Task) -> bool:
    return task.pc != 0
"""
RULES = (
    "require(shared.n == 0 and not shared.on)\n    shared.on = True",
    "require(shared.on)\n    shared.on = False\n    shared.n = more(shared.n)",
    "require(current is not None and current.mine == 0)\n    current.mine = 2",
    "require(this_cpu.slot == 1)\n    this_cpu.slot = 2",
    "require(shared.box is not None and shared.box.n != 2)\n    shared.box.n = shared.box.n + 1",
)
MASKS = (
    ("local_irq_disable()", "local_irq_enable()"),
    ("preempt_disable()", "preempt_enable()"),
    ("local_bh_disable()", "local_bh_enable()"),
)


class Code:
    """The body of one function. ``task``: it runs for a task, so there is a ``current``, and it may sleep."""

    def __init__(self, rng: random.Random, *, task: bool, left: int) -> None:
        self.rng, self.task, self.left = rng, task, left
        self.numbers = ["x"]  # locals that hold small numbers
        self.boxes: list[str] = []  # locals that may hold a box
        self.cpus: list[str] = []
        self.lines: list[str] = ["x: Small = 0"]

    def one(self, *choices: str) -> str:
        """One of them."""
        return self.rng.choice(choices)

    def number(self) -> str:
        """An expression from 0 to 2."""
        own = ["current.mine"] if self.task else []
        leaf = self.one("this_cpu.slot", "shared.n", *own, *self.numbers, "0", "1", "2", *(f"{cpu}.slot" for cpu in self.cpus))
        match self.rng.randrange(9):
            case 0:
                return f"({leaf} + 1) % 3"
            case 1:
                return f"more({leaf})"
            case 2:
                return f"({leaf} if {self.truth()} else {self.one('0', '1', *self.numbers)})"
            case 3 if self.cpus or self.rng.random() < 0.5:
                return f"slot_of({self.one('this_cpu', *self.cpus)})"
            case 4:
                return "fetch()"
        return leaf

    def truth(self) -> str:
        """A condition."""
        own = ["current.flag", "current.home is this_cpu"] if self.task else []
        boxes = [f"{box} is shared.box" for box in self.boxes] + [f"{box} is not None and {box}.n == 2" for box in self.boxes]
        cpus = [f"{cpu} is this_cpu" for cpu in self.cpus]
        leaf = self.one("shared.on", "this_cpu.busy", "shared.box is None", "twice_read()", *own, *boxes, *cpus)
        number = self.one("shared.n", "this_cpu.slot", *self.numbers)
        compare = f"{number} {self.one('==', '!=', '<', '>=')} {self.one('1', '2', *self.numbers)}"
        match self.rng.randrange(8):
            case 0:
                return f"not {leaf}"
            case 1:
                return f"({leaf} {self.one('and', 'or')} {compare})"
            case 2:
                return f"({compare} {self.one('and', 'or')} {leaf})"
            case 3:
                return f"nonzero({number})"
            case 4 | 5:
                return compare
        return leaf

    def place(self) -> str:
        """What a small number may be stored to."""
        own = ["current.mine"] if self.task else []
        return self.one("this_cpu.slot", "shared.n", "shared.n", *own, *(f"{cpu}.slot" for cpu in self.cpus))

    def body(self, most: int) -> None:
        """Some statements."""
        for _ in range(most):
            if self.left <= 0:
                break
            self.left -= 1
            self.rng.choice(self._kinds())()
        if not self.lines:
            self.lines.append("pass")

    def _kinds(self) -> list[Callable[[], None]]:
        plain = [self.stores, self.stores, self.sets_flag, self.local, self.checks, self.element, self.remembers_cpu, self.augments]
        nested = [self.branches, self.loops, self.visits, self.spins, self.instruction]
        return [*plain, *nested, *([self.masked, self.masked, self.waits, self.locks, self.sends] if self.task else [self.sends])]

    def stores(self) -> None:
        """A store of a number."""
        self.lines.append(f"{self.place()} = {self.number()}")

    def augments(self) -> None:
        """A read-modify-write through a reference."""
        self.lines += ["if shared.box is not None and shared.box.n < 2:", "    shared.box.n = shared.box.n + 1"]

    def sets_flag(self) -> None:
        """A store of a truth."""
        flag = self.one("this_cpu.busy", "shared.on", *(["current.flag"] if self.task else []))
        self.lines.append(f"{flag} = {self.one('True', 'False', self.truth(), 'maybe()')}")

    def local(self) -> None:
        """A value is remembered."""
        name = self.one("x", "y")
        self.lines.append(f"{name} = {self.number()}" if name in self.numbers else f"{name}: Small = {self.number()}")
        self.numbers = sorted({*self.numbers, name})

    def remembers_cpu(self) -> None:
        """The CPU of this moment."""
        name = f"cpu{len(self.cpus)}"
        self.lines.append(f"{name} = {self.one('this_cpu', 'this_cpu', 'at(Cpu, 0)')}")
        self.cpus.append(name)

    def element(self) -> None:
        """A box is remembered, followed, or moved."""
        name = f"box{len(self.boxes)}"
        how = self.one("shared.box", "later(shared.box)", "at(Box, 1)", *(f"later({box})" for box in self.boxes))
        self.lines.append(f"{name} = {how}")
        self.boxes.append(name)
        if self.rng.random() < 0.5:
            self.lines.append(f"shared.box = {self.one(name, 'NULL', 'later(' + name + ')')}")

    def checks(self) -> None:
        """A promise, or a witness."""
        if self.rng.random() < 0.4:
            self.lines += [f"if {self.truth()}:", f"    reached('{self.one('p', 'q')}')"]
        else:
            self.lines.append(f"check('q', {self.truth()} or {self.truth()}, 'one of two')")

    def instruction(self) -> None:
        """One instruction of the machine."""
        self.lines.append("swap()")

    def sends(self) -> None:
        """IPIs to everybody."""
        self.lines += ["for cpu in each(Cpu):", "    cpu.ipi_pending = True"]

    def block(self, most: int) -> list[str]:
        """Lines of a nested block; what it remembers is forgotten behind it."""
        outer = self.lines, self.numbers, self.boxes, self.cpus
        self.lines, self.numbers, self.boxes, self.cpus = [], list(self.numbers), list(self.boxes), list(self.cpus)
        self.body(most)
        inner, (self.lines, self.numbers, self.boxes, self.cpus) = self.lines, outer
        return ["    " + line for line in inner]

    def branches(self) -> None:
        """if and else."""
        self.lines.append(f"if {self.truth()}:")
        self.lines += self.block(2)
        if self.rng.random() < 0.4:
            self.lines += ["else:", *self.block(1)]

    def loops(self) -> None:
        """A loop over numbers, with a value remembered from the first round perhaps."""
        self.lines += ["first: Small = 0", "for i in range(0, 2):"]
        if self.rng.random() < 0.5:
            self.lines += ["    if i == 0:", f"        first = {self.number()}"]
        before = self.numbers
        self.numbers = [*before, "i", "first"]
        self.lines += self.block(2)
        if self.rng.random() < 0.3:
            self.lines += [f"    if {self.truth()}:", f"        {self.one('break', 'continue')}"]
        self.numbers = before
        self.lines += [f"check('q', first {self.one('!= 2', '!= 1', '< 2')} or {self.truth()}, 'first')"]

    def visits(self) -> None:
        """A loop over boxes."""
        self.lines += ["for b in each(Box):"]
        if self.rng.random() < 0.5:
            self.lines += ["    if b.next is not None:", "        b.n = b.next.n"]
        self.lines += [f"    b.n = {self.number()}"]

    def spins(self) -> None:
        """A loop that ends by counting."""
        self.lines += ["x = 0", f"while x < 2 and {self.truth()}:", "    x = (x + 1) % 3", *self.block(1)]

    def masked(self) -> None:
        """A section in which less may happen."""
        off, on = self.rng.choice(MASKS)
        self.lines.append(off)
        self.lines += [line[4:] for line in self.block(2)]
        self.lines.append(on)

    def waits(self) -> None:
        """A wait for a condition that may be compound."""
        how = self.one("", "", ", 'spin'")
        self.lines.append(f"wait_until({self.truth()}{how})")

    def locks(self) -> None:
        """A section under the lock."""
        self.lines.append("acquire()")
        self.lines += [line[4:] for line in self.block(2)]
        self.lines.append("shared.lock = NULL")


def function(decorator: str, name: str, body: list[str]) -> str:
    """The text of a function."""
    return "\n".join([decorator, f"def {name}() -> None:", *("    " + line for line in body), ""])


def random_model(seed: int) -> RandomModel:
    """The model of that seed."""
    rng = random.Random(seed)
    cpus, tasks = rng.choice(((1, 1), (1, 2), (2, 1), (2, 1), (2, 1), (2, 2)))
    events = {event for event in ("preempt", "softirq", "hardirq", "ipi", "rule") if rng.random() < 0.45}
    if not events & {"preempt", "softirq", "hardirq"}:
        events.add(rng.choice(("softirq", "hardirq") if tasks == 1 else ("preempt", "softirq", "hardirq")))
    while len(events) > {1: 4, 2: 2, 4: 1}[cpus * tasks]:
        events.remove(rng.choice(sorted(events)))
    left = {1: 6, 2: 4, 4: 3}[cpus * tasks]
    parts = [_head(rng, tasks)]
    code = Code(rng, task=True, left=left)
    code.body(4)
    if rng.random() < 0.5:
        code.lines.append("reached('p')")
    parts.append(function(f'@entry("{rng.choice(("syscall", "syscall", "exception"))}")', "entry_point", code.lines))
    if rng.random() < 0.4:
        leave = Code(rng, task=True, left=2)
        leave.body(1)
        parts.append(function("@exit_to_user", "leave", ["local_irq_disable()", *leave.lines]))
    for kind in ("softirq", "hardirq", "ipi"):
        parts += _handlers(rng, kind)
    parts.append(rng.choice(SCHEDULES))
    parts += rng.sample(PREDICATES, rng.randrange(3)) + ([STUCK] if rng.random() < 0.3 else [])
    parts.append(f'@rule(event="rule")\ndef environment() -> None:\n    {rng.choice(RULES)}\n')
    limits = {event: rng.randrange(1, 3) for event in sorted(events & {"preempt", "softirq", "hardirq"}) if rng.random() < 0.3}
    return RandomModel("\n".join(parts), {"cpus": cpus, "tasks": tasks}, frozenset(events), limits)


def _head(rng: random.Random, tasks: int) -> str:
    taken = "shared.lock = pick(Task)" if tasks > 1 else "shared.n = 1"
    first = rng.choice(("pass", "shared.n = choose(0, 1)", "at(Cpu, 0).slot = 1", taken))
    calls = rng.choice(("True", "shared.n < 2", "not current.flag", "current.mine == 0"))
    symmetric = {name: SYMMETRIC[rng.random() < 0.5] for name in ("cpu", "task", "box")}
    return HEAD.format(first=first, calls=calls, **symmetric)


def _handlers(rng: random.Random, kind: str) -> list[str]:
    code = Code(rng, task=False, left=2)
    if kind == "ipi":
        code.lines.append("this_cpu.ipi_pending = False")
    code.body(2)
    return [function(f'@context("{kind}", event="{kind}")', f"handle_{kind}", code.lines)]
