"""Single instructions of the IR on the way through an operator of TLA+, with expressions in place of values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pasidlab.lang.back.places import Variables
from pasidlab.lang.back.tla_names import TlaNames
from pasidlab.lang.back.tla_numbers import TlaValue, binary, contains, impossible, literal, of_domain, outside, unary
from pasidlab.lang.ir import BINARY, SILENT, SOUND, Instr, Operand

MODEL_ERROR = "a model error"
"""What is broken where the model itself is wrong."""
_NOTHING = "{}"


@dataclass
class TlaPath:
    """What is known on the way, and the lines written so far."""

    locals: dict[str, TlaValue]
    fields: dict[str, str]  # path of a field -> what it holds now
    broken: str = _NOTHING
    facts: frozenset[str] = frozenset()  # conditions that hold
    lines: list[str] = field(default_factory=list)

    def value(self, operand: Operand) -> TlaValue:
        """A constant or a local; a local never assigned is 0."""
        return literal(operand) if isinstance(operand, int) else self.locals.get(operand, literal(0))

    def parted(self, fact: str) -> TlaPath:
        """A copy that goes on alone, where the condition holds."""
        return replace(self, locals=dict(self.locals), fields=dict(self.fields), facts=self.facts | {fact}, lines=[])

    def decided(self, value: TlaValue) -> bool | None:
        """Whether a value is certainly not 0, or certainly 0; None: either is possible."""
        if value.known or value.low > 0 or value.high < 0:
            return value.low != 0
        if value.truth in self.facts:
            return True
        return False if value.falsehood in self.facts else None


@dataclass
class StepWriter:
    """Writes instructions that do not divide the way. ``predicate``: whatever fails is the model's fault."""

    places: Variables
    names: TlaNames
    uses: Mapping[str, int]  # how often each local is read
    predicate: bool
    may_break: set[str] = field(default_factory=set)  # promises

    def step(self, path: TlaPath, instr: Instr) -> bool:
        """One instruction; False once the step has ended, and the last line says how."""
        op, args = instr.op, instr.args
        if op in SILENT:
            return True
        if op in ("load", "store", "deref"):
            return self._access(path, instr)
        if op == "check":
            return self._check(path, instr)
        if op in ("require", "wait"):
            return self._require(path, path.value(args[0]))
        if op in BINARY:
            return self._binary(path, instr)
        assert op in ("copy", "not", "inv"), op
        value = path.value(args[1])
        self._assign(path, str(args[0]), value if op == "copy" else unary(op, value))
        return True

    def stop(self, path: TlaPath, promise: str) -> str:
        """How a step ends that breaks a promise and leads nowhere."""
        name = promise if promise and not self.predicate else MODEL_ERROR
        self.may_break.add(name)
        broken = f'{{"{name}"}}'
        both = broken if path.broken == _NOTHING else f"{path.broken} \\cup {broken}"
        return f"Stop({both})"

    def impossible(self, path: TlaPath) -> str:
        """How a step ends that cannot be taken: what it broke before is broken all the same."""
        return _NOTHING if path.broken == _NOTHING else f"Off({path.broken})"

    def let(self, path: TlaPath, wanted: str, text: str) -> str:
        """A name for an expression."""
        name = self.names.fresh(wanted)
        path.lines.append(f"LET {name} == {text} IN")
        return name

    def _assign(self, path: TlaPath, name: str, value: TlaValue) -> None:
        simple = value.known or value.text.isidentifier() or self.uses.get(name, 0) < 2
        if not simple:
            value = TlaValue(self.let(path, name, value.text), value.low, value.high)
        path.locals[name] = value

    def _unless(self, path: TlaPath, wrong: str, ending: str) -> bool:
        """Ends the step where a condition holds; False where it always does."""
        if wrong == "TRUE":
            path.lines.append(ending)
            return False
        if wrong and f"~{wrong}" not in path.facts:
            path.lines.append(f"IF {wrong} THEN {ending} ELSE")
            path.facts |= {f"~{wrong}"}
        return True

    def _exists(self, path: TlaPath, element: TlaValue, count: int) -> bool:
        """Ends the step where no element has this number."""
        if element.known:
            wrong = "" if 1 <= element.low <= count else "TRUE"
            return self._unless(path, wrong, self.stop(path, SOUND if element.low == 0 else ""))
        if element.low < 1 and path.decided(element) is not True and not self._unless(path, element.falsehood, self.stop(path, SOUND)):
            return False
        if element.low < 0 or element.high > count:
            return self._unless(path, f"({element.text} < 1 \\/ {element.text} > {count})", self.stop(path, ""))
        return True

    def _access(self, path: TlaPath, instr: Instr) -> bool:
        if instr.op == "deref":
            return self._exists(path, path.value(instr.args[0]), int(instr.args[1]))
        f = self.places.field(str(instr.field))
        element = path.value(instr.element)
        if not self._exists(path, element, f.count):
            return False
        if instr.op == "load":
            whole = path.fields[f.path]
            self._assign(path, str(instr.args[0]), of_domain(whole if f.count == 1 else f"{whole}[{element.text}]", f.domain))
            return True
        value = path.value(instr.args[2])
        if inside := contains(f.domain, value):
            wrong = "TRUE" if inside == "FALSE" else f"~{inside}"
            if not self._unless(path, wrong, self.stop(path, "")):
                return False
        text = value.text if f.count == 1 else f"[{path.fields[f.path]} EXCEPT ![{element.text}] = {value.text}]"
        simple = text.isidentifier() or (value.known and f.count == 1)
        path.fields[f.path] = text if simple else self.let(path, self.places.names[f.path], text)
        return True

    def _check(self, path: TlaPath, instr: Instr) -> bool:
        """A promise that is broken on the way; the step goes on."""
        value = path.value(instr.args[1])
        if (holds := path.decided(value)) is True:
            return True
        name = str(instr.args[0]) if instr.args[0] and not self.predicate else MODEL_ERROR
        self.may_break.add(name)
        here = f'{{"{name}"}}' if holds is False else f'(IF {value.truth} THEN {{}} ELSE {{"{name}"}})'
        path.broken = self.let(path, "broke", here if path.broken == _NOTHING else f"{path.broken} \\cup {here}")
        return True

    def _require(self, path: TlaPath, value: TlaValue) -> bool:
        holds = path.decided(value)
        if holds is None:
            path.lines.append(f"IF {value.falsehood} THEN {self.impossible(path)} ELSE")
            path.facts |= {value.truth}
        if holds is False:
            path.lines.append(self.impossible(path))
        return holds is not False

    def _binary(self, path: TlaPath, instr: Instr) -> bool:
        a, b = (path.value(operand) for operand in instr.operands())
        if not self._unless(path, impossible(instr.op, a, b), self.stop(path, "")):
            return False
        value = binary(instr.op, a, b)
        wrong = outside(instr.op, a, b, value)
        self._assign(path, str(instr.args[0]), value)
        return self._unless(path, wrong, self.stop(path, ""))
