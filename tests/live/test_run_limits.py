"""Where pasidlab itself reaches the limit on descriptors, the run ends at once and says so."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from running import RUN, run_python

from pasidlab.live import descriptors, owned, workers

LIVE = Path(descriptors.__file__).parent
MESSAGE = "error: pasidlab has no file descriptor left: Too many open files\n  hint: a higher limit: ulimit -n\n"
MANY = """
def work():
    portal, _ = open_portal()
    for _ in range(20):
        move(portal, Buffer(64), Buffer(64), 64)
    os._exit(move(portal, Buffer(1 << 20), Buffer(1 << 20), 1 << 20) != 1)
for _ in range(10):
    if os.fork() == 0:
        work()
bad = 0
while True:
    try:
        bad |= os.wait()[1]
    except ChildProcessError:
        os._exit(bad != 0)
"""
LOWERS = """
import resource
resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, ({most}, {most}))
portal, _ = open_portal()
print(move(portal, Buffer(64), Buffer(64), 64), move(portal, Buffer(1 << 20), Buffer(1 << 20), 1 << 20))
"""
ISOLATIONS = pytest.mark.parametrize("isolation", ["auto", "redirect"])
OPENS_ALONE = {
    "descriptors.py": "what all others call",
    "benchprogram.py": "a program of its own",
    "benchtracer.py": "a tracer of its own",
    "gdb_files.py": "gdb is told the error",
    "namespace.py": "in the child, or what fails is told by prepare()",
    "outputs.py": "what fails is told, and the program's status counts",
    "owned.py": "removes as much as it can",
    "patching.py": "without a shortcut the instruction traps",
}


@ISOLATIONS
def test_with_few_descriptors_nothing_that_was_accepted_waits_for_ever(isolation: str) -> None:
    source = "from dsa_client import *\n" + MANY
    limited = f"ulimit -n 18; exec \"$0\" -c '{RUN}' --summary none --isolation {isolation} -- \"$@\""
    done = subprocess.run(
        ["sh", "-c", limited, sys.executable, sys.executable, "-u", "-c", source], capture_output=True, text=True, timeout=60,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
    )  # fmt: skip
    assert (done.returncode, done.stderr) in ((0, ""), (2, MESSAGE))


@ISOLATIONS
def test_a_program_that_takes_pasidlab_s_descriptors_ends_the_run(isolation: str) -> None:
    done = run_python(LOWERS.format(most=0), "--isolation", isolation)
    assert (done.code, done.err) == (2, MESSAGE)


@ISOLATIONS
def test_a_limit_that_may_not_be_raised_again_is_no_error(isolation: str) -> None:
    done = run_python(LOWERS.format(most=64), "--isolation", isolation, "--summary", "none")
    assert (done.code, done.out, done.err) == (0, "1 1\n", "")


def test_what_pasidlab_opens_while_a_program_runs_tells_its_limit_from_a_death() -> None:
    found = set()
    for path in LIVE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("open", "os.open", "os.listdir", "os.scandir", "os.pidfd_open"):
                found.add((path.name, ast.unparse(node)))
    assert {name for name, _ in found} - {"symbols.py"} == set(OPENS_ALONE)
    assert [text for name, text in found if name == "symbols.py"] == ["open(open_file(real, os.O_RDONLY | os.O_NONBLOCK), 'rb')"]


def test_what_a_thread_of_ours_raises_is_raised_in_the_loop() -> None:
    def fails() -> None:
        raise descriptors.OutOfDescriptors(24)

    posted = []
    workers.start_thread(fails, "one", posted.append).join()
    with pytest.raises(descriptors.OutOfDescriptors):
        posted[0]()


def test_what_a_run_leaves_that_is_killed_while_it_removes_its_directory_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    def removed() -> None:
        if len(os.listdir(own.path)) <= 2:
            raise Killed

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    own = owned.OwnDirectory()
    own.mark()
    for number in range(4):
        os.close(owned.make_file(own.fd, str(number)))
    with pytest.raises(Killed):
        own.close(removed)
    assert len(os.listdir(own.path)) == 2
    os.close(own.fd)
    owned.sweep()
    assert os.listdir(tmp_path) == []
