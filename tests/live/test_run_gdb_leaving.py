"""What a debugger leaves behind when it leaves ``run --gdb``, in whatever way: no breakpoint, no signal that is lost."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess

import pytest
from gdb_client import Client, address_of, waiting_run

from pasidlab.live.gdb_signals import to_gdb

pytestmark = pytest.mark.needs_run


def test_a_debugger_may_come_interrupt_leave_and_come_again(debugged: str) -> None:
    with waiting_run(debugged, "waits") as (done, _, connect):
        client = connect()
        turn = address_of(debugged, "turn", client)
        before = client.ask(f"m{turn:x},1")
        assert client.ask(f"Z0,{turn:x},1") == "OK"
        client.send("vCont;c")
        assert client.byte() == b"+" and client.quiet(0.3)
        client.raw(b"\x03")
        assert client.packet().startswith(b"T02thread:")
        client.send("vCont;c")
        client.close()  # without a word: its breakpoint goes with it
        client = connect()
        assert client.ask("?").startswith("T00thread:")
        with open(f"/proc/{int(client.ask('qfThreadInfo')[1:].split(',')[0], 16)}/mem", "rb") as memory:
            memory.seek(turn)
            assert memory.read(1).hex() == before
        assert client.ask("vKill;1") == "OK"
        assert done.wait(20) == 137


def test_a_debugger_may_come_while_another_leaves(debugged: str) -> None:
    """The program is still being brought to a stop for the one that leaves: a thread in vfork(2) does not stop."""
    with waiting_run(debugged, "vforks") as (done, _, connect):
        for _ in range(3):
            client = connect()
            assert client.ask("?").startswith("T")
            turn = address_of(debugged, "turn", client)
            assert client.ask(f"Z0,{turn:x},1") == "OK"
            client.send("vCont;c")
            assert client.byte() == b"+" and client.quiet(0.05)
            client.close()
        client = connect()
        assert client.ask("?").startswith("T") and done.poll() is None
        client.send("k")
        assert done.wait(20) == 137


def test_a_debugger_that_hangs_up_and_reads_nothing_keeps_no_other_waiting(debugged: str) -> None:
    """It shuts its sending half alone when megabytes of answers are on their way to it. The program goes on."""
    with waiting_run(debugged, "waits") as (done, _, connect):
        client = connect()
        turn, pid = address_of(debugged, "turn", client), int(client.ask("qfThreadInfo")[1:].split(",")[0], 16)
        before = client.ask(f"m{turn:x},1")
        assert client.ask(f"Z0,{turn:x},1") == "OK"
        for _ in range(2000):
            client.send(f"m{turn & -4096:x},1000")
        client.send(f"z0,{turn:x},1")
        with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
            while os.pread(memory.fileno(), 1, turn).hex() != before:  # all are answered
                pass
        client.shut()
        other = connect()
        assert other.ask("?").startswith("T00thread:") and other.ask("D") == "OK"
        done.terminate()
        assert done.wait(20) == 143


def test_a_breakpoint_that_threads_have_just_met_is_taken_out(debugged: str) -> None:
    """Some are stopped between the breakpoint and its SIGTRAP, and have that signal later. The program never has it."""
    with waiting_run(debugged, "turns") as (done, _, connect):
        client = connect()
        assert client.ask("QStartNoAckMode") == "OK"
        turn = address_of(debugged, "turn", client)
        for _ in range(100):
            assert client.ask(f"Z0,{turn:x},1") == "OK"
            assert client.go()[1].startswith("T05swbreak:;")
            assert client.ask(f"z0,{turn:x},1") == "OK"
            client.send("vCont;c")
            assert client.quiet(0.01)
            client.raw(b"\x03")
            assert client.packet().startswith(b"T02thread:")
        for _ in range(30):
            assert client.ask(f"Z0,{turn:x},1") == "OK"
            client.send("vCont;c")
            client.close()
            client = connect()
            assert client.ask("?").startswith("T00")
        assert client.ask("vKill;1") == "OK"
        assert done.wait(20) == 137


def _leave(client: Client, way: str) -> None:
    """As a debugger does, or as one that dies."""
    if way == "closed":
        client.close()
    elif way == "k":
        client.send("k")
    else:
        assert client.ask(way) == "OK"


@pytest.mark.parametrize("way", ["D", "closed"])
@pytest.mark.parametrize(
    ("number", "threads", "out", "code"),
    [(signal.SIGUSR1, 1, "1 handled\n", 0), (signal.SIGUSR1, 5, "5 handled\n", 0), (signal.SIGSEGV, 1, "", 139),
     (signal.SIGSEGV, 5, "", 139), (signal.SIGTRAP, 1, "", 133)],
)  # fmt: skip
def test_signals_that_a_debugger_was_told_of_are_delivered_when_it_leaves(
    number: int, threads: int, out: str, code: int, way: str, debugged: str
) -> None:
    with waiting_run(debugged, "signals", str(number), str(threads)) as (done, _, connect):
        client = connect()
        assert client.go()[1].startswith(f"T{to_gdb(number):02x}thread:")
        _leave(client, way)
        assert done.communicate(timeout=20)[0] == out and done.returncode == code


@pytest.mark.parametrize("way", ["D", "closed"])
def test_a_process_stops_for_a_signal_that_was_told_to_a_debugger_that_left(way: str, debugged: str) -> None:
    with waiting_run(debugged, "signals", str(int(signal.SIGSTOP)), "1") as (done, _, connect):
        client = connect()
        pid = int(client.ask("qC").removeprefix("QC"), 16)
        assert client.go()[1].startswith("T11thread:")
        _leave(client, way)
        assert done.stdout and not select.select([done.stdout], [], [], 0.3)[0]
        os.kill(pid, signal.SIGCONT)
        assert done.communicate(timeout=20)[0] == "1 handled\n"


@pytest.mark.parametrize("way", ["k", "vKill;1"])
@pytest.mark.parametrize(("number", "threads"), [(signal.SIGUSR1, 5), (signal.SIGSEGV, 1)])
def test_a_debugger_that_kills_needs_no_other_signal(number: int, threads: int, way: str, debugged: str) -> None:
    with waiting_run(debugged, "signals", str(number), str(threads)) as (done, _, connect):
        client = connect()
        assert client.go()[1].startswith(f"T{to_gdb(number):02x}thread:")
        _leave(client, way)
        assert done.communicate(timeout=20)[0] == "" and done.returncode == 137


@pytest.mark.parametrize("way", ["D", "closed"])
def test_a_signal_that_gdb_is_not_to_pass_goes_with_gdb(way: str, debugged: str) -> None:
    with waiting_run(debugged, "signals", "10", "1") as (done, _, connect):
        client = connect()
        assert client.ask("QProgramSignals:b;e") == "OK"  # SIGSEGV and SIGALRM
        assert client.go()[1].startswith("T1ethread:")
        _leave(client, way)
        assert done.communicate(timeout=20)[0] == "0 handled\n"


@pytest.mark.parametrize(
    ("handle", "number", "end", "out", "code"),
    [("print", 10, "detach", "1 handled\n", 0), ("print", 10, "", "1 handled\n", 0), ("nopass", 10, "detach", "0 handled\n", 0),
     ("nopass", 10, "", "0 handled\n", 0), ("print", 11, "", "", 139)],
)  # fmt: skip
def test_gdb_leaves_or_is_killed_at_a_signal(handle: str, number: int, end: str, out: str, code: int, debugged: str) -> None:
    if not shutil.which("gdb"):
        pytest.skip("no gdb")
    with waiting_run(debugged, "signals", str(number), "1") as (done, port, _):
        line = ["gdb", "-nx", "-q", "-ex", "set confirm off", "-ex", f"handle SIGUSR1 {handle}", "-ex", f"target remote :{port}"]
        with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as gdb:
            assert gdb.stdin and gdb.stdout
            gdb.stdin.write("continue\n")
            gdb.stdin.flush()
            assert any("received signal SIG" in shown for shown in gdb.stdout)
            if end:
                gdb.communicate(f"{end}\n", timeout=20)
            else:
                gdb.kill()
        assert done.communicate(timeout=20)[0] == out and done.returncode == code
