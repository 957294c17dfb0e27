"""The IR on live objects: what the checker explores on a packed state, executed on the tasks of a running program.

Only the instructions that functions can hold are here; what they mean is said by ``lang.interpreter``. A reference is the
object itself, or the number of an element where a loop over all of them counts; NULL is None, and 0 in a local. Nothing of
a design is ever executed but its IR.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from pasidlab.errors import PasidlabError
from pasidlab.lang.emit import computed
from pasidlab.lang.ir import CPU, SLEEPING, Function, Instr, Operand
from pasidlab.lang.types import Domain, Ref

_LENGTH = 16  # instructions that a round of a loop may have where as many rounds are made as may be
LocalValues = dict[str, Any]
"""The values of a function's locals."""


class Machine(Protocol):
    """The CPUs and tasks that functions work on, and what the language's primitives do to them."""

    cpu: Any
    atomic: int

    def compiled(self, name: str) -> Function:
        """The function of that name."""

    def domain(self, path: str) -> Domain:
        """What a field holds."""

    def element(self, struct: str, number: int) -> Any:
        """The element of a struct with that number, from 1."""

    def number(self, element: object) -> int:
        """The converse."""

    def fuel(self) -> int:
        """How many rounds of loops and calls one call may make: as many as one step of ``check``, more with many tasks."""

    def boundary(self) -> None:
        """Between two accesses to state that others can see."""

    def mask(self, what: str) -> None:
        """irqs_off and so on, on the executing CPU."""

    def check(self, name: str, holds: bool, sentence: str) -> None:
        """A promise of the design."""

    def wait(self, holds: bool) -> None:
        """The executing task waits for a condition, which is false now or true."""


class Executor:
    """Calls functions by name. ``instead`` are those that are not IR here."""

    def __init__(self, machine: Machine, instead: dict[str, Callable[[], None]]) -> None:
        self.machine, self._instead = machine, instead
        self._fuel = self._left = 0
        self._labels: dict[int, tuple[Function, dict[str, int]]] = {}

    def enter(self, name: str, *arguments: Any) -> Any:
        """Call a function from outside, with fuel for a limited number of rounds of its loops and calls from it. A round may be long:
        ``_LENGTH`` instructions are the most on average.
        """
        self._fuel = self.machine.fuel()
        self._left = _LENGTH * self._fuel
        return self.call(name, *arguments)

    def call(self, name: str, *arguments: Any) -> Any:
        """Execute a function to its end; what it returns."""
        if name in self._instead:
            self._instead[name]()
        function = self.machine.compiled(name)
        if not function.instruction:
            return self._run(function, arguments)
        self.machine.boundary()
        self.machine.atomic += 1
        try:
            return self._run(function, arguments)
        finally:
            self.machine.atomic -= 1

    def _labels_of(self, function: Function) -> dict[str, int]:
        known = self._labels.get(id(function))
        if known is None:
            labels = {str(i.args[0]): at for at, i in enumerate(function.code) if i.op == "label"}
            known = self._labels[id(function)] = function, labels
        return known[1]

    def _run(self, function: Function, arguments: tuple[Any, ...]) -> Any:
        labels, code = self._labels_of(function), function.code
        place: LocalValues = dict(zip(function.params, arguments, strict=True))
        at = 0
        while at < len(code):
            instr = code[at]
            self._left -= 1
            if self._left < 0:
                self._is_long(instr)
            if instr.op == "return":
                return self._as(function.result, self._value(place, instr.args[0]))
            target = self._step(place, instr)
            following = labels[target] if target else at + 1
            if following <= at:
                self._burn(instr)
            at = following
        return 0

    def _burn(self, instr: Instr) -> None:
        self._fuel -= 1
        if self._fuel <= 0:
            what = f"{instr.site.function}() never ends: {self.machine.fuel()} rounds of loops and calls in one step"
            raise PasidlabError(what, position=instr.site.position)

    def _is_long(self, instr: Instr) -> None:
        what = f"{instr.site.function}() takes too long: {_LENGTH * self.machine.fuel()} instructions in one step"
        raise PasidlabError(what, position=instr.site.position)

    def _value(self, place: LocalValues, operand: Operand) -> Any:
        if isinstance(operand, int):
            return operand
        found = self.machine.cpu if operand == CPU else place.get(operand)
        return 0 if found is None else found

    def _as(self, domain: Domain | None, value: Any) -> Any:
        """A value for a place of this domain: numbers of elements become the elements, 0 becomes NULL."""
        if isinstance(domain, Ref) and isinstance(value, int):
            return self.machine.element(domain.struct, value) if value else None
        return value

    def _element(self, place: LocalValues, path: str, operand: Operand, instr: Instr) -> Any:
        element = self._value(place, operand)
        if isinstance(element, int):
            if element == 0:
                raise PasidlabError(f"NULL pointer dereference: {path}", position=instr.site.position)
            return self.machine.element(path.partition(".")[0], element)
        return element

    def _step(self, place: LocalValues, instr: Instr) -> str | None:
        """A label to go to, or None for the next instruction."""
        machine, args = self.machine, instr.args
        values = [self._value(place, operand) for operand in instr.operands()] if instr.op not in ("load", "store") else []
        match instr.op:
            case "label" | "reach" | "repeat" | "require" | "take" | "release" | "end":
                return None
            case "jump":
                return str(args[0])
            case "branch" | "switch":
                return str(args[1 + (values[0] if instr.op == "switch" else int(not values[0]))])
            case "load":
                self._load(place, instr)
            case "store":
                self._store(place, instr)
            case "deref":
                self._element(place, instr.text, args[0], instr)
            case "call":
                self._burn(instr)
                place[str(args[0])] = 0 if args[1] == SLEEPING else self.call(str(args[1]), *values)
            case "mask":
                machine.mask(str(args[0]))
            case "check":
                machine.check(str(args[0]), bool(values[0]), instr.text)
            case "crash":
                raise PasidlabError(instr.text, position=instr.site.position)
            case "wait":
                machine.wait(bool(values[0]))
            case "enter":
                self.call(str(args[1]))
            case "atomic":
                machine.atomic += 1 if args[0] == "begin" else -1
            case "pause":
                machine.boundary()
            case "copy" | "choose":
                place[str(args[0])] = values[0]
            case _:
                place[str(args[0])] = self._computed(instr, values)
        return None

    def _load(self, place: LocalValues, instr: Instr) -> None:
        target, path, operand = instr.args
        element = self._element(place, str(path), operand, instr)
        place[str(target)] = getattr(element, str(path).partition(".")[2])

    def _store(self, place: LocalValues, instr: Instr) -> None:
        path = str(instr.args[0])
        element, value = self._element(place, path, instr.args[1], instr), self._value(place, instr.args[2])
        setattr(element, path.partition(".")[2], self._as(self.machine.domain(path), value))

    def _computed(self, instr: Instr, values: list[Any]) -> int:
        op = instr.op
        if op in ("not", "inv"):
            return int(not values[0]) if op == "not" else ~values[0]
        one, two = (value if isinstance(value, int) else self.machine.number(value) for value in values)
        result = computed(op, one, two)
        if result is None:
            raise PasidlabError(f"{op} by {two}", position=instr.site.position)
        return result
