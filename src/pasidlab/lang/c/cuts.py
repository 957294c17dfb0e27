"""Where a program cuts off bits of a number that is whole in a scope and would not be on a machine: of a PASID, of the number of a CPU.

So does a comparison with a constant: ``cpu < 64`` is true for every CPU of a scope.

Numbers are followed through all functions, whatever variables are called: through assignments, calls and arithmetic. Of each local it is
known which bits of it may come from such a number. The order of instructions does not matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from pasidlab.errors import Position
from pasidlab.lang.c.link import Linker
from pasidlab.lang.c.vocabulary import Number
from pasidlab.lang.emit import Fit
from pasidlab.lang.ir import CPU, DIVISIONS, SHIFTS, TRUTHS, Function, Instr, Operand
from pasidlab.lang.types import Ref

CUTTING = frozenset({"and", "sext"}) | SHIFTS | DIVISIONS
_ALL = (1 << 64) - 1


class Cut(NamedTuple):
    """A place where bits may be cut off, and of what."""

    position: Position
    why: str


def cuts(linker: Linker) -> list[Cut]:
    """The cuts of a linked program, each place once for each kind of number."""
    every = _reached(linker)
    found = (cut for number in linker.words.numbers for cut in _Flow(number, every, linker).cuts(linker.fits))
    return list(dict.fromkeys(found))


def _reached(linker: Linker) -> dict[str, Function]:
    """The compiled functions, and those of the kernel around that they call."""
    found = dict(linker.compiled)
    work = list(found.values())
    while work:
        for name in {str(one.args[1]) for one in work.pop().code if one.op == "call"}:
            if name not in found and name in linker.names.namespace.functions:
                found[name] = linker.kernel(name)
                work.append(found[name])
    return found


class _Flow:
    """Where one kind of number goes. ``held``: the bits of a local, by function and local, that may come from it."""

    def __init__(self, number: Number, functions: Mapping[str, Function], linker: Linker) -> None:
        self.number, self.functions, self.full = number, functions, (1 << number.bits) - 1
        self.held: dict[tuple[str, str], int] = {}
        self.results: dict[str, int] = {}
        self.constants = {name: _constants(function.code) for name, function in functions.items()}
        for name, function in functions.items():
            for local, domain in function.locals.items():
                mine = isinstance(domain, Ref) and domain.struct == number.struct
                if mine or (local in number.names and name not in linker.in_c):
                    self.held[name, local] = self.full
        while self._changed():
            pass

    def _changed(self) -> bool:
        """Once through all instructions; False if that told nothing new."""
        before = (len(self.held), sum(self.held.values()), sum(self.results.values()))
        for name, function in self.functions.items():
            for instr in function.code:
                if instr.op == "return":
                    self.results[name] = self.results.get(name, 0) | self._bits(name, instr.args[0])
                elif instr.dst is not None and (bits := self._given(name, instr)):
                    self._hold(name, instr.dst, bits)
        return before != (len(self.held), sum(self.held.values()), sum(self.results.values()))

    def _hold(self, function: str, local: str, bits: int) -> None:
        self.held[function, local] = self.held.get((function, local), 0) | bits

    def _bits(self, function: str, operand: Operand) -> int:
        """The bits of an operand that may come from the number."""
        if operand == CPU and self.number.struct == "Cpu":
            return self.full
        return self.held.get((function, operand), 0) if isinstance(operand, str) else 0

    def _given(self, function: str, instr: Instr) -> int:
        """The bits that an instruction gives its destination."""
        if instr.op == "load":
            return self.full if instr.field in self.number.fields else 0
        if instr.op == "call":
            return self._called(function, instr)
        a, b = self._bits(function, instr.args[1]), self._bits(function, instr.args[-1])
        if instr.op in ("copy", "inv", "add", "sub", "or", "xor"):
            return a | b
        if instr.op == "mul":
            return self._multiplied(function, instr, a, b)
        return self._kept(function, instr, a, b) if instr.op in CUTTING else 0

    def _multiplied(self, function: str, instr: Instr, a: int, b: int) -> int:
        """A product; by a power of two it is a shift (FIELD_PREP())."""
        if not (a or b):
            return 0
        known = [one for operand in instr.args[1:] if (one := self._known(function, operand)) is not None]
        if known and known[0].bit_count() == 1:
            return (a | b) << known[0].bit_length() - 1 & _ALL
        return (1 << min(64, (a | b).bit_length() + (known[0].bit_length() if known else 32))) - 1

    def _kept(self, function: str, instr: Instr, a: int, b: int) -> int:
        """What is left by an operation that may cut: of ``a`` and ``b``, the bits of its operands."""
        left, right = (self._known(function, operand) for operand in instr.args[1:])
        match instr.op:
            case "and":
                return (a if right is None else a & right) | (b if left is None else b & left)
            case "sext":
                return a & ((1 << (right or 64) - 1) - 1)
            case "shl":
                return a << min(right or 0, 64) & _ALL
            case "shr" | "ushr":
                return a >> min(1 if right is None else right, 64)
            case "mod" | "umod":
                return a & ((1 << ((right or 2) - 1).bit_length()) - 1)
        return a >> ((right or 2) - 1).bit_length()

    def _known(self, function: str, operand: Operand) -> int | None:
        """An operand as a number without a sign, where it is known."""
        value = operand if isinstance(operand, int) else self.constants[function].get(operand)
        return None if value is None else value & _ALL

    def _called(self, function: str, instr: Instr) -> int:
        """A call: the arguments go to the parameters."""
        name = str(instr.args[1])
        if name not in self.functions:
            return 0
        for param, argument in zip(self.functions[name].params, instr.args[2:], strict=True):
            if bits := self._bits(function, argument):
                self._hold(name, param, bits)
        return self.results.get(name, 0)

    def cuts(self, fits: Mapping[str, Sequence[Fit]]) -> Iterator[Cut]:
        """Where some bits of the number get through, and some do not."""
        for name, noted in fits.items():
            for local, most, position in noted:
                bits = self._bits(name, local)
                if _cuts(bits, bits & ((1 << most.bit_length()) - 1)):
                    yield Cut(position, self.number.why)
            code = self.functions[name].code
            used = {operand for instr in code for operand in instr.operands()}
            checks = {one.args[0] for one in code if one.op == "branch" and str(one.args[2]).startswith("crash")}  # not the program's own
            for instr in code:
                if instr.op in TRUTHS and instr.dst not in checks and self._compares(name, instr):
                    yield Cut(instr.site.position, self.number.why)
                elif instr.op in CUTTING and instr.dst in used:
                    a, b = (self._bits(name, operand) for operand in instr.args[1:])
                    if _cuts(a | b, self._kept(name, instr, a, b)):
                        yield Cut(instr.site.position, self.number.why)

    def _compares(self, function: str, instr: Instr) -> bool:
        """True where the number is compared with a constant, but for those that stand for none."""
        for number, other in (instr.args[1:], instr.args[:0:-1]):
            domain = self.functions[function].locals.get(str(number))
            known = self._known(function, other)
            if known is not None and self._bits(function, number) and not isinstance(domain, Ref):
                return known not in _NONE and (known != 0 or self.number.struct != "")
        return False


_NONE = frozenset({_ALL, (1 << 32) - 1})  # -1, IOMMU_PASID_INVALID


def _cuts(bits: int, kept: int) -> bool:
    """True if some of the bits are kept, and some are not. What keeps none has nothing of the number."""
    return 0 < kept.bit_count() < bits.bit_count()


def _constants(code: Iterable[Instr]) -> dict[str, int]:
    """Locals that never have but one value, a constant."""
    given: dict[str, set[Operand]] = {}
    for instr in code:
        if instr.dst is not None:
            given.setdefault(instr.dst, set()).add(instr.args[1] if instr.op == "copy" else instr.dst)
    return {local: one for local, (one, *more) in given.items() if isinstance(one, int) and not more}
