"""C programs of random, compiled by us and by the host's compiler: both must compute the same.

``python tests/c/differ.py COUNT [SEED]`` tries as many as one likes. Each program is one function ``u64 fN(void)`` with helpers of its own;
ours runs as IR, before any model is made of it.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from c_machine import Crash, Machine
from c_prelude import PRELUDE
from c_programs import program

FLAGS = ["-w", "-std=gnu11", "-fwrapv", "-funsigned-char", "-fno-strict-aliasing"]


DIVIDE_ERROR = -1
"""In the place of a result: the program ends there, by a division by 0 or of the least number by -1."""


class CompilerError(Exception):
    """The host's compiler came upon a bug of its own, or what it made of several programs ends early."""


def ours(text: str, entry: str) -> int:
    """What a function returns when we compile the text, as unsigned 64 bits."""
    return Machine(text).call(entry) % (1 << 64)


def theirs(text: str, entries: Sequence[str], folder: Path, compiler: str) -> list[int]:
    """What they return when the host's compiler compiles the text.

    gcc 12 makes ``-x / y`` to ``x / -y`` although -fwrapv gives the least x a negative: a divide error that -O1 must confirm.
    """
    found = _made(text, entries, folder, [compiler, "-O0"])
    if found == [DIVIDE_ERROR] and _made(text, entries, folder, [compiler, "-O1"]) != found:
        raise CompilerError
    return found


def _made(text: str, entries: Sequence[str], folder: Path, compiler: Sequence[str]) -> list[int]:
    calls = "".join(f'\tprintf("%llu\\n", (unsigned long long){name}());\n' for name in entries)
    path = folder / "programs.c"
    path.write_text(f"#include <stdio.h>\n{PRELUDE}{text}\nint main(void)\n{{\n{calls}\treturn 0;\n}}\n", encoding="utf-8")
    made = subprocess.run([*compiler, *FLAGS, "-o", str(folder / "programs"), str(path)], capture_output=True, text=True, timeout=600)
    if "internal compiler error" in made.stderr:
        raise CompilerError
    if made.returncode:
        raise RuntimeError(f"{compiler[0]} does not take this:\n{made.stderr}")
    done = subprocess.run([str(folder / "programs")], capture_output=True, text=True, timeout=60)
    if done.returncode == -signal.SIGFPE:
        if len(entries) > 1:
            raise CompilerError  # one of them; which is found by halves
        return [DIVIDE_ERROR]
    done.check_returncode()
    return [int(line) for line in done.stdout.split()]


def host_compiler() -> str | None:
    """gcc or clang of this machine."""
    return shutil.which("gcc") or shutil.which("clang")


def all_theirs(programs: Sequence[tuple[int, str]], compiler: str) -> list[int | None]:
    """By program what the host's compiler makes of it; None where that ends in a bug of its own."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            text = "\n".join(text for _, text in programs)
            return list(theirs(text, [f"f{number}" for number, _ in programs], Path(folder), compiler))
    except CompilerError:
        half = len(programs) // 2
        return all_theirs(programs[:half], compiler) + all_theirs(programs[half:], compiler) if half else [None]


def differences(first: int, count: int, compiler: str) -> tuple[list[tuple[int, str, object, int]], int]:
    """The programs numbered from ``first`` on that differ: number, text, our result, theirs; and how many were compared."""
    programs = [(number, program(number)) for number in range(first, first + count)]
    found: list[tuple[int, str, object, int]] = []
    wanted = all_theirs(programs, compiler)
    for (number, text), value in zip(programs, wanted, strict=True):
        if value is None:
            continue
        mine: object
        try:
            mine = ours(text, f"f{number}")
        except Crash as error:
            mine = DIVIDE_ERROR if "divide error" in str(error) else repr(error)
        except Exception as error:
            mine = repr(error)
        if mine != value:
            found.append((number, text, mine, value))
    return found, len([value for value in wanted if value is not None])


def main(count: int, seed: int = 0) -> int:
    """Compare ``count`` programs, some hundred at a time."""
    compiler = host_compiler()
    if compiler is None:
        print("no gcc or clang here")
        return 1
    bad = compared = 0
    for first in range(seed, seed + count, 250):
        found, done = differences(first, min(250, seed + count - first), compiler)
        compared += done
        print(f"{first - seed + 250} of {count}, {bad + len(found)} differ", file=sys.stderr)
        for number, text, mine, wanted in found:
            bad += 1
            print(f"--- program {number}: {mine} here, {wanted} by {compiler}\n{text if bad <= 5 else ''}", flush=True)
    print(f"{compared} of {count} programs compared, {bad} differences")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
