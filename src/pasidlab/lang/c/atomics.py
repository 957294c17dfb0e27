"""Atomic operations of kernel C, reference counts, bits: nothing comes between what they read and what they write."""

from __future__ import annotations

from functools import partial

from tree_sitter import Node

from pasidlab.errors import PasidlabError, Position, counted
from pasidlab.lang.c.calls import Calls, Operation, takes
from pasidlab.lang.c.ctype import INT, ULONG, Array, Integer
from pasidlab.lang.c.parse import plain
from pasidlab.lang.c.values import NO_VALUE, Place, Value, number_of
from pasidlab.lang.emit import bounds
from pasidlab.lang.ir import SOUND
from pasidlab.lang.types import Int


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
        case "negative":
            return x.arithmetic.compare("<", new, number_of(0), x.at(node))
    return NO_VALUE


def _add_unless(step: int | None, unless: int | None, gives: str, x: Calls, arguments: list[Node], node: Node) -> Value:
    """atomic_add_unless(v, a, u) and its relatives (include/linux/atomic/atomic-arch-fallback.h, v6.12): added unless it is ``u``."""
    takes(x, arguments, 1 + (step is None) + (unless is None), node, "this atomic operation")
    at = x.at(node)
    by = number_of(step) if step is not None else x.arithmetic.settled(x.value(arguments[1]), at)
    stop = number_of(unless) if unless is not None else x.arithmetic.settled(x.value(arguments[-1]), at)
    place = x.pointed(arguments[0])
    with _Atomic(x, node):
        old = x.arithmetic.settled(x.load(place, node), at)
        goes = x.arithmetic.settled(x.arithmetic.compare("!=", old, stop, at), at)
        new = x.arithmetic.settled(x.arithmetic.binary("+", old, by, at), at)
        x.store(place, x.either(goes, new, old, at), node)
    return goes if gives == "whether" else old


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
            new = x.either(fine, new, saturated, at)
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
            found[f"{kind}_sub_and_test"] = partial(_change, "-", "zero", None)
            found[f"{kind}_add_negative"] = partial(_change, "+", "negative", None)
        for order in ("", "_relaxed", "_acquire", "_release"):
            for name, operator in (("and", "&"), ("or", "|"), ("xor", "^")):
                found[f"{kind}_fetch_{name}{order}"] = partial(_change, operator, "old", None)
        found |= {
            f"{kind}_add_unless": partial(_add_unless, None, None, "whether"),
            f"{kind}_fetch_add_unless": partial(_add_unless, None, None, "old"),
            f"{kind}_inc_not_zero": partial(_add_unless, 1, 0, "whether"),
        }
        found |= {f"{kind}_read": _read, f"{kind}_read_acquire": _read, f"{kind}_set": _set, f"{kind}_set_release": _set}
    for name in ("set", "clear", "change"):
        found[f"{name}_bit"] = partial(_bit, name, False, True)
        found[f"__{name}_bit"] = partial(_bit, name, False, False)
        found[f"test_and_{name}_bit"] = partial(_bit, name, True, True)
        found[f"__test_and_{name}_bit"] = partial(_bit, name, True, False)
    return found


ATOMICS: dict[str, Operation] = {
    **_atomics(), "test_bit": partial(_bit, "", True, False),
    "refcount_inc": partial(_refcount, "+", ""), "refcount_dec": partial(_refcount, "-", "left"),
    "refcount_inc_not_zero": partial(_refcount, "+", "not zero"), "refcount_dec_and_test": partial(_refcount, "-", "zero"),
    "refcount_read": _read, "refcount_set": _set,
}  # fmt: skip
"""By their names in C."""
