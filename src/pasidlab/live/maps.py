"""What is mapped where in a process: asked only off the fast path."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pasidlab.live.descriptors import text_file


@dataclass(frozen=True)
class Mapping:
    """One line of /proc/PID/maps."""

    start: int
    end: int
    permissions: str  # rwxp
    offset: int  # bytes into the file
    path: str


def mappings(pid: int) -> Iterator[Mapping]:
    """All mappings in address order; none if the process is gone."""
    try:
        with text_file(f"/proc/{pid}/maps") as file:
            for line in file:
                fields = line.rstrip("\n").split(None, 5)
                start, end = fields[0].split("-")
                path = fields[5] if len(fields) > 5 else ""
                yield Mapping(int(start, 16), int(end, 16), fields[1], int(fields[2], 16), path)
    except (OSError, ValueError):
        return


def mapping_at(pid: int, address: int) -> Mapping | None:
    """The mapping that holds ``address``."""
    return next((m for m in mappings(pid) if m.start <= address < m.end), None)
