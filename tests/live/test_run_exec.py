"""A thread calls execve while others submit, wait for the device, or work for it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from running import run, run_python
from tries_place import build

from harness import some

pytestmark = pytest.mark.needs_run

ROUNDS = """
import threading
def rounds(count, child, code):
    '''(children that did not end with that code, the longest time in seconds that one took to end)'''
    wrong, longest = [], 0
    for number in range(count):
        pid = os.fork()
        if not pid:
            try:
                child(number)
            finally:
                os._exit(98)
        began = time.monotonic()
        while not (found := os.waitpid(pid, os.WNOHANG))[0]:
            time.sleep(0.002)
            if time.monotonic() > began + 40:
                os.kill(pid, signal.SIGKILL)
        longest = max(longest, time.monotonic() - began)
        if found[1] != code << 8:
            wrong.append(found[1])
    return wrong, longest
def soon(function, *arguments):
    threading.Timer(0.03 + os.getpid() * 7919 % 20000 / 1e6, function, arguments).start()
def moves(portal, size):
    source, target, record = Buffer(size), Buffer(size), Buffer(32)
    while True:
        record.data.raw = bytes(32)
        submit(portal, descriptor(MOVE, record.address, source.address, target.address, size, flags=0xE), tries=1 << 30)
        wait(record, 60)
"""


@pytest.mark.parametrize("options", [(), ("--delay", "300"), ("--isolation", "redirect")], ids=["exact", "delayed", "redirected"])
def test_a_device_file_is_closed_on_exec_with_work_in_flight(options: tuple[str, ...]) -> None:
    program = """
        def child(number):
            portal, keep = open_portal(keep=True)
            for _ in range(2):
                threading.Thread(target=moves, args=(portal, 2 << 20), daemon=True).start()
            soon(os.execv, "/bin/sh", ["sh", "-c", "exit 4"])
            moves(portal, 2 << 20)
        wrong, longest = rounds(6, child, 4)
        print(wrong, longest < 30)
        """
    done = run_python(ROUNDS + _flat(program), *options)
    assert done.out == "[] True\n", done


def test_exec_gets_its_turn_from_threads_that_submit_all_the_time() -> None:
    """wait(2) tells of the oldest threads first."""
    program = """
        def child(number):
            portal, _ = open_portal()
            def submit_all_the_time():
                place = Buffer(64)
                place.data.raw = descriptor(NOOP)
                loop = machine_code("f20f38f83e ebf9")  # enqcmd (%rsi),%rdi, again and again
                loop(portal, place.address)
            for _ in range(3):
                threading.Thread(target=submit_all_the_time, daemon=True).start()
            time.sleep(0.05)
            os.execv("/bin/sh", ["sh", "-c", "exit 4"]) if number % 2 else os._exit(4)
        print(rounds(8, child, 4)[0])
        """
    done = run_python(ROUNDS + _flat(program))
    assert done.out == "[]\n" and done.report["submissions"] > 100, done


def test_the_next_program_s_first_thread_is_not_the_former_leader() -> None:
    """The leader waits for a batch while another thread execs: the new program has its number, and keeps its registers."""
    program = """
        def child(number):
            portal, _ = open_portal()
            size, count = 65536, 64
            source, target, listed = Buffer(size), Buffer(size), Buffer(64 * count)
            record, others = Buffer(32), Buffer(32 * count)
            listed.data.raw = b"".join(
                descriptor(MOVE, others.address + 32 * at, source.address, target.address, size, flags=0xE) for at in range(count)
            )
            soon(os.execv, "/bin/sh", ["sh", "-c", "exit 4"])
            while True:
                record.data.raw = bytes(32)
                submit(portal, descriptor(BATCH, record.address, listed.address, 0, count), tries=1 << 30)
                wait(record, 60)
        print(rounds(40, child, 4)[0])
        """
    done = run_python(ROUNDS + _flat(program), "--faults", "kind")
    assert done.out == "[]\n" and done.report["operations"]["memory move"] > 100, done


@pytest.mark.parametrize("way", ["execve", "int $0x80"])
def test_what_is_outstanding_ends_with_the_address_space(way: str) -> None:
    done = run_python(f"""
        libc.mmap.restype = ctypes.c_void_p
        portal, _ = open_portal("/dev/dsa/wq0.0")
        source, target = Buffer(64), Buffer(64)
        submit(portal, descriptor(MOVE, 0, source.address, target.address, 64))
        if {way == "execve"}:
            os.execv("/bin/sh", ["sh", "-c", "sleep 1.2; exit 4"])
        at = libc.mmap(None, 4096, 3, 0x62, -1, 0)  # MAP_32BIT
        texts = [b"/bin/sh", b"-c", b"sleep 1.2; exit 4"]
        for number, text in enumerate(texts):
            ctypes.memmove(at + 64 * number, text, len(text) + 1)
        ctypes.memmove(at + 1024, struct.pack("<4I", at, at + 64, at + 128, 0), 16)
        execve = machine_code("53 b80b000000 89fb 89f1 31d2 cd80 5b c3")
        execve(at, at + 1024)
        """, "--delay", "1000000")
    assert (done.code, done.report["submissions"], done.report["operations"]) == (4, 1, {}), done


def test_a_signal_for_a_thread_whose_work_has_just_ended() -> None:
    """It stops with the fault that ends the work still to come: that fault is ours."""
    done = run_python(ROUNDS + _flat("""
        portal, _ = open_portal()
        signal.signal(signal.SIGUSR1, lambda *_: None)
        size, pid = 2 << 20, os.getpid()
        if not os.fork():
            for _ in range(400):
                os.kill(pid, signal.SIGUSR1)
                time.sleep(0.01)
            os.kill(pid, signal.SIGTERM)
            os._exit(0)
        for _ in range(3):
            threading.Thread(target=moves, args=(portal, size), daemon=True).start()
        moves(portal, size)
        """))
    assert done.report["signal"] == "SIGTERM", done.err


@pytest.mark.parametrize("options", some([("--delay", "300", "--isolation", "redirect"), ()], 2), ids=" ".join)
def test_exec_may_wait_for_what_another_thread_of_the_program_does(options: tuple[str, ...], tmp_path: Path) -> None:
    """For a lease (45 s unless it is given free), or for a page that a userfaultfd serves."""
    if why := build(tmp_path):
        pytest.skip(why)
    shell = tmp_path / "sh"
    shell.write_text("#!/bin/sh\nexit 4\n")
    shell.chmod(0o755)
    for how in ("submits", "works", "words"):
        file = shutil.copy(shell, tmp_path / f"for-{how}")  # new: nobody else has it open
        done = run(str(tmp_path / "execs"), how, str(file), options=options, timeout=40)
        assert done.code in (4, 77), (how, done)
        assert done.code == 77 or how != "works" or done.report["operations"]["memory move"] == 12, done


def _flat(text: str) -> str:
    return "\n".join(line[8:] for line in text.split("\n"))
