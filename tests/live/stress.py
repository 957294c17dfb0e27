"""A stress of ``pasidlab run`` at its edges: ``python tests/live/stress.py --children 2000 --seed 1``.

Every run has another set of options and hosts many children of ``stress_program``. Afterwards nothing may be left: no
process, no directory, no mount, no descriptor that grew with the number of children.
"""

from __future__ import annotations

import argparse
import itertools
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
OPTIONS: tuple[tuple[str, ...], ...] = (
    (), ("--delay", "300"), ("--isolation", "redirect"), ("--reorder", "3"), ("--faults", "strict"), ("--retry", "0.2"),
    ("--wq", "shared,size=2,threshold=1"), ("--trace", "/dev/null"), ("--delay", "50", "--isolation", "redirect"),
    ("--design", "late-locked", "--chaos", "2"),
)  # fmt: skip
MOST_DESCRIPTORS = 120
GRACE = 60.0  # seconds that a run may take beside those of its children


@dataclass(frozen=True)
class Result:
    """What came of one run: the last line of its program, and everything that is wrong."""

    told: str
    wrong: list[str]


def _marked(mark: str) -> list[int]:
    """Processes that have the mark in their environment."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                if mark.encode() in Path(f"/proc/{name}/environ").read_bytes():
                    found.append(int(name))
            except OSError:
                continue
    return found


def _watch(run: subprocess.Popen[str], most: list[int]) -> None:
    while run.poll() is None:
        try:
            most[0] = max(most[0], len(os.listdir(f"/proc/{run.pid}/fd")))
        except OSError:
            return
        time.sleep(0.05)


def one_run(options: tuple[str, ...], seed: int, children: int, longest: float = 5) -> Result:
    """Run that many children under these options. A child that takes longer than ``longest`` seconds to end has hung."""
    mark = f"STRESS_MARK={os.getpid()}-{seed}"
    mounts = Path("/proc/self/mounts").read_text()
    with tempfile.TemporaryDirectory() as place:
        name, _, value = mark.partition("=")
        extra = {"PYTHONPATH": str(HERE), "STRESS_LONGEST": str(longest), "TMPDIR": place, name: value}
        run = subprocess.Popen(
            [sys.executable, "-m", "pasidlab", "run", *options, "--",
             sys.executable, str(HERE / "stress_program.py"), str(seed), str(children)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | extra,
        )  # fmt: skip
        most = [0]
        threading.Thread(target=_watch, args=(run, most), daemon=True).start()
        try:
            told, wrong = run.communicate(timeout=GRACE + longest * children)[0], []
        except subprocess.TimeoutExpired:
            run.kill()
            told, wrong = run.communicate()[0], ["the run hung"]
        time.sleep(0.05)
        left = {"processes": _marked(mark), "files": os.listdir(place)}
    program, _, summary = told.partition("pasidlab run: ")
    lines = program.strip().split("\n")
    wrong += lines[:-1]
    wrong += [f"{what} left: {found}" for what, found in left.items() if found]
    if run.returncode:
        wrong.append(f"exit status {run.returncode}")
    if " 0 failures" not in lines[-1]:
        wrong.append(lines[-1])
    if most[0] > MOST_DESCRIPTORS:
        wrong.append(f"{most[0]} descriptors open")
    if Path("/proc/self/mounts").read_text() != mounts:
        wrong.append("mounts differ")
    return Result(lines[-1], [*wrong, summary] if wrong else [])


def main() -> int:
    """Run until that many children have had their turn; the exit status tells whether anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--children", type=int, default=2000)
    parser.add_argument("--each", type=int, default=50, help="children of one run")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--longest", type=float, default=5, help="seconds a child may take to end")
    chosen = parser.parse_args()
    failed = 0
    for number, options in zip(range(0, chosen.children, chosen.each), itertools.cycle(OPTIONS)):
        result = one_run(options, chosen.seed + number, chosen.each, chosen.longest)
        failed += bool(result.wrong)
        print(f"{' '.join(options) or 'no options'}: {result.told}", flush=True)
        for line in result.wrong:
            print(f"  WRONG {line}", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
