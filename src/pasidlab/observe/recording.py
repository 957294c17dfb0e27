"""A recording: one file with everything that is needed to read it on another machine.

The file begins with MAGIC and a JSON document (formats, tasks, kernel, clock). Then come chunks, each with a small head: raw pages of
the ring buffer of one CPU, in the order in which the kernel filled them. The last chunk is a JSON document with what the kernel counted.
"""

from __future__ import annotations

import json
import os
import struct
import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from pasidlab import reading
from pasidlab.errors import PasidlabError
from pasidlab.observe import schema
from pasidlab.observe.formats import Format, parse_format, parse_header_page
from pasidlab.observe.kinds import BH_OFF, CALLS, EVENTS, FUNCTION, IRQS_OFF, OPTIONAL, SETTERS, Kind, Recorded
from pasidlab.observe.schema import MOST_CPUS

MAGIC = b"pasidlab observe 1\n"
_HEAD = struct.Struct("<4sIQ")  # what, CPU, bytes that follow
PAGES, END = b"page", b"end."


@dataclass(frozen=True)
class TaskAtStart:
    """A task that was there when the recording began. ``kernel``: PF_KTHREAD or PF_USER_WORKER, which have no xstate of their own."""

    pid: int
    tgid: int
    comm: str
    kernel: bool
    exiting: bool = False
    """PF_EXITING: a leader that is gone stays until its threads are; one of them may take over its pid."""


@dataclass(frozen=True)
class About:
    """What a recording says of itself, before its events."""

    kernel: str
    machine: str
    cpus: tuple[int, ...]
    clock: str
    page_bytes: int
    header_page: str
    formats: dict[str, str]
    missing: tuple[str, ...]
    """Events that this kernel does not have, or does not let be traced."""
    tasks: tuple[TaskAtStart, ...]
    functions: dict[str, str] = field(default_factory=dict)
    """Functions that were traced: address, in hexadecimal digits, to name."""
    absent: tuple[str, ...] = ()
    """Functions that this kernel does not have, or does not let be traced."""
    listed_at: int = 0
    """When the list of tasks was complete, by the trace clock. A task may have ended after the first event, and before it was listed."""
    flags: int = IRQS_OFF | BH_OFF
    """Of an event's flags, those that are told."""
    notes: tuple[str, ...] = ()
    """What else weakens what the events say, in words."""
    unsure: tuple[str, ...] = ()
    """Events with a format that may not have been asked for."""

    def to_json(self) -> dict[str, Any]:
        """The document at the head of the file."""
        return asdict(self)

    @staticmethod
    def from_json(document: dict[str, Any]) -> About:
        """What ``to_json`` wrote, and ``schema.head`` has looked at."""
        names = ("cpus", "missing", "notes", "unsure", "absent")
        lists: dict[str, Any] = {name: tuple(document[name]) for name in names if name in document}
        return About(**{**document, **lists, "tasks": tuple(TaskAtStart(**task) for task in document["tasks"])})

    @cached_property
    def parsed(self) -> dict[str, Format]:
        """The formats by event, ``system/event``."""
        return {path: parse_format(text) for path, text in self.formats.items()}

    @cached_property
    def data_offset(self) -> int:
        """Bytes of a page before its first event."""
        return parse_header_page(self.header_page).fields["data"].offset

    def recorded(self) -> list[tuple[Recorded, Format]]:
        """The events that are in the recording, with their formats."""
        return [(event, self.parsed[event.path]) for event in (*EVENTS, FUNCTION) if event.path in self.parsed]

    @cached_property
    def calls(self) -> frozenset[Kind]:
        """The functions of CALLS that were traced."""
        return frozenset(kind for kind in CALLS if kind.name in self.functions.values())

    @cached_property
    def untold(self) -> frozenset[Kind]:
        """Events of OPTIONAL that were not recorded, or may not have been."""
        told = self.formats.keys() - set(self.unsure)
        return frozenset(event.kind for event in EVENTS if event.kind in OPTIONAL and event.path not in told)

    @cached_property
    def tells_of_tracers(self) -> bool:
        """Every function by which a tracer writes registers was traced, or is not there."""
        return bool(self.functions) and {kind.name for kind in SETTERS} <= {*self.functions.values(), *self.absent}

    @property
    def version(self) -> tuple[int, int]:
        """The kernel's version, (6, 12). PasidlabError if its name does not begin with one."""
        parts = self.kernel.split(".")
        try:
            return int(parts[0]), int(parts[1].split("-")[0])
        except (ValueError, IndexError):
            raise PasidlabError(f"the recording's kernel is '{self.kernel}', which is no version of Linux") from None


class Writer:
    """Writes a recording. Several threads may write, each chunk under ``lock``."""

    def __init__(self, file: BinaryIO, about: About) -> None:
        self.file = file
        self.lock = threading.Lock()
        self.page_bytes = about.page_bytes
        document = json.dumps(about.to_json()).encode()
        self.file.write(MAGIC + len(document).to_bytes(8, "little") + document)
        self.file.flush()

    def pages(self, cpu: int, source: int, count: int) -> None:
        """Take ``count`` bytes of pages of a CPU out of a pipe."""
        self._write(_HEAD.pack(PAGES, cpu, count))
        while count:
            moved = os.splice(source, self.file.fileno(), count)
            if moved == 0:
                raise PasidlabError("the pipe of the ring buffer ended early")
            count -= moved

    def page(self, cpu: int, data: bytes) -> None:
        """Pages of a CPU that were read."""
        self._write(_HEAD.pack(PAGES, cpu, len(data)) + data)

    def end(self, counted: dict[str, Any]) -> None:
        """What the kernel counted, per CPU. The recording is complete."""
        document = json.dumps(counted).encode()
        self._write(_HEAD.pack(END, 0, len(document)) + document)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self.file.fileno(), view) :]


@dataclass(frozen=True)
class Chunk:
    """Pages of one CPU: where they begin in the file, and how many bytes they are."""

    cpu: int
    start: int
    count: int


class Paged(Protocol):
    """Pages of the ring buffers, whatever file they are in."""

    about: About
    path: Path

    def absent(self, present: Mapping[int, int]) -> int:
        """Events that the kernel counted and that are not here, by how many of each CPU are."""

    def cpus(self) -> list[int]:
        """The CPUs that have pages."""

    def pages(self, cpu: int, most: int) -> Iterator[bytes]:
        """The pages of a CPU, in order, at most about ``most`` bytes at a time and whole pages each time."""


class Recording:
    """A recording that is read. Raises PasidlabError for what is none, or is not complete."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            with reading.opened(self.path, pipes=False) as file:
                self._read(file)
        except OSError as error:
            raise PasidlabError(f"cannot read {path}: {error.strerror}") from None

    def _read(self, file: BinaryIO) -> None:
        if file.read(len(MAGIC)) != MAGIC:
            raise PasidlabError(f"{self.path} is no recording of `pasidlab observe record`")
        size = int.from_bytes(file.read(8), "little")
        self.about = _about(self._document(file.read(size) if size < os.fstat(file.fileno()).st_size else b""), self.path)
        self.chunks: list[Chunk] = []
        self.counted: dict[str, Any] | None = None
        length = os.fstat(file.fileno()).st_size
        while self.counted is None:
            what, cpu, count = _HEAD.unpack(self._exactly(file, _HEAD.size))
            if what not in (PAGES, END) or file.tell() + count > length or cpu >= MOST_CPUS:
                raise self._cut_off()
            if what == END:
                self.counted = schema.end(self._document(file.read(count)), self.path)
                break
            self.chunks.append(Chunk(cpu, file.tell(), count))
            file.seek(count, os.SEEK_CUR)
        if file.read(1):
            raise PasidlabError(f"{self.path} goes on after its end", hint="the recording is damaged: record again")

    def _exactly(self, file: BinaryIO, count: int) -> bytes:
        data = file.read(count)
        if len(data) != count:
            raise self._cut_off()
        return data

    def _cut_off(self) -> PasidlabError:
        hint = "the recorder was killed, or the disk was full: record again"
        return PasidlabError(f"{self.path} ends in the middle of a recording", hint=hint)

    def _document(self, data: bytes) -> Any:
        try:
            return json.loads(data)
        except (ValueError, RecursionError):
            raise self._cut_off() from None

    def absent(self, present: Mapping[int, int]) -> int:
        """Events that the kernel counted and that are not here: those it had no room for, and more of a CPU than are ``present``."""
        assert self.counted is not None
        rows: dict[int, dict[str, int]] = {int(cpu): row for cpu, row in self.counted["cpus"].items()}
        lost = sum(row.get("overrun", 0) + row.get("dropped events", 0) for row in rows.values())
        return lost + sum(max(row.get("read events", 0) - present.get(cpu, 0), 0) for cpu, row in rows.items())

    def cpus(self) -> list[int]:
        """The CPUs that have pages."""
        return sorted({chunk.cpu for chunk in self.chunks})

    def pages(self, cpu: int, most: int) -> Iterator[bytes]:
        """The pages of a CPU, in order, at most about ``most`` bytes at a time and whole pages each time."""
        step = max(most - most % self.about.page_bytes, self.about.page_bytes)
        waiting: list[bytes] = []
        with open(self.path, "rb") as file:
            for chunk in (chunk for chunk in self.chunks if chunk.cpu == cpu):
                for start in range(0, chunk.count, step):
                    file.seek(chunk.start + start)
                    waiting.append(file.read(min(step, chunk.count - start)))
                    # What is cut off stands last in its piece, where its reader sees it.
                    if sum(map(len, waiting)) >= step or len(waiting[-1]) % self.about.page_bytes:
                        yield b"".join(waiting)
                        waiting.clear()
        if waiting:
            yield b"".join(waiting)


def _about(document: Any, path: Path) -> About:
    about = About.from_json(schema.head(document, path))
    hint = "the recording is damaged, or of another version of pasidlab"
    for name, form in about.formats.items():
        try:
            parse_format(form)
        except PasidlabError as error:
            raise PasidlabError(f"{path}: head.formats.{name}: {error.what}", hint=hint) from None
    data = parse_header_page(about.header_page).fields.get("data")
    if data is None or data.offset + data.size > about.page_bytes:
        raise PasidlabError(f"{path}: head.header_page must tell where the data of a page of {about.page_bytes} bytes lies", hint=hint)
    return about
