"""A trace in the JSON form that Perfetto and chrome://tracing read: a lane per thread and a lane per work queue."""

from __future__ import annotations

import json
import time
from typing import IO

from pasidlab.errors import PasidlabError
from pasidlab.live.outputs import opened_output

_DEVICES = 0  # the process id under which queues are shown


class ChromeTrace:
    """Writes events as they come, so that a long run needs no memory. Times are microseconds since the start."""

    def __init__(self, path: str) -> None:
        try:
            self._file: IO[str] = opened_output(path)
        except OSError as error:
            raise PasidlabError(f"cannot write {path}: {error.strerror}") from None
        self._path, self.failed = path, ""  # why it could not be written to its end
        self._put('{"displayTimeUnit":"ns","traceEvents":[\n')
        self._start = time.perf_counter_ns()
        self._lanes: dict[tuple[int, str], int] = {}
        self._first = True
        self._meta("process_name", _DEVICES, 0, "work queues")

    def now(self) -> float:
        """Microseconds since the start."""
        return (time.perf_counter_ns() - self._start) / 1000

    def _put(self, text: str) -> None:
        """A disk that is full, or a reader that went away, ends the trace, not the run."""
        if self.failed:
            return
        try:
            self._file.write(text)
        except OSError as error:
            self.failed = f"cannot write {self._path}: {error.strerror}"

    def _emit(self, event: dict[str, object]) -> None:
        self._put(("" if self._first else ",\n") + json.dumps(event, separators=(",", ":")))
        self._first = False

    def _meta(self, what: str, pid: int, tid: int, name: str) -> None:
        self._emit({"name": what, "ph": "M", "pid": pid, "tid": tid, "args": {"name": name}})

    def _lane(self, pid: int, name: str, tid: int) -> int:
        if (pid, name) not in self._lanes:
            self._lanes[pid, name] = tid or len(self._lanes) + 1
            self._meta("thread_name", pid, self._lanes[pid, name], name)
        return self._lanes[pid, name]

    def on_thread(self, pid: int, tid: int, name: str, begin: float, end: float, **details: object) -> None:
        """Something a thread did."""
        lane = self._lane(pid, f"thread {tid}", tid)
        self._emit({"name": name, "ph": "X", "ts": begin, "dur": end - begin, "pid": pid, "tid": lane, "args": details})

    def on_queue(self, queue: str, name: str, begin: float, end: float, **details: object) -> None:
        """A descriptor on its queue, from acceptance to completion."""
        lane = self._lane(_DEVICES, queue, 0)
        self._emit({"name": name, "ph": "X", "ts": begin, "dur": end - begin, "pid": _DEVICES, "tid": lane, "args": details})

    def close(self) -> None:
        """Finish the file."""
        self._put("\n]}\n")
        try:
            self._file.close()
        except OSError as error:
            self.failed = self.failed or f"cannot write {self._path}: {error.strerror}"
