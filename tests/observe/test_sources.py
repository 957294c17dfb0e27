"""Recordings of other programs: trace-cmd's trace.dat, and text of ftrace, trace-cmd and perf. Each sample is one of a real kernel."""

import errno
import gzip
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from observing import pasidlab
from trace_mutants import Windows

import harness
from harness import some
from pasidlab.errors import PasidlabError
from pasidlab.observe.pages import PID, TIME
from pasidlab.observe.source import opened_recording
from pasidlab.observe.text import EventText as Parsed
from pasidlab.observe.text import Told

DATA = Path(__file__).parent / "data"
"""Linux 6.18.44, 2 CPUs, AMD; ``sh -c`` of three ``ls`` and three Pythons with threads.

trace-cmd.dat: the events were switched on in tracefs, then ``trace-cmd extract -o trace-cmd.dat`` (3.1.6). ftrace.txt: the file ``trace``
at that moment. trace-cmd-report.txt: ``trace-cmd report trace-cmd.dat``. perf-script.txt: ``perf record -a -e x86_fpu:*,...``,
``perf script --header`` (6.1), of another run.
"""
KERNEL = "6.18.44-fc-v782"
ALL = Told(KERNEL, ("x86_fpu",))
HIDDEN = {
    ("fpregs_restore_userregs", "exit_to_user_mode_prepare"): 134, ("fpu_flush_thread", "sys_execve"): 119,
    ("kernel_fpu_begin", "sys_wait4"): 20, ("kernel_fpu_begin", "sys_fork"): 17, ("kernel_fpu_begin", "sys_exit"): 2,
}  # fmt: skip


def text(name):
    return gzip.decompress((DATA / f"{name}.txt.gz").read_bytes()).decode()


@pytest.fixture
def written(tmp_path):
    """A text as a file."""

    def write(content):
        path = tmp_path / "trace.txt"
        path.write_text(content)
        return path

    return write


def verdict(path, *options, code=0):
    return json.loads(pasidlab("verify", path, "--json", *options, code=code))


def hidden(found):
    return {(row["function"], row["during"]): row["times"] for row in found["hidden"]}


def test_trace_dat():
    found = verdict(DATA / "trace-cmd.dat", "--recorded", "x86_fpu")
    assert (found["verdict"], found["kernel"], found["events"], found["judged"]) == ("conforms", KERNEL, 4191, 3183)
    assert hidden(found) == HIDDEN
    assert json.loads(pasidlab("stats", DATA / "trace-cmd.dat", "--json", "--recorded", "x86_fpu"))["still_there"] == 134


def test_calls_in_trace_dat():
    """``record_in_qemu.py VMLINUZ trace-cmd-functions.dat 20 --functions --trace-cmd``, of 6.12.117: each call stands behind an ENDBR64."""
    path = DATA / "trace-cmd-functions.dat"
    found = verdict(path)
    assert (found["verdict"], found["events"], found["judged"], len(found["calls"])) == ("conforms", 1765, 1353, CALLED)
    assert len(verdict(path, "--recorded", "ftrace")["calls"]) == CALLED + 3
    assert hidden(found)["fpu_force_restore", "tracer_sets_registers"] == 19


def test_trace_dat_of_all_formats_does_not_say_what_was_asked_for():
    said = pasidlab("verify", DATA / "trace-cmd.dat", code=2)
    assert "made without x86_fpu/x86_fpu_before_save, x86_fpu/x86_fpu_after_save" in said
    assert "--recorded x86_fpu:x86_fpu_before_save --recorded x86_fpu:x86_fpu_after_save" in said
    said = said.split("never came: ")[1].split()
    assert verdict(DATA / "trace-cmd.dat", *said)["verdict"] == "conforms"


@pytest.mark.parametrize("options", [("--file-version", "6"), ("--compression", "none")])
def test_trace_dat_of_other_versions(tmp_path, options):
    path = tmp_path / "other.dat"
    try:
        made = subprocess.run(["trace-cmd", "convert", "-i", DATA / "trace-cmd.dat", "-o", path, *options], capture_output=True)
    except OSError:
        pytest.skip("trace-cmd is not there")
    if made.returncode:
        pytest.skip(f"this trace-cmd cannot convert: {made.stderr[-100:]!r}")
    assert hidden(verdict(path, "--recorded", "x86_fpu")) == HIDDEN


@pytest.mark.parametrize("name", ["ftrace", "trace-cmd-report"])
def test_text_tells_what_trace_dat_tells(written, name):
    found = verdict(written(text(name)), "--kernel", KERNEL, "--recorded", "x86_fpu")
    assert (found["verdict"], found["events"]) == ("conforms", 4191)
    steps = hidden(found)
    assert steps == HIDDEN if name == "ftrace" else sum(steps.values()) <= sum(HIDDEN.values())
    untold = "the text does not tell whether interrupts and softirqs are off"
    assert (untold in found["notes"]) == (name == "trace-cmd-report")


def test_perf_says_its_kernel_and_its_events(written):
    path = written(text("perf-script"))
    found = verdict(path)
    assert (found["verdict"], found["kernel"], found["events"], found["judged"]) == ("conforms", KERNEL, 3549, 3414)
    assert "while perf switched its events on and off, CPU by CPU: 7 events, not judged" in found["notes"]
    assert "leaves out the events' flags" in pasidlab("stats", path, code=2)
    assert "seen for certain" in pasidlab("coverage", path)


def test_text_on_standard_input():
    said = [sys.executable, "-m", "pasidlab", "observe", "verify", "-", "--kernel", KERNEL, "--recorded", "x86_fpu"]
    done = subprocess.run(said, input=text("ftrace"), capture_output=True, text=True)
    assert done.returncode == 0 and "conforms, but for 13 switches" in done.stdout


def test_packed_text_on_standard_input():
    said = [sys.executable, "-m", "pasidlab", "observe", "verify", "-", "--kernel", KERNEL, "--recorded", "x86_fpu"]
    packed = (DATA / "ftrace.txt.gz").read_bytes()
    done = subprocess.run(said, input=packed, capture_output=True)
    assert done.returncode == 0 and b"4,191 events" in done.stdout
    cut = subprocess.run(said, input=packed[:3000], capture_output=True)
    assert cut.returncode == 2 and b"packed by gzip, and damaged" in cut.stderr


def test_a_full_folder_for_temporary_files_is_said(written, tmp_path, monkeypatch):
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(Parsed, "_write", lambda self: (_ for _ in ()).throw(full))
    with pytest.raises(PasidlabError, match=r"no room in .* for the events of"):
        opened_recording(written(text("ftrace")), ALL)


def test_what_is_changed_is_found(written):
    """A restore on the way to user mode is told with interrupts on, by a flag of the line."""
    lines = text("ftrace").splitlines(keepends=True)
    at = next(n for n, line in enumerate(lines) if n > 500 and " d.... " in line and "x86_fpu_regs_activated" in line)
    changed = [*lines[:at], lines[at].replace(" d.... ", " ..... "), *lines[at + 1 :]]
    found = verdict(written("".join(changed)), "--kernel", KERNEL, "--recorded", "x86_fpu", code=1)
    assert found["contradiction"]["event"].startswith("x86_fpu_regs_activated")
    gone = [line for n, line in enumerate(lines) if n != at]
    assert verdict(written("".join(gone)), "--kernel", KERNEL, "--recorded", "x86_fpu", code=1)["contradiction"]


def test_events_that_were_overwritten_weaken(written):
    """From where the last CPU's buffer starts, all is known; the start of another is before it."""
    lines = text("ftrace").splitlines(keepends=True)
    later = [*lines[:500], "##### CPU 1 buffer started ####\n", *lines[500:]]
    found = verdict(written("".join(later)), "--kernel", KERNEL, "--recorded", "x86_fpu")
    before = 500 - sum(line[0] == "#" for line in lines)
    assert found["verdict"] == "conforms" and found["events"] == 4191 - before
    assert f"before the last CPU's buffer began, or the task of an event was known: {before:,} events, not judged" in found["notes"]


def test_lost_events_leave_it_undecided(written):
    lines = text("ftrace").splitlines(keepends=True)
    lost = "".join([*lines[:3000], "CPU:1 [LOST 17 EVENTS]\n", *lines[3020:]])
    found = verdict(written(lost), "--kernel", KERNEL, "--recorded", "x86_fpu", code=3)
    assert found["lost"] == 17 and found["unsure_from"] > 2900


def test_lost_events_of_perf_leave_it_undecided(written):
    """``perf script --show-lost-events``: without it nobody is told, and the verdict says so."""
    lines = text("perf-script").splitlines(keepends=True)
    assert any("--show-lost-events" in note for note in verdict(written("".join(lines)))["notes"])
    for said in ("PERF_RECORD_LOST lost 55", "PERF_RECORD_LOST_SAMPLES lost 55"):
        lost = "".join([*lines[:3000], f"            perf 26370 [001] 81731.300000: {said}\n", *lines[3000:]])
        found = verdict(written(lost), code=3)
        assert found["lost"] == 55 and found["unsure_from"] > 2000 and not any("lost" in note for note in found["notes"])


def test_the_clock_of_each_cpu_is_its_own():
    """trace-cmd's default clock orders the events of one CPU alone."""
    assert "the clock is 'local': events of different CPUs may be out of order" in pasidlab(
        "verify", DATA / "trace-cmd.dat", "--recorded", "x86_fpu"
    )


def test_an_event_of_a_task_that_is_gone(written):
    """perf tells pid -1 of it: the switch names the task, and what follows is its own."""
    line = "{:>16} {:>5} [000] {}: {:>40}: {}\n"
    fpu = "x86/fpu: 0xffff888102460cc0 load: {} xfeatures: a02 xcomp_bv: 8000000000000a07"
    switch = "prev_comm=a prev_pid={} prev_prio=120 prev_state=X ==> next_comm=b next_pid={} next_prio=120"
    rows = [
        ("a", 5, "1.000001", "sched:sched_process_exit", "comm=a pid=5 prio=120"),
        ("a", -1, "1.000002", "sched:sched_switch", switch.format(5, 6)),
        ("a", -1, "1.000003", "x86_fpu:x86_fpu_regs_deactivated", fpu.format(1)),
        ("b", 6, "1.000004", "signal:signal_deliver", "sig=17 errno=0 code=1 sa_handler=0 sa_flags=0"),
    ]  # fmt: skip
    source = opened_recording(written("".join(line.format(*row) for row in rows)), ALL)
    events = np.concatenate(list(source.in_order()))
    assert events[:, PID].tolist() == [5, 5, 5, 6] and events[:, TIME].tolist() == [1_000_001_000 + 1000 * n for n in range(4)]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "has no event"),
        ("\0\1\2binary", "trace.txt:1:1: no recording"),
        ("           a-1  [000] d..2. 1.000001: sched_switch: what is this\n", "trace.txt:1:"),
        ("           a-1  [000] d..2. 1.000001: softirq_entry: vec=1 [action=TIMER]\n" * 2 + "garbage\n", "trace.txt:3:1: no recording"),
        (
            "           a-1  [000] d..2. 1.000002: softirq_entry: vec=1\n           a-1  [000] d..2. 1.000001: softirq_entry: vec=1\n",
            "trace.txt:2:1: the clock of CPU 0 goes back, from 1.000002 to 1.000001",
        ),
        ("           a-1  [000] d..2. 1.000001: softirq_entry: vec=1\n", "was made without x86_fpu/"),
    ],
)
def test_what_is_no_text_of_a_trace_is_refused(written, content, said):
    assert said in pasidlab("verify", written(content), "--kernel", KERNEL, code=2)


def test_what_the_user_must_say(written):
    path = written(text("ftrace"))
    assert "does not say which kernel it is of" in pasidlab("verify", path, code=2)
    assert "--recorded nothing: no event that is looked at" in pasidlab("verify", path, "--recorded", "nothing", code=2)
    assert "which is no version of Linux" in pasidlab("verify", path, "--kernel", "mine", code=2)


def test_a_damaged_trace_dat_is_refused(tmp_path):
    """Cut off or changed anywhere: an error of one line, or the verdict."""
    data = (DATA / "trace-cmd.dat").read_bytes()
    path = tmp_path / "bad.dat"
    rng = np.random.default_rng(5)
    refused = 0
    for n in range(60):
        at = int(rng.integers(11, len(data)))
        path.write_bytes(data[:at] if n % 2 else data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :])
        try:
            for _ in opened_recording(path, ALL).in_order():
                pass
        except PasidlabError as error:
            refused += 1
            assert "bad.dat" in str(error)
    assert refused > 40
    for name, version in (("five", b"5\0"), ("eight", b"8\0")):
        (tmp_path / name).write_bytes(data[:10] + version + data[12:])
        assert "is a trace.dat of version" in pasidlab("verify", tmp_path / name, code=2)


def test_help_names_the_programs():
    said = harness.pasidlab("observe", "verify", "--help").stdout
    assert "trace.dat" in said and "perf script" in said


GUESTS = {
    "linux-6.1": ("6.1.0-55-cloud-amd64", 1672, 1052, {"fpregs_restore_userregs": 32, "fpu_flush_thread": 10, "kernel_fpu_begin": 27}),
    "linux-6.12": (
        "6.12.117+deb12-cloud-amd64", 1482, 1025, {"fpregs_restore_userregs": 35, "fpu_flush_thread": 7, "kernel_fpu_begin": 26},
    ),
    "linux-6.1-functions": (
        "6.1.0-55-cloud-amd64", 1849, 1380, {"fpu_force_restore": 20, "fpu_flush_thread": 9, "fpregs_restore_userregs": 1},
    ),
    "linux-6.12-functions": ("6.12.117+deb12-cloud-amd64", 1866, 1424, {"fpu_force_restore": 19, "fpu_flush_thread": 9}),
}  # fmt: skip
"""Debian's kernels: ``record_in_qemu.py VMLINUZ FILE 20``, some with ``--functions``. The workload's tracer sets registers 20 times."""
CALLED = 10
"""Functions that the workload makes the kernel call; three more are traced, and never called."""


@pytest.mark.parametrize("name", some(GUESTS, 9, ["linux-6.12-functions"]))
def test_kernels_of_debian_conform(written, name):
    found = verdict(written(text(name)), "--recorded", "x86_fpu")
    by_function = {}
    for (function, _), times in hidden(found).items():
        by_function[function] = by_function.get(function, 0) + times
    assert (found["verdict"], len(found["calls"])) == ("conforms", CALLED * name.endswith("functions"))
    assert (found["kernel"], found["events"], found["judged"], by_function) == GUESTS[name]


@pytest.mark.parametrize("other", some(["6.12.1", "6.1.9"], 2))
def test_calls_hold_the_kernel_to_its_functions(written, other):
    """A call that the kernel cannot have made, and one that it must have made."""
    lines = text("linux-6.12-functions").splitlines(keepends=True)[1:]
    at = next(n for n, line in enumerate(lines) if n > 300 and "switch_fpu_return <-" in line and "regs_activated" in lines[n + 1])
    told = ("--kernel", other, "--recorded", "x86_fpu")
    assert verdict(written("".join(lines)), *told)["verdict"] == "conforms"
    for changed in ([*lines[:at], *lines[at + 1 :]], [*lines[:at], lines[at], *lines[at:]]):
        assert verdict(written("".join(changed)), *told, code=1)["contradiction"]


def test_calls_of_some_functions_alone_are_looked_at(written):
    kept = [line for line in text("linux-6.12-functions").splitlines(keepends=True) if "fpu_flush_thread <-" not in line]
    path = written("".join(kept))
    found = verdict(path, "--recorded", "x86_fpu")
    assert (found["verdict"], len(found["calls"])) == ("conforms", CALLED - 1)
    assert any("fpu_flush_thread" in note for note in found["notes"] if note.startswith("not traced, or never called"))
    assert verdict(path, "--recorded", "x86_fpu", "--recorded", "ftrace:fpu_flush_thread", code=1)["contradiction"]


def test_without_a_call_no_tracer_has_set_registers(written):
    whole = text("linux-6.1-functions")
    told = ("--recorded", "x86_fpu", "--recorded", "ftrace")
    assert verdict(written(whole), *told)["verdict"] == "conforms"
    kept = [line for line in whole.splitlines(keepends=True) if "xfpregs_set <-" not in line]
    assert whole.count("xfpregs_set <-") == 20
    assert verdict(written("".join(kept)), *told, code=1)["contradiction"]


def test_what_is_assumed_is_not_guessed(written):
    """The workload's kernel uses the FPU in fork, exec, exit and wait4 alone."""
    path = written(text("linux-6.12"))
    named = ("no-softirq-fpu", "no-syscall-fpu", "no-failed-fork")
    found = verdict(path, "--recorded", "x86_fpu", *(word for name in named for word in ("--assume", name)))
    assert (found["verdict"], found["assumed"]) == ("conforms", sorted(named))
    assert {during for function, during in hidden(found) if function == "kernel_fpu_begin"} == {"another_task", "sys_fork", "sys_wait4"}
    assert "assumed: no fork fails" in pasidlab("verify", path, "--recorded", "x86_fpu", "--assume", "no-failed-fork")
    assert Windows(path).tried("restore duplicated", 5, 1) == (5, 0, 0)
    assert Windows(path, named).tried("restore duplicated", 5, 1) == (5, 5, 0)


@pytest.mark.parametrize("name", some(["linux-6.12-functions", "linux-6.1-functions"], 2))
def test_a_recording_may_begin_anywhere(written, name):
    """Another task's use of the FPU takes the registers of one that is away."""
    windows = Windows(written(text(name)))
    for start in range(0, len(windows.events) - 700, 150):
        window = windows.events[start : start + 700]
        assert windows.status(window, window) == 0, start


def test_a_sigreturn_is_told(written):
    """Where no event tells of it, a program may have left its handler by longjmp()."""
    lines = text("linux-6.12").splitlines(keepends=True)
    at = next(n for n, line in enumerate(lines) if "sys_rt_sigreturn()" in line)
    marked = next(n for n in range(at, len(lines)) if "x86_fpu_regs_activated" in lines[n])
    without = [line for n, line in enumerate(lines) if n != marked]
    assert verdict(written("".join(lines)), "--recorded", "x86_fpu")["verdict"] == "conforms"
    assert verdict(written("".join(without)), "--recorded", "x86_fpu", code=1)["contradiction"]
    untold = [line for line in without if "sys_rt_sigreturn(" not in line]
    assert verdict(written("".join(untold)), "--recorded", "x86_fpu")["verdict"] == "conforms"


FOUND = ("save at a switch dropped", "restore duplicated", "mark_activate dropped", "exec dropped", "call of a function moved")


@pytest.mark.parametrize("kind", some(FOUND, 2))
def test_with_functions_more_is_found(written, kind):
    windows = Windows(written(text("linux-6.12-functions")))
    made, found, _ = windows.tried(kind, 5, 1)
    assert (made, found) == (5, 5)


@pytest.mark.parametrize("name", some(GUESTS, 9, ["linux-6.12-functions"]))
def test_pairs_that_were_seen_are_pairs_of_the_model(written, name):
    found = json.loads(pasidlab("coverage", written(text(name)), "--recorded", "x86_fpu", "--json"))
    never = {(pair["first"], pair["second"]) for pair in found["pairs_never"]}
    seen = {(pair["first"], pair["second"]): pair["times"] for pair in found["pairs"]}
    assert not never & seen.keys() and min(seen.values()) > 0
    wanted = {"linux-6.1": (50, 337), "linux-6.12": (46, 337), "linux-6.1-functions": (65, 404), "linux-6.12-functions": (71, 404)}
    assert (len(seen), len(seen) + len(never)) == wanted[name]


@pytest.mark.parametrize("part", [" ", "\t", "a", "a-1 [1] ", "PERF_RECORD_LOST [1]"])
def test_a_long_line_takes_time_that_grows_with_its_length(written, part):
    path = written("# tracer: nop\n#\n" + (part * (1 << 16))[: (1 << 16) - 1] + "\n")
    begin = time.process_time()
    with pytest.raises(PasidlabError, match=r"no recording, and no line of|has no event of"):
        opened_recording(path, ALL)
    assert time.process_time() - begin < 3
