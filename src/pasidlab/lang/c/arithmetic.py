"""C's arithmetic on typed values: conversions, promotions, operators, each emitted as operations on 64 bits with a sign.

A conversion costs an operation only where the value may not fit, which its domain tells. What C leaves undefined is refused where it is
certain, and a violation (``sound_kernel``) where it happens: the divide error ends the kernel, UBSAN reports a shift.
"""

from __future__ import annotations

from pasidlab.errors import PasidlabError, Position
from pasidlab.lang.c.ctype import INT, VOID, Array, CType, Integer, Pointer, Struct, Void, common, promoted
from pasidlab.lang.c.values import Place, Value, number_of
from pasidlab.lang.emit import Builder, bounds
from pasidlab.lang.ir import SOUND, Operand
from pasidlab.lang.types import ANY, BOOL, NULL, Domain, Int, Ref

OPERATORS = {"+": "add", "-": "sub", "*": "mul", "/": "div", "%": "mod", "&": "and", "|": "or", "^": "xor", "<<": "shl", ">>": "shr"}
COMPARISONS = {"==": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "lt", ">=": "le"}
SMALL_BITS = 12
_MIRRORED = {">": "<", ">=": "<="}


class Arithmetic:
    """Emits into one builder."""

    def __init__(self, builder: Builder) -> None:
        self.builder = builder

    def emitted(self, op: str, a: Operand, b: Operand, domains: tuple[Domain, Domain], at: Position) -> tuple[Operand, Domain]:
        """One operation. A local with a large domain is left open: what its values are is seen better after inlining."""
        operand, domain = self.builder.binary(op, (a, domains[0]), (b, domains[1]), at)
        if isinstance(operand, str) and not isinstance(domain, Ref) and domain.bits > SMALL_BITS:
            self.builder.locals[operand] = ANY
        return operand, domain

    def settled(self, value: Value, at: Position) -> Value:
        """The value as it is now, whatever is stored to a variable later."""
        if isinstance(value.operand, str) and not value.operand.startswith("%"):
            operand = self.builder.temp(self.builder.locals.get(value.operand) or ANY)
            self.builder.emit("copy", operand, value.operand, at=at)
            return Value(operand, value.domain, value.type, value.view, value.place)
        return value

    def number(self, value: Value, at: Position) -> Value:
        """The number of a CPU as a number; any other value as it is."""
        if not value.is_cpu:
            return value
        assert isinstance(value.domain, Ref) and isinstance(value.type, Integer)
        low = 0 if value.operand == "%cpu" else -1
        operand = self.builder.temp(Int(low, value.domain.count - 1))
        self.builder.emit("sub", operand, value.operand, 1, at=at)
        return self.convert(Value(operand, Int(low, value.domain.count - 1), INT), value.type, at)

    def cpu(self, value: Value, count: int, at: Position) -> Value:
        """A number as the CPU that has it; -1 in any width is none. What is no CPU is refused, or ends the kernel where it comes."""
        if value.is_cpu:
            return value
        wanted = Ref("Cpu", count)
        short = self.narrowed(value, INT, at)
        low, high = bounds(short.domain)
        if isinstance(short.operand, int):
            if not -1 <= short.operand < count:
                raise PasidlabError(f"there is no CPU {short.operand}: the scope has {count}", position=at, hint="--cpus")
            return Value(short.operand + 1, wanted, value.type)
        if low < -1 or high >= count:
            above, _ = self.builder.binary("add", (short.operand, short.domain), (1, Int(1, 1)), at)
            fits, _ = self.builder.binary("ult", (above, ANY), (count + 1, Int(count + 1, count + 1)), at)
            self.crash_unless(fits, "there is no CPU of that number", at)
        operand = self.builder.temp(wanted)
        self.builder.emit("add", operand, short.operand, 1, at=at)
        return Value(operand, wanted, value.type)

    def narrowed(self, value: Value, type_: Integer, at: Position) -> Value:
        """The lowest bits of a number, as a value of a type."""
        low, high = bounds(value.domain)
        if type_.bits >= 64 or (type_.low <= low and high <= type_.high):
            self.builder.fit(value.operand, type_.high, at)
            return Value(value.operand, value.domain, type_)
        if type_.signed:
            operand, domain = self.emitted("sext", value.operand, type_.bits, (value.domain, Int(type_.bits, type_.bits)), at)
        else:
            operand, domain = self.emitted("and", value.operand, type_.high, (value.domain, Int(type_.high, type_.high)), at)
        return Value(operand, domain, type_)

    def convert(self, value: Value, type_: CType, at: Position) -> Value:
        """A value as another integer type has it (C11 6.3.1.2, 6.3.1.3; what does not fit keeps its lowest bits, as gcc says)."""
        if not isinstance(type_, Integer) or value.unknown:
            return value
        _check_scalar(value, at)
        if value.is_cpu and type_.bits == INT.bits:  # in a wider type -1 of unsigned int is another number than -1
            return value.typed(type_)
        if type_.boolean:
            return self.truth(value, at).typed(type_)
        if isinstance(value.type, Pointer):
            hint = "only whether it is NULL means something in the model"
            raise PasidlabError(f"a pointer as a number ({type_})", position=at, hint=hint)
        return self.narrowed(self.number(value, at), type_, at)

    def truth(self, value: Value, at: Position) -> Value:
        """Whether a value differs from 0, as 0 or 1 of type int."""
        if value.unknown:
            return value
        _check_scalar(value, at)
        if value.domain == BOOL:
            return value.typed(INT) if isinstance(value.type, Integer) else value
        value = self.number(value, at)
        low, high = bounds(value.domain)
        if not isinstance(value.domain, Ref) and (low > 0 or high < 0):
            return number_of(1)
        return Value(*self.builder.binary("ne", (value.operand, value.domain), (0, value.domain), at))

    def operands(self, a: Value, b: Value, at: Position) -> tuple[Value, Value, Integer]:
        """The usual arithmetic conversions."""
        a, b = self.number(a, at), self.number(b, at)
        if not isinstance(a.type, Integer) or not isinstance(b.type, Integer):
            raise PasidlabError(
                "arithmetic on a pointer or a struct", position=at, hint="only comparison, and what it points to, mean something there"
            )
        type_ = common(a.type, b.type)
        return self.convert(a, type_, at), self.convert(b, type_, at), type_

    def binary(self, operator: str, a: Value, b: Value, at: Position) -> Value:
        """``a operator b`` for an arithmetic operator."""
        if operator in ("<<", ">>"):
            return self._shift(operator, a, b, at)
        a, b, type_ = self.operands(a, b, at)
        op = OPERATORS[operator]
        if operator in ("/", "%"):
            op = self._division(op, a, b, type_, at)
        operand, domain = self.emitted(op, a.operand, b.operand, (a.domain, b.domain), at)
        result = Value(operand, domain, type_)
        return self.narrowed(result, type_, at) if operator in ("+", "-", "*", "/") else result

    def _division(self, op: str, a: Value, b: Value, type_: Integer, at: Position) -> str:
        """The operation, behind its checks: by 0, and the least number by -1, are the CPU's divide error (#DE)."""
        (low, high), least = bounds(b.domain), bounds(a.domain)[0]
        if b.operand == 0:
            raise PasidlabError("division by zero", position=at)
        if low <= 0 <= high:
            self.crash_unless(b.operand, "divide error: division by zero", at)
        if type_.signed and least == type_.low and low <= -1 <= high:
            overflow, _ = self.builder.binary("eq", (a.operand, a.domain), (type_.low, Int(type_.low, type_.low)), at)
            minus, _ = self.builder.binary("eq", (b.operand, b.domain), (-1, Int(-1, -1)), at)
            both, _ = self.builder.binary("and", (overflow, BOOL), (minus, BOOL), at)
            fine, _ = self.builder.unary("not", (both, BOOL), at)
            if fine == 0:
                raise PasidlabError(f"the least {type_} divided by -1 has no value", position=at)
            self.crash_unless(fine, "divide error: the least number divided by -1", at)
        return "u" + op if not type_.signed and (least < 0 or low < 0) else op

    def crash_unless(self, condition: Operand, sentence: str, at: Position) -> None:
        """The kernel ends here where a condition is 0."""
        if isinstance(condition, int) and condition:
            return
        fine, bad = self.builder.label("fine"), self.builder.label("crash")
        self.builder.branch(condition, fine, bad, at)
        self.builder.place(bad, at)
        self.builder.emit("crash", at=at, text=sentence)
        self.builder.place(fine, at)

    def _shift(self, operator: str, a: Value, b: Value, at: Position) -> Value:
        a, b = self.number(a, at), self.number(b, at)
        if not isinstance(a.type, Integer) or not isinstance(b.type, Integer):
            raise PasidlabError("a pointer or a struct is shifted", position=at)
        type_ = promoted(a.type)
        a, b = self.convert(a, type_, at), self.convert(b, promoted(b.type), at)
        b = self._amount(b, type_, at)
        op = OPERATORS[operator]
        if op == "shr" and not type_.signed and bounds(a.domain)[0] < 0:
            op = "ushr"
        operand, domain = self.emitted(op, a.operand, b.operand, (a.domain, b.domain), at)
        result = Value(operand, domain, type_)
        return self.narrowed(result, type_, at) if op == "shl" else result

    def _amount(self, amount: Value, type_: Integer, at: Position) -> Value:
        """By how many bits: a number that C does not define is refused, or reported where it comes, and goes on as x86 takes it."""
        low, high = bounds(amount.domain)
        if low >= 0 and high < type_.bits:
            self.builder.fit(amount.operand, type_.bits - 1, at)
            return amount
        if isinstance(amount.operand, int):
            what = f"a shift by {amount.operand} of {type_}, which has {type_.bits} bits"
            raise PasidlabError(what, position=at, hint=f"0 to {type_.bits - 1}; a wider type is 1ULL or (u64)x")
        fits, _ = self.builder.binary("ult", (amount.operand, amount.domain), (type_.bits, Int(type_.bits, type_.bits)), at)
        self.builder.emit("reach", SOUND, at=at)
        self.builder.emit("check", SOUND, fits, at=at, text=f"shift of {type_} by its width or more, or by less than 0")
        mask = type_.bits - 1
        return Value(*self.emitted("and", amount.operand, mask, (amount.domain, Int(mask, mask)), at), amount.type)

    def negated(self, operator: str, value: Value, at: Position) -> Value:
        """``-x``, ``~x`` or ``+x``."""
        value = self.number(value, at)
        if not isinstance(value.type, Integer):
            raise PasidlabError(f"'{operator}' of a pointer or a struct", position=at)
        type_ = promoted(value.type)
        value = self.convert(value, type_, at)
        if operator == "+":
            return value
        if operator == "-":
            operand, domain = self.emitted("sub", 0, value.operand, (Int(0, 0), value.domain), at)
        else:
            operand, domain = self.builder.unary("inv", (value.operand, value.domain), at)
        return self.narrowed(Value(operand, domain, type_), type_, at)

    def inverted(self, value: Value, at: Position) -> Value:
        """``!x``."""
        known = self.truth(value, at)
        return Value(*self.builder.unary("not", (known.operand, known.domain), at))

    def compare(self, operator: str, a: Value, b: Value, at: Position) -> Value:
        """A comparison, 0 or 1 of type int."""
        if operator in _MIRRORED:
            a, b, operator = b, a, _MIRRORED[operator]
        op = COMPARISONS[operator]
        if a.is_cpu or b.is_cpu:
            found = self._compare_cpus(op, a, b, at)
            if found is not None:
                return found
        if isinstance(a.type, Integer) and isinstance(b.type, Integer):
            a, b, type_ = self.operands(a, b, at)
            if not type_.signed and op in ("lt", "le") and (bounds(a.domain)[0] < 0 or bounds(b.domain)[0] < 0):
                op = "u" + op
            return self._decided(op, a, b) or Value(*self.builder.binary(op, (a.operand, a.domain), (b.operand, b.domain), at))
        return self._compare_pointers(op, a, b, at)

    def _decided(self, op: str, a: Value, b: Value) -> Value | None:
        """A comparison whose answer the domains tell."""
        (low, high), (least, most) = bounds(a.domain), bounds(b.domain)
        if op in ("eq", "ne") and (high < least or most < low):
            return number_of(int(op == "ne"))
        return None

    def _compare_cpus(self, op: str, a: Value, b: Value, at: Position) -> Value | None:
        """Equality of CPUs, and whether there is one, without looking at their numbers; None where the numbers are needed."""
        if a.is_cpu and b.is_cpu and op in ("eq", "ne"):
            return Value(*self.builder.binary(op, (a.operand, a.domain), (b.operand, b.domain), at))
        one, other = (a, b) if a.is_cpu else (b, a)
        if not isinstance(other.operand, int) or not isinstance(one.type, Integer) or not isinstance(other.type, Integer):
            return None
        if common(one.type, other.type).bits > INT.bits:
            return None
        minus = self.narrowed(other, INT, at).operand == -1
        if minus and op in ("eq", "ne"):
            return Value(*self.builder.binary(op, (one.operand, one.domain), (0, NULL), at))
        if other.operand == 0 and common(one.type, other.type).signed and (one is b) == (op == "le"):
            there = "ne" if op == "le" else "eq"  # 0 <= cpu, cpu < 0
            return Value(*self.builder.binary(there, (one.operand, one.domain), (0, NULL), at)) if op in ("lt", "le") else None
        return None

    def _compare_pointers(self, op: str, a: Value, b: Value, at: Position) -> Value:
        a, b = _as_pointer(a), _as_pointer(b)
        if op not in ("eq", "ne"):
            raise PasidlabError("pointers can only be compared for equality", position=at)
        if a.opaque or b.opaque:
            one, other = (a, b) if a.opaque else (b, a)
            if other.operand == 0:
                return number_of(int((one.operand == 0) == (op == "eq")))
            if a.view == b.view and len(a.view) > 1:
                return number_of(int(op == "eq"))
            raise PasidlabError("compares with a pointer to something outside the model", position=at, hint="compare with NULL")
        if a.place is not None or b.place is not None:
            return self._compare_places(op, a, b, at)
        if isinstance(a.domain, Ref) and isinstance(b.domain, Ref):
            if NULL not in (a.domain, b.domain) and a.domain.struct != b.domain.struct:
                raise PasidlabError(f"compares a {a.domain.struct} with a {b.domain.struct}", position=at)
            return Value(*self.builder.binary(op, (a.operand, a.domain), (b.operand, b.domain), at))
        known = a.type == b.type == Pointer(VOID) or 0 in (a.operand, b.operand)
        if known and isinstance(a.type, Pointer) and isinstance(b.type, Pointer):  # parameters that nobody passes anything but NULL
            x, y = ((0, Int(0, 0)) if one.operand == 0 else (one.operand, one.domain) for one in (a, b))
            return Value(*self.builder.binary(op, x, y, at))
        raise PasidlabError("compares a pointer with a number that is not 0", position=at, hint="compare with NULL, or with a pointer")

    def _compare_places(self, op: str, a: Value, b: Value, at: Position) -> Value:
        """Pointers to variables: none is NULL, and two are equal that lead to one variable."""
        one, other = (a, b) if a.place is not None else (b, a)
        assert one.place is not None
        if other.place is None and other.operand == 0:
            return number_of(int(op == "ne"))
        places = [_start(value.place) for value in (a, b) if value.place is not None]
        whole = [p.variable for p in places if p.variable is not None and p.variable.inside is None and p.index is None]
        if len(whole) == 2 and a.type == b.type != Pointer(VOID):  # of one type, so neither is a part of the other
            return number_of(int((whole[0] is whole[1]) == (op == "eq")))
        raise PasidlabError("compares a pointer to a variable with another pointer", position=at, hint="compare with NULL")


def _start(place: Place) -> Place:
    """What lies first in a place: of an array its first element, which has the same address and, as a pointer, the same type."""
    while isinstance(place.type, Array) and place.aggregate is not None and place.index is None:
        first = place.aggregate.parts[0]
        place = Place(first.type, first, aggregate=first.aggregate)
    return place


def _check_scalar(value: Value, at: Position) -> None:
    """PasidlabError for what is neither a number nor a pointer."""
    if isinstance(value.type, Void):
        raise PasidlabError("what has no value (void) is used as one", position=at)
    if isinstance(value.type, Struct):
        raise PasidlabError(f"a {value.type} where a number or a pointer is asked for", position=at, hint="one of its members")


def _as_pointer(value: Value) -> Value:
    """A constant 0 is NULL."""
    return Value(0, NULL, value.type) if value.operand == 0 and not isinstance(value.domain, Ref) and not value.opaque else value
