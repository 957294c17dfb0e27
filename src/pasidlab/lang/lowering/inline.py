"""Inlines calls: a program becomes one flat piece of code, and every instruction remembers the calls that led to it."""

from __future__ import annotations

from collections.abc import Callable

from pasidlab.errors import PasidlabError, Position
from pasidlab.lang.functions import must_be_shallow
from pasidlab.lang.ir import SLEEPING, Function, Instr, Operand, Site
from pasidlab.lang.types import ANY, BOOL, Domain, Int, Mask, joined_domain

MOST_INSTRUCTIONS = 20_000
"""Of a function with all that it calls; the kernel of the model has 2,500 in one. Twice as many take a minute to be lowered."""


class Inliner:
    """Flattens functions into one code with its own names for locals and labels."""

    def __init__(self, lookup: Callable[[str], Function]) -> None:
        self.lookup = lookup
        self.code: list[Instr] = []
        self.locals: dict[str, Domain | None] = {}
        self.ends: dict[str, str] = {}
        self._copies = 0

    def fresh(self, hint: str) -> str:
        """A name not used before, for a local or a label."""
        self._copies += 1
        return f"{hint}.{self._copies}"

    def call(self, name: str, args: tuple[Operand, ...], dst: str | None, site: Site | None, active: tuple[str, ...] = ()) -> None:
        """Append the body of a function; its result goes to ``dst``."""
        function = self.lookup(name)
        if not active:
            _must_be_small(name, self.lookup)
        if name in active:
            cycle = " -> ".join((*active[active.index(name) :], name))
            raise PasidlabError(f"recursion: {cycle}", position=site.position if site else function.position, hint="use a loop")
        self._copies += 1
        copy = self._copies
        names: dict[str, Operand] = {local: f"{local}.{copy}" for local in function.locals}
        labels = {str(i.args[0]): f"{i.args[0]}.{copy}" for i in function.code if i.op == "label"}
        for local, domain in function.locals.items():
            self.locals[f"{local}.{copy}"] = domain
        here = Site(name, function.position, site)
        for parameter, arg in zip(function.params, args, strict=True):
            given = self.locals.get(arg, ANY) if isinstance(arg, str) else Int(arg, arg)
            self._give(f"{parameter}.{copy}", function.locals[parameter], given)
            self.code.append(Instr("copy", (f"{parameter}.{copy}", arg), here))
        end = f"return.{copy}"
        if function.instruction:
            self.code.append(Instr("atomic", ("begin",), here))
        for instr in function.code:
            self._instruction(instr.renamed(names, labels), site, dst, end, (*active, name))
        self.code.append(Instr("label", (end,), here))
        if function.instruction:
            self.code.append(Instr("atomic", ("end",), here))

    def _give(self, parameter: str, declared: Domain | None, given: Domain | None) -> None:
        """The domain of a parameter declared ``int`` is that of what it is given; ``bool`` makes no 1 of another number either."""
        if declared == ANY:
            self.locals[parameter] = given
        elif declared == BOOL and isinstance(given, Int | Mask) and given != ANY:
            self.locals[parameter] = joined_domain(given, BOOL)

    def _instruction(self, instr: Instr, caller: Site | None, dst: str | None, end: str, active: tuple[str, ...]) -> None:
        site = Site(instr.site.function, instr.site.position, caller)
        if instr.op == "call":
            self.call(str(instr.args[1]), instr.args[2:], instr.dst, site, active)
        elif instr.op == "return":
            if dst is not None:
                self.code.append(Instr("copy", (dst, instr.args[0]), site))
            self.code.append(Instr("jump", (end,), site))
        else:
            self.code.append(Instr(instr.op, instr.args, site, instr.text))

    def emit(self, op: str, *args: Operand, site: Site) -> None:
        """Append one instruction of the lowering's own."""
        self.code.append(Instr(op, args, site))


def _must_be_small(name: str, lookup: Callable[[str], Function]) -> None:
    """Raises PasidlabError if a function with all that it calls is more than the lowering can deal with: it may double at every call."""
    sizes: dict[str, int] = {}
    way: list[str] = []

    def size(name: str) -> int:
        if name == SLEEPING or name in way:  # Inliner.call tells of recursion
            return 0
        if name not in sizes:
            function = lookup(name)
            way.append(name)
            must_be_shallow(way, function.position)
            count = sum(size(str(instr.args[1])) if instr.op == "call" else 1 for instr in function.code)
            way.pop()
            if count > MOST_INSTRUCTIONS:
                what = f"{name} has {count:,} instructions, with a copy of what it calls at each call: {MOST_INSTRUCTIONS:,} are the most"
                raise PasidlabError(what, position=function.position, hint="call what is long, or calls much, at fewer places: in a loop")
            sizes[name] = count
        return sizes[name]

    size(name)


LANGUAGE = Site("context", Position("<language>", 0))
"""The site of instructions the lowering itself writes."""


def own_op(op: str, *args: Operand) -> Instr:
    """An instruction that the lowering itself writes."""
    return Instr(op, args, LANGUAGE)
