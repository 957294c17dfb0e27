"""Terminals: those that are open keep their names, and programs make new ones."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys

import pytest
from running import HERE, RUN

pytestmark = pytest.mark.needs_run

_NAMES = """
import os
print(os.ttyname(0))
for number in range(3):
    ours, theirs = os.openpty()
    name = os.ttyname(theirs)
    print(name.rpartition("/")[0], os.stat(name).st_rdev == os.fstat(theirs).st_rdev, os.get_terminal_size(theirs).columns)
    with open(name, "w") as terminal:
        terminal.write("said")
    print(os.read(ours, 100).decode())
"""


@pytest.mark.parametrize("user", ["root", "another"])
@pytest.mark.parametrize("isolation", ["namespace", "redirect"])
def test_terminals_have_their_names_and_programs_make_new_ones(isolation: str, user: str) -> None:
    if user == "another" and (os.getuid() != 0 or not shutil.which("setpriv")):
        pytest.skip("needs root and setpriv to become an ordinary user")
    ours, theirs = pty.openpty()
    os.fchmod(theirs, 0o666)
    try:
        become = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if user == "another" else []
        python = shutil.which("python3", path="/usr/bin:/bin") or sys.executable  # one that others may execute
        command = [*become, sys.executable, "-c", RUN, "--summary", "none", "--isolation", isolation, "--", python, "-c", _NAMES]
        around = {**os.environ, "PYTHONPATH": str(HERE), "HOME": "/tmp"}
        done = subprocess.run(command, stdin=theirs, capture_output=True, text=True, timeout=60, env=around, check=False)
        if "no private namespaces here" in done.stderr or ("Permission denied" in done.stderr and "python" in done.stderr):
            pytest.skip(done.stderr)
        assert done.stdout.split("\n")[:-1] == [os.ttyname(theirs), *["/dev/pts True 0", "said"] * 3], done.stderr
    finally:
        os.close(ours)
        os.close(theirs)


def test_script_runs_a_command_on_a_terminal_of_its_own() -> None:
    if not shutil.which("script"):
        pytest.skip("script is not installed")
    command = [sys.executable, "-c", RUN, "--summary", "none", "--", "script", "-qec", "tty; test -r /dev/dsa/wq0.0 && exit 7", "/dev/null"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 7 and done.stdout.startswith("/dev/pts/"), done
