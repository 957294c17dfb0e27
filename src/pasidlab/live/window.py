"""Pages of ours in the program. They lie in the window that the filter watches (``seccomp``): what is put in their place is seen."""

from __future__ import annotations

from functools import partial

from pasidlab.live.inject import Injector
from pasidlab.live.libc import PAGE, SYS_MMAP, SYS_MUNMAP
from pasidlab.live.maps import Mapping, mappings
from pasidlab.live.seccomp import PORTALS, WINDOW
from pasidlab.live.state import Thread

_PRIVATE_ANONYMOUS, _FIXED_NOREPLACE, _U64 = 0x22, 0x100000, (1 << 64) - 1


def own_page(injector: Injector, thread: Thread, wanted: int, protection: int) -> int:
    """The address of a new page, which is ``wanted`` if that is free; 0 if there can be none."""
    make = partial(injector.call, thread, thread.mm.syscall_at, SYS_MMAP)
    at = make(wanted, PAGE, protection, _PRIVATE_ANONYMOUS, _U64, 0)
    if at > 0 and not WINDOW <= at < PORTALS:
        injector.call(thread, thread.mm.syscall_at, SYS_MUNMAP, at, PAGE)
        known: list[Mapping] = thread.mm.patiently(lambda: list(mappings(thread.tid)), [])
        place = _free_place(known)
        at = make(place, PAGE, protection, _PRIVATE_ANONYMOUS | _FIXED_NOREPLACE, _U64, 0) if place else 0
    return max(at, 0)


def _free_place(known: list[Mapping]) -> int:
    """A page of the window, below the portals, where nothing is mapped; 0 if there is none."""
    place = WINDOW
    for mapping in known:
        if mapping.start <= place < mapping.end:
            place = mapping.end
    return place if known and place < PORTALS else 0
