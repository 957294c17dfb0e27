"""Where events come from: a recording of ours, trace-cmd's trace.dat, or the text of trace-cmd, ftrace or perf."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from pasidlab import reading
from pasidlab.errors import PasidlabError
from pasidlab.observe import tracedat
from pasidlab.observe.kinds import CALLED, FUNCTION
from pasidlab.observe.merged import apart, merged
from pasidlab.observe.pages import KIND, A, EventTable, call_sites
from pasidlab.observe.recording import MAGIC, About, Paged, Recording
from pasidlab.observe.text import GZIP, EventText, Told

STANDARD_INPUT = "-"
DAMAGED = (EOFError, zlib.error, gzip.BadGzipFile)
"""What gzip raises."""


@dataclass(frozen=True)
class EventSource:
    """Events, as often as they are asked for, and what is known of them."""

    about: About
    in_order: Callable[[], Iterator[EventTable]]
    """All events, in the order of time."""
    apart: Callable[[], Iterator[EventTable]]
    """All events, those of each CPU in order; that is quicker."""
    absent: Callable[[Mapping[int, int]], int]
    """Events that were counted and are not there, by how many are there of each CPU."""
    seconds: float = 0.0
    """How long was recorded; 0: only the events' times tell."""


def opened_recording(path: str | Path, told: Told) -> EventSource:
    """The events of a file, whatever program made it; ``-`` is text on standard input.

    ``told`` is what the user says where the file does not. PasidlabError for what is no recording.
    """
    if str(path) == STANDARD_INPUT:
        try:
            return _of_text(EventText.standard_input(told))
        except DAMAGED:
            raise PasidlabError("standard input is packed by gzip, and damaged") from None
    told.must_be_known()
    try:
        with reading.opened(path) as file:
            if not file.seekable():
                return _of_text(EventText(str(path), file, told))
            start = file.read(len(MAGIC))
            file.seek(0)
            if start.startswith(GZIP):
                return _unpacked(str(path), file, told)
            if start == MAGIC:
                recording = Recording(path)
                return _of_pages(recording, float((recording.counted or {}).get("seconds", 0.0)))
            if start.startswith(tracedat.MAGIC):
                return _with_functions(_of_pages(tracedat.TraceDat(Path(path), told.kernel, told.covers)), told)
            return _of_text(EventText(str(path), file, told))
    except OSError as error:
        raise PasidlabError(f"cannot read {path}: {error.strerror}") from None


def _unpacked(name: str, file: BinaryIO, told: Told) -> EventSource:
    try:
        with gzip.open(file) as lines:
            return _of_text(EventText(name, lines, told))
    except DAMAGED:
        raise PasidlabError(f"{name} is packed by gzip, and damaged") from None


def _of_pages(found: Paged, seconds: float = 0.0) -> EventSource:
    return EventSource(found.about, lambda: merged(found), lambda: apart(found), found.absent, seconds)


def _with_functions(source: EventSource, told: Told) -> EventSource:
    """Of the functions that the kernel has, those that were called, or were traced as the user says: the file does not tell which were."""
    about = source.about
    if FUNCTION.path not in about.formats or not about.functions:
        return source
    called: set[int] = set()
    for piece in source.apart():
        called |= set(np.unique(piece[piece[:, KIND] == FUNCTION.kind, A]).tolist())
    kept = {
        address: name for address, name in about.functions.items()
        if called.intersection(call_sites(address)) or told.covers(f"{FUNCTION.system}/{name}")
    }  # fmt: skip
    covered = {name for name in CALLED if told.covers(f"{FUNCTION.system}/{name}")}
    absent = tuple(sorted(covered - set(about.functions.values())))
    return replace(source, about=replace(about, functions=kept, absent=absent))


def _of_text(found: EventText) -> EventSource:
    return EventSource(found.about, found.pieces, found.pieces, lambda present: 0)
