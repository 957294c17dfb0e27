"""What ``pasidlab run`` costs as a program grows: ``python tests/live/growth.py [--scale 1.0] [--rows submissions,threads]``.

Each row runs a program with a tenth of its events and with all of them, and prints the most memory that pasidlab has had, the
descriptors it had open at the most, and the time for one event. Memory and descriptors may not grow with the number of events, nor
may the time for one. The exit status is 1 if one of them did.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent

SUBMISSIONS = """
portal, _ = open_portal()
place = Buffer(64)
place.data.raw = descriptor(0)
for _ in range(COUNT):
    while enqcmd(portal, place.address):
        pass
"""
THREADS = """
import threading
portal, _ = open_portal()
def work():
    submit(portal, descriptor(0))
for _ in range(COUNT):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
"""
FORKS = """
for _ in range(COUNT):
    assert died(lambda: submit(open_portal()[0], descriptor(0))) == 0
"""
PORTALS = """
for _ in range(COUNT):
    portal, fd = open_portal(keep=True)
    submit(portal, descriptor(0))
    libc.munmap(portal, 4096)
    os.close(fd)
"""
KEPT = """
kept = [open_portal()[0] for _ in range(COUNT)]
for portal in kept:
    submit(portal, descriptor(0))
"""


@dataclass(frozen=True)
class Row:
    """A program and how many events it has at full scale."""

    program: str
    count: int


ROWS = {
    "submissions": Row(SUBMISSIONS, 5_000_000),
    "threads": Row(THREADS, 10_000),
    "forks": Row(FORKS, 2_000),
    "portals": Row(PORTALS, 5_000),
    "portals kept": Row(KEPT, 5_000),
}
MORE_MEMORY, MORE_TIME, MORE_FILES = 8, 1.5, 16
"""What is no growth: MiB, a factor of the time for one event, descriptors."""


@dataclass(frozen=True)
class Cost:
    """Of one run: seconds, MiB, descriptors."""

    seconds: float
    memory: float
    files: int


def cost(program: str, count: int) -> Cost:
    """Run the program, and watch the process that traces it."""
    source = "import os\nfrom dsa_client import *\n" + program.replace("COUNT", str(count))
    with tempfile.TemporaryDirectory(prefix="growth-") as code:
        around = {**os.environ, "PYTHONPATH": str(HERE), "DSA_CLIENT_CODE": code}
        command = [sys.executable, "-m", "pasidlab", "run", "--summary", "none", "--", sys.executable, "-c", source]
        began, memory, files = time.monotonic(), 0.0, 0
        with subprocess.Popen(command, env=around) as process:
            while process.poll() is None:
                memory, files = max(memory, _memory(process.pid)), max(files, _files(process.pid))
                time.sleep(0.05)
    if process.returncode:
        raise SystemExit(f"exit status {process.returncode}")
    return Cost(time.monotonic() - began, memory, files)


def _memory(pid: int) -> float:
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in text.splitlines() if line.startswith("VmHWM")), 0.0)


def _files(pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return 0


def main() -> int:
    """The table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--rows", default=",".join(ROWS))
    options = parser.parse_args()
    start = min(cost("", 1).seconds for _ in range(3))
    print(f"{'':<14}{'events':>10}{'MiB':>8}{'files':>7}{'us each':>9}")
    grown = False
    for name in options.rows.split(","):
        row = ROWS[name]
        few, many = (max(int(row.count * options.scale * part), 1) for part in (0.1, 1))
        costs = {count: cost(row.program, count) for count in (few, many)}
        each = {count: max(found.seconds - start, 0) / count * 1e6 for count, found in costs.items()}
        for count, found in costs.items():
            print(f"{name:<14}{count:>10,}{found.memory:>8.1f}{found.files:>7}{each[count]:>9.0f}", flush=True)
        flat = "portals kept" not in name  # what is open costs a descriptor and memory for as long as it is
        grown |= flat and costs[many].memory > costs[few].memory + MORE_MEMORY
        grown |= flat and costs[many].files > costs[few].files + MORE_FILES
        told = costs[few].seconds > 3 * start  # less is lost in what the start takes
        grown |= told and each[many] > each[few] * MORE_TIME
    return int(grown)


if __name__ == "__main__":
    sys.exit(main())
