"""Turns the program of one context (flat code) into an action: a switch over the program counter, then one step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from pasidlab.lang.ir import CPU, OWNER, SLEEP, SOUND, Action, Instr, Operand, Site
from pasidlab.lang.lowering.contexts import CURRENT, MASK_FIELDS, PROGRAM_COUNTERS, Masks, counter_field, mask_change, mask_states
from pasidlab.lang.lowering.dead import followed
from pasidlab.lang.lowering.executing_cpu import asks_cpu, executing_cpu
from pasidlab.lang.lowering.flow import Code, forward, simplify, successors
from pasidlab.lang.lowering.frames import Slots, allocate
from pasidlab.lang.lowering.inline import LANGUAGE
from pasidlab.lang.lowering.loops import endless_loops
from pasidlab.lang.lowering.merge import Visibility
from pasidlab.lang.lowering.owners import Owner, Owners, owner_of, owners_at
from pasidlab.lang.types import Domain, Field, Ref

FREE_LOADS = frozenset({*MASK_FIELDS.values(), *PROGRAM_COUNTERS} - {counter_field("task")})
STEPS = frozenset({"load", "store", "mask", "enter", "take", "release"})
"""Operations that look at state or change it."""


@dataclass
class ContextProgram:
    """Flat code of one context before its boundaries are set. ``entries`` are labels by program counter, from 1."""

    context: str
    code: Code
    locals: dict[str, Domain | None]
    entries: list[str]
    masks: list[Masks]  # at each entry
    struct: str  # Task or Cpu
    prefix: str  # of the frame's fields
    own_masks: bool = True  # nobody else changes its CPU's masks and current task under it

    @property
    def pc_field(self) -> str:
        """The field that holds the program's counter."""
        return counter_field(self.context)

    @property
    def roots(self) -> set[str]:
        """The entry points."""
        return set(self.entries)

    def clean(self) -> None:
        """Drop what cannot be reached or is not used; say where a local is the executing CPU."""
        self.code = simplify(self.code, self.roots)
        known = executing_cpu(self.code, self.starts(), self._moves())
        if known is not self.code:
            self.code = simplify(known, self.roots)

    def _moves(self) -> list[bool]:
        """Before which instructions the context may be taken to another CPU: only a task is, where nothing forbids preemption."""
        if self.context != "task":
            return [False] * len(self.code)
        starts = self.starts()
        masks, atomic = mask_states(self.code, starts), _atomic_depth(self.code, list(starts))
        return [
            (not depth or instr.op == "pause") and state is not None and state.preemption_possible
            for instr, state, depth in zip(self.code, masks, atomic, strict=True)
        ]

    def starts(self) -> dict[int, Masks]:
        """Masks at the index of each entry label."""
        where = {str(i.args[0]): n for n, i in enumerate(self.code) if i.op == "label"}
        return {where[label]: masks for label, masks in zip(self.entries, self.masks, strict=True)}


@dataclass(frozen=True)
class Lowered:
    """The action of a program; the program with its boundaries; the frame fields it needs; the counters where a task sleeps."""

    action: Action
    program: ContextProgram
    fields: list[Field]
    sleeping: tuple[int, ...]
    counters: int
    ordered: frozenset[str]  # structs whose elements a loop visits in order over several steps: not interchangeable


def lower_program(program: ContextProgram, visibility: Visibility, guard: Code, count: int) -> Lowered:
    """Set the boundaries, allocate the frame, and build the action."""
    code = set_boundaries(program, visibility)
    boundaries = [i for i, instr in enumerate(code) if instr.op == "pause"]
    frame = allocate(code, boundaries, program.locals, frozenset({OWNER}), list(replace(program, code=code).starts()))
    builder = _Assembler(program, frame, code, boundaries)
    action_code = [*guard, *builder.assemble()]
    action = Action(program.context, ((CPU, Ref("Cpu", 0)),), tuple(action_code), cpu_param=True, resumes=tuple(builder.sites))
    counters = max([len(program.entries), *boundary_counters(code, program.entries).values()])
    fields = frame.fields(program.struct, program.prefix, count)
    ordered = _visited_in_order(code, frame, program.locals)
    return Lowered(action, replace(program, code=code), fields, sleeping=tuple(builder.sleeping), counters=counters, ordered=ordered)


def _visited_in_order(code: Code, frame: Slots, locals_: dict[str, Domain | None]) -> frozenset[str]:
    counted = {instr.dst for instr in code if instr.op == "add"}
    domains = [locals_.get(name) for name in frame.slot_of if name in counted]
    return frozenset(domain.struct for domain in domains if isinstance(domain, Ref))


def set_boundaries(program: ContextProgram, visibility: Visibility) -> Code:
    """Insert a pause before every visible access that is not already the first of its step; collapse double pauses."""
    code, starts = program.code, program.starts()
    masks = mask_states(code, starts)
    owners = owners_at(code, masks, starts)
    atomic = _atomic_depth(code, list(starts))
    failing = _may_fail(code, program, atomic, owners)
    wanted: list[bool] = []
    for i, instr in enumerate(code):
        state = masks[i]
        assert state is not None
        begins = instr.op == "atomic" and instr.args[0] == "begin" and atomic[i] == 0
        mine = [] if atomic[i] else [i]
        if begins:
            mine = _instruction_accesses(code, i, atomic)  # an instruction happens at once
        moves = program.context == "task" and state.preemption_possible and any(asks_cpu(code[j]) for j in mine)
        mine = [j for j in mine if _counts(code[j], program)]
        seen = moves or any(failing[j] or visibility.visible(code[j], program.context, state, owners[j]) for j in mine)
        wanted.append(seen and not (begins and _starts_with_pause(code, i)))
    return _insert(_without_circles(code, wanted, program.entries), program)


def _may_fail(code: Code, program: ContextProgram, atomic: list[int], owners: Sequence[Owners]) -> list[bool]:
    """For each instruction: True if the step that begins there may be impossible, or may be the last."""
    after = successors(code)
    certain = {Owner.CPU, Owner.TAKEN, Owner.CURRENT} if program.context == "task" else {Owner.CPU, Owner.TAKEN}
    there = followed(code, list(program.starts()))
    ahead = [
        i.op in ("require", "wait", "take", "crash") or (i.op == "choose" and not _never_empty(i))
        or any(owner_of(e, known) not in certain and e not in sure and not isinstance(e, int) for e in _elements(i))
        for i, known, sure in zip(code, owners, there, strict=True)
    ]  # fmt: skip
    changed = True
    while changed:
        changed = False
        for i in range(len(code) - 1, -1, -1):
            following = any(ahead[j] and not _begins_step(code[j], atomic[j], program) for j in after[i])
            if following and not ahead[i] and code[i].op != "pause":
                ahead[i] = changed = True
    return ahead


def _begins_step(instr: Instr, depth: int, program: ContextProgram) -> bool:
    """Whether a boundary before an instruction keeps what may fail in it out of the step before."""
    return depth == 0 and (_counts(instr, program) or (instr.op == "atomic" and instr.args[0] == "begin"))


def _elements(instr: Instr) -> list[Operand]:
    """The elements an instruction follows: it faults if one is None."""
    return [argument for kind, argument in instr.shaped() if kind == "i"] if instr.op in ("load", "store", "deref") else []


def _never_empty(instr: Instr) -> bool:
    """Whether a choice has something to choose whatever happens."""
    low, high = instr.args[1:]
    return isinstance(low, int) and isinstance(high, int) and low <= high


def _counts(instr: Instr, program: ContextProgram) -> bool:
    """Whether an instruction can be a step of its own.

    Loads of the executing CPU's ``current`` and masks are free where they cannot change under the context that reads them.
    """
    if instr.op != "load" or instr.args[2] != CPU or not program.own_masks:
        return instr.op in STEPS
    return instr.args[1] not in FREE_LOADS and (instr.args[1] != CURRENT or program.context == "schedule")


def _atomic_depth(code: Code, starts: list[int]) -> list[int]:
    def step(instr: Instr, depth: int) -> int:
        if instr.op != "atomic":
            return depth
        return depth + 1 if instr.args[0] == "begin" else depth - 1

    return [depth or 0 for depth in forward(code, dict.fromkeys(starts, 0), step, max)]


def _instruction_accesses(code: Code, begin: int, atomic: list[int]) -> list[int]:
    inside, i = [], begin + 1
    while i < len(code) and atomic[i] > 0:
        inside.append(i)
        i += 1
    return inside


def _starts_with_pause(code: Code, begin: int) -> bool:
    i = begin + 1
    while code[i].op in ("label", "copy", "atomic"):
        i += 1
    return code[i].op == "pause"


def _without_circles(code: Code, wanted: list[bool], entries: Iterable[str]) -> Code:
    """The code with boundaries where wanted, at entries it comes back to, and at the top of loops that might go round for ever without."""
    with_all: Code = []
    for instr, want in zip(code, wanted, strict=True):
        if want:
            with_all.append(Instr("pause", (), instr.site))
        with_all.append(instr)
    tops = endless_loops(with_all) | set(_come_back_to(with_all, entries))
    return [new for i, instr in enumerate(with_all) for new in ([instr, Instr("pause", (), instr.site)] if i in tops else [instr])]


def _come_back_to(code: Code, entries: Iterable[str]) -> Iterator[int]:
    """The last label of each entry that the program comes back to: while it stands there it has the entry's counter."""
    comes_from: dict[int, set[int]] = {}
    for i, following in enumerate(successors(code)):
        for j in following:
            comes_from.setdefault(j, set()).add(i)
    for entry in entries:
        first = last = next(i for i, instr in enumerate(code) if instr.op == "label" and instr.args[0] == entry)
        while code[last + 1].op == "label":
            last += 1
        if any(comes_from.get(i, set()) - set(range(first, last)) for i in range(first, last + 1)):
            yield last


def boundary_counters(code: Code, entries: Sequence[str]) -> dict[int, int]:
    """The program counter of each boundary (by index): its own, or that of the entry it stands at."""
    counters: dict[int, int] = {}
    number, at = len(entries), 0
    for i, instr in enumerate(code):
        if instr.op == "label":
            at = entries.index(str(instr.args[0])) + 1 if instr.args[0] in entries else at
        elif instr.op != "pause":
            at = 0
        else:
            number += not at
            counters[i], at = at or number, 0
    return counters


def _insert(with_all: Code, program: ContextProgram) -> Code:
    """The code without the boundaries before which nothing has been accessed since the last one on any path; a sleep stands by itself."""

    def step(pair: Instr, dirty: bool) -> bool:
        if pair.op == "pause":
            return False
        free = program.own_masks and pair.op == "load" and pair.args[1] in FREE_LOADS and pair.args[2] == CPU
        return dirty or pair.op == "wait" or (not free and (asks_cpu(pair) or pair.op in STEPS))

    moved = replace(program, code=with_all)
    dirty = forward(with_all, dict.fromkeys(moved.starts(), False), step, lambda a, b: a or b)
    return [instr for instr, d in zip(with_all, dirty, strict=True) if instr.op != "pause" or d or instr.text == SLEEP]


def owned_task(instr: Instr) -> Code:
    """``take`` and ``release`` as what they do to Task.on_cpu."""
    site = instr.site
    if instr.op == "release":
        return [Instr("store", ("Task.on_cpu", instr.args[0], 0), site)]
    return [
        Instr("load", ("%busy", "Task.on_cpu", instr.args[1]), site), Instr("not", ("%free", "%busy"), site),
        Instr("require", ("%free",), site),
        Instr("store", ("Task.on_cpu", instr.args[1], 1), site), Instr("copy", (str(instr.args[0]), instr.args[1]), site),
    ]  # fmt: skip


class _Assembler:
    """Writes the action: dispatch, resume blocks that reload the frame, and saves at every boundary."""

    def __init__(self, program: ContextProgram, frame: Slots, code: Code, boundaries: list[int]) -> None:
        self.program, self.frame, self.code, self.boundaries = program, frame, code, boundaries
        self.number = boundary_counters(code, program.entries)
        self.sites: list[Site] = [LANGUAGE] * (len(program.entries) + 1)
        self.sleeping: list[int] = []
        self.out: Code = []

    def _emit(self, op: str, *args: Operand, site: Site = LANGUAGE) -> None:
        self.out.append(Instr(op, args, site))

    def assemble(self) -> Code:
        """The whole action but its guard, which has set OWNER and %pc."""
        begins = dict(enumerate(self.program.entries, start=1)) | {number: f"resume.{number}" for number in self.number.values()}
        self._emit("switch", "%pc", "end.idle", *(begins[number] for number in sorted(begins)))
        self._emit("label", "end.idle")
        self._emit("require", 0)
        self._emit("end")
        where = {str(i.args[0]): n for n, i in enumerate(self.code) if i.op == "label"}
        for number, label in enumerate(self.program.entries, start=1):
            self.sites[number] = self._first_site(where[label])
        for i, instr in enumerate(self.code):
            if i in self.number:
                self._boundary(i, instr)
            elif instr.op == "mask":
                self._mask(instr)
            elif instr.op in ("take", "release"):
                self.out += owned_task(instr)
            elif instr.op == "end":
                self._save(instr.site, 0, ())
            elif instr.op != "atomic":
                self.out.append(instr)
        return self.out

    def _mask(self, instr: Instr) -> None:
        change, site = mask_change(instr), instr.site
        field = change.field
        if change.mask == "irqs":
            self._emit("store", field, CPU, int(change.off), site=site)
            return
        self._emit("load", "%count", field, CPU, site=site)
        if change.off:
            self._emit("add", "%count", "%count", 1, site=site)
        else:
            self._emit("ne", "%held", "%count", 0, site=site)
            self.out.append(Instr("check", (SOUND, "%held"), site, f"{change.mask} is enabled more often than it was disabled"))
            self._emit("sub", "%count", "%count", "%held", site=site)
        self._emit("store", field, CPU, "%count", site=site)

    def _first_site(self, index: int) -> Site:
        return next((i.site for i in self.code[index:] if i.site is not LANGUAGE), LANGUAGE)

    def _save(self, site: Site, pc: int, live: tuple[str, ...]) -> None:
        values = {self.frame.slot_of[name]: name for name in live}
        for slot, domain in enumerate(self.frame.domains):
            self._emit("store", f"{self.program.struct}.{self.program.prefix}{slot}", OWNER, values.get(slot, domain.value(0)), site=site)
        self._emit("store", self.program.pc_field, OWNER, pc, site=site)
        self._emit("end", site=site)

    def _boundary(self, index: int, instr: Instr) -> None:
        pc, live = self.number[index], self.frame.live_at[index]
        self._save(instr.site, pc, live)
        self._emit("label", f"resume.{pc}", site=instr.site)
        for name in live:
            slot = self.frame.slot_of[name]
            self._emit("load", name, f"{self.program.struct}.{self.program.prefix}{slot}", OWNER, site=instr.site)
        if instr.text == SLEEP:
            self.sleeping.append(pc)
        if pc > len(self.program.entries):
            self.sites.append(instr.site)
