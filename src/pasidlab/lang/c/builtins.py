"""What kernel C has in place of operators: min() and swap(), atomic operations, BUG(). Each evaluates its arguments once."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from tree_sitter import Node

from pasidlab.errors import PasidlabError, Position, counted
from pasidlab.lang.c.aggregates import scalars_of
from pasidlab.lang.c.calls import NOT_PREEMPTIBLE, PREEMPTIBLE, Calls, Operation, takes
from pasidlab.lang.c.ctype import CHAR, INT, LLONG, LONG, S8, S16, ULONG, Array, CType, Integer, Struct
from pasidlab.lang.c.declarators import text_of
from pasidlab.lang.c.memory import MEMORY
from pasidlab.lang.c.parse import plain
from pasidlab.lang.c.spin_locks import SPIN_LOCKS
from pasidlab.lang.c.values import NO_VALUE, Place, Value, number_of
from pasidlab.lang.emit import bounds
from pasidlab.lang.ir import CPU, SOUND
from pasidlab.lang.types import Int, Ref


def _lesser(name: str, x: Calls, arguments: list[Node], node: Node) -> Value:
    """min() and max() of include/linux/minmax.h, v6.12: both sides evaluated, then compared in their common type."""
    takes(x, arguments, 2, node, name)
    a, b = (x.arithmetic.settled(x.value(one), x.at(one)) for one in arguments)
    return _selected(name, x, a, b, node)


def _lesser_of_type(name: str, x: Calls, arguments: list[Node], node: Node) -> Value:
    """min_t(type, a, b): a comparison of two of that type, and so of what that promotes to (include/linux/minmax.h, v6.12: __cmp())."""
    takes(x, arguments, 3, node, name)
    type_ = x.type_argument(arguments[0])
    a, b = (x.arithmetic.settled(x.arithmetic.convert(x.value(one), type_, x.at(one)), x.at(one)) for one in arguments[1:])
    return _selected(name, x, a, b, node)


def _clamp(x: Calls, arguments: list[Node], node: Node) -> Value:
    takes(x, arguments, 3, node, "clamp")
    value, low, high = (x.arithmetic.settled(x.value(one), x.at(one)) for one in arguments)
    return _clamped(x, value, low, high, node)


def _clamp_of_type(x: Calls, arguments: list[Node], node: Node) -> Value:
    """clamp_t(type, value, low, high), whose type is what ``type`` promotes to, as that of min_t()."""
    takes(x, arguments, 4, node, "clamp_t")
    type_ = x.type_argument(arguments[0])
    value, low, high = (x.arithmetic.settled(x.arithmetic.convert(x.value(one), type_, x.at(one)), x.at(one)) for one in arguments[1:])
    return _clamped(x, value, low, high, node)


def _clamped(x: Calls, value: Value, low: Value, high: Value, node: Node) -> Value:
    """__clamp() of include/linux/minmax.h, v6.12: the upper end is looked at first."""
    return _chosen(">=", x, value, high, (high, _selected("max", x, value, low, node)), node)


def _selected(name: str, x: Calls, a: Value, b: Value, node: Node) -> Value:
    return _chosen("<" if name.startswith("min") else ">", x, a, b, (a, b), node)


def _chosen(operator: str, x: Calls, a: Value, b: Value, results: tuple[Value, Value], node: Node) -> Value:
    """``a operator b ? yes : no``, the results in their common type."""
    at = x.at(node)
    a, b, _ = x.arithmetic.operands(a, b, at)
    holds = x.arithmetic.compare(operator, a, b, at)
    yes, no, type_ = x.arithmetic.operands(*results, at)
    if isinstance(holds.operand, int):
        return yes if holds.operand else no
    yes, no = x.arithmetic.settled(yes, at), x.arithmetic.settled(no, at)
    return x.either(holds, yes, no, at).typed(type_)


def _abs(x: Calls, arguments: list[Node], node: Node) -> Value:
    """abs() of include/linux/math.h, v6.12: of an unsigned number what the signed type of its width makes of it."""
    (one,) = takes(x, arguments, 1, node, "abs")
    at = x.at(node)
    value = x.arithmetic.settled(x.arithmetic.number(x.value(one), at), at)
    signed = next((type_ for type_ in (S8, S16, INT, LONG, LLONG) if _unsigned(type_) == _unsigned(value.type)), None)
    if signed is None:
        raise PasidlabError(f"abs() of a {value.type}", position=at, hint="it takes a whole integer: char, short, int, long or long long")
    given = value.type
    value = x.arithmetic.settled(x.arithmetic.convert(value, signed, at), at)
    below = x.arithmetic.compare("<", value, number_of(0), at)
    less = x.arithmetic.settled(x.arithmetic.negated("-", value, at), at)
    found = x.either(below, less, x.arithmetic.settled(x.arithmetic.negated("+", value, at), at), at)
    return x.arithmetic.convert(found, CHAR, at) if given == CHAR else found


def _unsigned(type_: CType) -> CType:
    return replace(type_, name="", signed=False) if isinstance(type_, Integer) else type_


def _build_bug(name: str, x: Calls, arguments: list[Node], node: Node) -> Value:
    """BUILD_BUG_ON(): the kernel does not compile where it is true. What is no constant here is left to the kernel's compiler."""
    takes(x, arguments, 1 + name.endswith("MSG"), node, name)
    if x.constant_value(arguments[0]):
        raise PasidlabError(f"{name}() is true: '{plain(arguments[0])[:40]}'. The kernel does not compile with this", position=x.at(node))
    return NO_VALUE


def _swap(x: Calls, arguments: list[Node], node: Node) -> Value:
    for one in takes(x, arguments, 2, node, "swap"):
        if x.has_effect(one):  # include/linux/minmax.h, v6.12: each side stands twice in the macro
            raise PasidlabError(f"swap() would do '{plain(one)[:40]}' twice", position=x.at(one), hint="a statement of its own")
    first, second = (x.place(one) for one in arguments)
    if isinstance(first.type, Struct) and first.type != second.type:
        raise PasidlabError(f"swap() of a {first.type} and a {second.type}", position=x.at(node))
    parts = [scalars_of(place) if isinstance(place.type, Struct) and place.aggregate else [place] for place in (first, second)]
    a, b = ([x.arithmetic.settled(x.load(part, node), x.at(node)) for part in one] for one in parts)
    for part, value in zip([*parts[0], *parts[1]], [*b, *a], strict=True):
        x.store(part, value, node)
    return NO_VALUE


def _array_size(x: Calls, arguments: list[Node], node: Node) -> Value:
    (one,) = takes(x, arguments, 1, node, "ARRAY_SIZE")
    type_ = x.place(one).type
    if not isinstance(type_, Array) or type_.count is None:
        raise PasidlabError(f"ARRAY_SIZE() of '{text_of(one)[:40]}', which is no array", position=x.at(node))
    return number_of(type_.count, ULONG)


def _expect(x: Calls, arguments: list[Node], node: Node) -> Value:
    takes(x, arguments, 2, node, "__builtin_expect")
    return x.arithmetic.convert(x.value(arguments[0]), LONG, x.at(node))


# ---- the end of the kernel


def _bug(x: Calls, arguments: list[Node], node: Node) -> Value:
    x.builder.emit("reach", SOUND, at=x.at(node))
    x.builder.emit("crash", at=x.at(node), text="BUG() is reached")
    return NO_VALUE


def _bug_on(name: str, x: Calls, arguments: list[Node], node: Node) -> Value:
    (one,) = takes(x, arguments, 1, node, name)
    at = x.at(node)
    fires = x.arithmetic.truth(x.tested(one), at)
    if fires.unknown:
        return NO_VALUE
    x.builder.emit("reach", SOUND, at=at)
    bad, fine = x.builder.label("bug"), x.builder.label("fine")
    x.builder.branch(fires.operand, bad, fine, at)
    x.builder.place(bad, at)
    x.builder.emit("crash", at=at, text=f"{name}() fires")
    x.builder.place(fine, at)
    return NO_VALUE


# ---- CPUs


def _this_cpu(promise: bool, name: str, x: Calls, arguments: list[Node], node: Node) -> Value:
    """smp_processor_id(): the number of a CPU, which is meaningless where the task may be moved to another."""
    takes(x, arguments, 0, node, name)
    if promise:
        x.template.run(NOT_PREEMPTIBLE.format(PREEMPTIBLE.format(f"{name}()")), {}, x.at(node))
    return Value(CPU, Ref("Cpu", x.cpus), INT)


def _get_cpu(x: Calls, arguments: list[Node], node: Node) -> Value:
    takes(x, arguments, 0, node, "get_cpu")
    x.template.run("preempt_disable()", {}, x.at(node))
    return Value(CPU, Ref("Cpu", x.cpus), INT)


# ---- atomic operations: nothing comes between


class _Atomic:
    def __init__(self, x: Calls, node: Node) -> None:
        self.x, self.node = x, node

    def __enter__(self) -> None:
        self.x.builder.emit("atomic", "begin", at=self.x.at(self.node))

    def __exit__(self, *_: object) -> None:
        self.x.builder.emit("atomic", "end", at=self.x.at(self.node))


def _old_and_new(x: Calls, place: Place, operator: str, by: Value, node: Node) -> tuple[Value, Value]:
    at = x.at(node)
    old = x.arithmetic.settled(x.load(place, node), at)
    return old, x.store(place, x.arithmetic.binary(operator, old, by, at), node)


def _read(x: Calls, arguments: list[Node], node: Node) -> Value:
    (one,) = takes(x, arguments, 1, node, "this read")
    return x.load(x.pointed(one), node)


def _set(x: Calls, arguments: list[Node], node: Node) -> Value:
    pointer, value = takes(x, arguments, 2, node, "this store")
    x.store(x.pointed(pointer), x.value(value), node)
    return NO_VALUE


def _change(operator: str, gives: str, step: int | None, x: Calls, arguments: list[Node], node: Node) -> Value:
    """atomic_inc() and its relatives; those that take a number take it first. ``gives``: nothing, old, new, or whether new is 0 or < 0."""
    takes(x, arguments, 1 if step else 2, node, "this atomic operation")
    by = number_of(step) if step else x.arithmetic.settled(x.value(arguments[0]), x.at(node))
    place = x.pointed(arguments[-1])
    with _Atomic(x, node):
        old, new = _old_and_new(x, place, operator, by, node)
    match gives:
        case "old":
            return old
        case "new":
            return new
        case "zero":
            return x.arithmetic.compare("==", new, number_of(0), x.at(node))
    return NO_VALUE


def _refcount(operator: str, gives: str, x: Calls, arguments: list[Node], node: Node) -> Value:
    """include/linux/refcount.h, v6.12: what goes wrong warns and saturates (refcount_warn_saturate(), lib/refcount.c).

    A count of the model has no room for REFCOUNT_SATURATED: it becomes 0 there.
    """
    (one,) = takes(x, arguments, 1, node, "this refcount")
    place, at = x.pointed(one), x.at(node)
    with _Atomic(x, node):
        old = x.arithmetic.settled(x.load(place, node), at)
        there = x.arithmetic.truth(old, at)
        changed = there if gives == "not zero" else number_of(1)
        new = x.arithmetic.settled(x.arithmetic.binary(operator, old, changed, at), at)
        fine = _is_fine(x, operator, gives, old, place, at)
        if fine is not None:
            x.builder.emit("reach", SOUND, at=at)
            x.builder.emit("check", SOUND, fine.operand, at=at, text=f"refcount_t: {_WRONG[operator, gives]}")
            saturated = number_of(0 if place.variable is None else REFCOUNT_SATURATED)
            new = new if fine.operand == 1 else saturated if fine.operand == 0 else x.either(fine, new, saturated, at)
        x.store(place, new, node)
    if gives == "not zero":
        return there
    return x.arithmetic.compare("==", old, number_of(1), at) if gives == "zero" else NO_VALUE


REFCOUNT_SATURATED = 0xC000_0000  # INT_MIN / 2
_WRONG = {
    ("+", ""): "addition on 0; use-after-free", ("+", "not zero"): "saturated; leaking memory",
    ("-", "left"): "decrement hit 0; leaking memory", ("-", "zero"): "underflow; use-after-free",
}  # fmt: skip


def _is_fine(x: Calls, operator: str, gives: str, old: Value, place: Place, at: Position) -> Value | None:
    """Whether nothing warns; None where nothing can: the model's counts are small, and none of them is negative."""
    if gives == "not zero" and place.variable is None:
        return None
    signed = x.arithmetic.settled(x.arithmetic.convert(old, INT, at), at)
    if operator == "+":
        low, high = (0 if gives == "not zero" else 1), INT.high - 1
    else:
        low, high = (2 if gives == "left" else 1), INT.high
    above = x.arithmetic.compare(">=", signed, number_of(low), at)
    below = x.arithmetic.compare("<=", signed, number_of(high), at)
    return x.arithmetic.settled(x.arithmetic.binary("&", above, below, at), at)


def _xchg(x: Calls, arguments: list[Node], node: Node) -> Value:
    pointer, value = takes(x, arguments, 2, node, "xchg")
    new = x.arithmetic.settled(x.value(value), x.at(node))
    place = x.pointed(pointer)
    with _Atomic(x, node):
        old = x.arithmetic.settled(x.load(place, node), x.at(node))
        x.store(place, new, node)
    return old


def _cmpxchg(x: Calls, arguments: list[Node], node: Node) -> Value:
    pointer, expected, value = takes(x, arguments, 3, node, "cmpxchg")
    return _exchanged(x, x.pointed(pointer), x.value(expected), x.value(value), node)[0]


def _exchanged(x: Calls, place: Place, expected: Value, new: Value, node: Node) -> tuple[Value, Value]:
    at = x.at(node)
    expected = x.arithmetic.settled(x.arithmetic.convert(expected, place.type, at), at)
    new = x.arithmetic.settled(new, at)
    yes, done = x.builder.label("same"), x.builder.label("fi")
    with _Atomic(x, node):
        old = x.arithmetic.settled(x.load(place, node), at)
        same = x.arithmetic.compare("==", old, expected, at)
        x.builder.branch(same.operand, yes, done, at)
        x.builder.place(yes, at)
        x.store(place, new, node)
        x.builder.place(done, at)
    return old, same


def _try_cmpxchg(x: Calls, arguments: list[Node], node: Node) -> Value:
    pointer, expected, value = takes(x, arguments, 3, node, "try_cmpxchg")
    kept = x.pointed(expected)
    old, same = _exchanged(x, x.pointed(pointer), x.load(kept, node), x.value(value), node)
    at = x.at(node)
    same = x.arithmetic.settled(same, at)
    no, done = x.builder.label("differs"), x.builder.label("fi")
    x.builder.branch(same.operand, done, no, at)
    x.builder.place(no, at)
    x.store(kept, old, node)
    x.builder.place(done, at)
    return same.typed(INT)


def _bit(change: str, gives: bool, atomic: bool, x: Calls, arguments: list[Node], node: Node) -> Value:
    """set_bit(nr, addr) and its relatives, of one unsigned long."""
    number, pointer = takes(x, arguments, 2, node, "a bit operation")
    at = x.at(node)
    nr = x.arithmetic.settled(x.arithmetic.number(x.value(number), at), at)
    place, nr = _word(x, nr, pointer, node)
    mask = x.arithmetic.settled(x.arithmetic.binary("<<", number_of(1, ULONG), nr, at), at)
    if not isinstance(place.type, Integer) or place.type.bits != ULONG.bits:
        raise PasidlabError(f"a bit operation on {place.type}", position=at, hint="it takes the address of an unsigned long")
    if atomic:
        x.builder.emit("atomic", "begin", at=at)
    old = x.arithmetic.settled(x.load(place, node), at)
    match change:
        case "set":
            x.store(place, x.arithmetic.binary("|", old, mask, at), node)
        case "clear":
            x.store(place, x.arithmetic.binary("&", old, x.arithmetic.negated("~", mask, at), at), node)
        case "change":
            x.store(place, x.arithmetic.binary("^", old, mask, at), node)
    if atomic:
        x.builder.emit("atomic", "end", at=at)
    return x.arithmetic.truth(x.arithmetic.binary("&", old, mask, at), at) if gives else NO_VALUE


def _word(x: Calls, nr: Value, pointer: Node, node: Node) -> tuple[Place, Value]:
    """The unsigned long that has a bit, and the bit's number in it (include/asm-generic/bitops/non-atomic.h, BIT_WORD(), v6.12)."""
    led = x.led_to(pointer)
    count = led.type.count if led is not None and isinstance(led.type, Array) else 1
    low, high = bounds(nr.domain)
    if isinstance(nr.operand, int) and led is not None and isinstance(led.type, Array) and 0 <= nr.operand < 64 * (count or 0):
        x.effects_of([pointer])
        return x.element_numbered(led, nr.operand // 64), number_of(nr.operand % 64)
    if isinstance(nr.operand, int) and not 0 <= nr.operand < 64:
        raise PasidlabError(f"bit {nr.operand} of {counted(count or 0, 'unsigned long')}", position=x.at(node), hint="0 to 63")
    if count != 1:
        what = "a bit whose number is not known here, of an array of several words"
        raise PasidlabError(what, position=x.at(node), hint="one unsigned long, or the word by its number")
    if low < 0 or high > 63:
        inside, _ = x.builder.binary("ult", (nr.operand, nr.domain), (64, Int(64, 64)), x.at(node))
        x.arithmetic.crash_unless(inside, f"a bit beyond its word: {plain(node)[:40]}", x.at(node))
    return x.pointed(pointer), nr


def _atomics() -> dict[str, Operation]:
    found: dict[str, Operation] = {}
    for kind in ("atomic", "atomic_long", "atomic64"):
        for order in ("", "_relaxed", "_acquire", "_release"):
            for name, operator in (("add", "+"), ("sub", "-")):
                found[f"{kind}_{name}_return{order}"] = partial(_change, operator, "new", None)
                found[f"{kind}_fetch_{name}{order}"] = partial(_change, operator, "old", None)
            for name, operator in (("inc", "+"), ("dec", "-")):
                found[f"{kind}_{name}_return{order}"] = partial(_change, operator, "new", 1)
                found[f"{kind}_fetch_{name}{order}"] = partial(_change, operator, "old", 1)
            for name, operation in (("xchg", _xchg), ("cmpxchg", _cmpxchg), ("try_cmpxchg", _try_cmpxchg)):
                found[f"{kind}_{name}{order}"] = found[f"{name}{order}"] = operation
        for name, operator in (("add", "+"), ("sub", "-"), ("and", "&"), ("or", "|"), ("xor", "^")):
            found[f"{kind}_{name}"] = partial(_change, operator, "", None)
        for name, operator in (("inc", "+"), ("dec", "-")):
            found[f"{kind}_{name}"] = partial(_change, operator, "", 1)
            found[f"{kind}_{name}_and_test"] = partial(_change, operator, "zero", 1)
        found |= {f"{kind}_read": _read, f"{kind}_read_acquire": _read, f"{kind}_set": _set, f"{kind}_set_release": _set}
    for name in ("set", "clear", "change"):
        found[f"{name}_bit"] = partial(_bit, name, False, True)
        found[f"__{name}_bit"] = partial(_bit, name, False, False)
        found[f"test_and_{name}_bit"] = partial(_bit, name, True, True)
        found[f"__test_and_{name}_bit"] = partial(_bit, name, True, False)
    return found


OPERATIONS: dict[str, Operation] = {
    **_atomics(), **SPIN_LOCKS, **MEMORY,
    "test_bit": partial(_bit, "", True, False),
    **{name: partial(_lesser, name) for name in ("min", "max")},
    **{name: partial(_lesser_of_type, name) for name in ("min_t", "max_t")},
    **{name: partial(_build_bug, name) for name in ("BUILD_BUG_ON", "BUILD_BUG_ON_MSG")}, "abs": _abs,
    "clamp": _clamp, "clamp_t": _clamp_of_type, "swap": _swap, "ARRAY_SIZE": _array_size, "__builtin_expect": _expect,
    "BUG": _bug, **{name: partial(_bug_on, name) for name in ("BUG_ON", "VM_BUG_ON")},
    "smp_processor_id": partial(_this_cpu, True, "smp_processor_id"),
    "raw_smp_processor_id": partial(_this_cpu, False, "raw_smp_processor_id"), "get_cpu": _get_cpu,
    "refcount_inc": partial(_refcount, "+", ""), "refcount_dec": partial(_refcount, "-", "left"),
    "refcount_inc_not_zero": partial(_refcount, "+", "not zero"), "refcount_dec_and_test": partial(_refcount, "-", "zero"),
    "refcount_read": _read, "refcount_set": _set,
}  # fmt: skip
"""By their names in C. A function that the file defines under one of them takes its place."""
