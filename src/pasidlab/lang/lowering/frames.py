"""Where the locals of a program live while it stands between two steps: slots in the state, shared by locals never live together."""

from __future__ import annotations

from dataclasses import dataclass

from pasidlab.errors import PasidlabError
from pasidlab.lang.emit import result_domain
from pasidlab.lang.ir import BINARY, CPU, Instr, Site
from pasidlab.lang.lowering.flow import Code, liveness
from pasidlab.lang.lowering.intervals import intervals, widest
from pasidlab.lang.types import ANY, BOOL, Domain, Field, Int, Mask, Ref, joined_domain

LARGEST_SLOT_BITS = 12


@dataclass(frozen=True)
class Slots:
    """Slot number of each local that must survive a boundary, the slots' domains, and who is live at each boundary."""

    slot_of: dict[str, int]
    domains: tuple[Domain, ...]
    live_at: dict[int, tuple[str, ...]]  # index of the boundary instruction -> locals

    def fields(self, struct: str, prefix: str, count: int) -> list[Field]:
        """The state fields that hold the slots; the default is a value of the domain."""
        return [Field(struct, f"{prefix}{number}", domain, count, domain.value(0)) for number, domain in enumerate(self.domains)]


def allocate(
    code: Code, boundaries: list[int], locals_: dict[str, Domain | None], implicit: frozenset[str], starts: list[int]
) -> Slots:  # fmt: skip
    """Assign slots greedily; ``implicit`` locals are reloaded at every resume and need none. ``starts``: the indices of the entries."""
    before = liveness(code)
    live_at = {i: tuple(sorted(before[i] - implicit - {CPU})) for i in boundaries}
    clashes: dict[str, set[str]] = {}
    sites: dict[str, Site] = {}
    for i, live in live_at.items():
        for name in live:
            clashes.setdefault(name, set()).update(live)
            sites.setdefault(name, code[i].site)
    slot_of: dict[str, int] = {}
    domains: list[Domain] = []
    known = {name: _known_domain(name, code, locals_, frozenset()) for name in clashes}
    _look_closer(code, known, live_at, locals_, starts)
    for name in sorted(clashes, key=lambda n: (-len(clashes[n]), n)):
        domain = _finite(name, known[name], sites[name])
        for number, existing in enumerate(domains):
            taken = any(slot_of.get(other) == number for other in clashes[name] if other != name)
            joined = None if taken else joined_domain(existing, domain)
            if joined is not None and joined.bits <= max(existing.bits, domain.bits):
                domains[number] = joined
                slot_of[name] = number
                break
        else:
            slot_of[name] = len(domains)
            domains.append(domain)
    return Slots(slot_of, tuple(domains), live_at)


def _look_closer(
    code: Code, known: dict[str, Domain | None], live_at: dict[int, tuple[str, ...]], locals_: dict[str, Domain | None], starts: list[int]
) -> None:  # fmt: skip
    """Locals that have no small domain by their assignments alone: what they hold where they must survive."""
    open_ = {name for name, domain in known.items() if not _is_small(domain)}
    if not open_:
        return
    found = intervals(code, starts, locals_, open_)
    for name in open_:
        interval = widest(code, found, name, [i for i, live in live_at.items() if name in live])
        if interval is not None:
            known[name] = interval


def _is_small(domain: Domain | None) -> bool:
    return isinstance(domain, Ref | Mask) or (isinstance(domain, Int) and domain != ANY and domain.bits <= LARGEST_SLOT_BITS)


def _known_domain(name: str, code: Code, locals_: dict[str, Domain | None], active: frozenset[str]) -> Domain | None:
    """The domain of a local; where its function left it open, what its assignments after inlining show."""
    known = locals_.get(name)
    if (known is not None and known != ANY) or name in active:
        return known
    joined: Domain | None = None
    for instr in code:
        if instr.dst == name:
            domains = [Int(o, o) if isinstance(o, int) else _known_domain(o, code, locals_, active | {name}) for o in instr.operands()]
            if None in domains:
                return known
            result = _result(instr, [d for d in domains if d is not None])
            joined = joined_domain(joined, result) if result is not None else None
            if joined is None:
                return known
    return joined


def _result(instr: Instr, domains: list[Domain]) -> Domain | None:
    if instr.op == "copy":
        return domains[0]
    if instr.op == "not":
        return BOOL
    return result_domain(instr.op, domains[0], domains[1]) if instr.op in BINARY else None


def _finite(name: str, domain: Domain | None, site: Site) -> Domain:
    if domain is not None and _is_small(domain):
        return domain
    shown = name.split(".")[0].split("'")[0]  # not which of several of that name it is
    raise PasidlabError(
        f"local '{shown}' must survive a step boundary in {site.function} but has no small domain",
        position=site.position,
        hint=f"say what it can be, in Python '{shown}: Annotated[int, Range(low, high)] = ...', in C 'u8 {shown}'",
    )
