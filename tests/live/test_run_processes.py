"""Threads, forks, exec, death: nothing hangs, nothing is lost, nothing is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from running import HERE, RUN, run, run_python

pytestmark = pytest.mark.needs_run


def test_64_threads_at_once_lose_nothing() -> None:
    done = run_python("""
        import threading
        portal, _ = open_portal()
        bad = []
        start = threading.Barrier(64)
        def work(number):
            source, target = Buffer(512), Buffer(512)
            source.data.raw = number.to_bytes(2, "little") * 256
            start.wait()
            for _ in range(20):
                if move(portal, source, target, 512) != 1 or bytes(target) != bytes(source):
                    bad.append(number)
        threads = [threading.Thread(target=work, args=(number,)) for number in range(64)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        print(bad)
    """)
    assert done.out == "[]\n", done.err
    assert done.report["submissions"] == 64 * 20
    assert done.report["gp_fixups"] == 64
    assert sorted(done.report["threads"].values()) == [20] * 64


def test_500_processes_that_end_while_others_do_are_each_told_with_their_own_status() -> None:
    done = run_python("""
        import subprocess, threading
        portal, _ = open_portal()
        source, target = Buffer(64), Buffer(64)
        wrong = []
        def start(first):
            for number in range(first, first + 50):
                code = number % 250
                if subprocess.call(["/bin/sh", "-c", f"exit {code}"]) != code or move(portal, source, target, 64) != 1:
                    wrong.append(number)
        threads = [threading.Thread(target=start, args=(50 * one,)) for one in range(10)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        print(wrong)
    """)
    assert (done.code, done.out) == (0, "[]\n"), done.err
    assert done.report["submissions"] == 500


def test_a_forked_child_has_neither_pasid_nor_portal() -> None:
    done = run_python("""
        portal, fd = open_portal(keep=True)
        source, target = Buffer(64), Buffer(64)
        assert move(portal, source, target, 64) == 1
        def uses_portal():
            move(portal, source, target, 64)
        def uses_ordinary():  # the #GP comes before the destination matters
            noop = Buffer(64)
            enqcmd(noop.address, noop.address)
        def maps_inherited():
            at = libc.mmap(None, 4096, 2, 1, fd, 0)
            assert at == 2**64 - 1 and ctypes.get_errno() == 1
        def writes_inherited():
            try:
                os.write(fd, descriptor(NOOP))
            except PermissionError:
                return
            os._exit(1)
        def opens_its_own():
            mine, own = open_portal(keep=True)
            assert move(mine, source, target, 64) == 1
            maps_inherited()
            assert libc.mmap(None, 4096, 2, 1, own, 0) != 2**64 - 1
        print(*[died(f) for f in (uses_portal, uses_ordinary, maps_inherited, writes_inherited, opens_its_own)])
        print(move(portal, source, target, 64))
    """)
    assert done.out == "11 11 0 0 0\n1\n", done.err


def test_pasids_belong_to_processes_and_the_lowest_free_one_is_next() -> None:
    done = run_python("""
        portal, _ = open_portal()
        source, target = Buffer(64), Buffer(64)
        print(move(portal, source, target, 64))
        def child():
            mine, _ = open_portal()
            os._exit(0 if move(mine, source, target, 64) == 1 else 1)
        print(*[died(child) for _ in range(5)])
    """)
    assert done.out == "1\n0 0 0 0 0\n", done.err
    assert done.report["gp_fixups"] == 6


AGAIN = """
from dsa_client import *
source, target = Buffer(64), Buffer(64)
portal, _ = open_portal()
print("again", move(portal, source, target, 64))
"""


def test_exec_from_a_thread_gives_a_new_process_without_portal() -> None:
    done = run_python(
        """
        import sys, threading
        portal, _ = open_portal()
        source, target = Buffer(64), Buffer(64)
        thread = threading.Thread(target=lambda: os.execv(sys.executable, [sys.executable, "-c", sys.argv[1]]))
        thread.start()
        thread.join()
    """,
        arguments=(AGAIN,),
    )
    assert done.out == "again 1\n", done.err
    assert done.report["submissions"] == 1


def test_the_flag_of_a_task_outlives_exec() -> None:
    """pasid_activated is cleared only when a task is made: a thread that used ENQCMD before exec cannot after it. A design without a flag
    serves it.
    """
    script = """
        import sys
        portal, _ = open_portal()
        source, target = Buffer(64), Buffer(64)
        move(portal, source, target, 64)
        os.execv(sys.executable, [sys.executable, "-c", sys.argv[1]])
    """
    done = run_python(script, arguments=(AGAIN,))
    assert done.code == 128 + signal.SIGSEGV
    assert done.report["gp_fixups"] == 1 and done.report["gp_fixups_refused"] == 1
    assert "the #GP handler gives this thread no PASID, though its process has one" in done.report["problems"][0]["what"]
    served = run_python(script, "--design", "early-read", arguments=(AGAIN,))
    assert (served.code, served.out, served.report["gp_fixups"]) == (0, "again 1\n", 2), served.err


def test_a_process_that_has_not_opened_the_device_is_told_so() -> None:
    done = run_python("noop = Buffer(64); noop.data.raw = descriptor(NOOP); enqcmd(noop.address, noop.address)")
    assert done.code == 128 + signal.SIGSEGV
    assert "the process has no PASID: it has not opened the device" in done.report["problems"][0]["what"]


def test_children_of_every_kind() -> None:
    done = run_python("""
        import multiprocessing, subprocess, sys
        print(subprocess.run(["/bin/echo", "spawned"], capture_output=True, text=True, close_fds=False).stdout.strip())
        pids = [os.posix_spawn("/bin/true", ["true"], {}) for _ in range(5)]
        print([os.waitpid(pid, 0)[1] for pid in pids])
        os.system("true | cat & wait; exit 0")
        if os.fork() == 0:  # a grandchild that outlives its parent
            if os.fork() == 0:
                time.sleep(0.2)
                portal, _ = open_portal()
                source, target = Buffer(64), Buffer(64)
                os._exit(0 if move(portal, source, target, 64) == 1 else 1)
            os._exit(0)
        os.wait()
    """)
    assert done.out == "spawned\n[0, 0, 0, 0, 0]\n", done.err
    assert done.code == 0
    assert done.report["submissions"] == 1


def test_job_control_stops_and_continues() -> None:
    done = run_python("""
        pid = os.fork()
        if pid == 0:
            portal, _ = open_portal()
            source, target = Buffer(64), Buffer(64)
            while True:
                move(portal, source, target, 64)
        time.sleep(0.2)
        os.kill(pid, signal.SIGSTOP)
        print(os.WIFSTOPPED(os.waitpid(pid, os.WUNTRACED)[1]))
        os.kill(pid, signal.SIGCONT)
        print(os.WIFCONTINUED(os.waitpid(pid, os.WCONTINUED)[1]))
        os.kill(pid, signal.SIGKILL)
        print(os.WTERMSIG(os.waitpid(pid, 0)[1]))
    """)
    assert done.out == "True\nTrue\n9\n", done.err


def _descendants(pid: int) -> list[int]:
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as file:
                    parent = int(file.read().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if parent == pid:
                found += [int(entry), *_descendants(int(entry))]
    return found


BUSY = """
from dsa_client import *
portal, _ = open_portal()
source, target = Buffer(64), Buffer(64)
if os.fork() == 0:
    portal, _ = open_portal()
print("ready", flush=True)
while True:
    move(portal, source, target, 64)
"""


@pytest.mark.parametrize("victim", ["pasidlab", "program", "terminate"])
def test_killed_mid_flight_leaves_nothing(victim: str) -> None:
    mounts = Path("/proc/self/mounts").read_text()
    environment = {**os.environ, "PYTHONPATH": str(HERE)}
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, "--", sys.executable, "-c", BUSY], stdout=subprocess.PIPE, env=environment
    )
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(2)] == [b"ready\n"] * 2
    family = _descendants(process.pid)
    assert len(family) == 2
    if victim == "program":
        os.kill(family[0], signal.SIGKILL)
    else:
        process.send_signal(signal.SIGKILL if victim == "pasidlab" else signal.SIGTERM)
    code = process.wait(20)
    process.stdout.close()
    assert code == {"pasidlab": -9, "program": 128 + 9, "terminate": 128 + 15}[victim]
    end = time.monotonic() + 10
    while any(os.path.exists(f"/proc/{pid}") and _state(pid) not in "ZX" for pid in family):
        assert time.monotonic() < end, "a process of the program is still there"
        time.sleep(0.02)
    assert Path("/proc/self/mounts").read_text() == mounts


def _state(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0]
    except OSError:
        return "X"


def test_exit_status_and_output_pass_through() -> None:
    assert run("/bin/sh", "-c", "exit 42").code == 42
    done = run("/bin/sh", "-c", "echo out; echo err >&2; kill -USR1 $$")
    assert (done.code, done.out) == (128 + signal.SIGUSR1, "out\n")
    assert "err\n" in done.err and "killed by SIGUSR1" in done.err
    assert run("/bin/true", options=("--summary", "none")).err == ""


def test_ld_preload_and_environment_reach_the_program() -> None:
    done = run("/bin/sh", "-c", "echo $WHO", env={"WHO": "me"})
    assert done.out == "me\n"
