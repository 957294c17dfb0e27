"""Designs in C on live objects: the functions that the C front end made, executed instruction by instruction.

Only the instructions that functions can hold are here; what they mean is said by ``lang.interpreter``, on a packed state.
A reference is the object itself; NULL is None, and 0 where C compares with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pasidlab.designs import Design
from pasidlab.errors import PasidlabError
from pasidlab.lang import source
from pasidlab.lang.emit import computed
from pasidlab.lang.ir import CPU, Function, Instr
from pasidlab.lang.names import Names
from pasidlab.lang.scope import Bounds
from pasidlab.lang.types import Ref

if TYPE_CHECKING:
    from pasidlab.live.kernel import Kernel

_MASKS = {
    "irqs_off": "local_irq_disable", "irqs_on": "local_irq_enable", "preempt_off": "preempt_disable",
    "preempt_on": "preempt_enable", "bh_off": "local_bh_disable", "bh_on": "local_bh_enable",
}  # fmt: skip


def link(kernel: Kernel, design: Design) -> None:
    """Put the design's ready-made functions in place of the kernel's."""
    if design.functions is None:
        return
    from pasidlab.check.model import kernel_files
    from pasidlab.lang.lower import ARRIVALS

    sizes = {"cpus": 1, "tasks": 1, "mms": 1, "pasids": 1, "pasid_mask": (1 << 20) - 1}
    names = Names(source.collect([ARRIVALS, *kernel_files(), design.path]), Bounds(sizes))
    for name, function in design.functions(names).items():
        run = _Executor(kernel, function, names).call
        kernel.functions[name] = kernel.as_one_step(run) if function.instruction else run


class _Executor:
    """One function."""

    def __init__(self, kernel: Kernel, function: Function, names: Names) -> None:
        self.kernel, self.function, self.names = kernel, function, names
        self.labels = {str(i.args[0]): at for at, i in enumerate(function.code) if i.op == "label"}

    def call(self, *arguments: Any) -> Any:
        """Execute it."""
        place = dict(zip(self.function.params, arguments, strict=True))
        at, code = 0, self.function.code
        while at < len(code):
            instr = code[at]
            if instr.op == "return":
                return self._value(place, instr.args[0])
            target = self._step(place, instr)
            at = self.labels[target] if target else at + 1
        return 0

    def _value(self, place: dict[str, Any], operand: int | str) -> Any:
        if isinstance(operand, int):
            return operand
        found = self.kernel.cpu if operand == CPU else place[operand]
        return 0 if found is None else found

    def _element(self, place: dict[str, Any], path: str, operand: int | str, instr: Instr) -> Any:
        element = self._value(place, operand)
        if isinstance(element, int) and element:  # the only one of its struct
            struct = path.partition(".")[0]
            return self.kernel.functions[next(n for n, s in self.names.singletons.items() if s == struct)]
        if element == 0:
            raise PasidlabError(f"NULL pointer dereference: {path}", position=instr.site.position)
        return element

    def _step(self, place: dict[str, Any], instr: Instr) -> str | None:
        """A label to go to, or None for the next instruction."""
        kernel, args = self.kernel, instr.args
        values = [self._value(place, operand) for operand in instr.operands()] if instr.op not in ("load", "store") else []
        match instr.op:
            case "label" | "reach" | "require" | "take" | "release" | "end":
                return None
            case "jump":
                return str(args[0])
            case "branch":
                return str(args[1] if values[0] else args[2])
            case "switch":
                return str(args[1 + values[0]])
            case "load":
                element = self._element(place, str(args[1]), args[2], instr)
                place[str(args[0])] = getattr(element, str(args[1]).partition(".")[2])
            case "store":
                self._store(place, instr)
            case "deref":
                self._element(place, instr.text, args[0], instr)
            case "call":
                place[str(args[0])] = kernel.functions[str(args[1])](*values)
            case "mask":
                kernel.functions[_MASKS[str(args[0])]]()
            case "check":
                kernel.functions["check"](str(args[0]), values[0], instr.text)
            case "crash":
                raise PasidlabError(instr.text, position=instr.site.position)
            case "wait":
                kernel.functions["wait_until"](values[0], str(args[1]))
            case "enter":
                kernel.functions[str(args[1])]()
            case "atomic":
                kernel.atomic += 1 if args[0] == "begin" else -1
            case "pause":
                kernel.boundary()
            case "copy" | "choose":
                place[str(args[0])] = values[0]
            case "not":
                place[str(args[0])] = int(not values[0])
            case "inv":
                place[str(args[0])] = ~values[0]
            case op:
                place[str(args[0])] = self._computed(op, values, instr)
        return None

    def _computed(self, op: str, values: list[Any], instr: Instr) -> int:
        if op in ("eq", "ne"):  # of references, too
            return int((values[0] == values[1]) == (op == "eq"))
        result = computed(op, values[0], values[1])
        if result is None:
            raise PasidlabError(f"{op} by {values[1]}", position=instr.site.position)
        return result

    def _store(self, place: dict[str, Any], instr: Instr) -> None:
        path = str(instr.args[0])
        element = self._element(place, path, instr.args[1], instr)
        value = self._value(place, instr.args[2])
        if value == 0 and isinstance(self.names.fields[path].domain, Ref):
            value = None
        setattr(element, path.partition(".")[2], value)
