"""Builds a lowered model from a namespace: compiles functions, finds the declared behaviours, lowers programs to actions."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from pasidlab.errors import PasidlabError
from pasidlab.lang import source
from pasidlab.lang.cases import Cases
from pasidlab.lang.contexts import AT_ENTRY, CURRENT, ON_CPU, mask_states
from pasidlab.lang.copies import propagated
from pasidlab.lang.dead import drop_dead_fields
from pasidlab.lang.flow import Code, fold, simplify, without_unreachable
from pasidlab.lang.forget import forgotten_fields, stand_in
from pasidlab.lang.here import executing_cpu
from pasidlab.lang.inline import LANGUAGE, Inliner
from pasidlab.lang.interpreter import Interpreter
from pasidlab.lang.ir import CPU, Action, Entry, Function, Instr, Model, Predicate, Property
from pasidlab.lang.legality import verify
from pasidlab.lang.merge import ARRIVAL, Rule, Source, Traffic, Visibility, fields_of
from pasidlab.lang.names import Names, imports_exist, nearest, no_strangers
from pasidlab.lang.orders import order_dependent
from pasidlab.lang.owners import not_exclusive, owners_at
from pasidlab.lang.primitives import SLEEPING
from pasidlab.lang.programs import OWNER, Lowered, Program, lower_program, owned_task
from pasidlab.lang.python import FunctionCompiler
from pasidlab.lang.roles import PREDICATES, entries_of, known_properties, no_choice, one_of_each
from pasidlab.lang.rounds import FlatCode
from pasidlab.lang.scope import Bounds
from pasidlab.lang.sleepers import asleep
from pasidlab.lang.types import Domain, Int, Ref

IN_USER_MODE = "%user"  # set by the guard of what user mode executes
ARRIVALS = Path(__file__).with_name("arrivals.py")
ABOVE = {
    "task": ("hardirq", "softirq", "schedule"),
    "user": ("hardirq", "softirq", "schedule"),
    "schedule": ("hardirq", "softirq"),
    "softirq": ("hardirq",),
    "hardirq": (),
}
ENTERED_AS = {"schedule": ("schedule",), "softirq": ("softirq",), "hardirq": ("hardirq", "ipi")}
"""The kinds of arrival that begin the program of a context; the order is that of the entry numbers in ``arrivals``."""
RETURN = {"hardirq": "return_from_hardirq", "softirq": "return_from_softirq", "schedule": "return_from_schedule"}


class Functions:
    """Compiles functions on demand, verifies them, and knows their result domains."""

    def __init__(self, names: Names, extra: dict[str, Function] | None = None) -> None:
        self.names = names
        self.compiled: dict[str, Function] = dict(extra or {})
        self._active: list[str] = []

    def get(self, name: str, default: Domain | None = None) -> Domain | None:
        """The result domain of a function; what the compiler asks at a call."""
        if name in self._active:
            source_function = self.names.namespace.functions[name]
            raise PasidlabError(f"recursion: {' -> '.join((*self._active, name))}", position=source_function.position, hint="use a loop")
        return self(name).result

    def __call__(self, name: str) -> Function:
        """The compiled function."""
        if name not in self.compiled:
            self._active.append(name)
            function = FunctionCompiler(self.names.namespace.functions[name], self.names, self).compile()  # type: ignore[arg-type]
            self._active.pop()
            verify(function, self.names.fields, frozenset([*self.names.namespace.functions, *self.compiled, SLEEPING]))
            self.compiled[name] = function
        return self.compiled[name]


@dataclass
class Behaviour:
    """A rule, a predicate or the initial states, with its flat code."""

    entry: Entry
    code: Code

    @property
    def roots(self) -> set[str]:
        """Nothing enters a behaviour but at its start."""
        return set()


@dataclass
class Lowering:
    """The work of building one model. Unless ``optimised``, code and fields are kept as the functions have them, unmerged."""

    name: str
    names: Names
    functions: Functions
    properties: tuple[Property, ...]
    merged: bool = True
    optimised: bool = True

    def build(self) -> Model:
        """The lowered model; without merged steps if the condition for that does not hold (``merge``), which its notes tell."""
        model = self._build()
        if self.merged and self.optimised and (doubt := self.shared or _taken_twice(model)):
            model = replace(self, merged=False)._build()
            return replace(model, notes=(f"steps are not merged: {doubt[0]}", *model.notes))
        return model

    def _build(self) -> Model:
        entries = entries_of(self.names)
        one_of_each(entries, self.names)
        self.entry_pc: dict[str, int] = {}
        self.flat: dict[str, Code] = {}
        self.whole: list[FlatCode] = []  # all code but that of the initial states, as written
        programs = self._programs(entries)
        if not any(e.role == "initial" for e in entries):
            raise PasidlabError(f"model {self.name} has no @initial function", hint="write one; its body may be empty")
        pieces = [
            Behaviour(e, self._flat(e)) for e in entries if e.role in ("rule", "user", "never", "stuck", "pending", "initial", "forget")
        ]
        no_choice((b.entry, b.code) for b in pieces if b.entry.role == "forget")
        self.fields = dict(self.names.fields)
        if self.optimised:
            self.fields = drop_dead_fields(self.fields, [*programs, *pieces])
        forgotten = self._forgotten(programs, pieces)
        self.shared: list[str] = []
        traffic = self._traffic(programs, pieces)
        visibility = Visibility(traffic, self.merged and self.optimised)
        lowered = [self._lower(program, visibility) for program in programs]
        self.sleeping = next((low.sleeping for low in lowered if low.action.name == "task"), ())
        rules = [self._rule(b) for b in pieces if b.entry.role in ("rule", "user")]
        plain = {
            role: [(b.entry, self._plain(b)) for b in pieces if b.entry.role == role]
            for role in ("initial", "forget", "never", "stuck", "pending")
        }
        others = [action for pairs in plain.values() for _, action in pairs]
        known_properties(self.properties, entries, self.names, [*(low.action for low in lowered), *rules, *others])
        symmetric = [s.name for s in self.names.namespace.structs.values() if s.symmetric]
        half_way = {name: f"a loop over {name} takes several steps" for low in lowered for name in symmetric if name in low.ordered}
        ordered = half_way | order_dependent(self.whole, self.names.fields, symmetric)
        accessed = {i.field for a in [*(low.action for low in lowered), *rules, *others] for i in a.code}
        return Model(
            self.name, tuple(f for f in self.fields.values() if f.path in accessed), tuple([low.action for low in lowered] + rules),
            plain["initial"][0][1], tuple(
                Predicate(e.options["kind"], action, e.options["sentence"], e.role == "stuck")
                for e, action in plain["never"] + plain["stuck"]
            ),
            self.properties, {e.options["kind"]: action for e, action in plain["pending"]},
            plain["forget"][0][1] if plain["forget"] else None,
            forgotten, {
                e.options["kind"]: asleep(action, lowered[0].action, self.sleeping) for e, action in plain["pending"]
                if self._sleepers(action)
            },
            tuple(name for name in symmetric if name not in ordered),
            tuple(f"{name} is not used as symmetric: {why}" for name, why in ordered.items()),
        )  # fmt: skip

    def _forgotten(self, programs: list[Program], pieces: list[Behaviour]) -> dict[str, Domain]:
        """Makes room for the value that stands for any in the fields that are forgotten; their domains without it."""
        before: dict[str, Domain] = {}
        for piece in pieces:
            if piece.entry.role == "forget":
                found = forgotten_fields(piece.code, self.fields)
                before |= {path: self.fields[path].domain for path in found if path not in before}
                self.fields |= {path: field for path, field in found.items() if self.fields[path].domain == before[path]}
        others = [p.code for p in programs] + [p.code for p in pieces if p.entry.role != "forget"]
        for instr in (i for code in others for i in code if i.op == "lose"):
            raise PasidlabError("only a @forget function forgets", position=instr.site.position)
        return before

    def _plain(self, behaviour: Behaviour) -> Action:
        return Action(behaviour.entry.name, behaviour.entry.params, tuple(self._finished(behaviour.code)))

    def _sleepers(self, pending: Action) -> bool:
        """Whether what waits is a task, and some task ever sleeps."""
        domain = pending.params[0][1]
        return bool(self.sleeping) and isinstance(domain, Ref) and domain.struct == "Task" and "Task.pc" in self.fields

    def _lookup(self, name: str) -> Function:
        return self.functions(name)

    def _flat(self, entry: Entry) -> Code:
        if entry.function not in self.flat:
            self.flat[entry.function] = self._flattened(entry)
        return self.flat[entry.function]

    def _inlined(self, entry: Entry) -> Code:
        """What an entry may do, as far as constants alone say."""
        if entry.role in ("rule", "user"):
            return self._flat(entry)
        inliner = _SleepingInliner(self._lookup)
        inliner.call(entry.function, (), None, None)
        inliner.emit("end", site=LANGUAGE)
        return without_unreachable(propagated(inliner.code, set(), fold)[0], set())

    def _flattened(self, entry: Entry) -> Code:
        inliner = _SleepingInliner(self._lookup)
        dst = "%truth" if entry.role in PREDICATES else None
        if entry.role in ("rule", "user"):
            inliner.code += self._limit(entry.options.get("event", ""))
        inliner.call(entry.function, tuple(name for name, _ in entry.params), dst, None)
        if dst:
            inliner.emit("return", dst, site=LANGUAGE)
        else:
            inliner.emit("end", site=LANGUAGE)
        if entry.role in ("rule", "user", "forget", *PREDICATES):
            self.whole.append(FlatCode(inliner.code, inliner.locals | dict(entry.params), entry.role == "user"))
        return self._tidied(inliner.code)

    def _tidied(self, code: Code) -> Code:
        """Code of one step, simplified or as it stands."""
        if not self.optimised:
            return without_unreachable(code, set())
        code = simplify(code, set())
        known = executing_cpu(code, [0], [False] * len(code))  # nobody moves within a step
        return code if known is code else simplify(known, set())

    def _programs(self, behaviours: list[Entry]) -> list[Program]:
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

    def _task_program(self, starts: list[Entry], leave: Entry | None) -> Program:
        inliner = _SleepingInliner(self._lookup)
        labels = ["entry.exit"]
        masks = [AT_ENTRY["exit_to_user"]]
        for entry in starts:
            label = f"entry.{entry.function}"
            labels.append(label)
            masks.append(AT_ENTRY[entry.options["kind"]])
            inliner.emit("label", label, site=LANGUAGE)
            inliner.call(entry.function, (), None, None)
            inliner.emit("jump", "entry.exit", site=LANGUAGE)
        inliner.emit("label", "entry.exit", site=LANGUAGE)
        if leave:
            inliner.call(leave.function, (), None, None)
        inliner.emit("store", "Cpu.irqs_off", CPU, 0, site=LANGUAGE)
        inliner.emit("end", site=LANGUAGE)
        return Program("task", inliner.code, inliner.locals, labels, masks, "Task", "local")

    def _context_program(self, context: str, handlers: dict[str, list[Entry]]) -> Program:
        """One entry for each kind of arrival; it begins with any of that kind's handlers."""
        inliner = _SleepingInliner(self._lookup)
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
        return Program(context, inliner.code, inliner.locals, entries, masks, "Cpu", context + "_local")

    def _traffic(self, programs: list[Program], behaviours: list[Behaviour]) -> Traffic:
        counts = self.names.counts
        traffic = Traffic(counts.get("Cpu", 1), counts.get("Task", 1))
        for program in programs:
            masks = mask_states(program.code, program.starts())
            owners = owners_at(program.code, masks, program.starts())
            self.shared += not_exclusive(program.context, program.code, owners, str(ARRIVALS))
            source = Source(program.context)
            source.add(program.code, owners)
            traffic.programs.append(source)
            if program.context in ("softirq", "hardirq"):
                cases = Cases(program.code, entries=program.entries)
                traffic.handlers[program.context] = Rule("handler", (), cases, fields_of(program.code), True, ARRIVAL[program.context])
        for behaviour in behaviours:
            role, code = behaviour.entry.role, behaviour.code
            if role not in ("initial", "forget"):
                self.shared += not_exclusive("rule", code, owners_at(code, [None] * len(code), [0]), str(ARRIVALS))
                params = tuple((name, d.count if isinstance(d, Ref) else 0) for name, d in behaviour.entry.params)
                cases = Cases(code, predicate=role in PREDICATES)
                traffic.rules.append(Rule(role, params, cases, fields_of(code), any(CPU in i.args for i in code)))
        return traffic

    def _lower(self, program: Program, visibility: Visibility) -> Lowered:
        guard = _guard(program.context)
        if program.context == "task":
            guard += [_at("load", OWNER, "Cpu.current", CPU), _at("require", OWNER)]
        else:
            guard.append(_at("copy", OWNER, CPU))
        guard += [_at("load", "%pc", program.pc_field, OWNER), _at("require", "%pc")]
        low = lower_program(program, visibility, guard, self.names.counts[program.struct])
        for field in low.fields:
            self.fields[field.path] = field
        pc = self.fields[program.pc_field]
        self.fields[pc.path] = replace(pc, domain=Int(0, low.counters))
        cpu = ((CPU, self.names.annotation(ast.Name("Cpu"), "")),)
        return replace(low, action=replace(low.action, params=cpu, code=tuple(self._finished(list(low.action.code)))))

    def _rule(self, behaviour: Behaviour) -> Action:
        entry, code = behaviour.entry, behaviour.code
        guard: Code = []
        params = entry.params
        uses_cpu = entry.role == "user" or any(CPU in i.args for i in code)
        if entry.role == "user":
            guard = [*_guard("user"), _at("load", OWNER, "Cpu.current", CPU), _at("require", OWNER), _at("load", "%pc", "Task.pc", OWNER)]
            guard += [_at("not", IN_USER_MODE, "%pc"), _at("require", IN_USER_MODE)]
        if uses_cpu:
            params = ((CPU, self.names.annotation(ast.Name("Cpu"), "")), *params)
        body = self._finished([*guard, *_sleeping_test(code, self.sleeping)])
        fair = entry.role == "rule" and not entry.options.get("event")
        return Action(entry.name, params, tuple(self._tidied(body)), cpu_param=uses_cpu, fair=fair)

    def _limit(self, event: str) -> Code:
        """Counts down how often a bounded event may still happen."""
        left = self.names.limits.get(event)
        if left is None:
            return []
        return [
            _at("load", "%left", left.path, 1), _at("require", "%left"), _at("sub", "%less", "%left", 1),
            _at("store", left.path, 1, "%less"),
        ]  # fmt: skip

    def _finished(self, code: Code) -> Code:
        """Code with ``enter`` and the marks of atomicity replaced by what they do."""
        out: Code = []
        for instr in code:
            if instr.op == "enter":
                out += self._entered(instr)
            elif instr.op in ("take", "release"):
                out += owned_task(instr)
            elif instr.op == "mask":
                raise PasidlabError(
                    "only kernel code changes masks", position=instr.site.position, hint="move it into an entry point or a context"
                )
            elif instr.op == "lose":
                path = str(instr.args[0])
                out.append(instr.with_args(path, instr.args[1], stand_in(self.fields[path].domain), op="store"))
            elif instr.op not in ("atomic", "pause"):
                out.append(instr)
        return out

    def _entered(self, instr: Instr) -> Code:
        name = str(instr.args[1])
        if name not in self.entry_pc:
            raise PasidlabError(f"'{name}' is not an entry point", position=instr.site.position, hint=nearest(name, self.entry_pc))
        stores = [Instr("store", ("Task.pc", instr.args[0], self.entry_pc[name]), instr.site)]
        kinds = [ast.unparse(d) for d in self.names.namespace.functions[name].node.decorator_list]
        if any("exception" in kind for kind in kinds):
            stores.append(Instr("store", ("Cpu.irqs_off", CPU, 1), instr.site))
        return stores


class _SleepingInliner(Inliner):
    """Leaves the question "is this counter one where a task sleeps" open until the task program is lowered."""

    def call(self, name: str, args, dst, site, active=()):  # type: ignore[no-untyped-def]
        if name == SLEEPING:
            self.code.append(Instr("call", (dst, SLEEPING, *args), site or LANGUAGE))
        else:
            super().call(name, args, dst, site, active)


def _taken_twice(model: Model) -> list[str]:
    """Why the initial states break what merging relies on: a task is current on one CPU at most, and then ``on_cpu``."""
    fields = model.field_table()
    if CURRENT not in fields or ON_CPU not in fields:
        return []
    interpreter = Interpreter(model)
    for state in interpreter.initial_states():
        first, on_cpu = interpreter.offsets[CURRENT], interpreter.offsets[ON_CPU]
        running = [task for task in state[first : first + fields[CURRENT].count] if task]
        if len(set(running)) < len(running) or not all(state[on_cpu + task - 1] for task in running):
            return ["an initial state has a task on two CPUs, or on one without on_cpu"]
    return []


def _at(op: str, *args: int | str) -> Instr:
    return Instr(op, args, LANGUAGE)


def _guard(context: str) -> Code:
    """Nothing above this context is active on the CPU."""
    code: Code = []
    for above in ABOVE[context]:
        code += [_at("load", f"%{above}", f"Cpu.{above}_pc", CPU), _at("not", f"%no_{above}", f"%{above}"), _at("require", f"%no_{above}")]
    return code


def _sleeping_test(code: Code, sleeping: tuple[int, ...]) -> Code:
    out: Code = []
    for instr in code:
        if instr.op == "call" and instr.args[1] == SLEEPING:
            dst = str(instr.args[0])
            out.append(Instr("copy", (dst, 0), instr.site))
            for pc in sleeping:
                out += [Instr("eq", ("%here", instr.args[2], pc), instr.site), Instr("or", (dst, dst, "%here"), instr.site)]
        else:
            out.append(instr)
    return out


def build_model(
    name: str,
    paths: Iterable[Path],
    bounds: Bounds,
    properties: tuple[Property, ...],
    *,
    merged: bool = True,
    optimised: bool = True,
    functions: dict[str, Function] | Callable[[Names], dict[str, Function]] | None = None,
    whole: Path | None = None,
) -> Model:
    """Compile source files (later ones override earlier ones) into a lowered model; ``functions`` override by name.

    Unless ``optimised``, the lowered code is what the functions say, line by line: nothing is simplified, merged or left out.
    Every function of the file ``whole`` must compile and have a part in the model, be it under events that are not in the bounds.
    """
    space = source.collect([ARRIVALS])
    arrivals = list(space.functions)
    for path in paths:
        before = frozenset(space.functions)
        source.collect([path], space)
        if path == whole:
            no_strangers(path, before, space)
            imports_exist(path, space)
    if not _has_contexts(space):
        for name_ in arrivals:
            del space.functions[name_]
    names = Names(space, bounds)
    made = functions(names) if callable(functions) else functions
    compiled = Functions(names, made)
    for function in space.functions.values():
        if function.file == str(whole):
            compiled(function.name)
    return Lowering(name, names, compiled, properties, merged, optimised).build()


def _has_contexts(namespace: source.Namespace) -> bool:
    bases = namespace.structs["Cpu"].node.bases if "Cpu" in namespace.structs else []
    return any(isinstance(b, ast.Name) and b.id == "CpuContext" for b in bases)
