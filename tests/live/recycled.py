"""In a PID namespace of its own: a process gets the number of a program's first process that is gone, and must live.

Arguments: options of ``pasidlab run``. Prints whether the process was harmed by SIGTERM to pasidlab, and whether that ended.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

MAIN = "from pasidlab.cli import main; main()"
LEFT = "(trap '' TERM; sleep 30) & echo $$; exit 6"


def stranger(number: int) -> int:
    """A process of ours with this number, which SIGTERM kills; 0 if it cannot be made."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        Path("/proc/sys/kernel/ns_last_pid").write_text(str(number - 1))
        pid = os.fork()
        if not pid:
            if os.getpid() == number:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                time.sleep(30)
            os._exit(0)
        if pid == number:
            return pid
        os.waitpid(pid, 0)
        time.sleep(0.01)
    return 0


def main() -> int:
    """0 if all was as it must be."""
    words = [sys.executable, "-c", MAIN, "run", "--summary", "none", *sys.argv[1:], "--", "/bin/sh", "-c", LEFT]
    run = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    leader = int(run.stdout.readline())
    while os.path.exists(f"/proc/{leader}"):
        time.sleep(0.01)
    pid = stranger(leader)
    if not pid:
        return 3
    run.send_signal(signal.SIGTERM)
    try:
        over = run.wait(10) == 6
    except subprocess.TimeoutExpired:
        over = False
    time.sleep(0.1)
    harmed = os.waitpid(pid, os.WNOHANG)[0] != 0
    print("harmed" if harmed else "unharmed", "ended" if over else "not ended", sep=", ")
    os.kill(run.pid, signal.SIGKILL) if not over else None
    return int(harmed or not over)


if __name__ == "__main__":
    sys.exit(main())
