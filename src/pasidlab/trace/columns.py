"""Traces as kernel developers write races: a column per CPU, then the sentence that is violated and the state it saw.

A terminal too narrow for columns gets one column, with a heading wherever another CPU goes on. ``telling`` says what is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pasidlab.errors import counted
from pasidlab.trace.look import PAGE, PLAIN, Look, wrapped
from pasidlab.trace.naming import COUNTERS
from pasidlab.trace.steps import Counterexample
from pasidlab.trace.telling import MASKS, NOBODY, Row, Telling, numbers

SEPARATE = 2  # columns between columns
NARROW = 24  # a column of a CPU is at least that wide, or there is only one


def trace_text(found: Counterexample, cpus: int, *, verbose: bool = False, look: Look = PLAIN) -> str:
    """The trace of a counterexample and the sentence it ends with; a column for each CPU that takes part."""
    told = Telling(found, verbose)
    rows = list(told.rows())
    page = _Columns(columns(found, cpus), max((len(numbers(row.steps)) for row in rows), default=0) + 1, look)
    how = "shortest counterexample" if found.shortest else "counterexample"
    what = f"{found.property}: {how}" if found.property else "path"
    more = "" if found.shortest else "; there may be shorter ones"
    title = look.prose(f"{what}, {counted(len(found.steps), 'step')}{more}")
    lines = [*(look.paint("strong", line) for line in title), "", *page.headings()]
    for row in rows:
        lines += page.lines(row)
    if told.left_out:
        lines += ["", *look.prose(f"({counted(told.left_out, 'line')} that only look at what nobody else changes: --verbose)")]
    if not found.exact:
        lines += ["", *look.prose("(shows only if contents nobody may rely on are what no task put there)")]
    return "\n".join([*lines, "", *ending(found, look)])


def columns(found: Counterexample, cpus: int) -> list[int]:
    """The CPUs that take part; the first stands for all in a model without any."""
    return sorted({step.cpu for step in found.steps if step.cpu is not None}) or list(range(max(cpus, 1)))


def ending(found: Counterexample, look: Look = PLAIN) -> list[str]:
    """The sentence that is violated, what it saw, and the rest of the state."""
    said = look.prose(f"VIOLATED {found.property}: {found.sentence}.") if found.property else []
    lines = [look.paint("bad", line) for line in said]
    looked = looked_at(found)
    if looked:
        lines += ["", "It looked at", *_grouped(looked, look)]
    rest = [entry for entry in found.final if entry not in looked]
    title = look.prose("The rest of the state, where it is not 0 or none" if looked else "The state")
    return [*lines, *([""] if lines else []), *title, *_grouped(rest, look)]


def looked_at(found: Counterexample) -> list[tuple[str, str]]:
    """What the broken promise looked at, and saw; not where execution stands."""
    return [(name, value) for name, value in found.seen if name.split(".")[1] not in (*MASKS, *COUNTERS)]


def _grouped(entries: Iterable[tuple[str, str]], look: Look) -> Iterator[str]:
    """Fields of one element on one line."""
    groups: dict[str, list[str]] = {}
    for name, value in entries:
        who, what = name.split(".")
        groups.setdefault(who, []).append(f"{what}={value}")
    for who, parts in sorted(groups.items()):
        yield from look.prose(f"{who}: {' '.join(parts)}", "  ", "      ")


class _Columns:
    """Puts rows into columns."""

    def __init__(self, acting: list[int], gutter: int, look: Look) -> None:
        room = look.page - gutter
        width = (room - SEPARATE * (len(acting) - 1)) // len(acting)
        self.single = width < NARROW
        self.acting, self.gutter, self.look = acting, gutter, look
        self.width = room if self.single else width
        self.room = room
        self.file: dict[int | None, str] = {}  # in each column, the file named last
        self.going: int | None = None  # with one column, the CPU whose heading stands above

    def headings(self) -> list[str]:
        """The CPUs; with one column they are named where they go on."""
        if self.single:
            return []
        titles = (" " * SEPARATE).join(f"{f'CPU {c}':<{self.width}}" for c in self.acting)
        rules = (" " * SEPARATE).join("-" * self.width for _ in self.acting)
        return [self.look.paint("dim", (" " * self.gutter + text).rstrip()) for text in (titles, rules)]

    def lines(self, row: Row) -> Iterator[str]:
        """The lines of a row."""
        if row.who == NOBODY:
            yield " " * self.gutter + self.look.paint("bad", row.text.center(self.room).rstrip())
            return
        if self.single and row.cpu is not None and row.cpu != self.going:
            self.going = row.cpu
            yield self.look.paint("dim", f"{' ' * self.gutter}CPU {row.cpu} ".ljust(self.look.page, "-"))
        width = self.width if row.cpu is not None else self.room
        depth = self._indented(row.depth, width)
        left = (self.width + SEPARATE) * self.acting.index(row.cpu) if row.cpu is not None and not self.single else 0
        for n, text in enumerate(self._wrapped(row, depth, width)):
            number = f"{numbers(row.steps) if n == 0 else '':<{self.gutter}}"
            shown = self.look.paint("good", text) if row.text.startswith("-> ") else text
            yield (self.look.paint("dim", number) + " " * left + shown).rstrip()

    def _wrapped(self, row: Row, depth: int, width: int) -> Iterator[str]:
        place = self._place(row, width)
        usual = 4 if width >= PAGE // 2 else 2
        hanging = depth + (len("-> ") if row.text.startswith("-> ") else usual)
        room = width - len(place) - 1 if place.startswith(":") and width >= NARROW else width
        lines = wrapped(row.text, room, " " * depth, " " * min(hanging, width // 2)) or [" " * depth]
        if place and len(lines[-1]) + len(place) + 1 > width:
            lines.append("")
        if place:
            lines[-1] = f"{lines[-1]:<{max(0, width - len(place))}}{self.look.paint('dim', place[-width:])}"
        yield from lines

    @staticmethod
    def _indented(depth: int, width: int) -> int:
        """How far a row of this depth is indented in a column of this width."""
        if width >= PAGE // 2:
            return depth
        return depth // 2 if width >= NARROW else min(depth // 2, 2)

    def _place(self, row: Row, width: int) -> str:
        """file:line; in a narrow column the file's name only where it is another one than before."""
        if row.place is None:
            return ""
        name = row.place.file_name
        same = self.file.get(row.cpu) == name and width < PAGE // 2
        self.file[row.cpu] = name
        return f":{row.place.line}" if same or len(f"{name}:{row.place.line}") > width else f"{name}:{row.place.line}"
