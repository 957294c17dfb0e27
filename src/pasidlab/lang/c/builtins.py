"""What kernel C has in place of operators: min() and swap(), BUG(). Each evaluates its arguments once."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from tree_sitter import Node

from pasidlab.errors import PasidlabError
from pasidlab.lang.c.aggregates import scalars_of
from pasidlab.lang.c.atomics import ATOMICS
from pasidlab.lang.c.calls import Calls, Operation, takes
from pasidlab.lang.c.ctype import CHAR, INT, LLONG, LONG, S8, S16, ULONG, Array, CType, Integer, Struct
from pasidlab.lang.c.declarators import text_of
from pasidlab.lang.c.memory import MEMORY
from pasidlab.lang.c.parse import plain
from pasidlab.lang.c.spin_locks import SPIN_LOCKS
from pasidlab.lang.c.values import NO_VALUE, Value, number_of
from pasidlab.lang.ir import CPU, SOUND
from pasidlab.lang.types import Ref


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
        x.must_stay(name, node)
    return Value(CPU, Ref("Cpu", x.cpus), INT)


def _get_cpu(x: Calls, arguments: list[Node], node: Node) -> Value:
    takes(x, arguments, 0, node, "get_cpu")
    x.template.run("preempt_disable()", {}, x.at(node))
    return Value(CPU, Ref("Cpu", x.cpus), INT)


OPERATIONS: dict[str, Operation] = {
    **ATOMICS, **SPIN_LOCKS, **MEMORY,
    **{name: partial(_lesser, name) for name in ("min", "max")},
    **{name: partial(_lesser_of_type, name) for name in ("min_t", "max_t")},
    **{name: partial(_build_bug, name) for name in ("BUILD_BUG_ON", "BUILD_BUG_ON_MSG")}, "abs": _abs,
    "clamp": _clamp, "clamp_t": _clamp_of_type, "swap": _swap, "ARRAY_SIZE": _array_size, "__builtin_expect": _expect,
    "BUG": _bug, **{name: partial(_bug_on, name) for name in ("BUG_ON", "VM_BUG_ON")},
    "smp_processor_id": partial(_this_cpu, True, "smp_processor_id"),
    "raw_smp_processor_id": partial(_this_cpu, False, "raw_smp_processor_id"), "get_cpu": _get_cpu,
}  # fmt: skip
"""By their names in C. A function that the file defines under one of them takes its place."""
