"""The language's own primitives, as the Python front end compiles them (``declare`` says what each means)."""

from __future__ import annotations

import ast
from collections.abc import Callable

from pasidlab.lang.ir import CPU, SLEEP, SLEEPING, SOUND, SPIN
from pasidlab.lang.python.expressions import Expressions, Primitive, TypedOperand
from pasidlab.lang.python.refusals import reject
from pasidlab.lang.types import BOOL, Int, Ref

NOTHING: TypedOperand = (0, BOOL)


def _text(x: Expressions, node: ast.Call, number: int, default: str | None = None) -> str:
    if number < len(node.args):
        argument = node.args[number]
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
            return argument.value
    if default is not None and number >= len(node.args):
        return default
    raise x.fail(node, f"argument {number + 1} of {ast.unparse(node.func)} must be a text in quotes")


def _choose(x: Expressions, node: ast.Call) -> TypedOperand:
    (low, a), (high, b) = x.expression(node.args[0]), x.expression(node.args[1])
    if not isinstance(a, Int) or not isinstance(b, Int):
        raise x.fail(node, "choose needs two numbers")
    domain = Int(a.low, b.high)
    dst = x.builder.temp(domain)
    x.builder.emit("choose", dst, low, high, at=x.at(node))
    return dst, domain


def _maybe(x: Expressions, node: ast.Call) -> TypedOperand:
    dst = x.builder.temp(BOOL)
    x.builder.emit("choose", dst, 0, 1, at=x.at(node))
    return dst, BOOL


def _pick(x: Expressions, node: ast.Call) -> TypedOperand:
    count = x.struct_count(node.args[0])
    assert isinstance(node.args[0], ast.Name)
    domain = Ref(node.args[0].id, count)
    dst = x.builder.temp(domain)
    x.builder.emit("choose", dst, 1, count, at=x.at(node))
    return dst, domain


def _at(x: Expressions, node: ast.Call) -> TypedOperand:
    count = x.struct_count(node.args[0])
    assert isinstance(node.args[0], ast.Name)
    number, _ = x.builder.binary("add", x.expression(node.args[1]), (1, Int(1, 1)), x.at(node))
    domain = Ref(node.args[0].id, count)
    if isinstance(number, str):
        x.builder.locals[number] = domain
    return number, domain


def _index(x: Expressions, node: ast.Call) -> TypedOperand:
    operand, domain = x.expression(node.args[0])
    if not isinstance(domain, Ref):
        raise x.fail(node, "index needs an element of a struct")
    number, _ = x.builder.binary("sub", (operand, Int(1, domain.count)), (1, Int(1, 1)), x.at(node))
    if isinstance(number, str):
        x.builder.locals[number] = Int(0, domain.count - 1)
    return number, Int(0, domain.count - 1)


def _event(x: Expressions, node: ast.Call) -> TypedOperand:
    return int(x.names.event(_text(x, node, 0), x.at(node))), BOOL


def _happens(x: Expressions, node: ast.Call) -> TypedOperand:
    name = _text(x, node, 0)
    if not x.names.event(name, x.at(node)):
        return 0, BOOL
    at, dst, left = x.at(node), x.builder.temp(BOOL), x.names.limits.get(name)
    if left is None:
        x.builder.emit("choose", dst, 0, 1, at=at)
        return dst, BOOL
    x.builder.emit("atomic", "begin", at=at)  # nobody comes between the look at the limit and what it leaves
    x.builder.emit("load", count := x.builder.temp(left.domain), left.path, 1, at=at)
    x.builder.emit("ne", some := x.builder.temp(BOOL), count, 0, at=at)
    x.builder.emit("choose", dst, 0, some, at=at)
    x.builder.emit("sub", less := x.builder.temp(left.domain), count, dst, at=at)
    x.builder.emit("store", left.path, 1, less, at=at)
    x.builder.emit("atomic", "end", at=at)
    return dst, BOOL


def _require(x: Expressions, node: ast.Call) -> TypedOperand:
    x.builder.emit("require", x.asked(node.args[0])[0], at=x.at(node))
    return NOTHING


def _unreachable(x: Expressions, node: ast.Call) -> TypedOperand:
    x.builder.emit("require", 0, at=x.at(node))
    return NOTHING


def _wait_until(x: Expressions, node: ast.Call) -> TypedOperand:
    how = _text(x, node, 1, SLEEP)
    if how not in (SLEEP, SPIN):
        reject(node, x.file, f"wait_until: '{how}'", "'sleep' or 'spin'")
    at = x.at(node)
    if how == SLEEP:
        for mask, atomic in (
            ("irqs_off", "interrupts disabled"),
            ("preempt_count", "preemption disabled"),
            ("softirq_count", "BH disabled"),
        ):
            x.builder.emit("load", loaded := x.builder.temp(BOOL), f"Cpu.{mask}", CPU, at=at)
            x.builder.emit("not", free := x.builder.temp(BOOL), loaded, at=at)
            x.builder.emit("check", SOUND, free, at=at, text=f"sleeps in atomic context: {atomic}")
    x.builder.emit("pause", at=at, text=SLEEP if how == SLEEP else "")
    x.builder.emit("atomic", "begin", at=at)  # the condition is looked at as a whole: it holds, or the task goes on waiting
    operand, _ = x.asked(node.args[0])
    x.builder.emit("wait", operand, how, at=at)
    x.builder.emit("atomic", "end", at=at)
    return NOTHING


def _check(x: Expressions, node: ast.Call) -> TypedOperand:
    name = _text(x, node, 0)
    operand, _ = x.asked(node.args[1])
    x.builder.emit("check", name, operand, at=x.at(node), text=_text(x, node, 2, ""))
    return NOTHING


def _crash(x: Expressions, node: ast.Call) -> TypedOperand:
    x.builder.emit("crash", at=x.at(node), text=_text(x, node, 0))
    x.builder.place(x.builder.label("after"), x.at(node))
    return NOTHING


def _reached(x: Expressions, node: ast.Call) -> TypedOperand:
    x.builder.emit("reach", _text(x, node, 0), at=x.at(node))
    return NOTHING


def _repeated(x: Expressions, node: ast.Call) -> TypedOperand:
    x.builder.emit("repeat", _text(x, node, 0), at=x.at(node))
    return NOTHING


def _enter(x: Expressions, node: ast.Call) -> TypedOperand:
    argument = node.args[-1]
    if not isinstance(argument, ast.Name) or argument.id not in x.names.namespace.functions or x.is_local(argument.id):
        raise x.fail(node, f"{ast.unparse(node.func)} needs the name of an entry point")
    if len(node.args) == 2 and any("exception" in ast.unparse(d) for d in x.names.namespace.functions[argument.id].node.decorator_list):
        raise x.fail(node, f"start() cannot begin the exception {argument.id}(): only the task that runs can meet one, by enter()")
    task = x.expression(ast.copy_location(ast.Name("current"), node) if len(node.args) == 1 else node.args[0])[0]
    x.builder.emit("enter", task, argument.id, at=x.at(node))
    return NOTHING


def _sleeping(x: Expressions, node: ast.Call) -> TypedOperand:
    """Is this program counter one where a task waits asleep? Filled in when the task program is lowered."""
    dst = x.builder.temp(BOOL)
    x.builder.emit("call", dst, SLEEPING, x.expression(node.args[0])[0], at=x.at(node))
    return dst, BOOL


def _task(x: Expressions, node: ast.Call) -> TypedOperand:
    task, domain = x.expression(node.args[0])
    if not isinstance(domain, Ref) or domain.struct != "Task" or "Task.on_cpu" not in x.names.fields:
        raise x.fail(node, f"{ast.unparse(node.func)} needs a Task", "declare 'class Task(TaskContext)'")
    return task, domain


def _take(x: Expressions, node: ast.Call) -> TypedOperand:
    task, domain = _task(x, node)
    x.builder.emit("take", dst := x.builder.temp(domain), task, at=x.at(node))
    return dst, domain


def _release(x: Expressions, node: ast.Call) -> TypedOperand:
    x.builder.emit("release", _task(x, node)[0], at=x.at(node))
    return NOTHING


def _mask(change: str) -> Callable[[Expressions, ast.Call], TypedOperand]:
    def compile_mask(x: Expressions, node: ast.Call) -> TypedOperand:
        x.builder.emit("mask", change, at=x.at(node))
        return NOTHING

    return compile_mask


def _pause(x: Expressions, node: ast.Call) -> TypedOperand:
    x.builder.emit("pause", at=x.at(node))
    return NOTHING


PRIMITIVES: dict[str, Primitive] = {
    "choose": (_choose, 2, 2), "maybe": (_maybe, 0, 0), "pick": (_pick, 1, 1), "at": (_at, 2, 2), "index": (_index, 1, 1),
    "event": (_event, 1, 1), "happens": (_happens, 1, 1), "require": (_require, 1, 1), "wait_until": (_wait_until, 1, 2),
    "check": (_check, 2, 3), "crash": (_crash, 1, 1),
    "reached": (_reached, 1, 1), "repeated": (_repeated, 1, 1), "enter": (_enter, 1, 1), "start": (_enter, 2, 2),
    "unreachable": (_unreachable, 0, 0), "pause": (_pause, 0, 0), "sleeping": (_sleeping, 1, 1), "take": (_take, 1, 1),
    "release": (_release, 1, 1),
    "local_irq_disable": (_mask("irqs_off"), 0, 0), "local_irq_enable": (_mask("irqs_on"), 0, 0),
    "preempt_disable": (_mask("preempt_off"), 0, 0), "preempt_enable": (_mask("preempt_on"), 0, 0),
    "local_bh_disable": (_mask("bh_off"), 0, 0), "local_bh_enable": (_mask("bh_on"), 0, 0),
}  # fmt: skip
