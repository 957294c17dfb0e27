"""``current`` and ``this_cpu``: the names kernel code uses without passing them.

To the checker they are the task and the CPU of the context that executes. As ordinary Python they forward to the live objects
bound for the running thread of control (``bound``), which is how a checked design runs outside the checker.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from pasidlab.linux.task import Task
    from pasidlab.machine.cpu import Cpu


class _Ambient:
    """Forwards attributes to the object bound to a context variable."""

    __slots__ = ("_bound",)

    def __init__(self, name: str) -> None:
        object.__setattr__(self, "_bound", ContextVar(name))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bound.get(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._bound.get(), name, value)


_current, _this_cpu = _Ambient("current"), _Ambient("this_cpu")
current = cast("Task", _current)
this_cpu = cast("Cpu", _this_cpu)


@contextmanager
def bound(task: object, cpu: object) -> Iterator[None]:
    """Run kernel code as ``task`` on ``cpu``: any objects with the fields the code touches."""
    tokens = _current._bound.set(task), _this_cpu._bound.set(cpu)
    try:
        yield
    finally:
        _current._bound.reset(tokens[0])
        _this_cpu._bound.reset(tokens[1])
