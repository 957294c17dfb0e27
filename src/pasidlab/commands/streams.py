"""Standard streams that are closed, full or have no reader: one line and an exit code that is no verdict."""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import click

from pasidlab.errors import PasidlabError, counted, printable
from pasidlab.output import HELD, ODD
from pasidlab.trace.look import SGR

OUTPUT = "standard output"
_LAYOUT = "\n\t"
_LONGEST = 2_000  # characters in a line of a message
_COLOURS = re.compile(rf"(\x1b\[(?:{'|'.join([*SGR.values(), '0'])})m)")


def hold_places() -> None:
    """Opens /dev/null in the place of closed standard streams, so that no file gets their numbers."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            HELD.add(number)
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            os.set_inheritable(number, True)


def must_have_output() -> None:
    """Raises PasidlabError if there is no standard output."""
    if sys.stdout is None or sys.stdout.closed:
        raise PasidlabError("standard output is closed: nobody would see a verdict", hint="to drop it: > /dev/null")


def flush_output() -> None:
    """Raises OSError if standard output cannot take what was printed."""
    if sys.stdout is not None and not sys.stdout.closed:
        sys.stdout.flush()


class _Shown(io.TextIOWrapper):
    """Standard output, which says who it is when it fails. Of what acts on a terminal only line ends, tabulators and our own colours
    come through.

    What is below it is C alone: Ctrl-C, raised by a line of Python in there, would have what is written already written again.
    """

    def write(self, text: str) -> int:
        parts = _COLOURS.split(text)
        with _named():
            super().write("".join(part if at % 2 else printable(part, _LAYOUT) for at, part in enumerate(parts)))
        return len(text)

    def flush(self) -> None:
        with _named():
            super().flush()


@contextmanager
def _named() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, OUTPUT) from None


def name_output() -> None:
    """From here on errors of standard output have its name, and no character is one; unless something else stands there, as in tests."""
    old = sys.stdout
    if old is None or old is not sys.__stdout__ or not isinstance(old, io.TextIOWrapper):
        return
    old.flush()
    buffer = io.BufferedWriter(io.FileIO(old.fileno(), "w", closefd=False))
    at_once = old.line_buffering or old.write_through
    sys.stdout = _Shown(buffer, encoding=old.encoding, errors=ODD, line_buffering=at_once)


def io_failure(error: OSError) -> str:
    """What an operation of the system that failed is told as."""
    said = error.strerror or str(error)
    if error.filename == OUTPUT:
        return f"cannot write to {OUTPUT}: {said}"
    return f"{error.filename}: {said}" if error.filename else said


def give_up_what_is_left() -> None:
    """What a standard stream could not take goes nowhere: the interpreter would fail on it once more at its end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None and not stream.closed:
                stream.flush()
        except OSError:
            with suppress(OSError, ValueError, AttributeError):
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, stream.fileno())
                os.close(null)


def complain(text: str) -> None:
    """One message on standard error, in the lines of the terminal; nothing can be done where there is none."""
    from pasidlab.trace.look import look_of

    with suppress(OSError, ValueError):
        if sys.stderr is None:
            return
        look = look_of(sys.stderr)
        lines = [_short(line) for line in printable(text, _LAYOUT).split("\n")]
        if look.terminal:
            wide = look.terminal
            lines = [part for line in lines for part in (look.broken(line) if len(line) > wide else [line])]
        if lines and lines[0].startswith("error: "):
            lines[0] = look.paint("bad", "error:") + lines[0].removeprefix("error:")
        click.echo("\n".join(lines), err=True, color=look.colour)


def _short(line: str) -> str:
    """The line as somebody may read it: of what a file holds, a message may repeat a name of a million characters."""
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}... ({counted(len(line) - _LONGEST, 'character')} more)"
