"""What a task may do and show, derived from the model: a graph of states, with the events that steps between them leave behind.

The model's own functions are compiled with tracepoints that note events (``machine/recorder``). The interpreter explores them for one CPU
and one task. A node is a state of both. An edge is a step; it shows an event (a Letter), or it is silent. Silent steps that change who
owns the registers are the hidden ones: they are counted by function and by what the task was doing.

``last_cpu`` and the owner are followed as "this CPU, this task" or not: no function of the model asks for more.
"""

from __future__ import annotations

import heapq
from collections.abc import Container, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from pasidlab.lang.back.layout import State
from pasidlab.lang.interpreter import Interpreter, Outcome
from pasidlab.lang.ir import Model
from pasidlab.lang.lowering.lower import build_model
from pasidlab.model.promises import PROPERTIES
from pasidlab.model.scope import Scope
from pasidlab.model.sources import MODEL_FILES
from pasidlab.observe.kinds import CALLS

MACHINE = Path(__file__).parent / "machine"
NOT_NEEDED = {"contents", "properties"}
"""Files of the model that say what contents may be forgotten, and what is promised: nothing that a step does."""
EVENTS = "preempt migrate softirq fork exec exit signal fault kvm idle"
"""A hard interrupt may use the FPU where a softirq may (irq_fpu_usable()), to the same effect, and is left out."""


class Letter(NamedTuple):
    """What an event tells (``machine/recorder``): its kind, whether its fpu is current's, TIF_NEED_FPU_LOAD, and two of common_flags."""

    kind: int
    of_current: bool
    load_fpu: bool
    irqs_off: bool
    bh_off: bool


class Hidden(NamedTuple):
    """A step without an event that changes who owns the registers."""

    function: str
    during: str

    def __str__(self) -> str:
        return f"{self.function}() in {self.during}()"


@dataclass(frozen=True)
class Arc:
    """A step: to which node, the event, and the change of ownership that is hidden if nobody sees the event."""

    to: int
    letter: Letter | None = None
    hidden: Hidden | None = None
    by: str = ""
    """Of an event: the functions that come to the tracepoint, outermost first."""


@dataclass
class Automaton:
    """The graph. Node 0 is a task in user mode, its registers loaded."""

    states: list[State] = field(default_factory=list)
    edges: list[list[Arc]] = field(default_factory=list)
    running: list[bool] = field(default_factory=list)
    """The task is current on the CPU."""
    away: list[bool] = field(default_factory=list)
    """The task is on no CPU, and nothing else is going on on this one."""
    dead: list[bool] = field(default_factory=list)
    relocated: dict[tuple[int, bool, bool], int] = field(default_factory=dict)
    """Of a node that is away: the same with another owner (is it the task?) and last_cpu (is it the CPU?)."""
    copied: list[tuple[bool, bool]] = field(default_factory=list)
    """Of each node: the owner is the task; last_cpu is the CPU."""
    place: list[str] = field(default_factory=list)
    """Where the task stands, in words."""
    executing: list[bool] = field(default_factory=list)
    """The task is in an execve(2), which has not failed."""
    child: int = -1
    """The node of a new task that has never run."""

    def unseen(self, kinds: Container[int]) -> Automaton:
        """The automaton where nobody sees the events of some kinds: their steps are silent."""
        edges = [[replace(arc, letter=None) if arc.letter and arc.letter.kind in kinds else arc for arc in row] for row in self.edges]
        return replace(self, edges=edges)


def protocol_files(version: tuple[int, int], calls: bool = False) -> list[Path]:
    """The files that make the model that of a version of Linux, (6, 12) say. ``calls``: those of functions are noted, too."""
    later = [MACHINE / name for since, name in (((6, 16), "v6_16.py"), ((6, 17), "v6_17.py")) if version >= since]
    noted = [MACHINE / "calls.py"] if calls else []
    return [MACHINE / "recorder.py", *noted, MACHINE / "left_out.py", MACHINE / "environment.py", *later]


def derive(version: tuple[int, int], calls: bool = False) -> Automaton:
    """The automaton of a version of Linux; takes seconds. ``calls``: the function tracer's events are letters, too."""
    files = [file for file in MODEL_FILES if file.stem not in NOT_NEEDED]
    scope = Scope(cpus=1, tasks=2, mms=1, pasids=1, events=frozenset(EVENTS.split()))
    model = build_model("live", [*files, *protocol_files(version, calls)], scope.compiler_bounds(), PROPERTIES)
    return _Derivation(model).run()


RING = ("event", "of_current", "load_fpu", "irqs_off", "bh_off")


class _Derivation:
    """The work of deriving one automaton."""

    def __init__(self, model: Model) -> None:
        self.interpreter = Interpreter(model)
        self.offsets = self.interpreter.offsets
        self.result = Automaton()
        self.numbers: dict[State, int] = {}
        self.todo: list[int] = []
        self.resumes = {action.name: action.resumes for action in model.actions}
        fields = model.fields
        self._ring = [self.offsets[f"Ring.{name}"] for name in RING]
        self._second = [(self.offsets[f.path] + 1, f.default) for f in fields if f.struct == "Task"]
        self._on_cpu = self.offsets["Task.on_cpu"]

    def run(self) -> Automaton:
        """All nodes that can be reached."""
        for state in self.interpreter.initial_states():
            self._number(state)
        while self.todo:
            node = self.todo.pop()
            state = self.result.states[node]
            self._relocate(node, state)
            for outcome in self.interpreter.successors(state):
                if outcome.state is not None:
                    self.result.edges[node].append(self._edge(state, outcome))
        assert self.result.child >= 0, "no task of the model makes another"
        return self.result

    def _at(self, state: State, path: str, element: int = 0) -> int:
        return state[self.offsets[path] + element]

    def _number(self, state: State) -> int:
        """The node of a state: the ring is empty, and a child that is no longer the parent's is gone."""
        changed = list(state)
        for at in (*self._ring, self.offsets[UNTOLD]):
            changed[at] = 0
        if not changed[self._on_cpu + 1]:
            for at, default in self._second:
                changed[at] = default
        state = tuple(changed)
        if state not in self.numbers:
            self.numbers[state] = len(self.numbers)
            self._describe(state)
            self.todo.append(self.numbers[state])
        return self.numbers[state]

    def _describe(self, state: State) -> None:
        result = self.result
        running = self._at(state, "Cpu.current") == 1
        quiet = all(self._at(state, f"Cpu.{name}") == 0 for name in ("current", "schedule_pc", "softirq_pc", "in_kernel_fpu"))
        result.states.append(state)
        result.edges.append([])
        result.running.append(running)
        result.away.append(quiet and not self._at(state, "Task.on_cpu"))
        result.dead.append(self._at(state, "Task.state") == 0)
        result.copied.append((self._at(state, "Cpu.fpregs_owner") == 1, self._at(state, "Task.last_cpu") == 1))
        functions = self._functions(state)
        result.place.append(" > ".join(dict.fromkeys(f"{name}()" for name in functions)) or "user mode")
        result.executing.append(functions[:1] == ["sys_execve"])

    def _functions(self, state: State) -> list[str]:
        """Where the task stands, outermost function first; nothing in user mode."""
        pc = self._at(state, "Task.pc")
        return [one.function for one in self.resumes["task"][pc].chain()][::-1] if pc else []

    def _relocate(self, node: int, state: State) -> None:
        """A task that is away may come back to any CPU: one with its registers or without, its last or another."""
        if not self.result.away[node] or self.result.dead[node]:
            return
        for owner in (False, True):
            for last in (False, True):
                moved = list(state)
                moved[self.offsets["Cpu.fpregs_owner"]] = int(owner)
                moved[self.offsets["Task.last_cpu"]] = int(last)
                self.result.relocated[node, owner, last] = self._number(tuple(moved))

    def _edge(self, before: State, outcome: Outcome) -> Arc:
        after = outcome.state
        assert after is not None
        stores = [touch for touch in outcome.path if touch.op == "store"]
        assert sum(t.field == "Ring.event" and t.new != 0 for t in stores) <= 1, "a step shows two events"
        event, *flags = [after[at] for at in self._ring]
        if self._at(before, "Task.on_cpu", 1) and not self._at(after, "Task.on_cpu", 1) and self._at(after, "Task.state", 1):
            self._child(after)
        to = self._number(after)
        letter = Letter(event, *(bool(flag) for flag in flags)) if event else None
        hidden = self._hidden(before, outcome) if event in (0, *CALLS) else None
        return Arc(to, letter, hidden, by=_by(outcome) if event else "")

    def _child(self, state: State) -> None:
        """The state of a new task, as if it were the task that is followed, on a CPU that runs nothing."""
        away = [f.default for f in self.interpreter.model.fields for _ in range(f.count)]
        for at, _ in self._second:
            away[at - 1] = state[at]
        child = self._number(tuple(away))
        assert self.result.child in (-1, child), "new tasks begin differently"
        self.result.child = child

    def _hidden(self, before: State, outcome: Outcome) -> Hidden | None:
        """The change of ownership that this step makes without an event now, before or after."""
        for touch in outcome.path:
            if touch.op != "store" or touch.old == touch.new or touch.element != 0 or touch.field not in OWNERSHIP:
                continue
            chain = [site.function for site in touch.site.chain()]
            if not SHOWN.isdisjoint(chain) and not ("fpregs_restore_userregs" in chain and "coherent" in outcome.reached):
                continue
            during = next((name for name in CONTEXTS if name in chain), chain[-1])
            if during == "softirq_uses_fpu" and not self._at(before, "Task.on_cpu"):
                during = ANOTHER_TASK
            return Hidden(next((name for name in NAMED if name in chain), chain[0]), during)
        return None


def _by(outcome: Outcome) -> str:
    """The functions that come to the tracepoint of a step, outermost first."""
    site = next(touch.site for touch in outcome.path if touch.field == "Ring.event" and touch.new != 0)
    chain = [one.function for one in site.chain() if one.function != "note" and not one.function.startswith("trace_")]
    return " > ".join(dict.fromkeys(f"{name}()" for name in reversed(chain)))


UNTOLD = "Ring.untold"
OWNERSHIP = frozenset({"Cpu.fpregs_owner", "Task.last_cpu", "Task.need_fpu_load", UNTOLD})
SHOWN = frozenset({
    "switch_fpu_prepare", "switch_fpu_finish", "fpregs_activate", "fpregs_deactivate", "fpregs_mark_activate", "fpregs_restore_userregs",
})  # fmt: skip
"""Functions whose changes an event tells of. Only the fast path of fpregs_restore_userregs() has none: it reaches ``coherent``."""
NAMED = (
    "kernel_fpu_begin", "fpregs_restore_userregs", "fpu_flush_thread", "fpu_force_restore", "intel_idle", "restore_slow_path",
    "sys32_rt_sigreturn", "ptrace_signal",
)  # fmt: skip
"""By which function a hidden step is called, if one of these has made it: the first in this order."""
ANOTHER_TASK = "another_task"
"""While a task is away, a softirq stands for whatever uses the FPU on the CPU where its registers are."""
CONTEXTS = ("fork_returns_error", "ptrace_signal")
"""What a task was doing, where that says more than the outermost function."""


def closure(
    automaton: Automaton, nodes: Iterable[tuple[int, HiddenCounts]], excluded: frozenset[Hidden] = frozenset()
) -> dict[int, HiddenCounts]:
    """All nodes that silent steps lead to, each with the fewest hidden steps; none of those ``excluded``."""
    found: dict[int, HiddenCounts] = {}
    heap = [(cost(counts), node, counts) for node, counts in nodes]
    heapq.heapify(heap)
    while heap:
        _, node, counts = heapq.heappop(heap)
        if node in found:
            continue
        found[node] = counts
        for edge in automaton.edges[node]:
            if edge.letter is None and edge.to not in found and edge.hidden not in excluded:
                more = counts if edge.hidden is None else added(counts, edge.hidden)
                heapq.heappush(heap, (cost(more), edge.to, more))
    return found


HiddenCounts = tuple[tuple[Hidden, int], ...]
"""How often each hidden step happened, in order; may be less than nothing where it is compared with another explanation."""


def added(counts: HiddenCounts, hidden: Hidden, times: int = 1) -> HiddenCounts:
    """The counts with a hidden step more."""
    table = dict(counts)
    table[hidden] = table.get(hidden, 0) + times
    return tuple(sorted((key, value) for key, value in table.items() if value))


def plus(counts: HiddenCounts, other: HiddenCounts) -> HiddenCounts:
    """Both together."""
    if not counts or not other:
        return counts or other
    for hidden, times in other:
        counts = added(counts, hidden, times)
    return counts


def minus(counts: HiddenCounts, other: HiddenCounts) -> HiddenCounts:
    """The counts without those of another explanation."""
    for hidden, times in other:
        counts = added(counts, hidden, -times)
    return counts


COSTS = {"fpregs_restore_userregs": 1, "fpu_flush_thread": 0, "restore_slow_path": 0, "sys32_rt_sigreturn": 0}
PROCESS_CONTEXT = 2
"""The kernel uses the FPU at every so many forks, exits and waits of every program: where both explain an event, that is likelier."""
ELSEWHERE = 3
RARE = 5
_CONTEXTS = {"softirq_uses_fpu": ELSEWHERE, ANOTHER_TASK: ELSEWHERE, "sys_other": RARE, "fork_returns_error": RARE}
USUAL = frozenset({"exit_to_user_mode_prepare", "sys_execve"})


def cost(counts: HiddenCounts) -> int:
    """Of two explanations the one of lower cost is told."""
    return sum(times * _cost(hidden) for hidden, times in counts)


def _cost(hidden: Hidden) -> int:
    known = COSTS.get(hidden.function)
    if known is not None:
        return known + (hidden.during not in USUAL)
    if hidden.function == "kernel_fpu_begin":
        return _CONTEXTS.get(hidden.during, PROCESS_CONTEXT)
    return RARE
