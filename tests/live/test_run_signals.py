"""The program's signal state is as if nothing had happened."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable

import pytest
from running import RUN, run, run_python

pytestmark = pytest.mark.needs_run

STATE = """
    import sys
    def state():
        fields = dict(line.split(":\\t") for line in open("/proc/thread-self/status") if line.startswith("Sig"))
        blocked = int(fields["SigBlk"], 16)
        return bool(blocked >> 3 & 1), bool(blocked >> 10 & 1), signal.getsignal(signal.SIGILL)
    source, target = Buffer(64), Buffer(64)
    source.data.raw = b"x" * 64
"""


@pytest.mark.parametrize("instruction", ["enqcmd", "movdir64b"])
def test_blocked_handled_and_ignored_survive_submissions(instruction: str) -> None:
    queue = {"enqcmd": "wq0.0", "movdir64b": "wq0.1"}[instruction]
    done = run_python(
        STATE
        + f"""
    class Action(ctypes.Structure):
        _fields_ = [("handler", ctypes.c_void_p), ("flags", ctypes.c_ulong), ("restorer", ctypes.c_void_p), ("mask",
        ctypes.c_uint64)]
    def query(number):
        action = Action()
        libc.syscall(13, number, None, ctypes.byref(action), 8)
        return action.handler or 0
    portal, _ = open_portal("/dev/dsa/{queue}")
    for what in ("default", "ignored", "handled"):
        hits = []
        handler = {{"default": signal.SIG_DFL, "ignored": signal.SIG_IGN, "handled": lambda *_: hits.append(1)}}[what]
        signal.signal(signal.SIGILL, handler)
        signal.signal(signal.SIGSEGV, handler)
        before = query(4), query(11)
        for blocked in (False, True):
            signal.pthread_sigmask(signal.SIG_BLOCK if blocked else signal.SIG_UNBLOCK, {{signal.SIGILL,
            signal.SIGSEGV}})
            for _ in range(3):
                assert move(portal, source, target, 64, {instruction}) == 1
            assert state()[:2] == (blocked, blocked), (what, blocked, state())
            assert (query(4), query(11)) == before, (what, blocked, query(4), query(11), before)
            assert not hits
        if what == "handled":  # a blocked signal sent by kill stays pending, then is delivered
            os.kill(os.getpid(), signal.SIGILL)
            assert not hits
            assert move(portal, source, target, 64, {instruction}) == 1
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {{signal.SIGILL, signal.SIGSEGV}})
            assert hits == [1]
        elif what == "ignored":
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {{signal.SIGILL, signal.SIGSEGV}})
            os.kill(os.getpid(), signal.SIGILL)
    print("done")
    """
    )
    assert done.out == "done\n", done.err
    assert done.code == 0


def test_an_ignored_sigill_stays_ignored_over_exec_and_fork() -> None:
    done = run_python(
        STATE
        + """
    portal, _ = open_portal()
    signal.signal(signal.SIGILL, signal.SIG_IGN)
    assert move(portal, source, target, 64) == 1
    def child():
        assert signal.getsignal(signal.SIGILL) == signal.SIG_IGN
        os.execv("/bin/sh", ["sh", "-c", "kill -ILL $$; exit 7"])
    print(died(child), flush=True)
    signal.signal(signal.SIGILL, signal.SIG_DFL)
    print(died(lambda: os.execv("/bin/sh", ["sh", "-c", "kill -ILL $$; exit 7"])))
    """
    )
    assert done.out.split() == ["-7", "4"], done.err


def test_signals_at_any_moment_lose_no_submission() -> None:
    done = run_python("""
        import threading
        ticks = []
        signal.signal(signal.SIGALRM, lambda *_: ticks.append(1))
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        portal, _ = open_portal()
        source, target = Buffer(256), Buffer(256)
        number = 0
        while number < 1500 or len(ticks) <= 20:
            number += 1
            source.data.raw = number.to_bytes(4, "little") * 64
            assert move(portal, source, target, 256) == 1
            assert bytes(target) == bytes(source)
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(number)
    """)
    assert int(done.out) >= 1500, done.err
    assert done.report["submissions"] == int(done.out)


def test_a_blocked_or_ignored_sigsegv_kills_as_the_kernel_does() -> None:
    done = run_python("""
        def without_pasid(set_up):
            def child():
                set_up()
                noop = Buffer(64)
                noop.data.raw = descriptor(NOOP)
                enqcmd(noop.address, noop.address)
            return died(child)
        print(without_pasid(lambda: signal.signal(signal.SIGSEGV, signal.SIG_IGN)))
        print(without_pasid(lambda: signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGSEGV})))
        open_portal()
        print(without_pasid(lambda: signal.signal(signal.SIGSEGV, signal.SIG_IGN)))
        print(without_pasid(lambda: signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGSEGV})))
    """)
    assert done.out.split() == ["11"] * 4, done.err


def test_a_signal_for_the_whole_process_group_comes_once() -> None:
    script = """if True:
        import os, signal, time
        heard = []
        numbers = signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP, signal.SIGTERM
        for number in numbers:
            signal.signal(number, lambda number, _: heard.append(number))
        for number in numbers:
            os.killpg(0, number)
            time.sleep(0.1)
        for number in numbers:  # as when pasidlab is told last
            os.kill(os.getpid(), number)
            os.kill(os.getppid(), number)
            time.sleep(0.1)
        os.kill(os.getppid(), signal.SIGUSR1)
        time.sleep(0.3)
        print(heard == [*numbers * 2, signal.SIGUSR1], heard)
    """
    words = [sys.executable, "-c", RUN, "--", sys.executable, "-c", script]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False, start_new_session=True)
    assert (done.returncode, done.stdout.split()[:1]) == (0, ["True"]), done


@pytest.mark.parametrize("options", [(), ("--exact",)], ids=["fast", "exact"])
@pytest.mark.parametrize(
    ("way", "number"), [("moves", signal.SIGSEGV), ("moves", signal.SIGBUS), ("batches", signal.SIGRTMIN + 6), ("batches", signal.SIGUSR1)]
)
def test_no_signal_is_lost_where_none_may_wait(way: str, number: int, options: tuple[str, ...], compiled: Callable[[str], str]) -> None:
    """RLIMIT_SIGPENDING: a real-time signal that is sent by its thread's number finds no memory then."""
    done = run(compiled("quota"), "0", way, str(int(number)), options=options)
    assert (done.code, done.out) == (0, "300 of 300 heard, wrong 0, sender 0\n"), done.err


@pytest.mark.parametrize("options", [(), ("--exact",), ("--isolation", "redirect")], ids=["fast", "exact", "redirect"])
@pytest.mark.parametrize(("how", "size"), [("protects", 8 << 20), ("shortens", 8 << 20), ("protects", 600000)])
def test_a_fault_of_large_work_is_no_signal_of_the_program(
    how: str, size: int, options: tuple[str, ...], compiled: Callable[[str], str]
) -> None:
    """Also where the memory is there again when that is looked at."""
    done = run(compiled("withdraws"), how, str(size), options=options)
    assert (done.code, done.out) == (0, ""), done.err


@pytest.mark.parametrize("options", [(), ("--exact",)], ids=["fast", "exact"])
@pytest.mark.parametrize(
    ("when", "size"), [("before", 64), ("before", 2 << 20), ("meanwhile", 64), ("meanwhile", 600000), ("meanwhile", 32 << 20)]
)
def test_several_blocked_signals_wait_as_they_did(when: str, size: int, options: tuple[str, ...], compiled: Callable[[str], str]) -> None:
    done = run(compiled("several"), when, str(size), options=options)
    assert (done.code, done.out) == (0, ""), done.err
