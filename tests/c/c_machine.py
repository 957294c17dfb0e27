"""C functions executed alone, on a state of their own: instruction by instruction, by the definition all engines follow."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from pasidlab import designs
from pasidlab.errors import PasidlabError
from pasidlab.lang import source
from pasidlab.lang.c.link import Linker
from pasidlab.lang.c.link import c_program as compiled
from pasidlab.lang.c.tokens import Source
from pasidlab.lang.c.unknown import read_stubs
from pasidlab.lang.emit import computed
from pasidlab.lang.functions import ARRIVALS
from pasidlab.lang.ir import BINARY, CPU, Function, Instr
from pasidlab.lang.names import Names
from pasidlab.lang.types import Ref
from pasidlab.model.scope import Scope
from pasidlab.model.sources import MODEL_FILES, PREEMPT_RT_FILES

FUEL = 200_000
MASKS = {"irqs": "Cpu.irqs_off", "preempt": "Cpu.preempt_count", "bh": "Cpu.softirq_count"}


class Crash(Exception):
    """The end of the kernel."""


@cache
def kernel_names(design: str = "early", *, preempt_rt: bool = False) -> Names:
    """The names of the kernel model around a design, with one task of one process bound to a PASID, on the first of two CPUs."""
    scope = Scope(cpus=2, tasks=1, mms=1, pasids=1)
    files = [*MODEL_FILES, *(PREEMPT_RT_FILES if preempt_rt else ())]
    return Names(source.collect([ARRIVALS, *files, designs.BUILT_IN[design].path]), scope.compiler_bounds())


class Machine:
    """Executes functions of one program; ``failed`` has the sentences of checks that failed, ``touched`` the accesses in order."""

    def __init__(self, text: str, design: str = "early", stubs: Sequence[str] = (), config: dict[str, str] | None = None) -> None:
        self.names = kernel_names(design, preempt_rt=(config or {}).get("CONFIG_PREEMPT_RT") == "y")
        self.linker = Linker(compiled([Source(text, "fix.c")], config, read_stubs(stubs)), self.names)
        self.state = {(f.path, n): f.default for f in self.names.fields.values() for n in range(1, f.count + 1)}
        self.set("Cpu.current", 1)
        self.set("Task.mm", 1)
        self.set("Mm.pasid", 1)
        self.set("Cpu.fpregs_owner", 1)
        self.set("Task.last_cpu", 1)
        self.failed: list[str] = []
        self.touched: list[tuple[str, str]] = []
        self.atomic = 0
        self.cpu = 1
        self.chooses_most = False
        self.fuel = FUEL

    def set(self, path: str, value: int, element: int = 1) -> None:
        """Give a field a value."""
        self.state[path, element] = value

    def get(self, path: str, element: int = 1) -> int:
        """The value of a field."""
        return self.state[path, element]

    def call(self, name: str = "try_fixup_enqcmd_gp") -> int:
        """Compile and execute a C function without parameters; what it returns."""
        return self.run(self.function(name))

    def function(self, name: str) -> Function:
        """A C function, everything around it known."""
        ir_name = self.linker.compiled_for(name, ())
        found = self.linker.function(ir_name)
        self.linker.unknowns.raise_if_any(self.linker.words.names())
        return found

    def _known(self, name: str) -> Function:
        return self.linker.compiled[name] if name in self.linker.in_c else self.linker.kernel(name)

    def run(self, function: Function, arguments: Sequence[int] = ()) -> int:
        """Execute a function."""
        place = {CPU: self.cpu, **dict(zip(function.params, arguments, strict=True))}
        labels = {str(i.args[0]): at for at, i in enumerate(function.code) if i.op == "label"}
        at = 0
        while True:
            self.fuel -= 1
            assert self.fuel, f"{function.name} does not end"
            instr = function.code[at]
            if instr.op == "return":
                return _value(place, instr.args[0])
            target = self.step(instr, place)
            at = labels[target] if target else at + 1

    def step(self, instr: Instr, place: dict[str, int]) -> str | None:
        """Execute one instruction; a label to go to, or None for the next."""
        args = instr.args
        match instr.op:
            case "copy":
                place[str(args[0])] = _value(place, args[1])
            case "choose":
                place[str(args[0])] = _value(place, args[2 if self.chooses_most else 1])
            case "not":
                place[str(args[0])] = int(not _value(place, args[1]))
            case "inv":
                place[str(args[0])] = ~_value(place, args[1])
            case "jump":
                return str(args[0])
            case "branch":
                return str(args[1] if _value(place, args[0]) else args[2])
            case "call":
                place[str(args[0])] = self.run(self._known(str(args[1])), [_value(place, a) for a in args[2:]])
            case "crash":
                raise Crash(instr.text)
            case "check":
                self.failed += [] if _value(place, args[1]) else [instr.text]
            case "load":
                place[str(args[0])] = self.state[self._at(str(args[1]), _value(place, args[2]), "load")]
            case "store":
                value, domain = _value(place, args[2]), self.names.fields[str(args[0])].domain
                assert domain.contains(value), (instr, value)
                self.state[self._at(str(args[0]), _value(place, args[1]), "store")] = value
            case "wait":
                if not _value(place, args[0]):
                    raise Crash("waits for ever")
            case "mask":
                self.mask(str(args[0]))
            case "atomic":
                self.atomic += 1 if args[0] == "begin" else -1
            case "label" | "reach" | "repeat" | "require" | "pause":
                pass
            case op if op in BINARY:
                found = computed(op, _value(place, args[1]), _value(place, args[2]))
                assert found is not None, instr
                place[str(args[0])] = found
            case op:
                raise AssertionError(op)
        return None

    def _at(self, path: str, element: int, kind: str) -> tuple[str, int]:
        if not element:
            raise Crash(f"NULL pointer dereference: {path}")
        self.touched.append((f"{kind}{' atomic' if self.atomic else ''}", path))
        return path, element

    def mask(self, change: str) -> None:
        """What may interrupt the CPU."""
        kind, _, direction = change.partition("_")
        old = self.state[MASKS[kind], self.cpu]
        self.state[MASKS[kind], self.cpu] = int(direction == "off") if kind == "irqs" else old + (1 if direction == "off" else -1)


def _value(place: dict[str, int], operand: int | str) -> int:
    return operand if isinstance(operand, int) else place[operand]


def result_of(body: str, before: str = "", type_: str = "u64") -> int:
    """What a function with this body returns, as unsigned 64 bits."""
    return Machine(f"{before}\nstatic {type_} f(void)\n{{\n{body}\n}}\n").call("f") % (1 << 64)


def refusal(body: str, before: str = "", result: str = "int") -> str:
    """The error for a function with this body."""
    try:
        Machine(f"{before}\nstatic {result} f(void)\n{{\n{body}\n}}\n").call("f")
    except PasidlabError as error:
        return str(error)
    return "accepted"


__all__ = ["Crash", "Machine", "Ref", "kernel_names", "refusal", "result_of"]
