"""trace-cmd's trace.dat, versions 6 and 7 (trace-cmd.dat.v6(5), trace-cmd.dat.v7(5)): the same pages in another file."""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from pasidlab import reading
from pasidlab.errors import PasidlabError
from pasidlab.observe.kinds import CALLED, EVENTS, FUNCTION
from pasidlab.observe.recording import About
from pasidlab.observe.schema import LEAST_PAGE_BYTES, MOST_CPUS, MOST_PAGE_BYTES

MAGIC = b"\x17\x08\x44tracing"
_BUFFER, _CPUSTAT, _CLOCK, _UNAME, _CPUS, _HEADER, _FTRACE, _FORMATS, _KALLSYMS = 3, 2, 4, 5, 8, 16, 17, 18, 19
"""Options; those from _HEADER on name a section."""
_COMPRESSED = 1
_OTHER_SYSTEMS = ("block", "writeback", "timer", "xdp")
"""Nobody asks for these to look at the FPU."""
_MOST = 1 << 28
"""Bytes of a section or a chunk."""
_TAGS = (b"options  \0", b"latency  \0", b"flyrecord\0")


@dataclass
class _Found:
    """What the file says, as it is read."""

    page_bytes: int
    kernel: str = ""
    clock: str = ""
    header_page: str = ""
    formats: dict[str, str] = field(default_factory=dict)
    places: dict[int, tuple[int, int]] = field(default_factory=dict)  # CPU -> where its data is, and how many bytes
    others: bool = False
    """There are formats of all events, as `trace-cmd extract` writes them, and not of those that were asked for alone."""
    lost: int = 0
    functions: dict[str, str] = field(default_factory=dict)
    """Addresses of functions whose calls are looked at, in hexadecimal digits, to names."""


class TraceDat:
    """A trace.dat that is read. PasidlabError for what is none, or is not whole.

    ``kernel`` is the release, for a file that does not tell it. ``covers``: whether an event was asked for, as the user says.
    """

    def __init__(self, path: Path, kernel: str = "", covers: Callable[[str], bool] = lambda path: False) -> None:
        self.path = path
        self.compression = "none"
        try:
            with reading.opened(path, pipes=False) as file:
                found = self._read(file)
        except OSError as error:
            raise PasidlabError(f"cannot read {path}: {error.strerror}") from None
        except (ValueError, IndexError, UnicodeDecodeError):
            raise self._damaged() from None
        self._places, self._lost = found.places, found.lost
        if not (kernel or found.kernel):
            raise PasidlabError(f"{path} does not say which kernel it is of", hint="--kernel RELEASE, as uname -r prints it")
        missing = tuple(event.path for event in EVENTS if event.path not in found.formats)
        cpus = tuple(sorted(found.places))
        self.about = About(
            kernel or found.kernel, "x86_64", cpus, clock=found.clock, page_bytes=found.page_bytes, header_page=found.header_page,
            formats=found.formats, missing=missing, tasks=(), functions=found.functions,
            unsure=tuple(path for path in found.formats if found.others and not covers(path)), notes=_of_clock(found.clock),
        )  # fmt: skip
        if "data" not in found.header_page:
            raise self._damaged()

    def absent(self, present: Mapping[int, int]) -> int:
        """Events that the kernel had no room for."""
        return self._lost

    def cpus(self) -> list[int]:
        """The CPUs that have pages."""
        return sorted(cpu for cpu, (_, size) in self._places.items() if size)

    def pages(self, cpu: int, most: int) -> Iterator[bytes]:
        """The pages of a CPU, in order, at most about ``most`` bytes at a time and whole pages each time."""
        start, size = self._places[cpu]
        step = max(most - most % self.about.page_bytes, self.about.page_bytes)
        with open(self.path, "rb") as file:
            file.seek(start)
            if self.compression == "none":
                for at in range(0, size, step):
                    yield self._exactly(file, min(step, size - at))
                return
            for _ in range(_number(self._exactly(file, 4))):
                yield self._chunk(file)

    def _read(self, file: BinaryIO) -> _Found:
        file.seek(len(MAGIC))
        version = _string(file)
        if version not in ("6", "7"):
            raise PasidlabError(f"{self.path} is a trace.dat of version {version[:20]!r}", hint="trace-cmd convert makes one of version 7")
        little, _ = self._exactly(file, 2)
        page_bytes = _number(self._exactly(file, 4))
        if little != 0 or not LEAST_PAGE_BYTES <= page_bytes <= MOST_PAGE_BYTES:
            raise PasidlabError(f"{self.path} was recorded on another architecture than x86")
        found = _Found(page_bytes)
        if version == "6":
            self._version_6(file, found)
        else:
            self.compression = _string(file)
            _string(file)
            self._options(file, _number(self._exactly(file, 8)), found)
        if not found.places:
            raise PasidlabError(f"{self.path} has no events", hint="a recording of `trace-cmd record` or `trace-cmd extract` is read")
        return found

    # ---- version 7: sections that options name

    def _options(self, file: BinaryIO, at: int, found: _Found) -> None:
        seen: set[int] = set()
        while at and at not in seen:
            seen.add(at)
            section = io.BytesIO(self._section(file, at))
            at = 0
            while head := section.read(6):
                option, data = _number(head[:2]), self._exactly(section, _number(head[2:]))
                if option == 0:
                    at = _number(data)
                    break
                self._option(file, option, data, found)

    def _option(self, file: BinaryIO, option: int, data: bytes, found: _Found) -> None:
        if option == _UNAME:  # ``Linux NAME RELEASE ...``
            found.kernel = data.split(b"\0")[0].decode().split()[2]
        elif option == _CLOCK and not found.clock:
            found.clock = data.split(b"\0")[0].decode()
        elif option == _CPUSTAT:
            found.lost += sum(int(count) for count in re.findall(rb"(?:overrun|dropped events): (\d+)", data))
        elif option == _HEADER:
            self._header(io.BytesIO(self._section(file, _number(data))), found)
        elif option == _FORMATS:
            self._formats(io.BytesIO(self._section(file, _number(data))), found)
        elif option == _FTRACE:
            self._ftrace(io.BytesIO(self._section(file, _number(data))), found)
        elif option == _KALLSYMS:
            self._kallsyms(io.BytesIO(self._section(file, _number(data))), found)
        elif option == _BUFFER:
            self._buffer(io.BytesIO(data), found)

    def _buffer(self, data: BinaryIO, found: _Found) -> None:
        self._exactly(data, 8)
        name, clock = _string(data), _string(data)
        page_bytes, cpus = _number(self._exactly(data, 4)), _number(self._exactly(data, 4))
        rows = [(_number(self._exactly(data, 4)), _number(self._exactly(data, 8)), _number(self._exactly(data, 8))) for _ in range(cpus)]
        if found.places and any(size for _, size in found.places.values()):
            if any(size for _, _, size in rows):
                raise PasidlabError(f"{self.path} has two buffers with events: '{name}' is one", hint="trace-cmd split takes one out")
            return
        found.clock, found.page_bytes = clock or found.clock, page_bytes
        found.places = {self._cpu(cpu): (start, size) for cpu, start, size in rows}

    def _section(self, file: BinaryIO, at: int) -> bytes:
        file.seek(at)
        head = self._exactly(file, 16)
        if _number(head[2:4]) & _COMPRESSED:
            return self._chunk(file)
        return self._exactly(file, _number(head[8:]))

    def _chunk(self, file: BinaryIO) -> bytes:
        packed, size = _number(self._exactly(file, 4)), _number(self._exactly(file, 4))
        if size > _MOST:
            raise self._damaged()
        data = self._exactly(file, packed)
        if self.compression == "zlib":
            found = zlib.decompressobj().decompress(data, size)
        elif self.compression == "zstd":
            found = self._zstd(data, size)
        else:
            raise PasidlabError(f"{self.path} is compressed with {self.compression[:20]!r}", hint=_UNPACK)
        if len(found) != size:
            raise self._damaged()
        return found

    def _zstd(self, data: bytes, size: int) -> bytes:
        try:
            import zstandard
        except ImportError:
            raise PasidlabError(f"{self.path} is compressed with zstd", hint=f"pip install zstandard, or {_UNPACK}") from None
        try:
            return zstandard.ZstdDecompressor().decompress(data, size)
        except zstandard.ZstdError:
            raise self._damaged() from None

    # ---- version 6: one part behind the other

    def _version_6(self, file: BinaryIO, found: _Found) -> None:
        self._header(file, found)
        self._ftrace(file, found)
        self._formats(file, found)
        self._kallsyms(file, found)
        for width in (4, 8):  # trace_printk's formats, names of tasks
            self._exactly(file, _number(self._exactly(file, width)))
        cpus = self._cpu(_number(self._exactly(file, 4)))
        while (tag := self._exactly(file, 10)) == _TAGS[0]:
            while option := _number(self._exactly(file, 2)):
                data = self._exactly(file, _number(self._exactly(file, 4)))
                if option in (_UNAME, _CPUSTAT, _CLOCK):
                    self._option(file, option, data, found)
        if tag == _TAGS[2]:
            found.places = {cpu: (_number(self._exactly(file, 8)), _number(self._exactly(file, 8))) for cpu in range(cpus)}

    # ---- both

    def _header(self, file: BinaryIO, found: _Found) -> None:
        if _string(file) != "header_page":
            raise self._damaged()
        found.header_page = self._exactly(file, _number(self._exactly(file, 8))).decode()
        if _string(file) != "header_event":
            raise self._damaged()
        self._exactly(file, _number(self._exactly(file, 8)))

    def _formats(self, file: BinaryIO, found: _Found) -> None:
        known = {event.path for event in EVENTS}
        for _ in range(_number(self._exactly(file, 4))):
            system = _string(file)
            for _ in range(_number(self._exactly(file, 4))):
                text = self._exactly(file, _number(self._exactly(file, 8))).decode("utf-8", "replace")
                name = re.search(r"^name: (\S+)", text, re.M)
                found.others = found.others or system in _OTHER_SYSTEMS
                if name and f"{system}/{name[1]}" in known:
                    found.formats[f"{system}/{name[1]}"] = text

    def _ftrace(self, file: BinaryIO, found: _Found) -> None:
        """Formats of what tracers note; of these the function tracer's."""
        for _ in range(_number(self._exactly(file, 4))):
            text = self._exactly(file, _number(self._exactly(file, 8))).decode("utf-8", "replace")
            if re.search(rf"^name: {FUNCTION.kind.name}$", text, re.M):
                found.formats[FUNCTION.path] = text

    def _kallsyms(self, file: BinaryIO, found: _Found) -> None:
        for line in self._exactly(file, _number(self._exactly(file, 4))).splitlines():
            address, _, name = line.decode("utf-8", "replace").split()[:3]
            if name in CALLED and int(address, 16):
                found.functions[address.lstrip("0")] = name

    def _cpu(self, cpu: int) -> int:
        if cpu >= MOST_CPUS:
            raise self._damaged()
        return cpu

    def _exactly(self, file: BinaryIO, count: int) -> bytes:
        data = file.read(count) if count <= _MOST else b""
        if len(data) != count:
            raise self._damaged()
        return data

    def _damaged(self) -> PasidlabError:
        return PasidlabError(f"{self.path} is a trace.dat that is cut off or damaged", hint="record again")


def _of_clock(clock: str) -> tuple[str, ...]:
    """What a clock leaves open. The file trace_clock has all of them, the one that is used in brackets."""
    used = clock.partition("[")[2].partition("]")[0] or clock
    return (f"the clock is '{used}': events of different CPUs may be out of order",) if used == "local" else ()


_UNPACK = "trace-cmd convert --compression none -i IN -o OUT unpacks it"


def _number(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _string(file: BinaryIO) -> str:
    """Up to a zero byte; ValueError without one."""
    data = bytearray()
    while (byte := file.read(1)) != b"\0":
        if not byte or len(data) > 256:
            raise ValueError
        data += byte
    return data.decode()
