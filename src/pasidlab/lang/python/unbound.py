"""Locals that are read where they may not have been assigned: what Python calls an UnboundLocalError ends the kernel here too.

Where every path to a read assigns the local nothing is added. Where none does, the read is refused at its place. Otherwise the code
keeps in a local of its own whether there was an assignment, and asks that before the read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pasidlab.errors import PasidlabError
from pasidlab.lang.emit import Builder
from pasidlab.lang.ir import Instr
from pasidlab.lang.lowering.flow import Code, forward
from pasidlab.lang.types import BOOL

LocalNames = frozenset[str]


def bound(builder: Builder, params: Iterable[str]) -> Code:
    """The builder's code, with a test before each read of a local that some path leaves without a value."""
    code = builder.code
    surely, perhaps = (_assigned(code, frozenset(params), merge) for merge in (frozenset.intersection, frozenset.union))
    doubtful = [_named(instr.operands()) - (known or frozenset()) if known is not None else frozenset()
                for instr, known in zip(code, surely, strict=True)]  # fmt: skip
    for instr, names, possible in zip(code, doubtful, perhaps, strict=True):
        for name in sorted(names - (possible or frozenset())):
            raise PasidlabError(_sentence(name), position=instr.site.position, hint="assign it on every path that leads here")
    watched: LocalNames = frozenset().union(*doubtful)
    if not watched:
        return code
    out = [Instr("copy", (_flag(builder, name), 0), code[0].site) for name in sorted(watched)]
    for instr, names in zip(code, doubtful, strict=True):
        for name in sorted(names):
            out += _asked(builder, name, instr)
        out.append(instr)
        if instr.dst in watched:
            out.append(Instr("copy", (_flag(builder, str(instr.dst)), 1), instr.site))
    return out


def _assigned(code: Code, params: LocalNames, merge: Callable[[LocalNames, LocalNames], LocalNames]) -> list[LocalNames | None]:
    """Locals assigned before each instruction, on all paths or on some."""
    return forward(code, {0: params}, lambda instr, known: known | _named([instr.dst]), merge)


def _named(operands: Iterable[object]) -> LocalNames:
    """The operands that have a name in the source text."""
    return frozenset(o for o in operands if isinstance(o, str) and not o.startswith("%"))


def _flag(builder: Builder, name: str) -> str:
    builder.locals[f"%has.{name}"] = BOOL
    return f"%has.{name}"


def _asked(builder: Builder, name: str, instr: Instr) -> Code:
    there, missing = builder.label("bound"), builder.label("unbound")
    return [
        Instr("branch", (_flag(builder, name), there, missing), instr.site), Instr("label", (missing,), instr.site),
        Instr("crash", (), instr.site, _sentence(name)), Instr("label", (there,), instr.site),
    ]  # fmt: skip


def _sentence(name: str) -> str:
    return f"'{name}' is read before it is assigned"
