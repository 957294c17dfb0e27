"""The command in a process of its own that need not import it: forked from one that has.

Most of what ``pasidlab run -- true`` takes is imports. Tests of how the command itself starts use subprocess instead.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from multiprocessing.connection import Connection, wait
from typing import TextIO

IMPORTED = ["pasidlab.cli", "pasidlab.live.command", "pasidlab.live.session"]
"""What the process has imported from which all are forked."""
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(IMPORTED)


def forked(words: list[str], env: Mapping[str, str], timeout: float) -> subprocess.CompletedProcess[str]:
    """``pasidlab WORDS``: as subprocess.run with ``capture_output``. Raises TimeoutExpired after ``timeout`` seconds."""
    out, err = _SERVER.Pipe(duplex=False), _SERVER.Pipe(duplex=False)
    process = _SERVER.Process(target=_command, args=(words, dict(env), os.getcwd(), out[1], err[1]))
    process.start()
    for pipe in (out, err):
        pipe[1].close()
    try:
        with out[0], err[0]:
            said = _everything([out[0], err[0]], time.monotonic() + timeout)
    except TimeoutError:
        process.kill()
        raise subprocess.TimeoutExpired(words, timeout) from None
    process.join(timeout)
    assert process.exitcode is not None, "the command has closed its output and goes on"
    return subprocess.CompletedProcess(words, process.exitcode, *said)


def _everything(pipes: list[Connection], until: float) -> list[str]:
    """What is written to each pipe while somebody has it open for writing. TimeoutError if that is after ``until``."""
    said = dict.fromkeys(pipes, b"")
    going_on = list(pipes)
    while going_on:
        now = wait(going_on, max(until - time.monotonic(), 0))
        ready = [pipe for pipe in going_on if pipe in now]
        if not ready:
            raise TimeoutError
        for pipe in ready:
            piece = os.read(pipe.fileno(), 65536)
            said[pipe] += piece
            if not piece:
                going_on.remove(pipe)
    return [text.decode().replace("\r\n", "\n").replace("\r", "\n") for text in said.values()]


def _command(words: list[str], env: dict[str, str], folder: str, out: Connection, err: Connection) -> None:
    """In the new process: what an interpreter would find, and then the command."""
    from pasidlab.cli import main

    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, from_there in enumerate((nothing, out.fileno(), err.fileno())):
        os.dup2(from_there, number)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    sys.stdin, sys.stdout, sys.stderr = map(_stream, range(3))
    os.environ.clear()
    os.environ.update(env)
    os.chdir(folder)
    main(words)


def _stream(number: int) -> TextIO:
    return os.fdopen(number, "w" if number else "r", closefd=False)
