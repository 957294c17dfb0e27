"""Flattens behaviours: every function put where it is called, and entry points and handlers joined to one program for each context."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from pasidlab.lang.ir import CPU, SLEEPING, Entry, Function, Instr, Operand, Site
from pasidlab.lang.lowering.contexts import AT_ENTRY
from pasidlab.lang.lowering.copies import propagated
from pasidlab.lang.lowering.executing_cpu import executing_cpu
from pasidlab.lang.lowering.flow import Code, folded, simplify, without_unreachable
from pasidlab.lang.lowering.inline import LANGUAGE, Inliner
from pasidlab.lang.lowering.programs import ContextProgram
from pasidlab.lang.lowering.rounds import FlatCode
from pasidlab.lang.names import Names
from pasidlab.lang.roles import PREDICATES

ENTERED_AS = {"schedule": ("schedule",), "softirq": ("softirq",), "hardirq": ("hardirq", "ipi")}
"""The kinds of arrival that begin the program of a context; the order is that of the entry numbers in ``arrivals``."""
RETURN = {
    "hardirq": "return_from_hardirq", "softirq": "return_from_softirq", "schedule": "return_from_schedule",
    "syscall": "return_from_syscall", "fork": "return_from_syscall",
}  # fmt: skip


@dataclass
class Flattener:
    """The flat code of a model's behaviours. Unless ``optimised``, it is kept as the functions have it."""

    names: Names
    functions: Callable[[str], Function]
    optimised: bool = True
    entry_pc: dict[str, int] = field(default_factory=dict)
    """The program counter of each entry point; known once the programs are."""
    whole: list[FlatCode] = field(default_factory=list)
    """All code but that of the initial states, as written."""
    _known: dict[tuple[str, str], Code] = field(default_factory=dict)

    def flat(self, entry: Entry) -> Code:
        """The code of one step of a behaviour."""
        key = entry.function, entry.options.get("where", "")
        if key not in self._known:
            self._known[key] = self._flattened(entry)
        return self._known[key]

    def condition(self, predicate: str) -> Code:
        """The code of a predicate without parameters, up to what it answers."""
        inliner = _SleepingInliner(self.functions)
        inliner.call(predicate, (), "%where", None)
        inliner.emit("return", "%where", site=LANGUAGE)
        return inliner.code

    def _inlined(self, entry: Entry) -> Code:
        """What an entry may do, as far as constants alone say."""
        if entry.role in ("rule", "user"):
            return self.flat(entry)
        inliner = _SleepingInliner(self.functions)
        inliner.call(entry.function, (), None, None)
        inliner.emit("end", site=LANGUAGE)
        return without_unreachable(propagated(inliner.code, set(), folded)[0], set())

    def _flattened(self, entry: Entry) -> Code:
        inliner = _SleepingInliner(self.functions)
        dst = "%truth" if entry.role in PREDICATES else None
        if entry.role in ("rule", "user"):
            inliner.code += self._limit(entry.options.get("event", ""))
            if where := entry.options.get("where"):
                inliner.call(where, (), "%where", None)
                inliner.emit("require", "%where", site=LANGUAGE)
        inliner.call(entry.function, tuple(name for name, _ in entry.params), dst, None)
        if dst:
            inliner.emit("return", dst, site=LANGUAGE)
        else:
            inliner.emit("end", site=LANGUAGE)
        if entry.role in ("rule", "user", "forget", *PREDICATES):
            self.whole.append(FlatCode(inliner.code, inliner.locals | dict(entry.params), entry.role == "user"))
        return self.tidied(inliner.code)

    def tidied(self, code: Code) -> Code:
        """Code of one step, simplified or as it stands."""
        if not self.optimised:
            return without_unreachable(code, set())
        code = simplify(code, set())
        known = executing_cpu(code, [0], [False] * len(code))  # nobody moves within a step
        return code if known is code else simplify(known, set())

    def programs(self, behaviours: list[Entry]) -> list[ContextProgram]:
        """The program of each context that some behaviour begins."""
        starts = self._entered_from_somewhere(behaviours)
        exits = [e for e in behaviours if e.role == "exit_to_user"]
        programs = []
        if starts:
            self.entry_pc |= {e.function: number for number, e in enumerate(starts, start=2)}
            programs.append(self._task_program(starts, exits[0] if exits else None))
        handlers = [e for e in behaviours if e.role == "context"]
        arrivals = {e.function for e in behaviours if e.role == "rule"}
        for context, kinds in ENTERED_AS.items():
            mine = {kind: [e for e in handlers if e.options["kind"] == kind] for kind in kinds}
            if any(mine.values()) or not arrivals.isdisjoint(f"arrive_{kind}" for kind in kinds):
                programs.append(self._context_program(context, mine))
        for program in programs:
            self.whole.append(FlatCode(program.code, program.locals, program.context == "task"))
            if self.optimised:
                program.clean()
            else:
                program.code = without_unreachable(program.code, program.roots)
        return programs

    def _entered_from_somewhere(self, behaviours: list[Entry]) -> list[Entry]:
        """Entry points some enabled behaviour enters, in source order; the others would be dead code."""
        found: set[str] = set()
        work = [e for e in behaviours if e.role in ("user", "rule", "context", "exit_to_user")]
        entries = {e.function: e for e in behaviours if e.role == "entry"}
        while work:
            entered = {str(i.args[1]) for i in self._inlined(work.pop()) if i.op == "enter"}
            work += [entries[name] for name in entered - found if name in entries]
            found |= entered
        return [e for name, e in entries.items() if name in found]

    def _task_program(self, starts: list[Entry], leave: Entry | None) -> ContextProgram:
        inliner = _SleepingInliner(self.functions)
        labels = ["entry.exit"]
        masks = [AT_ENTRY["exit_to_user"]]
        inliner.emit("label", "entry.exit", site=LANGUAGE)
        self._leave(inliner, leave)
        for entry in starts:
            label = f"entry.{entry.function}"
            labels.append(label)
            masks.append(AT_ENTRY[entry.options["kind"]])
            inliner.emit("label", label, site=LANGUAGE)
            inliner.call(entry.function, (), None, None)
            if (kind := str(entry.options["kind"])) in RETURN:
                inliner.call(RETURN[kind], (), None, None)
            inliner.emit("jump", "exit", site=LANGUAGE)
        inliner.emit("label", "exit", site=LANGUAGE)
        self._leave(inliner, leave)
        return ContextProgram("task", inliner.code, inliner.locals, entries=labels, masks=masks, struct="Task", prefix="local")

    def _leave(self, inliner: Inliner, leave: Entry | None) -> None:
        """The way to user mode: once for who was interrupted there, as nothing has happened before, and once for who entered the kernel."""
        if leave:
            inliner.call(leave.function, (), None, None)
        inliner.emit("store", "Cpu.irqs_off", CPU, 0, site=LANGUAGE)
        inliner.emit("end", site=LANGUAGE)

    def _context_program(self, context: str, handlers: dict[str, list[Entry]]) -> ContextProgram:
        """One entry for each kind of arrival; it begins with any of that kind's handlers."""
        inliner = _SleepingInliner(self.functions)
        for kind, mine in handlers.items():
            inliner.emit("label", f"entry.{kind}", site=LANGUAGE)
            labels = [f"handler.{entry.function}" for entry in mine]
            if len(mine) > 1:
                inliner.emit("choose", f"%which.{kind}", 0, len(mine) - 1, site=LANGUAGE)
                inliner.emit("switch", f"%which.{kind}", *labels, site=LANGUAGE)
            for entry, label in zip(mine, labels, strict=True):
                inliner.emit("label", label, site=LANGUAGE)
                inliner.call(entry.function, (), None, None)
                inliner.emit("jump", "leave", site=LANGUAGE)
            if not mine:
                inliner.emit("jump", "leave", site=LANGUAGE)
        inliner.emit("label", "leave", site=LANGUAGE)
        inliner.call(RETURN[context], (), None, None)
        inliner.emit("end", site=LANGUAGE)
        entries, masks = [f"entry.{kind}" for kind in handlers], [AT_ENTRY[kind] for kind in handlers]
        return ContextProgram(context, inliner.code, inliner.locals, entries=entries, masks=masks, struct="Cpu", prefix=context + "_local")

    def _limit(self, event: str) -> Code:
        """Counts down how often a bounded event may still happen."""
        left = self.names.limits.get(event)
        if left is None:
            return []
        return [
            Instr("load", ("%left", left.path, 1), LANGUAGE), Instr("require", ("%left",), LANGUAGE),
            Instr("sub", ("%less", "%left", 1), LANGUAGE), Instr("store", (left.path, 1, "%less"), LANGUAGE),
        ]  # fmt: skip


class _SleepingInliner(Inliner):
    """Leaves the question "is this counter one where a task sleeps" open until the task program is lowered."""

    def call(self, name: str, args: tuple[Operand, ...], dst: str | None, site: Site | None, active: tuple[str, ...] = ()) -> None:
        if name == SLEEPING:
            self.code.append(Instr("call", (str(dst), SLEEPING, *args), site or LANGUAGE))
        else:
            super().call(name, args, dst, site, active)
