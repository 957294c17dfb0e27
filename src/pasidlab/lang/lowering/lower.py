"""Builds a lowered model from a namespace: finds the declared behaviours, lowers programs to actions."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from pasidlab.errors import PasidlabError
from pasidlab.lang import source
from pasidlab.lang.functions import ARRIVALS, Functions
from pasidlab.lang.interpreter import Interpreter
from pasidlab.lang.ir import CPU, OWNER, SLEEPING, Action, Entry, Function, Instr, Model, Predicate, Property
from pasidlab.lang.lowering.cases import Cases
from pasidlab.lang.lowering.contexts import CURRENT, ON_CPU, counter_field, mask_states
from pasidlab.lang.lowering.dead import drop_dead_fields
from pasidlab.lang.lowering.flatten import Flattener
from pasidlab.lang.lowering.flow import Code
from pasidlab.lang.lowering.forget import forgotten_fields, stand_in
from pasidlab.lang.lowering.independence import SCHEDULE, Elements, Judge, local_counters
from pasidlab.lang.lowering.inline import own_op
from pasidlab.lang.lowering.late import late_counters
from pasidlab.lang.lowering.merge import ARRIVAL, Behaving, ProgramAccesses, Traffic, Visibility, fields_of
from pasidlab.lang.lowering.orders import order_dependent
from pasidlab.lang.lowering.owners import not_exclusive, owners_at
from pasidlab.lang.lowering.private import private
from pasidlab.lang.lowering.programs import ContextProgram, Lowered, lower_program, owned_task
from pasidlab.lang.lowering.sleepers import asleep
from pasidlab.lang.lowering.symmetry import MOST_ALIKE
from pasidlab.lang.names import Names, nearest
from pasidlab.lang.replacing import compiled_are_kernel, imports_exist, no_strangers, only_the_kernel
from pasidlab.lang.roles import PREDICATES, entries_of, known_properties, no_choice, one_of_each
from pasidlab.lang.scope import Bounds
from pasidlab.lang.types import Domain, Int, Ref

ABOVE_TASKS = tuple(counter_field(context) for context in (SCHEDULE, "softirq", "hardirq"))
IN_USER_MODE = "%user"  # set by the guard of what user mode executes
ABOVE = {
    "task": ("hardirq", "softirq", "schedule"),
    "user": ("hardirq", "softirq", "schedule"),
    "schedule": ("hardirq", "softirq"),
    "softirq": ("hardirq",),
    "hardirq": (),
}


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
    local_first: bool = False

    def build(self) -> Model:
        """The lowered model; steps are neither merged nor local ones first if what both rely on is not so, which its notes tell."""
        model = self._build()
        programs = any(action.resumes for action in model.actions)  # a model without them has nothing to merge
        if programs and self.optimised and (self.merged or self.local_first) and (doubt := self.shared or _taken_twice(model)):
            model = replace(self, merged=False, local_first=False)._build()
            return replace(model, notes=(f"steps are not merged: {doubt[0]}", *model.notes))
        return model

    def _build(self) -> Model:
        entries = entries_of(self.names)
        one_of_each(entries, self.names)
        self.flattener = Flattener(self.names, self.functions, self.optimised)
        programs = self.flattener.programs(entries)
        pieces = self._pieces(entries)
        self.fields = dict(self.names.fields)
        if self.optimised:
            self.fields = drop_dead_fields(self.fields, [*programs, *pieces])
        forgotten = self._forgotten(programs, pieces)
        self.shared: list[str] = []
        traffic = self._traffic(programs, pieces)
        for program in programs:
            program.own_masks = not self.shared
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
        accessed = {i.field for a in [*(low.action for low in lowered), *rules, *others] for i in a.code}
        sleepers = {
            e.options["kind"]: asleep(action, lowered[0].action, self.sleeping) for e, action in plain["pending"] if self._sleepers(action)
        }
        symmetric = [s.name for s in self.names.namespace.structs.values() if s.symmetric]
        ordered = self._told_apart(symmetric, lowered)
        alike = tuple(name for name in symmetric if name not in ordered)
        model = Model(
            self.name, tuple(f for f in self.fields.values() if f.path in accessed), tuple([low.action for low in lowered] + rules),
            init=plain["initial"][0][1],
            predicates=tuple(_predicate(e, action) for e, action in plain["never"] + plain["stuck"]),
            properties=self.properties, pending={e.options["kind"]: action for e, action in plain["pending"]},
            forget=plain["forget"][0][1] if plain["forget"] else None, forgotten=forgotten, asleep=sleepers, symmetric=alike,
            notes=tuple(f"{name} is not used as symmetric: {why}" for name, why in ordered.items()),
        )  # fmt: skip
        return self._local_first(model, lowered, traffic)

    def _pieces(self, entries: list[Entry]) -> list[Behaviour]:
        """What happens or is asked in one step. PasidlabError without initial states, and where something forgets by choice."""
        if not any(e.role == "initial" for e in entries):
            raise PasidlabError(f"model {self.name} has no @initial function", hint="write one; its body may be empty")
        alone = ("rule", "user", "never", "stuck", "pending", "initial", "forget")
        pieces = [Behaviour(e, self.flattener.flat(e)) for e in entries if e.role in alone]
        no_choice((b.entry, b.code) for b in pieces if b.entry.role == "forget")
        return pieces

    def _told_apart(self, symmetric: list[str], lowered: list[Lowered]) -> dict[str, str]:
        """Structs declared symmetric whose elements cannot be taken for one another, and why."""
        half_way = {name: f"a loop over {name} takes several steps" for low in lowered for name in symmetric if name in low.ordered}
        many = {n: f"more than {MOST_ALIKE} elements" for n in symmetric if self.names.counts[n] > MOST_ALIKE}
        return half_way | order_dependent(self.flattener.whole, self.names.fields, symmetric) | many

    def _local_first(self, model: Model, lowered: list[Lowered], traffic: Traffic) -> Model:
        """The model that says of a CPU whether the others may wait for it (``independence``, ``late``), if that is asked for."""
        if not (self.local_first and self.optimised) or traffic.cpus == 1:
            return model
        judge = Judge(traffic, lowered, model.asleep.values(), Elements(traffic.cpus, traffic.tasks, frozenset(model.symmetric)))
        programs = {low.program.context: low for low in lowered}
        local = {context: local_counters(low, judge) for context, low in programs.items()}
        if not any(local.values()):
            return model
        late = late_counters(programs[SCHEDULE], judge) if SCHEDULE in programs else frozenset[int]()
        limits = {context: low.counters for context, low in programs.items()}
        return replace(model, private=private(local, late, limits, Ref("Cpu", traffic.cpus)))

    def _forgotten(self, programs: list[ContextProgram], pieces: list[Behaviour]) -> dict[str, Domain]:
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

    def _traffic(self, programs: list[ContextProgram], behaviours: list[Behaviour]) -> Traffic:
        counts = self.names.counts
        traffic = Traffic(counts.get("Cpu", 1), counts.get("Task", 1))
        for program in programs:
            masks = mask_states(program.code, program.starts())
            owners = owners_at(program.code, masks, program.starts())
            self.shared += not_exclusive(program.context, program.code, owners, str(ARRIVALS))
            source = ProgramAccesses(program.context)
            source.add(program.code, owners)
            traffic.programs.append(source)
            if program.context in ("softirq", "hardirq"):
                cases = Cases(program.code, entries=program.entries)
                traffic.handlers[program.context] = Behaving(
                    "handler", (), cases, fields=fields_of(program.code), uses_cpu=True, arrival=ARRIVAL[program.context],
                )  # fmt: skip
        for behaviour in behaviours:
            role, code = behaviour.entry.role, behaviour.code
            if role not in ("initial", "forget") and not self._possible_anyway(behaviour.entry):
                self.shared += not_exclusive("rule", code, owners_at(code, [None] * len(code), [0]), str(ARRIVALS))
                params = tuple((name, d.count if isinstance(d, Ref) else 0) for name, d in behaviour.entry.params)
                cases = Cases(code, predicate=role in PREDICATES)
                traffic.rules.append(Behaving(role, params, cases, fields_of(code), any(CPU in i.args for i in code)))
        return traffic

    def _possible_anyway(self, entry: Entry) -> bool:
        """Whether a step is another one under a condition that only looks: whatever it leads to, the other one does."""
        where = entry.options.get("where", "")
        return where != "" and Cases(self.flattener.condition(where)).only_looks()

    def _lower(self, program: ContextProgram, visibility: Visibility) -> Lowered:
        guard = _guard(program.context)
        if program.context == "task":
            guard += [own_op("load", OWNER, "Cpu.current", CPU), own_op("require", OWNER)]
        else:
            guard.append(own_op("copy", OWNER, CPU))
        guard += [own_op("load", "%pc", program.pc_field, OWNER), own_op("require", "%pc")]
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
            guard = [*_guard("user"), own_op("load", OWNER, "Cpu.current", CPU), own_op("require", OWNER)]
            guard += [own_op("load", "%pc", "Task.pc", OWNER), own_op("not", IN_USER_MODE, "%pc"), own_op("require", IN_USER_MODE)]
        if uses_cpu:
            params = ((CPU, self.names.annotation(ast.Name("Cpu"), "")), *params)
        body = self._finished([*guard, *_sleeping_test(code, self.sleeping)])
        optional = entry.options.get("event") or ("obliged" in entry.options and "where" not in entry.options)
        fair = entry.role == "rule" and not optional
        anyway = self._possible_anyway(entry)
        return Action(entry.name, params, tuple(self.flattener.tidied(body)), cpu_param=uses_cpu, fair=fair, anyway=anyway)

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
        known = self.flattener.entry_pc
        if name not in known:
            raise PasidlabError(f"'{name}' is not an entry point", position=instr.site.position, hint=nearest(name, known))
        stores = [Instr("store", ("Task.pc", instr.args[0], known[name]), instr.site)]
        kinds = [ast.unparse(d) for d in self.names.namespace.functions[name].node.decorator_list]
        if any("exception" in kind for kind in kinds):
            stores.append(Instr("store", ("Cpu.irqs_off", CPU, 1), instr.site))
        return stores


def _predicate(entry: Entry, action: Action) -> Predicate:
    return Predicate(entry.options["kind"], action, entry.options["sentence"], stuck=entry.role == "stuck")


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
        if any(path in fields and any(state[interpreter.offsets[path]:][: fields[path].count]) for path in ABOVE_TASKS):
            return ["an initial state has a handler or the scheduler under way"]
    return []


def _guard(context: str) -> Code:
    """Nothing above this context is active on the CPU."""
    code: Code = []
    for above in ABOVE[context]:
        counter, idle = f"%{above}", f"%no_{above}"
        code += [own_op("load", counter, counter_field(above), CPU), own_op("not", idle, counter), own_op("require", idle)]
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
    paths: Iterable[source.File],
    bounds: Bounds,
    properties: tuple[Property, ...],
    *,
    merged: bool = True,
    optimised: bool = True,
    local_first: bool = False,
    functions: dict[str, Function] | Callable[[Names], dict[str, Function]] | None = None,
    whole: source.File | None = None,
    fixed: frozenset[str] = frozenset(),
) -> Model:
    """Compile source files (later ones override earlier ones) into a lowered model; ``functions`` override by name.

    Unless ``optimised``, the lowered code is what the functions say, line by line: nothing is simplified, merged or left out.
    Every function of the file ``whole`` must compile and have a part in the model, perhaps under events outside the bounds. It replaces
    kernel functions only; the functions named in ``fixed`` are none.
    """
    space = _collected(list(paths), whole, fixed)
    names = Names(space, bounds)
    made = functions(names) if callable(functions) else functions
    compiled_are_kernel({name: function.position for name, function in (made or {}).items()}, space, fixed)
    compiled = Functions(names, made)
    for function in space.functions.values():
        if function.file == str(whole):
            compiled(function.name)
    return Lowering(name, names, compiled, properties=properties, merged=merged, optimised=optimised, local_first=local_first).build()


def _collected(paths: Sequence[source.File], whole: source.File | None, fixed: frozenset[str]) -> source.Namespace:
    """All that the files declare, and for a model with contexts what arrives there."""
    space = source.collect(paths)
    begin = [ARRIVALS] if _has_contexts(space) else []
    at = next((n for n, path in enumerate(paths) if path == whole), len(paths))
    space = source.collect([*begin, *paths[:at]])
    for path in paths[at : at + 1]:
        before = space.copy()
        source.collect([path], space)
        no_strangers(path, before.functions, space)
        only_the_kernel(path, before, space, fixed)
        imports_exist(path, space)
    return source.collect(paths[at + 1 :], space)


def _has_contexts(namespace: source.Namespace) -> bool:
    bases = namespace.structs["Cpu"].node.bases if "Cpu" in namespace.structs else []
    return any(isinstance(b, ast.Name) and b.id == "CpuContext" for b in bases)
