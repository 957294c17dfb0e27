"""The intermediate representation: one table of operations, functions made of them, models made of functions.

Both front ends (restricted Python, kernel C) produce ``Function``s; ``lower`` turns programs into ``Action``s made of the
same operations; the interpreter and the native backend execute ``Action``s and know nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property

from pasidlab.errors import Position
from pasidlab.lang.types import Domain, Field
from pasidlab.lang.words import Words

Operand = int | str
"""A constant, or the name of a local. The local ``%cpu`` is the executing CPU (a reference, never None)."""

CPU = "%cpu"
OWNER = "%owner"  # the element whose frame a program uses: the task, or the CPU

SOUND = "sound_kernel"  # the property the language itself may find broken
SLEEPING = "%sleeping"
SLEEP, SPIN = "sleep", "spin"  # how a task waits; a ``pause`` with the text SLEEP is where one gives up its CPU

ASLEEP = "asleep"
"""Not a promise: the bit that says that somebody waits for what is promised, and sleeps for something else."""

LOOKED_AT = "looked at "
"""How the names begin of the properties that a model which forgets has beside its own."""


def looks_at(path: str) -> str:
    """The property that no step uses the contents of a field that are forgotten (``forget``)."""
    return LOOKED_AT + path


# Shape letters: d destination local, a operand, f field, i element (operand; 0 is NULL and faults), l label, n name, * any number of a.
OPS: dict[str, str] = {
    # values
    "copy": "d a",
    "add": "d a a", "sub": "d a a", "mul": "d a a", "div": "d a a", "mod": "d a a",  # div, mod: C truncation; by 0 is an error
    "and": "d a a", "or": "d a a", "xor": "d a a", "shl": "d a a", "shr": "d a a",
    "eq": "d a a", "ne": "d a a", "lt": "d a a", "le": "d a a",
    # the same bits read without a sign, as C's unsigned long: division, shift to the right, comparison
    "udiv": "d a a", "umod": "d a a", "ushr": "d a a", "ult": "d a a", "ule": "d a a",
    "sext": "d a a",  # the lowest b bits of a, 1 to 64, read with a sign
    "not": "d a",  # 1 if a is 0, else 0
    "inv": "d a",  # all 64 bits inverted
    # state
    "load": "d f i",
    "store": "f i a",  # an error if a is outside the field's domain
    "lose": "f i",  # @forget: the content is forgotten
    "deref": "i a",  # faults like an access to element i of a fields that is not in the state (the text names it)
    # control
    "label": "l",
    "jump": "l",
    "branch": "a l l",  # nonzero: first label
    "switch": "a *l",  # the value selects among the labels, first is 0
    "call": "d n *a",
    "return": "a",
    # behaviour
    "choose": "d a a",  # any value from first to second: the checker tries each
    "require": "a",  # false: this step cannot be taken
    "check": "n a",  # false: the property named is violated by this step
    "reach": "n",  # a witness that the property was put to the test
    "repeat": "n",  # a request that waits for what the property promises is made once more
    "wait": "a n",  # a step of its own, taken only while a holds; n: "spin" keeps the CPU, "sleep" gives it up
    "atomic": "n",  # "begin" / "end": one instruction of the machine, no step boundary inside
    "enter": "i n",  # the task given is now at the kernel entry point named
    "mask": "n",  # irqs_off irqs_on preempt_off preempt_on bh_off bh_on: what may interrupt this CPU; counted but for irqs
    "take": "d a",  # a task no CPU has: this step cannot be taken unless it is free; then it is this context's own
    "release": "i",  # a taken task is free again
    "pause": "",  # a step boundary whatever the merging; with the text "sleep" a task standing here has given up its CPU
    "crash": "",  # the kernel ends here: sound_kernel is violated, and no state follows
    "end": "",  # this step is complete
}  # fmt: skip

TRUTHS = frozenset({"eq", "ne", "lt", "le", "ult", "ule"})  # 0 or 1
DIVISIONS = frozenset({"div", "mod", "udiv", "umod"})  # an error by 0
SHIFTS = frozenset({"shl", "shr", "ushr"})  # an error by less than 0 or more than 63
VALUES = frozenset({"copy", "add", "sub", "mul", "and", "or", "xor", "sext", "not", "inv"}) | TRUTHS | SHIFTS
BINARY = VALUES - {"copy", "not", "inv"} | DIVISIONS
TERMINATORS = frozenset({"jump", "branch", "switch", "return", "crash", "end"})
SILENT = frozenset({"label", "reach", "repeat", "pause", "atomic"})  # in a lowered model: the state and the way stay as they are
_ELEMENT = {"load": 2, "store": 1, "lose": 1, "deref": 0, "take": 1, "release": 0, "enter": 0}  # which argument is the element
ASSIGNING = frozenset(op for op, shape in OPS.items() if shape.startswith("d"))


@cache
def _letters(op: str, count: int) -> tuple[str, ...]:
    """The shape letter of each of an operation's ``count`` arguments."""
    letters = OPS[op].split()
    if letters and letters[-1].startswith("*"):
        letters[-1:] = [letters[-1][1:]] * (count - len(letters) + 1)
    if len(letters) != count:
        raise ValueError(f"{op} does not take {count} arguments")
    return tuple(letters)


@cache
def _places(op: str, count: int, kinds: str) -> tuple[int, ...]:
    """Which of an operation's ``count`` arguments are of the kinds given."""
    return tuple(n for n, letter in enumerate(_letters(op, count)) if letter in kinds)


@dataclass(frozen=True)
class Site:
    """Where an instruction comes from: a source position in a function, and the call that inlined it."""

    function: str
    position: Position
    caller: Site | None = None

    def chain(self) -> Iterator[Site]:
        """This site, then its callers, innermost first."""
        site: Site | None = self
        while site:
            yield site
            site = site.caller


@dataclass(frozen=True)
class Instr:
    """One operation. ``args`` follow the shape in OPS, the destination first where there is one."""

    op: str
    args: tuple[Operand, ...]
    site: Site
    text: str = ""  # check: the sentence shown when it fails; deref: the field; pause: "sleep" where a task sleeps

    @cached_property
    def dst(self) -> str | None:
        """The local this instruction assigns, if any."""
        return str(self.args[0]) if self.op in ASSIGNING else None

    @cached_property
    def _operands(self) -> tuple[Operand, ...]:
        args = self.args
        return tuple([args[n] for n in _places(self.op, len(args), "ai")])

    def operands(self) -> tuple[Operand, ...]:
        """The values read: constants and locals, in order."""
        return self._operands

    def shaped(self) -> list[tuple[str, Operand]]:
        """Each argument with its shape letter."""
        return list(zip(_letters(self.op, len(self.args)), self.args, strict=True))

    def labels(self) -> tuple[str, ...]:
        """Labels this instruction may go to (or defines)."""
        return self._labels

    @cached_property
    def _labels(self) -> tuple[str, ...]:
        return tuple([str(self.args[n]) for n in _places(self.op, len(self.args), "l")])

    @property
    def field(self) -> str | None:
        """The path of the field that a load, store or lose accesses; None for any other operation."""
        if self.op == "load":
            return str(self.args[1])
        return str(self.args[0]) if self.op in ("store", "lose") else None

    @property
    def element(self) -> Operand:
        """The element that an operation accesses, or the task of a take, release or enter: its number from 1, or 0 for NULL."""
        return self.args[_ELEMENT[self.op]]

    def renamed(self, names: dict[str, Operand], labels: dict[str, str]) -> Instr:
        """A copy with locals and labels replaced."""
        args = list(self.args)
        tables: tuple[tuple[str, Mapping[str, Operand]], ...] = (("dai", names), ("l", labels))
        for kinds, table in tables:
            for n in _places(self.op, len(args), kinds):
                args[n] = table.get(args[n], args[n])  # type: ignore[arg-type]
        return Instr(self.op, tuple(args), self.site, self.text)

    def with_args(self, *args: Operand, op: str = "") -> Instr:
        """A copy with other arguments, and perhaps another operation."""
        return Instr(op or self.op, args, self.site, self.text)


@dataclass(frozen=True)
class Function:
    """A function before inlining. ``locals`` gives each local's domain (None: unknown, may not live across steps)."""

    name: str
    params: tuple[str, ...]
    locals: dict[str, Domain | None]
    result: Domain | None
    code: tuple[Instr, ...]
    position: Position
    instruction: bool = False  # executes as one step


@dataclass(frozen=True)
class Entry:
    """A declared behaviour: a function and the role its decorator gave it."""

    role: str  # rule, user, entry, context, exit, init, never, live, again
    function: str
    name: str  # display name; for never/live the property
    params: tuple[tuple[str, Domain], ...] = ()
    options: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Action:
    """A guarded step of the lowered model: executed for each value of its parameters, ends at ``end``."""

    name: str
    params: tuple[tuple[str, Domain], ...]
    code: tuple[Instr, ...]
    cpu_param: bool = False
    resumes: tuple[Site, ...] = ()  # for programs: the site each program counter stands at, index = pc
    fair: bool = False  # of a rule: taken some time if it can be again and again. Programs always are
    anyway: bool = False  # another action leads to all that this one does; it says only where somebody is obliged to take it

    @property
    def obliged(self) -> bool:
        """Whether a step that can be taken again and again is taken some time: it is no event, and no instruction of a program."""
        return self.fair or bool(self.resumes)


@dataclass(frozen=True)
class Property:
    """A named promise; ``sentence`` is printed when it is broken."""

    name: str
    sentence: str


@dataclass(frozen=True)
class Predicate:
    """A state predicate that must never be true, for any value of its parameters; ``stuck``: where no step is obliged."""

    property: str
    action: Action
    sentence: str
    stuck: bool = False


@dataclass(frozen=True)
class Model:
    """A lowered model: what both engines execute."""

    name: str
    fields: tuple[Field, ...]
    actions: tuple[Action, ...]
    init: Action
    predicates: tuple[Predicate, ...]
    properties: tuple[Property, ...]
    pending: dict[str, Action] = field(default_factory=dict)  # liveness: states in which a request is outstanding
    forget: Action | None = None  # run at the end of every step
    forgotten: dict[str, Domain] = field(default_factory=dict)  # what it forgets: the fields' domains without the value for that
    asleep: dict[str, Action] = field(default_factory=dict)  # of pending: those who wait asleep for something else
    symmetric: tuple[str, ...] = ()  # structs whose elements are interchangeable
    notes: tuple[str, ...] = ()  # reductions that are left out, and why
    private: Action | None = None  # of a CPU: whether the others may wait for it (``independence``)
    words: Words = field(default_factory=Words)

    def field_table(self) -> dict[str, Field]:
        """Fields by path, ``Struct.name``."""
        return {f.path: f for f in self.fields}
