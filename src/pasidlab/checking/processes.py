"""Independent checks side by side, each in a process of its own.

Half of a check of the default parts is making and compiling models in Python. Threads of one process would do that by turns.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from pasidlab.errors import PasidlabError
from pasidlab.interrupts import ctrl_c_waits

if TYPE_CHECKING:
    from pasidlab.interrupts import StopFlag

T = TypeVar("T")
_LOOK = 0.5  # seconds between two looks for the parent
Report = Callable[..., None]


Task = Callable[[Report, "StopFlag"], T | None]
"""Work for a process: it may report how far it is, and ends early once the flag is set, with what it has (None: nothing)."""


def available_cpus() -> int:
    """The CPUs this process may use."""
    return len(os.sched_getaffinity(0))


def side_by_side(tasks: Sequence[Task[T]], at_once: int, on_report: Report | None = None) -> Iterator[T]:
    """What the tasks give, in their order, ``at_once`` of them running at a time.

    Results must be picklable; tasks need not be, the processes are forked. Ctrl-C sets the flag of all that run and begins no other;
    what those give still comes. Raises KeyboardInterrupt if that is nothing, PasidlabError if a process was killed.
    """
    context = multiprocessing.get_context("fork")
    interrupted, reports = context.Event(), context.SimpleQueue()
    report = reports.put if on_report else _nobody_listens
    with ProcessPoolExecutor(at_once, context, _begin, (tasks, report, interrupted, os.getpid())) as pool:
        futures: list[Future[T | None]] = []
        listener = threading.Thread(target=_listen, args=(reports, on_report), daemon=True)
        came = 0
        try:
            try:
                with ctrl_c_waits():  # in a process it would end the interpreter's own work, with a traceback
                    futures += [pool.submit(_do, number) for number in range(len(tasks))]
                listener.start()  # not before the processes are forked
            except KeyboardInterrupt:
                _stop(futures, interrupted)
            for future in futures:
                result = _wait(future, futures, interrupted)
                if result is None:
                    break
                came += 1
                yield result
        finally:
            _stop(futures, interrupted)
            reports.put(None)
            if listener.ident is not None:
                listener.join()
        if not came:
            raise KeyboardInterrupt


def _wait(future: Future[T | None], futures: Sequence[Future[T | None]], interrupted: Any) -> T | None:
    try:
        return future.result()
    except KeyboardInterrupt:
        if interrupted.is_set():  # a second time: it is meant
            raise
        _stop(futures, interrupted)
        return _wait(future, futures, interrupted)
    except CancelledError:
        return None
    except BrokenProcessPool:
        raise PasidlabError("a process was killed, perhaps because memory ran out", hint="--jobs 1 explores one design at a time") from None


def _stop(futures: Sequence[Future[T | None]], interrupted: Any) -> None:
    """Ends the checks that run, and begins no other."""
    interrupted.set()
    for future in futures:
        future.cancel()


def _listen(reports: Any, on_report: Report | None) -> None:
    while (arguments := reports.get()) is not None:
        if on_report:
            on_report(*arguments)


def _nobody_listens(_arguments: tuple[Any, ...]) -> None:
    pass


# ---- in the processes


@dataclass(frozen=True)
class _Work:
    """What a process was forked with."""

    tasks: Sequence[Task[Any]]
    report: Report
    interrupted: StopFlag


_WORK: ContextVar[_Work] = ContextVar("work")
"""Set once in each process, at its beginning: tasks cannot be pickled, so a process is sent only the number of each."""


def _begin(tasks: Sequence[Task[Any]], report: Report, interrupted: StopFlag, parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the flag says it
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    _WORK.set(_Work(tasks, report, interrupted))


def _end_with(parent: int) -> None:
    """End this process once its parent is gone, whatever killed that: nobody takes its result any more."""
    while os.getppid() == parent:
        time.sleep(_LOOK)
    os._exit(1)


def _do(number: int) -> Any:
    work = _WORK.get()
    return work.tasks[number](lambda *arguments: work.report(arguments), work.interrupted)
