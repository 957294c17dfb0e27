"""Spin locks of the file (include/linux/spinlock_api_smp.h, v6.12), what they switch off first; with PREEMPT_RT they sleep."""

from __future__ import annotations

from functools import partial

from tree_sitter import Node

from pasidlab.errors import PasidlabError
from pasidlab.lang.c.calls import Calls, Operation, takes
from pasidlab.lang.c.ctype import INT
from pasidlab.lang.c.declarators import text_of
from pasidlab.lang.c.parse import plain
from pasidlab.lang.c.values import NO_VALUE, Value, number_of

FLAGS = "flags"
"""A lock that is taken with a variable for the interrupt flag."""


def _lock(x: Calls, node: Node) -> str:
    """The model's element for a lock of the file: ``static DEFINE_SPINLOCK(name);``."""
    name = plain(node).removeprefix("&").strip("()")
    if plain(node).lstrip("(").startswith("&") and name.isidentifier() and name not in x.variables:
        return f"at(SpinLock, {x.around.lock(name, x.at(node))})"
    raise PasidlabError(
        f"'{text_of(node)[:40]}' as a spin lock", position=x.at(node), hint="one of the file, by its name: static DEFINE_SPINLOCK(lock);"
    )


def _spin_lock(first: str, x: Calls, arguments: list[Node], node: Node) -> Value:
    lock = _locked(first, x, arguments, node)
    if first:
        x.called(first, arguments[1:], node)
    x.template.run(f"preempt_disable(); do_raw_spin_lock({lock})", {}, x.at(node))
    return NO_VALUE


def _spin_unlock(last: str, x: Calls, arguments: list[Node], node: Node) -> Value:
    lock = _locked(last, x, arguments, node)
    x.template.run(f"do_raw_spin_unlock({lock})", {}, x.at(node))
    if last:
        x.called(last, arguments[1:], node)
    x.template.run("preempt_enable()", {}, x.at(node))
    return NO_VALUE


def _spin_trylock(x: Calls, arguments: list[Node], node: Node) -> Value:
    text = f"preempt_disable()\ngot = do_raw_spin_trylock({_locked('', x, arguments, node)})\nif not got:\n    preempt_enable()\ngot"
    return x.typed(x.template.run(text, {}, x.at(node)), INT)


def _locked(also: str, x: Calls, arguments: list[Node], node: Node) -> str:
    takes(x, arguments, 2 if also.endswith(("save", "restore")) else 1, node, "this spin lock")
    return _lock(x, arguments[0])


def _is_held(x: Calls, lock: str) -> str:
    """Whether a lock is held by who asks. With PREEMPT_RT that is a task."""
    return f"rt_spin_is_held({lock})" if x.around.preempt_rt else f"{lock}.holder is this_cpu"


def _rt_spin_lock(first: str, x: Calls, arguments: list[Node], node: Node) -> Value:
    """include/linux/spinlock_rt.h: interrupts stay on, and flags are 0."""
    takes(x, arguments, 2 if first == FLAGS else 1, node, "this spin lock")
    if first == FLAGS:
        x.store(x.place(arguments[1]), number_of(0), node)
    elif first:
        x.called(first, [], node)
    x.template.run(f"rt_spin_lock({_lock(x, arguments[0])})", {}, x.at(node))
    return NO_VALUE


def _rt_spin_unlock(last: str, x: Calls, arguments: list[Node], node: Node) -> Value:
    takes(x, arguments, 2 if last == FLAGS else 1, node, "this spin lock")
    x.template.run(f"rt_spin_unlock({_lock(x, arguments[0])})", {}, x.at(node))
    if last and last != FLAGS:
        x.called(last, [], node)
    return NO_VALUE


def _rt_spin_trylock(x: Calls, arguments: list[Node], node: Node) -> Value:
    return x.typed(x.template.run(f"rt_spin_trylock({_locked('', x, arguments, node)})", {}, x.at(node)), INT)


def _rt_spin_is_locked(x: Calls, arguments: list[Node], node: Node) -> Value:
    lock = _locked("", x, arguments, node)
    return x.typed(x.template.run(f"{lock}.owner is not None or {lock}.holder is not None", {}, x.at(node)), INT)


def _spin_is_locked(x: Calls, arguments: list[Node], node: Node) -> Value:
    return x.typed(x.template.run(f"{_locked('', x, arguments, node)}.holder is not None", {}, x.at(node)), INT)


def _assert_spin_locked(x: Calls, arguments: list[Node], node: Node) -> Value:
    held = _is_held(x, _locked("", x, arguments, node))
    x.template.run(f"reached('sound_kernel'); check('sound_kernel', {held}, 'a spin lock is not held')", {}, x.at(node))
    return NO_VALUE


def _held(name: str, wanted: bool, x: Calls, arguments: list[Node], node: Node) -> Value:
    """lockdep_assert_held() and its opposite: of a spin lock of the file here, of any other lock as the vocabulary says."""
    (lock,) = takes(x, arguments, 1, node, name)
    if not x.around.has_lock(plain(lock).lstrip("(").removeprefix("&").rstrip(")")):
        return x.otherwise(name, arguments, node)
    held = _is_held(x, _lock(x, lock)) if wanted else f"not ({_is_held(x, _lock(x, lock))})"
    x.template.run(f"reached('sound_kernel'); check('sound_kernel', {held}, '{name}() fails')", {}, x.at(node))
    return NO_VALUE


def _spin_locks() -> dict[str, Operation]:
    found: dict[str, Operation] = {}
    for kind in ("spin", "raw_spin"):
        found |= {f"{kind}_trylock": _spin_trylock, f"{kind}_is_locked": _spin_is_locked}
        for suffix, first, last in (
            ("", "", ""), ("_irq", "local_irq_disable", "local_irq_enable"), ("_bh", "local_bh_disable", "local_bh_enable"),
        ):  # fmt: skip
            found |= {f"{kind}_lock{suffix}": partial(_spin_lock, first), f"{kind}_unlock{suffix}": partial(_spin_unlock, last)}
        found[f"{kind}_lock_irqsave"] = partial(_spin_lock, "local_irq_save")
        found[f"{kind}_unlock_irqrestore"] = partial(_spin_unlock, "local_irq_restore")
    found |= {"rt_spin_trylock": _rt_spin_trylock, "rt_spin_is_locked": _rt_spin_is_locked}
    for suffix, first, last in (("", "", ""), ("_bh", "local_bh_disable", "local_bh_enable"), ("_irqsave", FLAGS, FLAGS)):
        found |= {f"rt_spin_lock{suffix}": partial(_rt_spin_lock, first), f"rt_spin_unlock{suffix}": partial(_rt_spin_unlock, last)}
    for name, wanted in (("held", True), ("held_once", True), ("not_held", False)):
        found[f"lockdep_assert_{name}"] = partial(_held, f"lockdep_assert_{name}", wanted)
    return {**found, "assert_spin_locked": _assert_spin_locked, "assert_raw_spin_locked": _assert_spin_locked}


SPIN_LOCKS = _spin_locks()
"""By their names in C."""
