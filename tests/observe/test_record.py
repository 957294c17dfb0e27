"""Recording: what is in the file, what is left behind, and what is said where it cannot be done."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from observing import WORKLOAD, pasidlab

from pasidlab.errors import PasidlabError
from pasidlab.observe.kinds import Kind
from pasidlab.observe.merged import merged
from pasidlab.observe.pages import KIND, TIME
from pasidlab.observe.recording import MAGIC, Recording
from pasidlab.observe.tracefs import Instance, _remove_if_left


def mounted():
    """Where tracefs and debugfs are: other tests mount file systems of other types meanwhile."""
    mounts = Path("/proc/mounts").read_text().splitlines()
    return sorted(line for line in mounts if line.split()[2] in ("tracefs", "debugfs"))


def test_a_recording_holds_what_the_kernel_counted(live):
    recording = Recording(live)
    pieces = list(merged(recording, most=1 << 16))
    read = sum(cpu["read events"] for cpu in recording.counted["cpus"].values())
    assert read > 1000
    assert sum(int((piece[:, KIND] != Kind.LOST).sum()) for piece in pieces) == read
    kinds = {Kind(int(kind)) for piece in pieces for kind in set(piece[:, KIND])}
    assert kinds >= {Kind.x86_fpu_regs_activated, Kind.x86_fpu_regs_deactivated, Kind.x86_fpu_dropped, Kind.x86_fpu_copy_dst}
    assert kinds >= {Kind.sched_switch, Kind.sched_process_fork, Kind.sched_process_exec, Kind.sched_process_exit, Kind.signal_deliver}
    assert len(pieces) > 2
    last = 0
    for piece in pieces:
        assert last <= piece[0, TIME]
        assert (piece[1:, TIME] >= piece[:-1, TIME]).all()
        last = piece[-1, TIME]
    assert any(task.pid == os.getpid() and not task.kernel for task in recording.about.tasks)
    assert any(task.pid == 2 and task.kernel for task in recording.about.tasks) or not Path("/proc/2").exists()


def test_small_pieces_give_the_same_events(live):
    recording = Recording(live)
    small = [row.tolist() for piece in merged(recording, most=1 << 14) for row in piece]
    assert sorted(small) == sorted(row.tolist() for piece in merged(recording) for row in piece)


def test_stats_count_a_recording(live):
    found = json.loads(pasidlab("stats", live, "--json"))
    total = found["total"]
    assert found["lost"] == 0
    assert 0 < total["restores"] <= total["runs"] + total["saves"]
    assert total["saves"] + found["kinds"]["x86_fpu_dropped"] >= found["kinds"]["x86_fpu_regs_deactivated"] > total["saves"] > 0
    assert "restores avoided" in pasidlab("stats", live)


def test_nothing_is_left_when_it_is_interrupted(tracefs, tmp_path):
    before = mounted()
    path = tmp_path / "cut.rec"
    process = start_recorder(path)
    wait_for_instance(tracefs, process.pid)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    assert instance_of(tracefs, process.pid) == []
    assert mounted() == before
    assert Recording(path).counted["cpus"]


def test_the_next_recording_removes_what_a_killed_one_left(tracefs, tmp_path):
    process = start_recorder(tmp_path / "killed.rec")
    wait_for_instance(tracefs, process.pid)
    (part,) = tmp_path.glob("killed.rec.*.part")
    wait_for(lambda: part.stat().st_size)
    (left,) = instance_of(tracefs, process.pid)  # any recorder of the machine may remove it from now on
    process.kill()
    process.wait(30)
    pasidlab("record", "-o", tmp_path / "next.rec", "--", "true")
    assert not left.exists()
    assert "in the middle of a recording" in pasidlab("stats", part, code=2)


def start_recorder(path):
    command = [sys.executable, "-m", "pasidlab", "observe", "record", "-o", str(path)]
    with open(path.parent.with_name(f"{path.parent.name}.err"), "w") as errors:
        return subprocess.Popen(command, stderr=errors, preexec_fn=hears_signals)


def hears_signals():
    """A recorder in this process has left them ignored (``signals_are_late``), and an ignored SIGHUP is meant to stay so."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def wait_for_instance(tracefs, pid):
    def enabled():
        found = tracefs.root.glob(f"instances/pasidlab-{pid}-*/events/sched/sched_switch/enable")
        return [enable for enable in found if enable.read_text().startswith("1")]

    wait_for(enabled)
    time.sleep(0.05)


def instance_of(tracefs, pid):
    return list((tracefs.root / "instances").glob(f"pasidlab-{pid}-*"))


@pytest.mark.parametrize("ends", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_good_order_however_often_it_comes(tracefs, tmp_path, ends):
    """Also while the file is put in its place, and while the interpreter ends."""
    process = start_recorder(tmp_path / "cut.rec")
    wait_for_instance(tracefs, process.pid)
    end = time.monotonic() + 60
    while process.poll() is None:
        assert time.monotonic() < end
        process.send_signal(ends)
        time.sleep(0.001)
    assert process.returncode == 0, tmp_path.with_name(f"{tmp_path.name}.err").read_text()
    assert instance_of(tracefs, process.pid) == []
    assert [path.name for path in tmp_path.iterdir()] == ["cut.rec"] and Recording(tmp_path / "cut.rec").counted["cpus"]


def test_a_recorder_in_a_pid_namespace_leaves_others_alone(tracefs, tmp_path):
    """It sees other pids: it cannot list the tasks, and removes no instance that is in use."""
    process = start_recorder(tmp_path / "outer.rec")
    wait_for_instance(tracefs, process.pid)
    inner = ["unshare", "-pf", "--mount-proc", sys.executable, "-m", "pasidlab", "observe", "record", "-o", tmp_path / "inner.rec"]
    done = subprocess.run([*inner, "--", "true"], capture_output=True, text=True)
    alive = instance_of(tracefs, process.pid)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0 and len(alive) == 1
    if done.returncode:
        pytest.skip(f"no PID namespace here: {done.stderr}")
    assert "PID namespace" in done.stderr and Recording(tmp_path / "inner.rec").about.tasks == ()


def test_an_instance_has_its_lock_until_it_is_gone(tracefs, monkeypatch):
    """A recorder that begins removes what has none."""
    seen = []

    def remove(instance):
        _remove_if_left(instance.path)
        seen.append(instance.path.exists())
        removed(instance)

    removed = Instance.remove
    with tracefs.instance() as made:
        monkeypatch.setattr(Instance, "remove", remove)
    assert seen == [True] and not made.path.exists()


def test_an_instance_that_somebody_reads_is_removed_a_little_later(tracefs, monkeypatch):
    with tracefs.instance() as made:
        reader = os.open(made.path / "trace", os.O_RDONLY)
        timer = threading.Timer(0.3, os.close, (reader,))
        timer.start()
    timer.join()
    assert not made.path.exists()
    monkeypatch.setattr("pasidlab.observe.tracefs.READ_BY_OTHERS", 0.1)
    with pytest.raises(OSError, match="busy"), tracefs.instance() as made, open(made.path / "trace", encoding="utf-8"):
        made.remove()
    assert not made.path.exists()


def wait_for(reached):
    end = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_full_disk_is_said_and_leaves_nothing(tracefs, tmp_path):
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "none", tmp_path], capture_output=True).returncode:
        pytest.skip("tmpfs cannot be mounted here")
    try:
        command = [sys.executable, "-m", "pasidlab", "observe", "record", "-o", tmp_path / "full.rec", "--seconds", "5", "--"]
        done = subprocess.run([*command, sys.executable, WORKLOAD, "1"], capture_output=True, text=True)
        assert done.returncode == 2 and "the disk is full" in done.stderr
        assert list(tmp_path.iterdir()) == []
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_a_command_that_cannot_be_run_is_said(tracefs, tmp_path):
    assert "cannot run /no/such" in pasidlab("record", "-o", tmp_path / "x.rec", "--", "/no/such", code=2)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: data[:10], "is no recording"),
        (lambda data: b"garbage" + data, "is no recording"),
        (lambda data: data[: len(MAGIC) + 20], "in the middle of a recording"),
        (lambda data: data[:-5], "in the middle of a recording"),
        (lambda data: data[: len(data) // 2], "in the middle of a recording"),
        (lambda data: data + b"more", "goes on after its end"),
        (lambda data: data.replace(b'"kernel": "', b'"kernal": "', 1), "head.kernel must be there"),
    ],
)
def test_damaged_files_are_refused(live, tmp_path, change, said):
    path = tmp_path / "bad.rec"
    path.write_bytes(change(live.read_bytes()))
    with pytest.raises(PasidlabError, match=said):
        Recording(path)
    assert said.removeprefix("is ") in pasidlab("stats", path, code=2)


def test_a_device_is_not_replaced(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    assert "is no regular file" in pasidlab("record", "-o", fifo, "--seconds", "0.1", code=2)
    assert "is no length of time" in pasidlab("record", "-o", tmp_path / "x.rec", "--seconds", "nan", code=2)
    assert [path.name for path in tmp_path.iterdir()] == ["fifo"]
