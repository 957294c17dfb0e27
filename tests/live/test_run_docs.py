"""The commands of the page for DSA programmers, as a reader would type them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from running import run_python
from test_run_iaa import TOO_FAR

from harness import some
from pasidlab.live.config import devices_from

pytestmark = pytest.mark.needs_run
ROOT = Path(__file__).parents[2]
PAGE, IAA_PAGE = ((ROOT / "docs" / name).read_text() for name in ("dsa-programmers.md", "iaa-programmers.md"))
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = [line[2:] for _, text in BLOCKS for line in text.split("\n") if line.startswith("$ ")]
READERS_OWN = ("./app", "my.conf")  # what only the reader has
OPTIONS = re.findall(r"^\| `(--[^`]+)` \|", PAGE, re.MULTILINE)


def typed(command: str) -> subprocess.CompletedProcess[str]:
    """In a shell at the root of the project, with pasidlab and python in PATH."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    where = {"cwd": ROOT, "env": {**os.environ, "PATH": path}, "timeout": 60, "check": False}
    return subprocess.run(command, shell=True, capture_output=True, text=True, **where)


def test_the_page_has_commands_to_try() -> None:
    assert len(COMMANDS) >= 4 and len(OPTIONS) >= 7


@pytest.mark.parametrize("command", [one for one in COMMANDS if not any(word in one for word in READERS_OWN)])
def test_a_command_does_what_the_page_says(command: str) -> None:
    done = typed(command)
    expected = 128 + 11 if "SIGSEGV" in command else 0
    assert done.returncode == expected, done.stdout + done.stderr


def test_the_first_session_prints_what_is_shown() -> None:
    shown = BLOCKS[0][1].split("\n")
    done = typed(shown[0].removeprefix("$ "))
    text = [re.sub(r"^  thread .*\n", "", part, flags=re.MULTILINE) for part in (done.stdout, done.stderr)]
    assert "".join(text) == "\n".join(shown[1:])


@pytest.mark.parametrize("options", some(OPTIONS, 2))
def test_every_option_of_the_table_is_taken(options: str) -> None:
    done = run_python(PROGRAM, *options.split())
    assert done.code == 0, done.err


PROGRAM = """
    record, source = Buffer(32), Buffer(64)
    try:
        portal, _ = open_portal()
    except PermissionError:
        print("refused")
    else:
        for _ in range(4):
            record.data.raw = bytes(32)
            submit(portal, descriptor(MOVE, record.address, source.address, source.address + 64, 64))
            print(hex(wait(record)))
"""


REJECTED = """
    portal, _ = open_portal()
    record, source = Buffer(32), Buffer(64)
    submit(portal, descriptor(MOVE, record.address, source.address, source.address, 64, CRAV | RCR | 0x80))
    print(hex(wait(record)))
"""


@pytest.mark.parametrize(
    ("page", "script", "queue", "printed"),
    [(PAGE, REJECTED, "shared", "0x11"), (IAA_PAGE, TOO_FAR, "shared,device=iax1", "(10, 17)")],
    ids=["DSA", "IAA"],
)
def test_a_rejection_is_told_as_the_page_shows(page: str, script: str, queue: str, printed: str) -> None:
    """The first one of the page; gdb says its last part."""
    shown = re.search(r"^  rejected: .*: (.*)$", page, re.MULTILINE)
    assert shown
    done = run_python(script, "--wq", queue)
    assert done.out == f"{printed}\n", done.err
    assert shown[0] in done.err.split("\n")
    for said in re.findall(r"^pasidlab: descriptor rejected: (.*)$", page, re.MULTILINE):
        assert said in shown[0]


def test_the_file_of_devices_is_understood(tmp_path: Path) -> None:
    file = tmp_path / "queues.toml"
    file.write_text(next(text for kind, text in BLOCKS if kind == "toml"))
    (device,) = devices_from((), str(file))
    assert [(wq.mode, wq.size, wq.threshold) for wq in device.wqs] == [("shared", 32, 24), ("dedicated", 16, 0)]


def test_the_c_example_is_built_as_shown(tmp_path: Path) -> None:
    if not shutil.which("gcc"):
        pytest.skip("gcc is not installed")
    (command,) = re.findall(r"`(gcc [^`]*)`", PAGE)
    done = typed(command.replace("-o dsa_hello", f"-o {tmp_path}/dsa_hello").replace("./dsa_hello", f"{tmp_path}/dsa_hello"))
    assert done.returncode == 0, done.stderr
