"""What the device tree is made of: files, links, device nodes and directories, apart from how a program comes to see them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from pasidlab.live.config import DeviceConfig, WqConfig

_MOST_LINKS = 40  # as path_resolution(7) has it


@dataclass
class Attribute:
    """A sysfs file: text made when it is read, and what a write does (None: EACCES)."""

    read: Callable[[], str]
    write: Callable[[str], None] | None = None

    def content(self) -> bytes:
        """What read(2) gives. Bytes of an option that are no UTF-8 come as they were given (PEP 383)."""
        return self.read().encode("utf-8", "surrogateescape")


@dataclass
class Link:
    """A symbolic link; ``lasting`` unless it comes and goes while the program runs."""

    target: str
    lasting: bool = True


@dataclass
class WqNode:
    """The character device of one work queue."""

    wq: WqConfig
    device: DeviceConfig


@dataclass
class Directory:
    """A directory; the tree's root stands for /."""

    entries: dict[str, Node] = field(default_factory=dict)

    def at(self, path: str) -> Directory:
        """The directory at ``path`` below this one, made where it is missing."""
        here = self
        for part in path.strip("/").split("/"):
            entry = here.entries.setdefault(part, Directory())
            assert isinstance(entry, Directory)
            here = entry
        return here

    def find(self, path: str) -> Node | None:
        """What is at ``path`` below this directory; links are not followed."""
        here: Node | None = self
        for part in path.strip("/").split("/"):
            here = here.entries.get(part) if isinstance(here, Directory) else None
        return here

    def resolved(self, path: str) -> str:
        """The path without links, dots and doubled slashes; what leads out of the tree ends where that begins."""
        left, here, links = path.split("/")[::-1], [""], 0
        while left:
            part = left.pop()
            node = self.find("/".join([*here, part]))
            if part == "..":
                here = here[:-1] or [""]
            elif isinstance(node, Link) and links < _MOST_LINKS:
                links += 1
                left += node.target.split("/")[::-1]
                here = [""] if node.target.startswith("/") else here
            elif part not in ("", "."):
                here.append(part)
        return "/".join(here)


class Unfolding(Directory):
    """A directory whose files are made when somebody looks; ``more`` are there besides."""

    def __init__(self, files: Callable[[], dict[str, Node]]) -> None:
        self._files, self.more = files, dict[str, Node]()

    @cached_property
    def entries(self) -> dict[str, Node]:  # type: ignore[override]
        """Made once."""
        return self._files() | self.more

    def put(self, name: str, node: Node) -> None:
        """Assigns to ``entries``, which need not be made for that."""
        (self.entries if "entries" in self.__dict__ else self.more)[name] = node


@dataclass
class Binary:
    """A file of fixed size at any offset. A write changes the bits that ``writable`` has; the others stay."""

    data: bytearray
    writable: bytes

    def read(self, offset: int, size: int) -> bytes:
        """What lies there, less at the end of the file."""
        return bytes(self.data[offset : offset + size])

    def write(self, offset: int, data: bytes) -> None:
        """Past the end nothing is kept."""
        for at, value in enumerate(data[: max(0, len(self.data) - offset)], offset):
            self.data[at] = self.data[at] & ~self.writable[at] | value & self.writable[at]


Node = Attribute | Binary | Link | WqNode | Directory


def attribute(value: object) -> Attribute:
    """A file that holds one value and a newline."""
    return Attribute(lambda: f"{value}\n")
