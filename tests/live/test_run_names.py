"""Names and numbers from strangers: options, device files, sysfs; and the directory of a redirected run."""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import pytest
from running import RUN, run, run_python

from pasidlab.errors import PasidlabError
from pasidlab.live import owned
from pasidlab.live.config import devices_from, file_name

pytestmark = pytest.mark.needs_run

WRONG = ("..", ".", "", "a/b", "../x", "/etc/x", "a b", "a\n", "x\0", "é", "a.b", "n" * 65, "-")


@pytest.mark.parametrize("name", WRONG)
def test_a_name_that_is_no_file_name_is_refused_wherever_it_stands(name: str, tmp_path: Path) -> None:
    with pytest.raises(PasidlabError, match="cannot be a name in sysfs"):
        file_name(name, "here")
    for option in (f"shared,{name}=hello", f"shared,driver_name={name}", f"shared,device={name}"):
        if name == "a\n":
            continue  # blanks around words of an option do not count
        with pytest.raises(PasidlabError):
            devices_from((option,), None)
    quoted = name.replace("\n", "\\n").replace("\0", "\\u0000")
    file = tmp_path / "devices.toml"
    for text in (
        f'[[device]]\nname = "{quoted}"\n',
        f'[[device]]\n"{quoted}" = 1\n',
        f'[[device]]\n[[device.wq]]\n"{quoted}" = "x"\n',
        f'[[device]]\n[[device.wq]]\ndriver_name = "{quoted}"\n',
    ):
        file.write_text(text)
        with pytest.raises(PasidlabError):
            devices_from((), str(file))


def test_a_name_that_is_one_becomes_a_file() -> None:
    assert file_name("Numa_node9", "here") == "Numa_node9"
    (device,) = devices_from(("shared,Numa_node9=hello",), None)
    assert device.wqs[0].attributes == {"Numa_node9": "hello"}


@pytest.mark.parametrize("how", ["auto", "redirect"])
def test_a_value_that_is_no_text_is_shown_as_it_was_given(how: str) -> None:
    given = b"shared,name=\xff\xfe,other=\xed\xa0\x80".decode("utf-8", "surrogateescape")
    script = "cd /sys/bus/dsa/devices/wq0.0; cat name other | od -An -tx1"
    done = run("/bin/sh", "-c", script, options=("--isolation", how, "--wq", given))
    assert (done.code, done.out.split()) == (0, ["ff", "fe", "0a", "ed", "a0", "80", "0a"]), done


def test_a_link_leads_to_the_directory_of_a_run(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there")
    script = "print(move(open_portal()[0], Buffer(64), Buffer(64), 64))"
    done = run_python(script, "--isolation", "redirect", env={"TMPDIR": str(tmp_path / "link")})
    assert (done.code, done.out) == (0, "1\n"), done
    assert os.listdir(tmp_path / "there") == []


def test_nothing_is_written_outside_the_run_s_own_directory(tmp_path: Path) -> None:
    target = tmp_path / "never"
    for depth in range(1, 14, 3):
        option = f"shared,{'../' * depth}{str(target).lstrip('/')}=hello"
        done = run("/bin/true", options=("--isolation", "redirect", "--wq", option))
        assert done.code == 2 and "cannot be a name" in done.err
    assert not target.exists()


def test_numbers_of_thousands_of_digits_are_out_of_range(tmp_path: Path) -> None:
    file = tmp_path / "devices.toml"
    for text in (f"[[device]]\nmax_groups = {'1' * 5000}\n", "[[device]]\nx = " + "[" * 20000 + "]" * 20000 + "\n"):
        file.write_text(text)
        with pytest.raises(PasidlabError):
            devices_from((), str(file))
    for number in ("1_0", "0b11", "0o7", " 4 ", "\u0664"):
        file.write_text(f'[[device]]\nmax_groups = "{number}"\n')
        with pytest.raises(PasidlabError, match="is no number for sysfs") as caught:
            devices_from((), str(file))
        assert caught.value.position is not None and caught.value.position.line == 2
    with pytest.raises(PasidlabError):
        devices_from((f"shared,size={'1' * 5000}",), None)
    done = run_python("""
        for digits in ("1" * 5000, "-" + "9" * 5000, "0x" + "f" * 5000, "18446744073709551616", "0" * 4000 + "3", "٣"):
            for file in ("wq0.2/group_id", "wq0.2/max_transfer_size", "engine0.0/group_id"):
                fd = os.open("/sys/bus/dsa/devices/" + file, os.O_WRONLY)
                try:
                    os.write(fd, digits.encode())
                    print("0", end=" ")
                except OSError as error:
                    print(error.errno, end=" ")
        """)
    assert done.out.split() == ["34"] * 3 + ["34"] * 3 + ["22", "34", "22"] + ["34"] * 3 + ["0", "0", "0"] + ["22"] * 3, done
    assert "Traceback" not in done.err


def test_a_device_file_is_read_in_time_whatever_its_lines_are(tmp_path: Path) -> None:
    file = tmp_path / "devices.toml"
    head = '[[device]]\nname = "dsa0"\n'
    for line in (" " * 4000, "#" + " " * 100_000, "#" + "\" =" * 50_000):
        file.write_text(line + "\n" + head)
        began = time.process_time()
        (device,) = devices_from((), str(file))
        assert device.label == "dsa0" and time.process_time() - began < 5
    for text in (head + "wq = [" + "{}," * 65 + "]", head + "".join(f"a{n} = 1\n" for n in range(20_000))):
        file.write_text(text)
        with pytest.raises(PasidlabError, match="has more than"):
            devices_from((), str(file))
    queues = "wq = [" + "{}," * 64 + "]\n"
    file.write_text("".join(f'[[device]]\nname = "dsa{n}"\n{queues}' for n in range(17)))
    with pytest.raises(PasidlabError, match="1088 queues in all"):
        devices_from((), str(file))


def test_a_fault_at_address_0_is_a_page_fault_in_the_summary() -> None:
    done = run_python("""
        record = Buffer(32)
        submit(open_portal()[0], descriptor(MOVE, record.address, 0, record.address, 64))
        """)
    assert [problem["kind"] for problem in done.report["problems"]] == ["page fault"], done


def test_a_run_sweeps_what_a_killed_one_left_and_nothing_that_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left = tempfile.mkdtemp(prefix="pasidlab-run-")
    alive = tempfile.mkdtemp(prefix="pasidlab-run-")
    held = os.open(alive, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    (tmp_path / "pasidlab-run-results").mkdir()
    (tmp_path / "pasidlab-run-results" / "mine").write_text("x", encoding="utf-8")
    killed = owned.OwnDirectory()
    killed.mark()
    (Path(killed.path) / "deep" / "deeper").mkdir(parents=True)
    os.close(killed.fd)
    try:
        assert run("/bin/true", options=("--isolation", "redirect")).code == 0
        assert not os.path.exists(left) and os.path.exists(alive) and not os.path.exists(killed.path)
        assert (tmp_path / "pasidlab-run-results" / "mine").read_text(encoding="utf-8") == "x"
    finally:
        os.close(held)


def test_a_run_that_sees_none_of_our_processes_leaves_our_directory_alone() -> None:
    """As in another container with the same /tmp."""
    options = ["--isolation", "redirect", "--summary", "none"]
    first = subprocess.Popen(
        [sys.executable, "-c", RUN, *options, "--", "sh", "-c", "echo up; read x; cat /sys/bus/dsa/devices/wq0.0/mode"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert first.stdout is not None and first.stdout.readline() == "up\n"
    apart = ["unshare", "-pf", "--mount-proc"]
    if subprocess.run([*apart, "true"], capture_output=True).returncode:
        apart = ["unshare", "-Urpf", "--mount-proc"]
    second = subprocess.run([*apart, sys.executable, "-c", RUN, *options, "--", "/bin/true"], capture_output=True, text=True)
    out, _ = first.communicate("go\n", timeout=30)
    assert out == "shared\n", second.stderr
    if "unshare" not in second.stderr:
        assert second.returncode == 0, second.stderr


def test_opened_files_leave_nothing_under_redirection() -> None:
    """Each open file of a device has one that stands for it, for as long as it is open."""
    done = run_python(
        """
        import glob
        kept = [os.open("/dev/dsa/wq0.0", os.O_RDWR) for _ in range(3)]
        for _ in range(50):
            os.close(os.open("/dev/dsa/wq0.0", os.O_RDWR))
        there = os.readlink(f"/proc/self/fd/{kept[0]}")
        ours = [path for path in glob.glob(f"{os.environ.get('TMPDIR', '/tmp')}/pasidlab-run-*/open") if there.startswith(path)]
        end = time.monotonic() + 10
        while len(os.listdir(ours[0])) > 3 and time.monotonic() < end:
            time.sleep(0.01)
        print(len(ours), len(os.listdir(ours[0])))
        """,
        "--isolation", "redirect",
    )  # fmt: skip
    assert done.out == "1 3\n", done.err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_the_tree_is_written_leaves_nothing(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    devices, place = tmp_path / "devices.toml", tmp_path / "place"
    devices.write_text("".join(f'[[device]]\nname = "dsa{n}"\nwq = [{"{}," * 64}]\n' for n in range(16)))
    place.mkdir()
    line = [sys.executable, "-c", RUN, "--isolation", "redirect", "--devices", str(devices), "--", "sleep", "9"]
    default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
    around, start = {**os.environ, "TMPDIR": str(place)}, partial(signal.signal, number, default)
    with subprocess.Popen(line, stderr=subprocess.DEVNULL, env=around, preexec_fn=start) as done:
        while not any(place.glob("pasidlab-run-*/sys")):
            time.sleep(0.01)
        done.send_signal(number)
        assert done.wait(20) in (-number, 128 + number)
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    owned.sweep()  # as the next run does: a busy machine may give the run no time to remove all of it
    assert os.listdir(place) == []


@pytest.mark.parametrize("how", ["auto", "redirect"])
def test_a_start_without_descriptors_leaves_nothing(how: str, tmp_path: Path) -> None:
    """However far it comes."""
    met = set()
    for most in range(5, 18):
        limits = partial(resource.setrlimit, resource.RLIMIT_NOFILE, (most, most))
        line = [sys.executable, "-c", RUN, "--summary", "none", "--isolation", how, "--", "/bin/true"]
        done = subprocess.run(line, capture_output=True, text=True, env={**os.environ, "TMPDIR": str(tmp_path)}, preexec_fn=limits)
        assert os.listdir(tmp_path) == [] and "Traceback" not in done.stderr, (most, done.stderr)
        assert done.returncode == 0 or "no file descriptor left" in done.stderr, (most, done.stderr)
        met.add(done.returncode)
    assert met == {0, 2}


@pytest.mark.parametrize(("outer", "inner"), [("auto", "redirect"), ("redirect", "auto"), ("redirect", "redirect")])
def test_a_run_that_is_traced_itself_leaves_nothing(outer: str, inner: str, tmp_path: Path) -> None:
    line = [sys.executable, "-c", RUN, "--summary", "none", "--isolation"]
    done = run(*line, inner, "--", "/bin/true", options=("--isolation", outer), env={"TMPDIR": str(tmp_path)})
    assert done.code == 2 and "ptrace is forbidden here" in done.err, done.err
    assert os.listdir(tmp_path) == []


FAILS = """
import os, sys
from pasidlab.live import {module}
def fails(*_): raise OSError(24, os.strerror(24))
{module}.{name} = fails
from pasidlab.cli import main
main(["run", "--summary", "none", "--isolation", "redirect", "--", "/bin/true"])
"""


@pytest.mark.parametrize("place", [
    "owned.fcntl.flock", "owned.make_directory", "redirect.checked", "launch.spawn", "launch.prepare", "namespace.leave",
    "workers.start_thread", "guard.pass_on_early", "launch.attach", "session.Tracer", "guard.Overseer", "loop.EventLoop.run",
])  # fmt: skip
def test_whatever_fails_at_the_start_leaves_nothing(place: str, tmp_path: Path) -> None:
    module, _, name = place.partition(".")
    if place == "workers.start_thread":
        module, name = "redirect", "workers.start_thread"  # the watchdog's has begun
    script = FAILS.format(module=module, name=name)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env={**os.environ, "TMPDIR": str(tmp_path)})
    assert done.returncode == 2 and "no file descriptor left" in done.stderr, done.stderr
    assert os.listdir(tmp_path) == []
