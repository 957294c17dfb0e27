"""What weakens a recording is seen: nothing conforms that was not looked at."""

import json
import struct
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from observing import pasidlab

from pasidlab.errors import PasidlabError
from pasidlab.observe import verify as v
from pasidlab.observe.kinds import Kind
from pasidlab.observe.lanes import lanes
from pasidlab.observe.pages import CPU, FLAGS, KIND, PID, TIME, A, B, C, D
from pasidlab.observe.recording import END, MAGIC, Recording, TaskAtStart
from pasidlab.observe.source import opened_recording
from pasidlab.observe.telling import verdict_text
from pasidlab.observe.text import Told
from pasidlab.observe.verify import Judging, explanations_of

SAMPLE = Path(__file__).parent / "data" / "linux-6.18.rec"
HEAD = struct.Struct("<4sIQ")


def changed(path, head=lambda document: None, chunks=lambda chunks: None):
    """The sample with another head, or other chunks: [what, CPU, data]."""
    data = SAMPLE.read_bytes()
    size = int.from_bytes(data[len(MAGIC) : len(MAGIC) + 8], "little")
    at = len(MAGIC) + 8
    document, at, found = json.loads(data[at : at + size]), at + size, []
    while at < len(data):
        what, cpu, count = HEAD.unpack_from(data, at)
        found.append([what, cpu, data[at + HEAD.size : at + HEAD.size + count]])
        at += HEAD.size + count
    head(document)
    chunks(found)
    text = json.dumps(document).encode()
    body = b"".join(HEAD.pack(what, cpu, len(content)) + content for what, cpu, content in found)
    path.write_bytes(MAGIC + len(text).to_bytes(8, "little") + text + body)
    return path


def test_the_sample_rebuilt_conforms(tmp_path):
    assert json.loads(pasidlab("verify", changed(tmp_path / "same.rec"), "--json"))["verdict"] == "conforms"


def test_events_that_only_the_kernel_counted_are_lost(tmp_path):
    """The newest are dropped when the buffer is full: no page says so."""

    def drop(chunks):
        counted = json.loads(chunks[-1][2])
        counted["cpus"]["1"]["dropped events"] = 7
        chunks[-1][2] = json.dumps(counted).encode()

    found = json.loads(pasidlab("verify", changed(tmp_path / "full.rec", chunks=drop), "--json", code=3))
    assert (found["verdict"], found["lost"]) == ("inconclusive", 7)


def test_pages_that_were_taken_out_are_missed(tmp_path):
    def take(chunks):
        last = max(n for n, (what, cpu, _) in enumerate(chunks) if what != END and cpu == 1)
        chunks[last][2] = chunks[last][2][: -Recording(SAMPLE).about.page_bytes]

    path = changed(tmp_path / "short.rec", chunks=take)
    assert "cannot decide; nothing that was seen contradicts the model" in pasidlab("verify", path, code=3)


@pytest.mark.parametrize("time", [0, -(10**9), 10**15, 1 << 63])
def test_a_clock_that_steps_is_damage(tmp_path, time):
    """What was first on which CPU is not known then. ``time`` is added to that of a page in the middle; 0 and bit 63 replace it."""
    page_bytes = Recording(SAMPLE).about.page_bytes

    def step(chunks):
        pages = [chunk for chunk in chunks if chunk[0] != END]
        chunk = pages[len(pages) // 2]
        at = len(chunk[2]) // page_bytes // 2 * page_bytes
        before = int.from_bytes(chunk[2][at : at + 8], "little")
        after = time if time in (0, 1 << 63) else before + time
        chunk[2] = chunk[2][:at] + after.to_bytes(8, "little") + chunk[2][at + 8 :]

    assert "goes back" in pasidlab("verify", changed(tmp_path / "step.rec", chunks=step), code=2)


@pytest.mark.parametrize("event", ["x86_fpu/x86_fpu_regs_activated", "x86_fpu/x86_fpu_dropped", "sched/sched_process_exec"])
def test_a_recording_without_events_of_the_model_is_refused(tmp_path, event):
    path = changed(tmp_path / "less.rec", head=lambda document: document["formats"].pop(event))
    assert f"made without {event}" in pasidlab("verify", path, code=2)


@pytest.mark.parametrize(
    ("part", "value", "said"),
    [
        ("cpus", [10**9], "head.cpus[0] must be a whole number from 0 to 8192"),
        ("page_bytes", 10**12, "head.page_bytes must be a whole number from 4096"),
        ("tasks", [{"pid": 10**9, "tgid": 1, "comm": "", "kernel": False}], "head.tasks[0].pid must be a whole number"),
        ("tasks", [{"pid": 1, "tgid": [], "comm": "", "kernel": False}], "head.tasks[0].tgid must be a whole number"),
        ("kernel", None, "head.kernel must be text"),
        ("kernel", "6.18\ud800", "head.kernel must be text"),
        ("functions", {"zz": "fpu__drop"}, "the name 'zz' in head.functions must be an address"),
        ("missing", ["x"], "head.missing[0] must be an event"),
        ("formats", [], "head.formats must be an object"),
        ("formats", {"x86_fpu/x": "no format"}, "head.formats.x86_fpu/x: not an event's format"),
        ("header_page", "", "head.header_page must tell where the data"),
        ("more", 1, "the name 'more' in head must be one of kernel"),
    ],
)
def test_a_head_that_no_recorder_writes_is_refused(tmp_path, part, value, said):
    path = changed(tmp_path / "odd.rec", head=lambda document: document.update({part: value}))
    with pytest.raises(PasidlabError) as error:
        Recording(path)
    assert str(path) in str(error.value) and said in str(error.value)


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ('{"cpus": {"0": {"read events": Infinity}}, "seconds": 1}', "end.cpus.0.read events must be a whole number"),
        ('{"cpus": {}, "seconds": Infinity}', "end.seconds must be a number of seconds"),
        ('{"cpus": {"0": {"read events": -1}}, "seconds": 1}', "end.cpus.0.read events must be a whole number"),
        ('{"cpus": {}, "seconds": "abc"}', "end.seconds must be a number of seconds"),
        ('{"cpus": [1], "seconds": 1}', "end.cpus must be an object"),
    ],
)
def test_an_end_that_no_recorder_writes_is_refused(tmp_path, end, said):
    path = changed(tmp_path / "odd.rec", chunks=lambda chunks: chunks[-1].__setitem__(2, end.encode()))
    with pytest.raises(PasidlabError) as error:
        Recording(path)
    assert str(path) in str(error.value) and said in str(error.value)


def test_a_name_that_acts_on_a_terminal_is_printed_with_escapes(tmp_path):
    """A task may call itself what it likes."""

    def rename(document):
        document["kernel"] += "\n"
        document["notes"] = ["no\x1b[2J"]
        for task in document["tasks"]:
            task["comm"] = "a\nb\x1b[2J"

    path = changed(tmp_path / "odd.rec", head=rename)
    said = pasidlab("verify", path) + pasidlab("stats", path, "--most", "100000")
    assert said.count("-v782\\n: ") == 2 and "no\\x1b[2J" in said and "a\\nb\\x1b[2J " in said and "\x1b" not in said
    assert lanes(opened_recording(path, Told()), 0, None, 9).name(1) == "a\\nb\\x1b[2J 1"


def test_a_needed_field_that_the_format_lacks_is_refused(tmp_path):
    def rename(document):
        text = document["formats"]["sched/sched_switch"]
        document["formats"]["sched/sched_switch"] = text.replace("next_pid;", "nxt_pid;")

    said = pasidlab("verify", changed(tmp_path / "other.rec", head=rename), code=2)
    assert "sched/sched_switch has no field next_pid" in said


def judging(rows, *, all_seen=False, **about):
    """The verdict on events (CPU, kind, pid, a, b and, if it is not pid, c, and d) with interrupts off, of tasks nobody saw begin."""
    events = np.zeros((len(rows), 9), np.int64)
    for n, (cpu, kind, pid, a, b, *more) in enumerate(rows):
        c, d = (*more, *(pid, 0)[len(more) :])
        events[n, [CPU, KIND, PID, FLAGS, A, B, C, D]] = cpu, kind, pid, 1, a, b, c, d
    events[:, TIME] = range(len(rows))
    about = replace(Recording(SAMPLE).about, **{"tasks": (), **about})
    made = Judging(about, lambda: iter([events]), explanations_of(about))
    made.all_seen = all_seen
    made.look_through()
    made.run(lambda events: None)
    return made.verdict


def test_tasks_that_alternate_without_a_switch_are_a_contradiction():
    """The first event of a CPU may stand in the middle of a switch. The others may not."""
    verdict = judging([(0, Kind.x86_fpu_regs_activated, 7 + n % 2, 1 + n % 2, 1) for n in range(6)])
    assert verdict.contradiction is not None and "was not switched out" in verdict.contradiction.sentence
    assert verdict.contradiction.number == 3


def test_a_task_may_have_ended_before_the_tasks_were_listed():
    """The recorder switches the events on, then lists the tasks."""
    rows = [(0, Kind.x86_fpu_regs_activated, 7, 1, 1), (0, Kind.sched_switch, 7, 8, 0), (0, Kind.signal_deliver, 8, 9, 0)]
    listed = (TaskAtStart(7, 7, "seven", False),)
    assert judging(rows, tasks=listed, listed_at=2).contradiction is None
    told = judging(rows, tasks=listed, listed_at=1).contradiction
    assert told is not None and told.number == 3 and told.sentence == "pid 8 runs, but was not there at the start, and no fork made it"


def test_an_exchange_of_pids_within_an_event():
    """The leader, which has exited, leaves the CPU: its pid is read twice for this event. A thread's exec takes it in between."""
    rows = [(0, Kind.x86_fpu_regs_activated, 7, 1, 1), (0, Kind.sched_process_exit, 7, 0, 0), (0, Kind.sched_switch, 7, 0, 0, 8)]
    told = [(1, Kind.x86_fpu_regs_activated, 8, 2, 1), (1, Kind.sched_process_exec, 7, 7, 8)]
    assert (found := judging([*rows, *told])).contradiction is None and (found.exchanges, found.untold) == (1, 0)
    assert (found := judging(rows)).status == 3 and found.untold == 1
    listed = TaskAtStart(7, 7, "leader", False), TaskAtStart(8, 7, "thread", False)
    found = judging([rows[0], rows[2], *told], tasks=listed)
    assert found.contradiction is not None and found.contradiction.number == 2


def test_switches_alone_decide_nothing():
    verdict = judging([(0, Kind.sched_switch, 7, 0, 0), (0, Kind.sched_switch, 0, 7, 0)])
    assert verdict.of_fpu == 0 and verdict.status == 3


def test_an_event_of_no_pid_is_damage():
    with pytest.raises(PasidlabError, match="pid 4294967"):
        judging([(0, Kind.sched_switch, 4294967, 0, 0)])


THREADS_THAT_EXEC = """
import os, threading
for _ in range(60):
    if os.fork() == 0:
        thread = threading.Thread(target=os.execv, args=("/bin/true", ["true"]))
        thread.start()
        thread.join()
    os.wait()
"""


def test_a_thread_takes_over_its_leaders_pid_by_an_exec(tracefs, tmp_path, monkeypatch):
    """exchange_tids() is no event: the exec that tells of it comes later. Without it nothing explains the pid."""
    pasidlab("record", "-o", tmp_path / "exec.rec", "--", sys.executable, "-c", THREADS_THAT_EXEC)
    monkeypatch.setattr(v, "_ENOUGH", 0)
    verdict = v.verify(opened_recording(tmp_path / "exec.rec", Told()))
    assert verdict.contradiction is None and verdict.exchanges > 0


BEGUN = [(0, Kind.x86_fpu_regs_activated, 8, 1, 1), (0, Kind.x86_fpu_regs_activated, 8, 1, 1)]
"""The first event of a CPU may stand in the middle of a switch."""
LAST = (0, Kind.softirq_exit, 0, 1, 0)


def test_a_leader_may_have_exited_before_the_recording():
    """Its thread takes over its pid by an exec. A leader that lives does not let it; of a task that nobody listed nobody knows."""
    rows = [*BEGUN, (0, Kind.softirq_entry, 7, 1, 0), (0, Kind.sched_process_exec, 7, 7, 8), (0, Kind.sched_switch, 7, 8, 0)]
    rows += [(0, Kind.sched_switch, 8, 0, 0), LAST]
    leader, thread = TaskAtStart(7, 7, "leader", False, exiting=True), TaskAtStart(8, 7, "thread", False)
    assert judging(rows, tasks=(leader, thread)).exchanges == 1
    told = judging(rows, tasks=(replace(leader, exiting=False), thread)).contradiction
    assert told is not None and told.sentence == "pid 8 runs on CPU 0, and was not switched out, but the event is of pid 7"
    assert judging(rows).exchanges == 1
    alive = [(1, Kind.x86_fpu_regs_activated, pid, pid, 1) for pid in (7, 7, 8, 8)]
    assert judging([*alive[:2], (1, Kind.sched_switch, 7, 0, 0), *rows]).contradiction is not None


def test_an_exec_may_fail_after_the_exchange_of_pids():
    """What comes in the place of the exec's event is the signal that ends the task."""
    rows = [*BEGUN, (0, Kind.softirq_entry, 7, 1, 0), (0, Kind.softirq_entry, 7, 1, 0), (0, Kind.signal_deliver, 7, 11, 0)]
    ends = [(0, Kind.sched_switch, 7, 8, 0), (0, Kind.sched_switch, 8, 0, 0), LAST]
    found = judging([*rows, *ends])
    assert (found.contradiction, found.exchanges, found.untold) == (None, 1, 0)
    assert judging([*rows[:-1], *ends]).untold == 1


def test_a_switch_that_is_missing_weakens_the_verdict():
    """Some hosts hide switches; whoever knows that this one does not says so."""
    rows = [*BEGUN, (0, Kind.sched_switch, 8, 0, 0), (0, Kind.softirq_entry, 0, 1, 0)]
    rows += [(0, Kind.sched_switch, 8, 0, 0), LAST]
    assert (found := judging(rows)).unseen == 1 and "conforms, but for 1 switches" in verdict_text(found)
    told = judging(rows, all_seen=True).contradiction
    assert told is not None and told.sentence == "pid 0 runs on CPU 0, and was not switched out, but the event is of pid 8"


def test_a_cpu_is_switched_off_and_on_again():
    """No event of a CPU that is not online is recorded: the last switch is missing, and nobody owns the registers then."""
    stopper = int.from_bytes(b"migratio", "little")
    rows = [*BEGUN, (0, Kind.sched_switch, 8, 9, 0, 8, stopper), (0, Kind.softirq_entry, 9, 1, 0), (0, Kind.sched_switch, 0, 8, 0)]
    found = judging([*rows, (0, Kind.x86_fpu_regs_activated, 8, 1, 1), (*LAST[:2], 8, 1, 0)], all_seen=True)
    assert (found.contradiction, found.offline) == (None, 1) and "switched off, and on again: 1 times" in verdict_text(found)
    told = judging([*rows, (0, Kind.sched_process_fork, 8, 9, 0)], all_seen=True).contradiction
    assert told is not None and told.number == 6
    of_another = [*rows[:2], (0, Kind.sched_switch, 8, 9, 0), *rows[3:]]
    told = judging(of_another, all_seen=True).contradiction
    assert told is not None and told.sentence == "pid 9 runs on CPU 0, and was not switched out, but the event is of pid 0"


def test_the_first_event_may_stand_in_a_switch_to_a_blind_task_and_back():
    """The save is of a switch before the recording; the blind task has given the CPU back unseen. That can be so once for each CPU."""
    saved, told = (0, Kind.x86_fpu_regs_deactivated, 8, 1, 1), (0, Kind.signal_deliver, 8, 9, 0)
    to_blind = [(0, Kind.sched_switch, 8, 9, 0), (0, Kind.softirq_entry, 8, 1, 0), (0, Kind.sched_switch, 8, 9, 0), LAST]
    found = judging([saved, told, *to_blind])
    assert (found.contradiction, found.blind, found.unseen) == (None, (9,), 3)
    again = judging([saved, told, saved, told, *to_blind]).contradiction
    assert again is not None and again.number == 3
    assert judging([saved, told, *to_blind], all_seen=True).contradiction is not None


def test_a_pid_that_nobody_has_is_not_a_blind_task():
    rows = [*BEGUN, (0, Kind.sched_switch, 8, 99, 0), (0, Kind.softirq_entry, 99, 1, 0), LAST]
    told = judging(rows, tasks=(TaskAtStart(8, 8, "eight", False),)).contradiction
    assert told is not None and told.sentence == "pid 99 runs, but was not there at the start, and no fork made it"
    assert (found := judging(rows)).blind == (99,) and "blind: the host hides the switches of 1 tasks (pid 99)" in verdict_text(found)


def test_an_exchange_of_pids_between_a_switch_and_its_save():
    """The save is that of the task that leaves, by its fpu; a thread's exec has given it another pid."""
    rows = [(0, Kind.x86_fpu_regs_activated, 7, 1, 1), (0, Kind.sched_process_exit, 7, 0, 0), (0, Kind.sched_switch, 7, 9, 0)]
    saved = (0, Kind.x86_fpu_regs_deactivated, 8, 1, 1)
    told = [(1, Kind.x86_fpu_regs_activated, 7, 2, 1), (1, Kind.sched_process_exec, 7, 7, 8)]
    assert (found := judging([*rows, saved, *told])).contradiction is None and (found.exchanges, found.untold) == (1, 0)
    listed = tuple(TaskAtStart(pid, pid, "", False) for pid in (7, 8, 9))
    found = judging([rows[0], rows[2], saved], tasks=listed)
    assert found.contradiction is not None and "is being switched out, but the event is of pid 8" in found.contradiction.sentence


def test_a_pid_is_given_anew_while_nothing_happens_where_its_task_ended():
    """The first one has left its CPU by then, though that shows only when something is recorded there again."""
    rows = [(0, Kind.x86_fpu_regs_activated, 7, 1, 1), (0, Kind.sched_process_exit, 7, 0, 0), (0, Kind.sched_switch, 7, 9, 0)]
    rows += [(0, Kind.x86_fpu_regs_deactivated, 7, 1, 1)]
    made = [(1, Kind.task_newtask, 8, 7, 0), (1, Kind.sched_process_fork, 8, 7, 0)]
    runs = [(0, Kind.softirq_entry, 9, 1, 0), (1, Kind.sched_switch, 8, 7, 0), (1, Kind.x86_fpu_regs_activated, 7, 3, 1)]
    assert judging([*rows, *made, *runs]).contradiction is None
    assert judging([*rows, *runs]).contradiction is not None


def test_a_worker_of_io_uring_makes_another():
    """No sched_process_fork tells of it, and it has no xstate of its own."""
    listed = (TaskAtStart(7, 7, "iou-wrk", kernel=True),)
    rows = [(0, Kind.task_newtask, 7, 8, 0x00810000), (0, Kind.sched_switch, 7, 8, 0), (0, Kind.task_rename, 8, 8, 0)]
    assert judging(rows, tasks=listed).contradiction is None
    rows[0] = (0, Kind.task_newtask, 7, 8, 0x00800000)
    assert judging(rows, tasks=listed).contradiction is not None


def test_the_init_of_a_pid_namespace_waits_for_the_others_as_it_exits():
    rows = [(0, Kind.x86_fpu_regs_activated, 8, 1, 1), (0, Kind.sched_process_exit, 8, 0, 0)]
    rows += [(0, Kind.sched_process_wait, 8, 0, 0)] * 2 + [(0, Kind.sched_switch, 8, 0, 0)]
    assert judging(rows).contradiction is None
    assert judging([*rows[:3], (0, Kind.sched_process_fork, 8, 9, 0)]).contradiction is not None


@pytest.mark.parametrize("seen", [8, 7])
def test_a_thread_that_has_its_leaders_pid_is_in_an_exec(seen):
    """It goes to user mode with the exec's event alone. The first to show the exchange is the thread, or the leader that ends."""
    listed = tuple(TaskAtStart(pid, 7, "", False) for pid in (7, 8))
    rows = [(0, Kind.x86_fpu_regs_activated, 7, 1, 1), (1, Kind.x86_fpu_regs_activated, 8, 2, 1), (0, Kind.sched_process_exit, 7, 0, 0)]
    rows += [(1, Kind.softirq_entry, 8, 1, 0)]
    rows += [(0, Kind.softirq_entry, 8, 1, 0)] if seen == 8 else []
    rows += [(1, Kind.softirq_entry, 7, 1, 0)]
    executed, restored = (1, Kind.sched_process_exec, 7, 7, 8), (1, Kind.x86_fpu_regs_activated, 7, 2, 1)
    assert (found := judging([*rows, executed, restored], tasks=listed, all_seen=True)).contradiction is None and found.exchanges == 1
    told = judging([*rows, restored], tasks=listed, all_seen=True).contradiction
    assert told is not None and told.places and all(place.startswith("sys_execve()") for place in told.places)


def test_a_text_without_tasks_has_kernel_threads():
    """user_mode_thread() of a kernel thread (call_usermodehelper()): no registers are copied. A program's own clone() copies them."""
    made = [(0, Kind.task_newtask, 9, 8, 0x00800100), (0, Kind.sched_process_fork, 9, 8, 9), (0, Kind.sched_process_wait, 9, 0, 0)]
    assert judging(made).contradiction is None
    assert judging([(0, Kind.x86_fpu_regs_activated, 9, 1, 1), *made]).contradiction is not None
