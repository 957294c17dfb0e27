"""Streams, files and folders that fail: one line, exit code 2, never a traceback and never a verdict's exit code."""

from __future__ import annotations

import os
import re
import select
import signal
import stat
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from pasidlab import cli, designs, output
from pasidlab.errors import PasidlabError

ROOT = Path(__file__).parents[2]
PASIDLAB = f"{sys.executable} -m pasidlab"
SMALL = "--tasks 1 --mms 1 --events preempt --jobs 1"
FULL = Path("/dev/full")


def shell(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    words = command.replace("pasidlab", PASIDLAB, 1)
    surroundings = {**os.environ, **environment}
    return subprocess.run(["bash", "-c", words], capture_output=True, text=True, cwd=ROOT, timeout=120, env=surroundings)


COMMANDS = ["designs", f"check early -q {SMALL}", "zoo xfd-shadow", "schema", "check --help", ""]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full")
def test_an_output_that_is_full(command: str) -> None:
    unbuffered = str(len(command) % 2)
    done = shell(f"pasidlab {command} > /dev/full", PYTHONUNBUFFERED=unbuffered.replace("0", ""))
    assert (done.returncode, done.stderr) == (2, "error: cannot write to standard output: No space left on device\n")


FILLS = """
import sys
from pasidlab.commands.streams import name_output
name_output()
try:
    for line in range(40_000):
        print(line)
except KeyboardInterrupt:
    sys.stdout.flush()
"""


def test_ctrl_c_while_output_waits_for_its_reader_prints_nothing_twice() -> None:
    reader, writer = os.pipe()
    default = partial(signal.signal, signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen([sys.executable, "-c", FILLS], stdout=writer, preexec_fn=default) as filling, os.fdopen(reader) as output:
        while select.select([], [writer], [], 0)[1]:  # until it is full
            time.sleep(0.01)
        os.close(writer)
        filling.send_signal(signal.SIGINT)
        numbers = [int(line) for line in output]
        assert filling.wait() == 0
    assert numbers == list(range(len(numbers))) and len(numbers) < 40_000


@pytest.mark.parametrize("command", ["designs", f"check early -q {SMALL}"])
def test_an_output_that_is_closed(command: str) -> None:
    done = shell(f"pasidlab {command} >&-")
    assert done.returncode == 2 and done.stderr.startswith("error: standard output is closed") and len(done.stderr.splitlines()) == 2


def test_an_input_that_is_closed_or_cannot_be_read(tmp_path: Path) -> None:
    assert shell(f"pasidlab check - {SMALL} <&-").stderr.startswith("error: standard input is closed\n")
    assert shell("pasidlab replay - <&-").stderr.startswith("error: standard input is closed\n")
    assert shell("echo nothing | pasidlab replay -").stderr.startswith("error: -:1:1: not JSON")
    done = shell(f"pasidlab check - {SMALL} 0> {tmp_path}/written")
    assert done.returncode == 2 and done.stderr.startswith("error: cannot read standard input: ") and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("where", ["2>&-", "2>/dev/full"])
def test_errors_that_nobody_can_see_keep_their_exit_code(where: str) -> None:
    assert (shell(f"pasidlab check erly {where}").returncode, shell(f"pasidlab check early -q {SMALL} {where}").returncode) == (2, 0)


def test_no_file_gets_the_number_of_a_closed_stream(tmp_path: Path) -> None:
    done = shell(f"pasidlab check early -q {SMALL} -o {tmp_path}/found.json <&- 2>&-")
    assert done.returncode == 0 and (tmp_path / "found.json").read_text().startswith("{")


def test_a_mistake_of_pasidlab_is_no_verdict(monkeypatch, capsys) -> None:
    def fails(_arguments):
        raise ZeroDivisionError

    monkeypatch.setattr(cli, "_invoke", fails)
    with pytest.raises(SystemExit) as end:
        cli.main(["designs"])
    assert end.value.code == 2 and capsys.readouterr().err.endswith("error: a bug in pasidlab, no verdict\n")


def test_a_system_without_room_is_told_in_one_line(monkeypatch, capsys) -> None:
    for error, said in ((OSError(11, "Resource temporarily unavailable"), "error: Resource temporarily unavailable"),
                        (OSError(24, "Too many open files", "/x"), "error: /x: Too many open files"),
                        (MemoryError(), "error: memory ran out")):  # fmt: skip
        def fails(_arguments, error=error):
            raise error

        monkeypatch.setattr(cli, "_invoke", fails)
        with pytest.raises(SystemExit) as end:
            cli.main(["designs"])
        assert (end.value.code, capsys.readouterr().err.splitlines()[0]) == (2, said)
    with pytest.raises(SystemExit):
        cli.main(["run"])
    assert capsys.readouterr().err == "error: memory ran out\n  hint: a higher limit: ulimit -v\n"


def test_names_and_lines_that_are_no_text(tmp_path: Path) -> None:
    """A file name that is not UTF-8, and a terminal that has only ASCII."""
    done = shell("pasidlab check $'\\xff.py'")
    assert (done.returncode, done.stderr) == (2, "error: no such file: \\udcff.py\n")
    text = designs.late_either.path.read_text(encoding="utf-8")
    (tmp_path / "odd.py").write_text(text.replace("fpregs_lock()", "fpregs_lock()  # ä", 1), encoding="utf-8")
    command = f"check {tmp_path}/odd.py --tasks 1 --mms 1 --events preempt,softirq --jobs 1 -v --property coherent"
    done = shell(f"pasidlab {command} -o {tmp_path}/found.mail", PYTHONIOENCODING="ascii", PYTHONUTF8="0", LC_ALL="C")
    assert (done.returncode, done.stderr) == (1, "") and (tmp_path / "found.mail").exists()


def test_names_that_act_on_a_terminal_are_printed_escaped(tmp_path: Path) -> None:
    odd = "\x1b]0;title\x07\x1b[8m\x9bhidden\u202e"
    for name, text in ((f"a{odd}.py", designs.late_either.path.read_text(encoding="utf-8")), (f"b{odd}.py", f"def f(): # {odd}\n  +")):
        (tmp_path / name).write_text(text, encoding="utf-8")
        line = f"pasidlab check '{tmp_path}/{name}' --tasks 1 --mms 1 --events preempt,softirq --jobs 1 --property coherent -v"
        done = shell(line)
        assert r"\x1b]0;title\x07" in done.stdout + done.stderr, done
        assert all(one.isprintable() or one in "\n\t" for one in re.sub("\x1b\\[[0-9;]+m", "", done.stdout + done.stderr)), done
        assert "\x1b[8m" not in done.stdout + done.stderr


# ---- files


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch) -> None:
    target = tmp_path / "found.json"
    target.write_text("old")
    os.chmod(target, 0o640)
    monkeypatch.setattr(os, "fsync", lambda _handle: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(PasidlabError, match=r"cannot write .*found.json: No space left on device"):
        output.write(str(target), "new")
    assert target.read_text() == "old" and [path.name for path in tmp_path.iterdir()] == ["found.json"]
    monkeypatch.undo()
    output.write(str(target), "new")
    assert target.read_text() == "new" and stat.S_IMODE(target.stat().st_mode) == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["found.json"]


def test_a_new_file_has_the_mode_of_any_other(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("")
    output.write(str(tmp_path / "found.json"), "new")
    assert (tmp_path / "found.json").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_links_and_pipes_stay_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    output.must_be_writable(str(tmp_path / "link"))
    output.write(str(tmp_path / "link"), "new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").read_text() == "new"
    ours, theirs = os.pipe()
    output.must_be_writable(f"/dev/fd/{theirs}")
    output.write(f"/dev/fd/{theirs}", "there")
    assert os.read(ours, 100) == b"there"
    with open(tmp_path / "opened", "w") as opened:
        output.must_be_writable(f"/dev/fd/{opened.fileno()}")
        output.write(f"/dev/fd/{opened.fileno()}", "kept")
        assert os.fstat(opened.fileno()).st_ino == (tmp_path / "opened").stat().st_ino
    assert (tmp_path / "opened").read_text() == "kept"
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    output.must_be_writable(str(tmp_path / "pipe"))
    output.write(str(tmp_path / "pipe"), "through")
    assert os.read(reader, 100) == b"through" and stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    os.close(reader)


@pytest.mark.parametrize(("name", "said"), [
    ("folder", "it is a directory"), ("none/x.json", "no such directory"), ("file/x.json", "no such directory"),
    ("x" * 300 + ".json", "File name too long"), ("x" * 250 + ".json", "File name too long"),
])  # fmt: skip
def test_what_cannot_be_written_is_told_before_the_search(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    before = sorted(tmp_path.iterdir())
    if len(name) == 255:
        output.must_be_writable(str(tmp_path / name))
        return
    with pytest.raises(PasidlabError, match=f"cannot write .*: {said}"):
        output.must_be_writable(str(tmp_path / name))
    assert sorted(tmp_path.iterdir()) == before


UNSHARE = subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True).returncode == 0


@pytest.mark.skipif(not UNSHARE, reason="no private mounts on this machine")
def test_folders_that_are_read_only(tmp_path: Path) -> None:
    """Site, home and the folder of the output: nothing is printed but the verdict, and -o is refused before the search."""
    script = (
        f"mount --bind {ROOT} {ROOT} && mount -o remount,ro,bind {ROOT} && mount -t tmpfs -o ro none {tmp_path} && cd / && "
        f"export HOME={tmp_path}; unset XDG_CACHE_HOME NUMBA_CACHE_DIR; "
    )
    done = subprocess.run(["unshare", "-m", "bash", "-c", f"{script} {PASIDLAB} check early -q {SMALL}"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "") and len(done.stdout.splitlines()) == 3  # scope, head, verdict
    words = f"{script} {PASIDLAB} check early -q {SMALL} -o {tmp_path}/found.json"
    done = subprocess.run(["unshare", "-m", "bash", "-c", words], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "") and done.stderr.startswith(f"error: cannot write {tmp_path}/found.json: ")
