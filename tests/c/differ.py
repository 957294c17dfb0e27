"""C programs of random, compiled by us and by the host's compiler: both must compute the same.

``python tests/c/differ.py COUNT [SEED]`` tries as many as one likes. Each program is one function ``u64 fN(void)`` with helpers of its own;
ours runs as IR, before any model is made of it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from c_machine import Machine
from c_programs import PRELUDE, program

FLAGS = ["-O1", "-w", "-std=gnu11", "-fwrapv", "-funsigned-char", "-fno-strict-aliasing"]


def ours(text: str, entry: str) -> int:
    """What a function returns when we compile the text, as unsigned 64 bits."""
    return Machine(text).call(entry) % (1 << 64)


def theirs(text: str, entries: Sequence[str], folder: Path, compiler: str) -> list[int]:
    """What they return when the host's compiler compiles the text."""
    calls = "".join(f'\tprintf("%llu\\n", (unsigned long long){name}());\n' for name in entries)
    path = folder / "programs.c"
    path.write_text(f"#include <stdio.h>\n{PRELUDE}{text}\nint main(void)\n{{\n{calls}\treturn 0;\n}}\n", encoding="utf-8")
    subprocess.run([compiler, *FLAGS, "-o", str(folder / "programs"), str(path)], check=True, timeout=600)
    done = subprocess.run([str(folder / "programs")], capture_output=True, text=True, check=True, timeout=60)
    return [int(line) for line in done.stdout.split()]


def host_compiler() -> str | None:
    """gcc or clang of this machine."""
    return shutil.which("gcc") or shutil.which("clang")


def differences(first: int, count: int, compiler: str) -> list[tuple[int, str, int, int]]:
    """The programs numbered from ``first`` on that differ: number, text, our result, theirs."""
    texts = [program(number) for number in range(first, first + count)]
    entries = [f"f{number}" for number in range(first, first + count)]
    with tempfile.TemporaryDirectory() as folder:
        wanted = theirs("\n".join(texts), entries, Path(folder), compiler)
    found = []
    for number, text, entry, value in zip(range(first, first + count), texts, entries, wanted, strict=True):
        try:
            mine = ours(text, entry)
        except Exception as error:
            print(f"--- program {number}: {error!r}\n{text}")
            mine = -1
        if mine != value:
            found.append((number, text, mine, value))
    return found


def main(count: int, seed: int = 0) -> int:
    """Compare ``count`` programs, some hundred at a time."""
    compiler = host_compiler()
    if compiler is None:
        print("no gcc or clang here")
        return 1
    bad = 0
    for first in range(seed, seed + count, 250):
        for number, text, mine, wanted in differences(first, min(250, seed + count - first), compiler):
            bad += 1
            if bad <= 5:
                print(f"--- program {number}: {mine} here, {wanted} by {compiler}\n{text}")
    print(f"{count} programs, {bad} differences")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
