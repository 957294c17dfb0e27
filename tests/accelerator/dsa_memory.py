"""A process's memory for tests: regions with permissions, and pages that may not be present."""

from __future__ import annotations

from dataclasses import dataclass

PAGE = 4096


@dataclass
class Region:
    start: int
    data: bytearray
    writable: bool = True

    @property
    def end(self) -> int:
        return self.start + len(self.data)


class FakeMemory:
    """Regions; whatever lies between them faults. ``absent`` holds page numbers that are not present."""

    def __init__(self, *regions: Region) -> None:
        self.regions = sorted(regions, key=lambda region: region.start)
        self.absent: set[int] = set()
        self.writes: list[tuple[int, bytes]] = []
        self.log = False

    def _runs(self, address: int, length: int, write: bool) -> list[tuple[Region, int, int]]:
        runs, left = [], length
        for region in self.regions:
            if left and region.start <= address < region.end and (region.writable or not write):
                size = min(left, region.end - address)
                runs.append((region, address - region.start, size))
                address, left = address + size, left - size
        return runs

    def read_into(self, address: int, buffer: memoryview) -> int:
        done = 0
        for region, at, size in self._runs(address, len(buffer), False):
            buffer[done : done + size] = memoryview(region.data)[at : at + size]
            done += size
        return done

    def write(self, address: int, data: memoryview | bytes) -> int:
        done = 0
        for region, at, size in self._runs(address, len(data), True):
            memoryview(region.data)[at : at + size] = memoryview(data)[done : done + size]
            done += size
        if self.log:
            self.writes.append((address, bytes(data[:done])))
        return done

    def present(self, address: int, length: int) -> int:
        for page in range(address // PAGE, (address + length - 1) // PAGE + 1):
            if page in self.absent:
                return max(0, page * PAGE - address)
        return length

    def get(self, address: int, length: int) -> bytes:
        buffer = bytearray(length)
        assert self.read_into(address, memoryview(buffer)) == length
        return bytes(buffer)

    def put(self, address: int, data: bytes) -> None:
        assert self.write(address, data) == len(data)


class FlatMemory:
    """One bytearray from address ``base``, as cheap as memory can be: for timings."""

    def __init__(self, size: int, base: int = 0) -> None:
        self.view, self.base = memoryview(bytearray(size)), base

    def read_into(self, address: int, buffer: memoryview) -> int:
        at = address - self.base
        buffer[:] = self.view[at : at + len(buffer)]
        return len(buffer)

    def write(self, address: int, data: memoryview | bytes) -> int:
        at = address - self.base
        self.view[at : at + len(data)] = data
        return len(data)

    def present(self, address: int, length: int) -> int:
        return length
