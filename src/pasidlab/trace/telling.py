"""What to tell of a counterexample, row by row: calls by indentation, what changes below the line that changes it.

Steps that nothing came between read as one piece of code. Unless all is asked for, some lines of the kernel around are left out: those
that only look at what nobody else changes in this trace.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pasidlab.trace.leaves import is_leaf
from pasidlab.trace.steps import Counterexample, Frame, Line, Step, joined_line

CallChain = tuple[object, ...]  # a function, and the place of each call that led to it
Who = tuple[int | None, int | None, str]  # CPU, task, context: the threads of control that race

AROUND = tuple(str(Path(__file__).parents[1] / folder) + "/" for folder in ("model", "lang"))
"""The kernel and the machine around a design."""
PROMISES = ("warn_on_once", "lockdep_assert")
"""Functions of the model that do nothing but hold the caller to something: how their names begin."""
MASKS = ("irqs_off", "preempt_count", "softirq_count")
OWN = (*MASKS, "current")
"""Fields of a CPU that cannot change under the code that looks at them."""
NOBODY: Who = (None, None, "")


@dataclass
class Row:
    """One thing to show in a CPU's column (None: across the page), with the numbers of the steps it belongs to."""

    who: Who
    text: str
    depth: int = 0
    place: Frame | None = None
    line: Line | None = None
    steps: list[int] = field(default_factory=list)

    @property
    def cpu(self) -> int | None:
        """The column."""
        return self.who[0]


class Telling:
    """What to tell of a counterexample, row by row."""

    def __init__(self, found: Counterexample, verbose: bool) -> None:
        self.found, self.verbose = found, verbose
        self.left_out = 0
        self.last: dict[int | None, Who] = {}  # in each column
        self.open: dict[int | None, list[CallChain]] = {}  # in each column, the calls shown
        self.inside: dict[Hashable, CallChain] = {}  # each context's entry point
        self.changed_by: dict[str, set[Who]] = {}
        for step in found.steps:
            for change in step.changes:
                self.changed_by.setdefault(change.name, set()).add(_who(step))

    def rows(self) -> Iterator[Row]:
        """Every row; a run of steps that nothing came between is told as one."""
        steps, first = self.found.steps, 0
        while first < len(steps):
            last = first + 1
            while last < len(steps) and last != self.found.loop and _goes_on(steps[first], steps[last]):
                last += 1
            if first == self.found.loop:
                yield Row(NOBODY, "-- from here on, for ever --")
            yield from self._run(first, steps[first:last])
            first = last

    def _run(self, first: int, steps: tuple[Step, ...]) -> Iterator[Row]:
        """The rows of consecutive steps of one thread of control, each numbered where it begins."""
        waiting: list[int] = []
        rows: list[Row] = []
        for number, step in enumerate(steps, start=first + 1):
            waiting.append(number)
            for row in self._code(step) if _is_code(step) else self._event(step):
                if row.line and rows and rows[-1].line and rows[-1].line.frames == row.line.frames:
                    rows[-1].line = joined_line(rows[-1].line, row.line)
                    rows[-1].steps += waiting
                else:
                    row.steps = [*waiting]
                    rows.append(row)
                waiting = []
        rows = [row for n, row in enumerate(rows) if not self._says_nothing(row, rows[n + 1 : n + 2])]
        if not rows:
            rows.append(self._unseen(steps[-1]))
        rows[-1].steps += waiting
        if _is_code(steps[0]):
            rows = list(self._with_calls(steps[0], rows))
            if steps[-1].over:
                self.inside.pop(_context(steps[0]), None)
        else:
            self.last[steps[0].cpu] = _who(steps[0])
        for row in rows:
            yield row
            yield from _changes(row)

    def _event(self, step: Step) -> Iterator[Row]:
        """An instruction of user mode, or what comes from outside: what it is, and all it changes."""
        words = step.words
        mine = f"T{step.task} {words}" if step.context == "user" and step.task is not None else words
        changes = tuple(c for c in step.changes if not words.startswith("<") or c.name.split(".")[1] not in ("kthread_mm", "loaded_mm"))
        yield Row(_who(step), mine, place=step.place, line=Line((), changes=changes))

    def _code(self, step: Step) -> Iterator[Row]:
        """The lines of a step of kernel code that matter."""
        for line in step.lines:
            if self.verbose or self._matters(line, _who(step)):
                shown = _at_call(line)
                yield Row(_who(step), _said(shown), place=shown.here, line=shown)
            else:
                self.left_out += 1
            if line.failed and self.found.broken_by_step and step is self.found.steps[-1]:
                break

    def _matters(self, line: Line, mine: Who) -> bool:
        return bool(line.failed or line.changes or not line.here.file.startswith(AROUND)) or self._contested(line, mine)

    def _contested(self, line: Line, mine: Who) -> bool:
        """Whether a line looks at what another thread of control changes."""
        looked = (name for name, _ in line.loads if name.split(".")[1] not in OWN)
        return any(self.changed_by.get(name, set()) - {mine} for name in looked)

    def _says_nothing(self, row: Row, following: list[Row]) -> bool:
        """Whether a row is a mere call of the function that the next one is in: its name will stand there."""
        if self.verbose or row.line is None or not following or row.line.changes or row.line.failed or row.place is None:
            return False
        after = following[0].line
        called = after is not None and len(after.frames) > len(row.line.frames) and after.frames[: len(row.line.frames)] == row.line.frames
        if not called or self._contested(row.line, row.who):
            return False
        following[0].steps = row.steps + following[0].steps
        return True

    def _unseen(self, step: Step) -> Row:
        """What a run without any line that matters is shown as."""
        if step.lines:
            self.left_out -= 1
            shown = _at_call(step.lines[-1])
            return Row(_who(step), _said(shown), place=shown.here, line=shown)
        return Row(_who(step), step.words)

    def _with_calls(self, step: Step, rows: list[Row]) -> Iterator[Row]:
        """The rows with the functions they stand in, each where it is called; functions without a line of their own are left out."""
        own = {_calls(row.line)[-1] for row in rows if row.line}
        if self.last.get(step.cpu) != _who(step):
            self.open[step.cpu] = []
        shown, self.last[step.cpu] = self.open.setdefault(step.cpu, []), _who(step)
        for row in rows:
            if row.line is not None:
                chain = [call for n, call in enumerate(_calls(row.line)) if n == 0 or call in own or call in shown]
                while shown != chain[: len(shown)]:
                    shown.pop()
                for call in chain[len(shown) :]:
                    title = f"{call[0]}()" if shown else self._title(step, call)
                    yield Row(_who(step), title, 2 * len(shown), steps=row.steps)
                    row.steps = []
                    shown.append(call)
                row.depth = 2 * len(shown)
            yield row

    def _title(self, step: Step, entry: CallChain) -> str:
        """The function a context begins in, or goes on in after something else had the CPU."""
        again, self.inside[_context(step)] = self.inside.get(_context(step)) == entry, entry
        who = f"T{step.task} " if step.context == "kernel" else ""
        return f"{who}{'back in ' if again else ''}{entry[0]}()"


def _who(step: Step) -> Who:
    return step.cpu, step.task if step.context == "kernel" else None, step.context


def _context(step: Step) -> Hashable:
    """The program that runs: a task's goes with it to another CPU."""
    return step.task if step.context == "kernel" else (step.cpu, step.context)


def _is_code(step: Step) -> bool:
    return step.context in ("kernel", "schedule", "softirq", "hardirq")


def _goes_on(first: Step, step: Step) -> bool:
    """Whether a step belongs to the same piece of code."""
    return _is_code(first) and _who(first) == _who(step)


def _calls(line: Line) -> list[CallChain]:
    """The functions a line stands in, outermost first, each with where it was called: the same function called again is another."""
    frames = line.frames
    return [(frame.function, *((f.file, f.line) for f in frames[:n])) for n, frame in enumerate(frames)]


def _at_call(line: Line) -> Line:
    """A line of a function of one statement in the kernel around a design is shown as the call: its name says what it does.

    So is a promise that fails: what matters is where it was made.
    """
    frames = line.frames
    if line.failed and len(frames) > 1 and frames[-1].file.startswith(AROUND) and frames[-1].function.startswith(PROMISES):
        frames = frames[:-1]
    while len(frames) > 1 and not line.failed and frames[-1].file.startswith(AROUND) and is_leaf(frames[-1].file, frames[-1].function):
        frames = frames[:-1]
    return Line(frames, line.loads, line.changes, line.stored, line.failed)


def _said(line: Line) -> str:
    """The source text; of a check that fails without its sentence, which follows at the end."""
    text = line.here.source.split("  #")[0]
    return re.sub(r', "[^"]*"\)$', ")", text) if line.failed and text.startswith("check(") else text


def _changes(row: Row) -> Iterator[Row]:
    told = [c for c in row.line.changes if not c.aside and c.name.split(".")[1] not in MASKS] if row.line else []
    if told:
        text = "-> " + ", ".join(f"{c.name}={c.new}" for c in told)
        yield Row(row.who, text, row.depth + 2, line=Line((), changes=tuple(told)))


def numbers(steps: list[int]) -> str:
    """The steps a row stands for: 4, or 4-6."""
    if not steps:
        return ""
    return str(steps[0]) if steps[0] == steps[-1] else f"{steps[0]}-{steps[-1]}"
