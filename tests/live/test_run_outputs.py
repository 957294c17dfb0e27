"""What pasidlab run writes goes to places of its own; what asks for ptrace(2) inside learns why it is refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from running import HERE, RUN, run

from harness import some

pytestmark = pytest.mark.needs_run


def in_shell(text: str, **more: str) -> subprocess.CompletedProcess[str]:
    """A shell command in which ``pasidlab run`` is RUN."""
    command = f"'{sys.executable}' -c \"$SCRIPT\""
    environment = {**os.environ, "PYTHONPATH": str(HERE), "SCRIPT": RUN, **more}
    text = text.replace("RUN", command)
    return subprocess.run(["/bin/sh", "-c", text], capture_output=True, text=True, timeout=60, env=environment, check=False)


@pytest.mark.parametrize("option", ["--json", "--trace"])
@pytest.mark.parametrize("place", some(["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/2", "/dev/stderr", "$OUT"], 2))
def test_the_programs_own_output_is_not_written_to(option: str, place: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = in_shell(f"RUN {option} {place} -- echo hello > $OUT", OUT=str(out))
    assert done.returncode == 2 and "the program's" in done.stderr and "/dev/fd/3" in done.stderr, done.stderr
    assert out.read_text() == ""


def test_a_descriptor_of_its_own_is_kept_from_the_program(tmp_path: Path) -> None:
    done = in_shell(
        "RUN --summary none --json /dev/fd/3 --trace /dev/fd/4 -- /bin/ls /proc/self/fd 3> $DIR/json 4> $DIR/trace",
        DIR=str(tmp_path),
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n1\n2\n3\n", "")  # 3 is the directory that ls reads
    assert json.loads((tmp_path / "json").read_text())["exit"] == 0
    assert json.loads((tmp_path / "trace").read_text())["traceEvents"]


def test_a_descriptor_that_is_not_open_and_one_file_for_two_are_told() -> None:
    done = in_shell("RUN --json /dev/fd/9 -- /bin/true")
    assert done.returncode == 2 and "descriptor 9 is not open" in done.stderr, done.stderr
    done = in_shell("RUN --json $OUT --trace $OUT -- /bin/true", OUT="/tmp/pasidlab-never-written")
    assert done.returncode == 2 and "--json and --trace both write" in done.stderr, done.stderr
    assert not os.path.exists("/tmp/pasidlab-never-written")


def test_a_link_that_the_program_puts_in_the_place_of_an_output_is_not_followed(tmp_path: Path) -> None:
    """Nor one in the place of its folder: the program may have other rights by then."""
    place, elsewhere = tmp_path / "place", tmp_path / "elsewhere"
    place.mkdir()
    elsewhere.mkdir()
    (place / "json").touch()
    (place / "user").symlink_to("json")
    program = f"rm {place}/json && ln -s {elsewhere}/json {place}/json"
    done = in_shell(f"RUN --summary none --json {place}/user -- sh -c '{program}; exit 5'")
    assert (done.returncode, os.listdir(elsewhere)) == (5, []) and f"cannot write {place}/user" in done.stderr, done
    (place / "json").unlink()
    program = f"mv {place} {tmp_path}/moved && ln -s {elsewhere} {place}"
    done = in_shell(f"RUN --summary none --json {place}/user -- sh -c '{program}; exit 5'")
    assert (done.returncode, done.stderr, os.listdir(elsewhere)) == (5, "", [])
    assert json.loads((tmp_path / "moved" / "json").read_text())["exit"] == 5


ASKS = {
    "traceme": "print(libc.ptrace(0, 0, None, None), ctypes.get_errno())",
    "seize": "print(libc.ptrace(0x4206, os.getpid(), None, None), ctypes.get_errno())",
    "attach": "print(libc.ptrace(16, os.getppid(), None, None), ctypes.get_errno())",
    "stranger": "print(libc.ptrace(16, 1 << 22, None, None), ctypes.get_errno())",
}
SCRIPT = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
{}
"""


@pytest.mark.parametrize("request_name", ASKS)
def test_who_asks_to_trace_the_program_is_told_that_it_has_a_tracer(request_name: str) -> None:
    script = SCRIPT.format(ASKS[request_name])
    inner = f"{sys.executable} -c '{script}'; true" if request_name == "attach" else f"exec {sys.executable} -c '{script}'"
    done = run("/bin/sh", "-c", inner)
    found = [problem for problem in done.report["problems"] if problem["kind"] == "tracer"]
    if request_name == "stranger":
        assert done.out == "-1 3\n" and not found  # ESRCH: there is no such process
    else:
        assert done.out == "-1 1\n", done.err
        assert len(found) == 1 and "A program has one tracer" in done.err and "--trace FILE" in done.err, done.err


@pytest.mark.parametrize("debugger", ["gdb", "strace"])
def test_a_debugger_inside_is_explained(debugger: str) -> None:
    if not shutil.which(debugger):
        pytest.skip(f"{debugger} is not installed")
    arguments = ["-batch", "-ex", "run", "--args", "/bin/true"] if debugger == "gdb" else ["/bin/true"]
    done = run(debugger, *arguments)
    assert f"tracer: {debugger} asked for ptrace(2)" in done.err and "--gdb PORT waits for gdb" in done.err
