"""The code of one case as statements of Promela inside one ``d_step``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pasidlab.lang.back.numbers import Expression32, binary, contains, impossible, literal, outside, truth, unary
from pasidlab.lang.back.places import Variables
from pasidlab.lang.back.ranges import ranges, refusing
from pasidlab.lang.interpreter import FUEL, loop_labels
from pasidlab.lang.ir import BINARY, CPU, SILENT, SOUND, Action, Instr, Operand
from pasidlab.lang.lowering.flow import forward, liveness, reachable, successors

ERROR = 0
"""The number of what is not a promise: the model itself is wrong."""


@dataclass(frozen=True)
class StepSurroundings:
    """What a step's text refers to."""

    places: Variables
    properties: Mapping[str, int]  # the number of each
    predicate: bool = False  # whatever fails is the model's fault


class StepText:
    """Writes one step. ``number`` makes its labels unique; ``known`` are its parameters, ``choices`` what it chooses in turn."""

    def __init__(
        self, number: int, code: Sequence[Instr], known: Mapping[str, Expression32], choices: Sequence[int], around: StepSurroundings
    ) -> None:
        self.number, self.code, self.known, self.choices, self.around = number, list(code), known, choices, around
        self.ranges = ranges(code, known, around.places)
        names = [operand for instr in code for operand in (instr.dst, *instr.operands()) if isinstance(operand, str) and operand != CPU]
        self.names = {name: f"t{n}" for n, name in enumerate(dict.fromkeys(names))}
        self.labels = {str(instr.args[0]): n for n, instr in enumerate(self.code) if instr.op == "label"}
        self.loops = loop_labels(Action("", (), tuple(code)))
        self.nonzero = forward(self.code, {0: frozenset[Operand]()}, _nonzero, frozenset.intersection)
        self.checks = any(instr.op == "check" for instr in self.code)
        self.undone: list[str] = []  # fields that are stored before something may still end the step
        self.at = 0
        self.ending: set[int] = set()  # instructions that may end the step early
        self.lines: list[str] = []

    @property
    def temporaries(self) -> int:
        """How many of the variables t0, t1 ... the statements use, once they are written."""
        return len(self.names) + len(self._kept())

    def statements(self) -> list[str]:
        """The statements, without the guard. They are written twice if the first time shows that stores may have to be undone."""
        written = self._statements()
        self.undone = self._stored_before_an_end()
        return self._statements() if self.undone else written

    def _statements(self) -> list[str]:
        self.lines = [f"{self.names[name]} = {value.text};" for name, value in self.known.items() if name in self.names]
        unset = liveness(self.code)[0] - self.known.keys()
        self.lines += [f"{self.names[name]} = 0;" for name in sorted(unset) if name in self.names]
        self.lines += [f"{kept} = {place};" for kept, place in self._kept()]
        self.lines += [f"choice[{n}] = {literal(value).text};" for n, value in enumerate(self.choices)]
        self.lines += ["chosen = 0;"] if self.choices else []
        self.lines += ["rounds = 0;"] if self.loops else []
        for at, instr in enumerate(self.code):
            self.at = at
            with refusing(instr):
                self._instruction(instr)
        if self.undone:
            self.lines += [f"goto done{self.number};", f"undo{self.number}: skip;"]
            self.lines += [f"{place} = {kept};" for kept, place in self._kept()]
        return [*self.lines, f"done{self.number}: skip"]

    def _stored_before_an_end(self) -> list[str]:
        after = successors(self.code)
        paths: dict[str, None] = {}
        for n, instr in enumerate(self.code):
            if instr.op == "store":
                ahead = reachable(self.code, after[n])
                if any(ahead[m] for m in self.ending):
                    paths[str(instr.field)] = None
        return list(paths)

    def _kept(self) -> list[tuple[str, str]]:
        """Where the values of fields that may have to be undone are kept: variable, place."""
        elements = [(path, n) for path in self.undone for n in range(1, self.around.places.field(path).count + 1)]
        first = len(self.names)
        return [(f"t{first + k}", self.around.places.text(path, literal(n))) for k, (path, n) in enumerate(elements)]

    def _value(self, operand: Operand) -> Expression32:
        if isinstance(operand, int):
            return literal(operand)
        if operand == CPU:
            return self.known[CPU]
        found = self.ranges.get(operand, literal(0))
        low = 1 if found.low == 0 and found.high and operand in (self.nonzero[self.at] or ()) else found.low
        return Expression32(self.names[operand], low, found.high)

    def _put(self, statement: str) -> None:
        self.lines.append(statement + ";")

    def _unless(self, condition: str, *otherwise: str) -> None:
        """Statements for where a condition does not hold."""
        self._put(f"if :: {condition} -> skip :: else -> {'; '.join(otherwise)} fi")

    def _breaks(self, name: str) -> str:
        number = ERROR if self.around.predicate or not name else self.around.properties.get(name, ERROR)
        return f"BREAKS({number})"

    def _stop(self) -> str:
        """Ends the step with nothing changed."""
        self.ending.add(self.at)
        return f"goto {'undo' if self.undone else 'done'}{self.number}"

    def _goto(self, label: Operand) -> str:
        return f"goto L{self.number}_{self.labels[str(label)]}"

    def _instruction(self, instr: Instr) -> None:
        op, args = instr.op, instr.args
        match op:
            case "copy":
                self._put(f"{self.names[str(args[0])]} = {self._value(args[1]).text}")
            case "not" | "inv":
                self._put(f"{self.names[str(args[0])]} = {unary(op, self._value(args[1])).text}")
            case "load":
                self._exists(args[2], self.around.places.field(str(args[1])).count)
                self._put(f"{self.names[str(args[0])]} = {self.around.places.text(str(args[1]), self._value(args[2]))}")
            case "store":
                self._store(instr)
            case "deref":
                self._exists(args[0], int(args[1]))
            case "label":
                self._label(str(args[0]))
            case "jump":
                if not self._follows(str(args[0])):
                    self._put(self._goto(args[0]))
            case "branch":
                yes, no = (self._goto(label) for label in args[1:])
                self._put(f"if :: {truth(self._value(args[0]))} -> {yes} :: else -> {no} fi")
            case "switch":
                self._switch(instr)
            case "choose":
                self._choose(self.names[str(args[0])])
            case "require" | "wait":
                self._require(args[0])
            case "check":
                self._unless(truth(self._value(args[1])), self._breaks(str(args[0])))
            case "crash":
                self._put(self._breaks(SOUND))
                self._put(self._stop())
            case "return" | "end":
                self._end(instr)
            case _ if op in BINARY:
                self._binary(instr)
            case _:
                assert op in SILENT, op

    def _label(self, label: str) -> None:
        self.lines.append(f"L{self.number}_{self.labels[label]}: skip;")
        if label in self.loops:
            self._put("rounds = rounds + 1")
            self._unless(f"(rounds < {FUEL})", self._breaks(""), self._stop())

    def _follows(self, label: str) -> bool:
        """Whether nothing but labels stands between here and a label."""
        there = self.labels[label]
        return there > self.at and all(instr.op == "label" for instr in self.code[self.at + 1 : there])

    def _exists(self, operand: Operand, count: int) -> None:
        element = self._value(operand)
        there = self.around.places.there(element, count)
        if there == "true":
            return
        null, other = (f"{self._breaks(name)}; {self._stop()}" for name in (SOUND, ""))
        if element.low == 0 and element.high <= count:
            self._unless(there, null)
        else:
            self._put(f"if :: {there} -> skip :: ({element.text} == 0) -> {null} :: else -> {other} fi")

    def _switch(self, instr: Instr) -> None:
        value = self._value(instr.args[0]).text
        ways = " ".join(f":: ({value} == {n}) -> {self._goto(label)}" for n, label in enumerate(instr.labels()))
        self._put(f"if {ways} :: else -> {self._breaks('')}; {self._stop()} fi")

    def _choose(self, name: str) -> None:
        self._put(f"assert(chosen < {len(self.choices)})")
        self._put(f"{name} = choice[chosen]")
        self._put("chosen = chosen + 1")

    def _end(self, instr: Instr) -> None:
        if instr.op == "return":
            self._put(f"result = {self._value(instr.args[0]).text}")
        if instr.op == "return" or self.undone or self.at < len(self.code) - 1:
            self._put(f"goto done{self.number}")

    def _store(self, instr: Instr) -> None:
        path, element, operand = str(instr.args[0]), instr.args[1], instr.args[2]
        f, value = self.around.places.field(path), self._value(operand)
        self._exists(element, f.count)
        if inside := contains(f.domain, value):
            self._unless(inside, self._breaks(""), self._stop())
        self._put(f"{self.around.places.text(path, self._value(element))} = {value.text}")

    def _binary(self, instr: Instr) -> None:
        name = self.names[str(instr.args[0])]
        a, b = (self._value(operand) for operand in instr.operands())
        if wrong := impossible(instr.op, a, b):
            self._unless(f"!{wrong}", self._breaks(""), self._stop())
        self._put(f"{name} = {binary(instr.op, a, b).text}")
        if wrong := outside(instr.op, a, b, name):
            self._unless(f"!{wrong}", self._breaks(""), self._stop())

    def _require(self, operand: Operand) -> None:
        """The guard has seen to it, unless a check failed on the way: then the step ends here."""
        condition = truth(self._value(operand))
        if self.around.predicate or self.checks:
            self._unless(condition, self._stop())
        else:
            self._put(f"assert({condition})")


def _nonzero(instr: Instr, known: frozenset[Operand]) -> frozenset[Operand]:
    """Locals that are certainly not 0 after an instruction: the step would have ended."""
    if instr.op in ("require", "wait"):
        return known | {instr.args[0]}
    if instr.op in ("store", "deref"):
        return known | {instr.element}
    if instr.dst is None:
        return known
    if instr.op == "load":
        known = known | {instr.args[2]}
    if instr.op == "copy" and instr.args[1] in known:
        return known | {instr.dst}
    return known - {instr.dst}
