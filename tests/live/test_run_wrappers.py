"""Shells, shims and helpers around a program change nothing of what the seed makes of it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from running import HERE, run

from harness import some

pytestmark = pytest.mark.needs_run
HELLO = str(Path(__file__).parents[2] / "examples" / "dsa_hello.py")
SPAWN = "import subprocess, sys; subprocess.run(['/bin/true']); sys.exit(subprocess.run(sys.argv[1:]).returncode & 0xff)"
SHIM = '#!/bin/bash\nname=$(basename "$0")\nfor word in a b c; do /bin/true $word & done\nwait\nexec "{}" "$@"\n'

WRAPPERS = {
    "none": [],
    "env": ["/usr/bin/env", "A=b"],
    "shell": ["/bin/sh", "-c", '"$@"', "sh"],
    "shell that forks": ["/bin/sh", "-c", '/bin/true; (/bin/true); "$@"; exit $?', "sh"],
    "python": [sys.executable, "-c", SPAWN],
    "python in a shell in env": ["env", "sh", "-c", '/bin/true; "$@"; exit $?', "sh", sys.executable, "-c", SPAWN],
}

RETRIES = """
from dsa_client import *
import threading, subprocess
subprocess.run(["/bin/true"])  # a helper process of the program's own: threads are counted apart
portal, _ = open_portal()
def worker(number):
    place = Buffer(64)
    place.data.raw = descriptor(NOOP)
    counts[number] = [sum(enqcmd(portal, place.address) for _ in range(20)) for _ in range(5)]
counts = {}
worker(0)
threads = []
for number in (1, 2, 3):
    threads.append(threading.Thread(target=worker, args=(number,)))
    threads[-1].start()
for thread in threads:
    thread.join()
if os.fork() == 0:
    portal, _ = open_portal()
    worker(4)
    print(f"{counts[4]}\\n", end="", flush=True)  # one write(2), wherever it goes
    os._exit(0)
os.wait()
print(f"{sorted(counts.items())}\\n", end="")
"""


def program(script: str) -> list[str]:
    return [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(HERE)!r})\n{script}"]


def fate(wrapper: list[str], *options: str) -> str:
    """What the program's threads met."""
    done = run(*wrapper, *program(RETRIES), options=("--retry", "0.4", *options))
    assert done.code == 0 and done.out, done.err
    return done.out


def test_the_same_seed_is_the_same_fate_behind_every_wrapper() -> None:
    fates = {name: fate(wrapper, "--seed", "5") for name, wrapper in WRAPPERS.items()}
    assert len(set(fates.values())) == 1, fates
    assert fate([], "--seed", "6") != fates["none"]


def test_a_shim_before_the_interpreter_changes_nothing(tmp_path: Path) -> None:
    shim = tmp_path / "python"
    shim.write_text(SHIM.format(sys.executable))
    shim.chmod(0o755)
    done = run(str(shim), *program(RETRIES)[1:], options=("--retry", "0.4", "--seed", "5"))
    assert done.out == fate([], "--seed", "5"), done.err


def test_programs_side_by_side_do_not_share_their_luck() -> None:
    """Each image counts its own submissions, however the two interleave."""
    both = '"$@" & "$@" & wait'
    done = run("/bin/sh", "-c", both, "sh", *program(RETRIES), options=("--retry", "0.4", "--seed", "5"))
    assert sorted(done.out.split("\n")) == sorted(2 * fate([], "--seed", "5").rstrip("\n").split("\n") + [""]), done.err


@pytest.mark.parametrize("name", some(WRAPPERS, 2))
def test_late_either_kills_the_example_in_every_run(name: str) -> None:
    options = ("--design", "late-either", "--chaos", "1")
    done = run(*WRAPPERS[name], sys.executable, HELLO, options=options)
    assert done.report["gp_fixups_refused"] == 1 and done.code in (139, -11 & 0xFF), (done.code, done.out, done.err)
    assert "8 threads" not in done.out
    served = run(*WRAPPERS[name], sys.executable, HELLO, options=("--chaos", "1"))
    assert served.code == 0 and "8 threads: 200 of 200 moves succeeded" in served.out, served.err
