"""Counterexamples: a path of packed states becomes steps a kernel developer can read, by replaying it in the interpreter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from pasidlab.lang.interpreter import Interpreter, Outcome
from pasidlab.lang.ir import Site
from pasidlab.lang.layout import State
from pasidlab.lang.source import REMEMBERED
from pasidlab.lang.types import Domain, Field, Int, Mask, Ref

Packed = tuple[int, ...]
HIDDEN = ("pc", "on_cpu", "hardirq_pc", "softirq_pc", "schedule_pc")
SHORT = {"Task": "T", "Cpu": "CPU", "Mm": "mm", "PasidEntry": "PASID", "File": "file"}


@dataclass(frozen=True)
class Change:
    """One field that a step changed: ``T0.need_fpu_load`` from ``0`` to ``1``."""

    name: str
    old: str
    new: str


@dataclass(frozen=True)
class Line:
    """A source line a step executed."""

    function: str
    file: str
    line: int
    source: str


@dataclass(frozen=True)
class Step:
    """One step of a counterexample. ``cpu`` is None for steps of the environment, ``task`` None for an idle CPU."""

    cpu: int | None
    context: str  # user, kernel, schedule, softirq, hardirq, event
    task: int | None
    action: str
    lines: tuple[Line, ...]
    changes: tuple[Change, ...]
    state: State = field(repr=False)
    params: tuple[int, ...] = ()
    choices: tuple[int, ...] = ()  # what ``choose`` answered, in order

    @property
    def main(self) -> Line | None:
        """The line that says best what the step does: the last one that stored something, else the first."""
        return self.lines[-1] if self.lines else None


@dataclass(frozen=True)
class Counterexample:
    """A shortest way to break a property: ``sentence`` says how, ``steps`` how it came to that."""

    property: str
    sentence: str
    initial: State = field(repr=False)
    steps: tuple[Step, ...] = ()
    broken_by_step: bool = False
    loop: int | None = None  # liveness: the last step leads back to the state after this many steps
    final: tuple[tuple[str, str], ...] = ()  # the state at the end: (field of element, value) where not the default
    exact: bool = True  # False: shows only with contents nobody may rely on replaced by what no task expects


class Replayer:
    """Replays paths of one model."""

    def __init__(self, interpreter: Interpreter) -> None:
        self.interpreter = interpreter
        self.names = {f.path: f for f in interpreter.model.fields}

    def counterexample(self, name: str, path: Sequence[Packed], by_step: bool) -> Counterexample:
        """Replay packed states; the violation must show, or the engines disagree and nothing is reported."""
        found = self.path(name, "", path)
        state = found.steps[-1].state if found.steps else found.initial
        if by_step:
            return self._finished(self._broken_by_step(name, found.initial, list(found.steps), state))
        sentence = next((text for prop, text, _ in self.interpreter.violations(state) if prop == name), None)
        if sentence is None:
            raise AssertionError(f"the interpreter does not find {name} violated at the end of the path")
        return self._finished(replace(found, sentence=sentence))

    def _finished(self, found: Counterexample) -> Counterexample:
        """With the state at the end told in words."""
        state = found.steps[-1].state if found.steps else found.initial
        told = []
        for f in self.interpreter.model.fields:
            start = self.interpreter.offsets[f.path]
            for i in range(f.count):
                if not _bookkeeping(f.path) and state[start + i] != f.default:
                    told.append((f"{_element(f, i)}.{f.name}", show(f.domain, state[start + i])))
        return replace(found, final=tuple(sorted(told, key=lambda t: t[0].split(".")[0])))

    def path(self, name: str, sentence: str, path: Sequence[Packed]) -> Counterexample:
        """The steps along a path of packed states, canonical or not; AssertionError where the interpreter cannot follow."""
        canonical = self.interpreter.canonical
        initial = next((s for s in self.interpreter.initial_states() if canonical(s) == tuple(path[0])), None)
        if initial is None:
            raise AssertionError("the path does not begin in an initial state")
        state = initial
        steps: list[Step] = []
        for target in path[1:]:
            outcomes = self.interpreter.successors(state)
            outcome = next((o for o in outcomes if o.state is not None and canonical(o.state) == tuple(target)), None)
            if outcome is None or outcome.state is None:
                raise AssertionError(f"step {len(steps) + 1} of the path is not a step of the interpreter")
            steps.append(self.step(outcome, state))
            state = outcome.state
        return Counterexample(name, sentence, initial, tuple(steps))

    def _broken_by_step(self, name: str, initial: State, steps: list[Step], state: State) -> Counterexample:
        for outcome in self.interpreter.successors(state):
            for failure in outcome.failures:
                if failure.property == name:
                    return Counterexample(name, failure.sentence, initial, (*steps, self.step(outcome, state)), broken_by_step=True)
        raise AssertionError(f"no step out of the last state breaks {name} in the interpreter")

    def error(self, path: Sequence[Packed]) -> tuple[tuple[Step, ...], Outcome]:
        """The steps to a state out of which a step ends in a model error, and that step."""
        found = self.path("", "", path)
        state = found.steps[-1].state if found.steps else found.initial
        return found.steps, next(o for o in self.interpreter.successors(state) if o.error)

    def same_moves(self, abstract: Counterexample) -> Counterexample | None:
        """A counterexample's moves made in this interpreter's model; None if they do not lead to the violation here."""
        for initial in self.interpreter.initial_states():
            found = self._moves_from(initial, abstract)
            if found is not None:
                return found
        return None

    def _moves_from(self, state: State, abstract: Counterexample) -> Counterexample | None:
        initial, last = state, None
        steps: list[Step] = []
        for move in abstract.steps:
            action = next((a for a in self.interpreter.model.actions if a.name == move.action), None)
            outcomes = self.interpreter.run(action, move.params, state) if action else []
            last = next((o for o in outcomes if o.choices == move.choices), None)
            if last is None:
                return None
            steps.append(self.step(last, state))
            state = last.state or state
        if abstract.broken_by_step:
            shown = last is not None and any(f.property == abstract.property for f in last.failures)
        else:
            shown = any(name == abstract.property for name, _, _ in self.interpreter.violations(state))
        return self._finished(replace(abstract, initial=initial, steps=tuple(steps))) if shown else None

    def step(self, outcome: Outcome, before: State) -> Step:
        """What an outcome says to a reader."""
        action = next(a for a in self.interpreter.model.actions if a.name == outcome.action)
        cpu = outcome.params[0] - 1 if action.cpu_param else None
        context = {"task": "kernel", "schedule": "schedule", "softirq": "softirq", "hardirq": "hardirq"}.get(action.name, "user")
        if cpu is None or action.name in ("arrive_hardirq", "arrive_softirq", "arrive_ipi", "preempt", "block"):
            context = "event"
        task = self.value(before, "Cpu.current", cpu) - 1 if cpu is not None and "Cpu.current" in self.names else -1
        after = outcome.state or before
        return Step(
            cpu,
            context,
            task if task >= 0 else None,
            outcome.action,
            self.lines(outcome),
            self.changes(before, after),
            after,
            outcome.params,
            outcome.choices,
        )

    def value(self, state: State, path: str, element: int | None) -> int:
        """One field of one element in a state."""
        return state[self.interpreter.offsets[path] + (element or 0)]

    def lines(self, outcome: Outcome) -> tuple[Line, ...]:
        """Source lines that touched state, each once: first those that only looked, then those that stored."""
        seen: dict[tuple[str, int], Line] = {}
        stored: dict[tuple[str, int], Line] = {}
        for instr in outcome.path:
            if instr.op not in ("load", "store", "choose") or instr.site.position.line == 0 or _bookkeeping(instr.field):
                continue
            if instr.site.position.file.endswith("lang/arrivals.py"):
                continue
            line = _line_of(instr.site)
            (stored if instr.op == "store" else seen).setdefault((line.file, line.line), line)
        return tuple(line for place, line in seen.items() if place not in stored) + tuple(stored.values())

    def changes(self, before: State, after: State) -> tuple[Change, ...]:
        """Fields whose value differs, but for the language's own."""
        found = []
        for f in self.interpreter.model.fields:
            if _bookkeeping(f.path):
                continue
            start = self.interpreter.offsets[f.path]
            for i in range(f.count):
                old, new = before[start + i], after[start + i]
                if old != new:
                    found.append(Change(f"{_element(f, i)}.{f.name}", show(f.domain, old), show(f.domain, new)))
        return tuple(found)


def _element(f: Field, i: int) -> str:
    """An element's name: T0, CPU1, PASID1 (PASIDs count from 1)."""
    short = SHORT.get(f.struct, f.struct)
    return short if f.count == 1 and f.struct not in SHORT else f"{short}{i + (f.struct == 'PasidEntry')}"


def show(domain: Domain, value: int) -> str:
    """A value as a reader knows it: None, T0, CPU1; a register with its Valid bit as V|1."""
    if isinstance(domain, Ref):
        short = SHORT.get(domain.struct, domain.struct)
        return "none" if value == 0 else f"{short}{value - 1 + (domain.struct == 'PasidEntry')}"
    if isinstance(domain, Mask) and value >> 31:
        return f"V|{value & 0xFFFFF}"
    if isinstance(domain, Int) and (domain.low, domain.high) == (0, 1):
        return str(value)
    return str(value)


def _bookkeeping(path: str | None) -> bool:
    """Whether a field is the language's own: program counters and saved locals."""
    name = path.split(".")[1] if path else ""
    return name in HIDDEN or "local" in name


def _line_of(site: Site) -> Line:
    """The line to show for a site: out of one-line machine helpers up to the kernel code that called them."""
    while "/machine/" in site.position.file and site.caller is not None:
        site = site.caller
    return Line(site.function, site.position.file, site.position.line, source_line(site.position.file, site.position.line))


@cache
def _text_of(file: str) -> tuple[str, ...]:
    try:
        return tuple(Path(file).read_text(encoding="utf-8").splitlines())
    except (OSError, UnicodeDecodeError):
        return ()


def source_line(file: str, line: int) -> str:
    """The text of a source line, without its indentation; empty if it cannot be read."""
    text = REMEMBERED.get(file) or _text_of(file)
    return text[line - 1].strip() if 0 < line <= len(text) else ""
