"""What the documents of a recording must hold, field by field: two tables. Whoever reads a recording may rely on it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from pasidlab.errors import PasidlabError
from pasidlab.observe.kinds import BH_OFF, IRQS_OFF

MOST_PIDS = 1 << 22
"""PID_MAX_LIMIT, include/linux/threads.h."""
MOST_CPUS = 8192
"""NR_CPUS with CONFIG_MAXSMP, arch/x86/Kconfig."""
LEAST_PAGE_BYTES, MOST_PAGE_BYTES = 4096, 1 << 22
"""A page, or a larger part of the buffer (buffer_subbuf_size_kb, from 6.8 on)."""
MOST_TIME = (1 << 63) - 1
"""What a column of events holds."""

Check = Callable[[Any, str], None]
"""Raises ValueError, with the place of a value and what it should be."""


def _must(good: bool, where: str, wanted: str) -> None:
    if not good:
        raise ValueError(f"{where} must be {wanted}")


def _number(most: int, least: int = 0) -> Check:
    def check(value: Any, where: str) -> None:
        _must(type(value) is int and least <= value <= most, where, f"a whole number from {least} to {most}")

    return check


def _seconds(value: Any, where: str) -> None:
    _must(type(value) in (int, float) and math.isfinite(value) and value >= 0, where, "a number of seconds")


def _text(value: Any, where: str) -> None:
    _must(isinstance(value, str) and not re.search(r"[\ud800-\udfff]", value), where, "text")


def _event(value: Any, where: str) -> None:
    _text(value, where)
    _must(re.fullmatch(r"\w+/\w+", value) is not None, where, "an event, 'system/event'")


def _truth(value: Any, where: str) -> None:
    _must(isinstance(value, bool), where, "true or false")


def _each(check: Check) -> Check:
    def checks(value: Any, where: str) -> None:
        _must(isinstance(value, list), where, "a list")
        for n, one in enumerate(value):
            check(one, f"{where}[{n}]")

    return checks


def _by(key: str, what: str, check: Check) -> Check:
    def checks(value: Any, where: str) -> None:
        _must(isinstance(value, dict), where, "an object")
        for name, one in value.items():
            _must(re.fullmatch(key, name) is not None, f"the name {name!r} in {where}", what)
            check(one, f"{where}.{name}")

    return checks


def _fields(needed: dict[str, Check], others: dict[str, Check] | None = None) -> Check:
    known = {**needed, **(others or {})}

    def checks(value: Any, where: str) -> None:
        _must(isinstance(value, dict), where, "an object")
        for name in needed:
            _must(name in value, f"{where}.{name}", "there")
        for name, one in value.items():
            _must(name in known, f"the name {name!r} in {where}", f"one of {', '.join(known)}")
            known[name](one, f"{where}.{name}")

    return checks


_TASK = _fields({"pid": _number(MOST_PIDS), "tgid": _number(MOST_PIDS), "comm": _text, "kernel": _truth}, {"exiting": _truth})
_HEAD = _fields(
    {
        "kernel": _text, "machine": _text, "cpus": _each(_number(MOST_CPUS)), "clock": _text,
        "page_bytes": _number(MOST_PAGE_BYTES, LEAST_PAGE_BYTES), "header_page": _text,
        "formats": _by(r"\w+/\w+", "an event, 'system/event'", _text), "missing": _each(_event), "tasks": _each(_TASK),
    },
    {
        "functions": _by("[0-9a-f]{1,16}", "an address in hexadecimal digits", _text), "absent": _each(_text),
        "listed_at": _number(MOST_TIME), "flags": _number(IRQS_OFF | BH_OFF), "notes": _each(_text), "unsure": _each(_event),
    },
)  # fmt: skip
_END = _fields({"cpus": _by(r"\d{1,4}", "a CPU", _by(".*", "a counter", _number(MOST_TIME))), "seconds": _seconds})


def head(document: Any, file: object) -> dict[str, Any]:
    """The document at the head, once it is sound. PasidlabError, with file and field, if it is not."""
    return _sound(_HEAD, document, file, "head")


def end(document: Any, file: object) -> dict[str, Any]:
    """The document at the end, with what the kernel counted."""
    return _sound(_END, document, file, "end")


def _sound(check: Check, document: Any, file: object, part: str) -> dict[str, Any]:
    try:
        check(document, part)
    except ValueError as error:
        raise PasidlabError(f"{file}: {error}", hint="the recording is damaged, or of another version of pasidlab") from None
    found: dict[str, Any] = document
    return found
