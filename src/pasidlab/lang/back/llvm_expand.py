"""The function the search calls, as LLVM IR text: predicates of the state, then every action."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pasidlab.lang.back.llvm_text import WHEN_STUCK
from pasidlab.search.observed import AGAIN, ERROR, PENDING, STATE_BROKEN, STEP_BROKEN


@dataclass(frozen=True)
class OwnFunctions:
    """The functions of one CPU, whose state is that of number ``cpu``: whether it is private, its programs, what may interrupt them."""

    cpu: int
    private: str
    programs: tuple[str, ...]
    others: tuple[str, ...]


def expand_text(
    words: int, actions: Sequence[tuple[str, int, bool]], predicates: Iterable[tuple[str, int, int]], cpus: int,
    private: Sequence[OwnFunctions] = (), only_asked: Sequence[tuple[str, int]] = (), followed: int = 0,
) -> str:
    """The function ``expand``: predicates (function, observed word, bit), then every action (function, CPU, whether it is obliged).

    An action on another CPU than the first is given the state in which that CPU is the first; there are ``cpus`` of them. If a CPU
    is ``private`` and its program can go on, only its own actions are done (``independence``). Such a successor is not given if nothing
    may interrupt that program: what it leads to is, and it is looked at on the way. That ends where there are more than ``followed``
    successors. ``only_asked`` are actions (function, CPU) that somebody is obliged to, and that lead only where others do: they are tried
    where it matters that no obliged step can be taken.
    """
    predicates = list(predicates)
    look = _look_text([p for p in predicates if p[1] != WHEN_STUCK])
    lines = [f"define {'internal ' if private else ''}i64 @{'once' if private else 'expand'}({_PARAMETERS}) {{", *_observed_lines()]
    lines += [f"  store i64 0, ptr %z{word}" for word in _OVERWRITTEN]
    lines += [*_rooms(words, cpus), *map(_first, range(2, cpus + 1)), "  call void @look(ptr %state, ptr %out, ptr %seen)"]
    lines += [f"  %asked = load i64, ptr %z{ERROR}", f"  store i64 0, ptr %z{ERROR}"]
    lines += _own_lines() if private else []
    total = _call_lines(lines, "f", "0", [(name, _state_of(cpu)) for name, cpu, _ in actions], words)
    lines += [f"  %failed = load i64, ptr %z{ERROR}", "  %errors = or i64 %asked, %failed", f"  store i64 %errors, ptr %z{ERROR}"]
    ends = [(name, STATE_BROKEN, bit) for name, word, bit in predicates if word == WHEN_STUCK]
    lines += [*_end_lines(actions, only_asked, total, words), *_predicate_lines(ends, "e")] if ends else []
    lines.append("  br label %done")
    lines += ["done:", f"  ret i64 {total}", "}"]
    more = [_own_text(words, cpus, private), _own_text(words, cpus, private, alone=True), _follow_text(words, followed)] if private else []
    return "\n\n".join([look, "\n".join(lines), *more])


def _end_lines(actions: Sequence[tuple[str, int, bool]], only_asked: Sequence[tuple[str, int]], total: str, words: int) -> list[str]:
    """Go on behind ``stuck`` if no obliged step can be taken, else at ``done``.

    A step that ends in an error, or follows NULL, is a step nevertheless: where something did, the obliged steps are tried once more.
    No state follows any of them, so nothing is written over the successors. What is only asked is written behind them.
    """
    obliged = [(n, name, _state_of(cpu)) for n, (name, cpu, is_obliged) in enumerate(actions) if is_obliged]
    lines, taken = [], "0"
    for n, _, _ in obliged:
        lines.append(f"  %taken{n} = or i64 {taken}, %f{n}.more")
        taken = f"%taken{n}"
    lines += [f"  %none = icmp eq i64 {taken}, 0", "  br i1 %none, label %ask, label %done", "ask:"]
    asked = _call_lines(lines, "q", total, [(name, _state_of(cpu)) for name, cpu in only_asked], words)
    lines += [
        f"  %idle = icmp eq i64 {asked}, {total}", "  br i1 %idle, label %ends, label %done", "ends:",
        f"  %step = load i64, ptr %z{STEP_BROKEN}", "  %any = or i64 %step, %failed",
        "  %whole = icmp eq i64 %any, 0", "  br i1 %whole, label %stuck, label %again", "again:",
        f"  store i64 0, ptr %z{ERROR}", f"  store i64 0, ptr %z{STEP_BROKEN}",
    ]  # fmt: skip
    _call_lines(lines, "r", "0", [(name, state) for _, name, state in obliged], words)
    return [
        *lines, f"  %r.failed = load i64, ptr %z{ERROR}", f"  %r.step = load i64, ptr %z{STEP_BROKEN}",
        f"  store i64 %errors, ptr %z{ERROR}", f"  store i64 %step, ptr %z{STEP_BROKEN}",
        "  %r.any = or i64 %r.failed, %r.step", "  %r.none = icmp eq i64 %r.any, 0", "  br i1 %r.none, label %stuck, label %done", "stuck:",
    ]  # fmt: skip


_PARAMETERS = "ptr noalias %state, ptr noalias %out, ptr noalias %seen"
_OVERWRITTEN = (STATE_BROKEN, STEP_BROKEN, ERROR, PENDING, AGAIN)


def _observed_lines() -> list[str]:
    return [f"  %z{word} = getelementptr i64, ptr %seen, i64 {word}" for word in _OVERWRITTEN]


def _rooms(words: int, cpus: int) -> list[str]:
    """Room for the states in which another CPU is the first."""
    return [f"  %state{cpu} = alloca [{words} x i64]" for cpu in range(2, cpus + 1)]


def _first(cpu: int) -> str:
    """Makes the state in which a CPU is the first."""
    return f'  call void @"first.{cpu}"(ptr %state, ptr %state{cpu})'


def _look_text(predicates: list[tuple[str, int, int]]) -> str:
    """The function that evaluates the predicates of a state."""
    lines = [f"define internal void @look({_PARAMETERS}) {{", *_observed_lines(), *_predicate_lines(predicates, "p"), "  ret void", "}"]
    return "\n".join(lines)


def _own_text(words: int, cpus: int, private: Sequence[OwnFunctions], *, alone: bool = False) -> str:
    """The function that does the steps of the first CPU that is private and whose program can go on; it returns 0 if there is none.

    If ``alone``, it returns 0 as well where something may interrupt that program.
    """
    lines = [f"define internal i64 @{'alone' if alone else 'own'}({_PARAMETERS}) {{", *_rooms(words, cpus)]
    for n, own in enumerate(private):
        v, state = f"own{n}", _state_of(own.cpu)
        programs, others = [(name, state) for name in own.programs], [(name, state) for name in own.others]
        lines += [_first(own.cpu)] if own.cpu > 1 else []
        lines += [
            f'  %{v} = call i64 @"{own.private}"(ptr {state}, ptr %out, ptr %seen)', f"  %{v}.is = icmp ne i64 %{v}, 0",
            f"  br i1 %{v}.is, label %{v}.goes, label %{v}.not", f"{v}.goes:",
        ]  # fmt: skip
        if alone:
            total = _call_lines(lines, f"{v}.o", "0", others, words)
            lines += [f"  %{v}.quiet = icmp eq i64 {total}, 0", f"  br i1 %{v}.quiet, label %{v}.mine, label %no", f"{v}.mine:"]
        total = _call_lines(lines, f"{v}.p", "0", programs, words)
        lines += [f"  %{v}.stands = icmp eq i64 {total}, 0", f"  br i1 %{v}.stands, label %{v}.not, label %{v}.on", f"{v}.on:"]
        total = total if alone else _call_lines(lines, f"{v}.o", total, others, words)
        lines += [f"  ret i64 {total}", f"{v}.not:"]
    return "\n".join([*lines, "  br label %no", "no:", "  ret i64 0", "}"])


def _follow_text(words: int, followed: int) -> str:
    """``expand``: a successor with a private CPU is replaced by the last state that leads to; the others go behind all successors."""
    copies = [
        f"  %from{w} = getelementptr i64, ptr %last, i64 {w}\n  %word{w} = load i64, ptr %from{w}\n"
        f"  %to{w} = getelementptr i64, ptr %here, i64 {w}\n  store i64 %word{w}, ptr %to{w}"
        for w in range(words)
    ]
    return "\n".join([
        f"define i64 @expand({_PARAMETERS}) {{", "  %first = call i64 @once(ptr %state, ptr %out, ptr %seen)", "  br label %head", "head:",
        "  %i = phi i64 [ 0, %0 ], [ %j, %end ], [ %i, %replaced ]", "  %n = phi i64 [ %first, %0 ], [ %n, %end ], [ %sum, %replaced ]",
        "  %more = icmp ult i64 %i, %n", "  br i1 %more, label %each, label %done", "each:",
        f"  %room = icmp ule i64 %n, {followed}", "  br i1 %room, label %follow, label %end", "follow:",
        f"  %at = mul i64 %i, {words}", "  %here = getelementptr i64, ptr %out, i64 %at",
        f"  %size = mul i64 %n, {words}", "  %next = getelementptr i64, ptr %out, i64 %size",
        "  %ways = call i64 @alone(ptr %here, ptr %next, ptr %seen)", "  %kept = icmp eq i64 %ways, 0",
        "  br i1 %kept, label %end, label %replaced", "replaced:", "  call void @look(ptr %here, ptr %next, ptr %seen)",
        "  %behind = add i64 %n, %ways", "  %sum = sub i64 %behind, 1", f"  %place = mul i64 %sum, {words}",
        "  %last = getelementptr i64, ptr %out, i64 %place", *copies, "  br label %head", "end:", "  %j = add i64 %i, 1",
        "  br label %head", "done:", "  ret i64 %n", "}",
    ])  # fmt: skip


def _state_of(cpu: int) -> str:
    return f"%state{cpu}" if cpu > 1 else "%state"


def _call_lines(lines: list[str], prefix: str, total: str, calls: Iterable[tuple[str, str]], words: int) -> str:
    """Calls of actions (function, state), each writing behind the ones before; the name of the number of successors so far."""
    for n, (name, state) in enumerate(calls):
        v = f"{prefix}{n}"
        lines += [
            f"  %{v}.words = mul i64 {total}, {words}", f"  %{v}.at = getelementptr i64, ptr %out, i64 %{v}.words",
            f'  %{v}.more = call i64 @"{name}"(ptr {state}, ptr %{v}.at, ptr %seen)', f"  %{v}.sum = add i64 {total}, %{v}.more",
        ]  # fmt: skip
        total = f"%{v}.sum"
    return total


def _own_lines() -> list[str]:
    """If a CPU is private and its program can go on: its own actions, and no more."""
    return [
        "  %own = call i64 @own(ptr %state, ptr %out, ptr %seen)", "  %nobody = icmp eq i64 %own, 0",
        "  br i1 %nobody, label %all, label %alone", "alone:", f"  %own.failed = load i64, ptr %z{ERROR}",
        "  %own.errors = or i64 %asked, %own.failed", f"  store i64 %own.errors, ptr %z{ERROR}", "  ret i64 %own", "all:",
    ]  # fmt: skip


def _predicate_lines(predicates: list[tuple[str, int, int]], prefix: str) -> list[str]:
    """Evaluate predicates and set their bits in the observed words."""
    lines: list[str] = []
    for n, (name, word, bit) in enumerate(predicates):
        v = f"{prefix}{n}"
        lines += [
            f'  %{v} = call i64 @"{name}"(ptr %state, ptr %out, ptr %seen)', f"  %{v}.true = icmp ne i64 %{v}, 0",
            f"  %{v}.bit = select i1 %{v}.true, i64 {1 << bit}, i64 0", f"  %{v}.old = load i64, ptr %z{word}",
            f"  %{v}.new = or i64 %{v}.old, %{v}.bit", f"  store i64 %{v}.new, ptr %z{word}",
        ]  # fmt: skip
    return lines
