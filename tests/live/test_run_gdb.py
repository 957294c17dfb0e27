"""``run --gdb``: gdb's remote protocol, by itself and with the real gdb."""

from __future__ import annotations

import random
import re
import shutil
import socket
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator

import pytest
from gdb_client import Client, address_of, waiting_run
from running import run

from harness import some
from pasidlab.live.gdb_packets import NoPacket, Reader, escaped, packet, unescaped
from pasidlab.live.gdb_signals import from_gdb, to_gdb

run_only = pytest.mark.needs_run


@pytest.fixture
def stopped(debugged: str) -> Iterator[Client]:
    """A program of which nothing has run yet."""
    with waiting_run(debugged, "plain") as (_, _, connect):
        yield connect()


def instruction_pointer(client: Client) -> int:
    return int.from_bytes(bytes.fromhex(client.ask("p10")), "little")


def test_packets_are_framed_and_escaped() -> None:
    binary = bytes(range(256))
    assert unescaped(escaped(binary)) == binary
    assert packet(b"OK") == b"$OK#9a"
    reader = Reader()
    pieces = b"+" + packet(b"m0,4") + b"\x03" + b"$g#00" + packet(escaped(b"#$"))
    found = [one for piece in pieces for one in reader.feed(bytes([piece]))]
    assert found == [(b"m0,4", True), (b"\x03", True), (b"g", False), (escaped(b"#$"), True)]
    with pytest.raises(NoPacket):
        list(reader.feed(b"GET / HTTP/1.1\r\n"))


def test_signals_have_numbers_of_their_own() -> None:
    assert [to_gdb(number) for number in (0, 5, 7, 10, 11, 17, 34, 63)] == [0, 5, 10, 30, 11, 20, 46, 75]
    assert all(from_gdb(to_gdb(number)) == number for number in range(65) if number != 16)  # SIGSTKFLT has none


@run_only
def test_registers_are_as_described_and_memory_as_the_program_has_it(stopped: Client, debugged: str) -> None:
    assert stopped.ask("?").startswith("T05thread:")
    assert "PacketSize=4000" in stopped.ask("qSupported:swbreak+;xmlRegisters=i386")
    text = stopped.ask("qXfer:features:read:target.xml:0,3000")
    while text[0] == "m":
        text = "l" + text[1:] + stopped.ask(f"qXfer:features:read:target.xml:{len(text) - 1:x},3000")[1:]
    tree = ElementTree.fromstring(text[1:])
    sizes = [int(one.attrib["bitsize"]) for one in tree.iter("reg")]
    whole = stopped.ask("g")
    assert len(whole) == sum(sizes) // 4
    assert stopped.ask(f"G{whole}") == "OK" and stopped.ask("g") == whole
    here = instruction_pointer(stopped)
    data = stopped.ask(f"m{here:x},20")
    assert len(data) == 64 and unescaped(stopped.ask(f"x{here:x},20").encode("latin-1")[1:]).hex() == data
    assert stopped.ask(f"Z0,{here:x},1") == "OK" and stopped.ask(f"m{here:x},20") == data
    assert stopped.ask(f"z0,{here:x},1") == "OK"
    assert stopped.ask(f"M{here:x},1:90") == "OK" and stopped.ask(f"m{here:x},1") == "90"
    assert stopped.ask(f"M{here:x},1:{data[:2]}") == "OK"
    assert stopped.ask("P0=0102030405060708") == "OK" and stopped.ask("p0") == "0102030405060708"
    assert stopped.ask("qXfer:exec-file:read::0,400") == "l" + debugged
    assert stopped.go("vCont;s")[1].startswith("T05thread:") and here < instruction_pointer(stopped) < here + 16


@run_only
def test_requests_that_are_wrong_are_errors_and_unknown_ones_empty(stopped: Client) -> None:
    wrong = ["m1,zz", "m8,4", "M8,4:00000000", "pffff", "P0=01", "G00", "Z0,8,1", "Hgabcdef", "vCont;q", "Tabcdef", "Z0"]
    assert [stopped.ask(one)[:1] for one in wrong] == ["E"] * len(wrong)
    unknown = ["vMustReplyEmpty", "Z1,1000,1", "!", "qXfer:memory-map:read::0,10", "jThreadsInfo", "vFile:unlink:00"]
    assert [stopped.ask(one) for one in unknown] == [""] * len(unknown)
    files = ["vFile:open:2f6465762f7a65726f,0,0", "vFile:open:2f746d702f78,1,0", "vFile:pread:3e7,10,0", "vFile:open:zz,0,0"]
    assert [stopped.ask(one)[:3] for one in files] == ["F-1"] * len(files)
    stopped.raw(b"$g#00")
    assert stopped.byte() == b"-"
    assert stopped.ask("T" + re.findall("thread:([0-9a-f]+)", stopped.ask("?"))[0]) == "OK"


@run_only
def test_a_rejected_descriptor_stops_the_program_at_its_instruction(debugged: str) -> None:
    with waiting_run(debugged, "plain") as (done, _, connect):
        client = connect()
        said, how = client.go()
        assert said.startswith("pasidlab: descriptor rejected: flag bit 7") and how.startswith("T05thread:")
        assert client.ask(f"m{instruction_pointer(client):x},5") == "f20f38f802"
        assert client.ask("P0=0000000000000000") == "E10"  # pasidlab carries the instruction out
        assert len(client.ask("qfThreadInfo").split(",")) == 2
        assert client.go() == ("", "W07")
        assert done.wait(20) == 7


@run_only
@pytest.mark.parametrize(("way", "turns", "out"), some([("threads", 40, "40 turns\n"), ("fork", 0, "child 5\n")], 1))
def test_breakpoints_stop_every_thread_and_no_child(way: str, turns: int, out: str, debugged: str) -> None:
    """Each stop is left as gdb leaves it: the byte back, a step of that thread alone, the breakpoint again."""
    with waiting_run(debugged, way) as (done, _, connect):
        client = connect()
        assert [client.ask("QStartNoAckMode"), client.ask("QPassSignals:14")] == ["OK", "OK"]  # SIGCHLD
        turn, met = address_of(debugged, "turn", client), 0
        client.ask(f"Z0,{turn:x},1")
        answer = client.go()[1]
        while answer.startswith("T05swbreak:;"):
            met += 1
            tid = re.findall("thread:([0-9a-f]+)", answer)[0]
            client.ask(f"z0,{turn:x},1")
            answer = client.go(f"vCont;s:{tid}")[1]
            assert answer.startswith(f"T05thread:{tid}")
            client.ask(f"Z0,{turn:x},1")
            answer = client.go()[1]
        assert (met, answer) == (turns, "W00")
        assert done.stdout and done.stdout.read() == out


@run_only
def test_a_new_thread_stands_still_while_only_its_maker_goes_on(debugged: str) -> None:
    """It would pass a breakpoint that a debugger has taken out for a step of another thread."""
    with waiting_run(debugged, "plain") as (done, _, connect):
        client = connect()
        assert client.ask("QStartNoAckMode") == "OK"
        submits, counter = address_of(debugged, "submits", client), address_of(debugged, "counter", client)
        client.ask(f"Z0,{submits:x},1")
        first = client.ask("qC").removeprefix("QC")
        for _ in range(3):
            assert client.go(f"vCont;c:{first}")[1] == f"T05swbreak:;thread:{first};"
            assert client.ask(f"m{counter:x},4") == "00000000"
            client.ask(f"z0,{submits:x},1")
            assert client.go(f"vCont;s:{first}")[1] == f"T05thread:{first};"
            client.ask(f"Z0,{submits:x},1")
        assert len(client.ask("qfThreadInfo").split(",")) == 2
        client.ask(f"z0,{submits:x},1")
        assert client.go()[1].startswith("T05thread:")  # the descriptor that is rejected
        steps = 0
        while client.ask(f"m{counter:x},4") == "00000000" and steps < 1000:  # the new thread goes on now, when its CPU is free
            assert client.go(f"vCont;s:{first};c")[1] == f"T05thread:{first};"
            steps += 1
        assert steps < 1000
        assert client.go()[1] == "W07"
        assert done.wait(20) == 7


@run_only
@pytest.mark.parametrize("where", ["portal", "ordinary"])
def test_a_thread_for_which_a_page_comes_while_everything_stands_still_stays(debugged: str, where: str) -> None:
    """Its submission waits for the page, which another process serves after the debugger was told that all threads stand still. One to a
    portal is done when the thread is let go. One to ordinary memory is done, and the thread has stopped behind it.
    """
    with waiting_run(debugged, "page", where) as (_, _, connect):
        client = connect()
        assert [client.ask("QStartNoAckMode"), client.ask("QPassSignals:14")] == ["OK", "OK"]  # SIGCHLD
        places = {name: address_of(debugged, name, client) for name in ("turn", "counter", "shared")}
        client.ask(f"Z0,{places['turn']:x},1")
        submits = client.ask("qC").removeprefix("QC")
        answer = client.go()[1]
        if answer == "W4d":
            pytest.skip("no userfaultfd here")
        assert answer.startswith("T05swbreak:;") and submits not in answer
        shared = int.from_bytes(bytes.fromhex(client.ask(f"m{places['shared']:x},8")), "little")
        client.ask(f"Hg{submits}")
        assert client.ask("Pf=" + client.ask("pf")) == "E10"  # R15: it is in the middle of an instruction
        at = instruction_pointer(client)
        assert client.ask(f"M{shared + 8:x},4:01000000") == "OK"
        end = time.monotonic() + (20 if where == "ordinary" else 0.3)
        while client.ask("Pf=" + client.ask("pf")) != "OK" and time.monotonic() < end:
            assert client.ask(f"m{places['counter']:x},4") == "00000000"
        assert client.ask("Pf=" + client.ask("pf")) == ("OK" if where == "ordinary" else "E10")
        assert instruction_pointer(client) == at + (5 if where == "ordinary" else 0)
        assert client.ask(f"m{places['counter']:x},4") == "00000000"
        client.ask(f"z0,{places['turn']:x},1")
        assert client.go()[1] == "W00"


@run_only
def test_signals_are_told_before_the_program_has_them(debugged: str) -> None:
    with waiting_run(debugged, "signal") as (done, _, connect):
        client = connect()
        assert client.go()[1].startswith("T1ethread:")  # SIGUSR1
        assert client.go("vCont;C1e")[1].startswith("T0bthread:")  # SIGSEGV
        assert client.go("vCont;C0b") == ("", "X0b")
        assert done.wait(20) == 139


@run_only
def test_what_is_no_packet_ends_the_conversation_and_nothing_else(debugged: str) -> None:
    draw = random.Random(7)
    with waiting_run(debugged, "waits") as (done, _, connect):
        for _ in range(5):
            client = connect()
            for _ in range(8):
                start = draw.choice(["qXfer:auxv:read:", "vFile:pread:", "vCont;", *"gGpPmMxXHTZzvqQD?c"])
                client.send(start + "".join(draw.choices("0123456789abcdef,:;=-z", k=draw.randrange(12))))
            client.raw(draw.choice([b"GET / HTTP/1.1", b"$unfinished", b"\x03\x03"]))
            client.close()
        assert connect().ask("?").startswith("T") and done.poll() is None


@run_only
def test_a_program_that_no_debugger_holds_can_be_ended(debugged: str) -> None:
    with waiting_run(debugged, "waits") as (done, _, _):
        done.terminate()
        assert done.wait(20) == 143


@run_only
@pytest.mark.parametrize("moment", ["held", "told", "silent"])
def test_a_program_that_a_debugger_holds_and_never_lets_go_ends(debugged: str, moment: str) -> None:
    with waiting_run(debugged, "waits") as (done, _, connect):
        client = connect()
        if moment == "told":
            client.send("vCont;c")
            assert client.byte() == b"+"
            done.terminate()
            assert client.packet().startswith(b"T0f")
        elif moment == "silent":  # and does not even read what it has asked for
            for _ in range(2000):
                client.send("qXfer:features:read:target.xml:0,fffff")
        began = time.monotonic()
        done.terminate()
        assert done.wait(20) == 143 and time.monotonic() - began < 10


@run_only
def test_a_run_that_is_over_waits_for_no_debugger(debugged: str) -> None:
    """A signal that comes then met a run that waited for gdb to close its end, and said that a system call lasted."""
    with waiting_run(debugged, "waits") as (done, _, connect):
        client = connect()
        client.send("vCont;c")
        assert client.byte() == b"+"
        done.terminate()
        assert client.packet().startswith(b"T0f")
        assert client.go("vCont;C0f") == ("", "X0f")
        done.terminate()
        assert client.ended()
        assert "a system call" not in done.communicate(timeout=20)[1]


@run_only
def test_a_port_that_is_taken_is_an_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = run(sys.executable, "-c", "1", options=("--gdb", str(taken.getsockname()[1])))
    assert done.code == 2 and "Address already in use" in done.err


@run_only
def test_gdb_shows_where_a_descriptor_was_rejected(debugged: str) -> None:
    if not shutil.which("gdb"):
        pytest.skip("no gdb")
    with waiting_run(debugged, "plain") as (done, port, _):
        commands = [f"target remote :{port}", "continue", "x/i $pc", "bt", "info threads", "stepi", "p turn()", "p turns", "continue"]
        line = ["gdb", "-nx", "-batch", "-ex", "set pagination off", *(word for one in commands for word in ("-ex", one))]
        shown = subprocess.run(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False).stdout
        assert done.wait(20) == 7
    for wanted in (
        "pasidlab: descriptor rejected: flag bit 7", "SIGTRAP", r"=> 0x.*enqcmd", r"#\d+ .*submits \(portal=.*=3\)", r"#\d+ .*main",
        r"\* 1    Thread", "  2    Thread", "= 1", "exited with code 07",
    ):  # fmt: skip
        assert re.search(wanted, shown), (wanted, shown)
