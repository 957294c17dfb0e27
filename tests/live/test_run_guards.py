"""What a program does in the middle of device work: it ends, stops, execs, filters itself, or serves its own memory."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from running import RUN, run, run_python
from stress import one_run

from harness import some
from pasidlab.live.seccomp import OURS_32

pytestmark = pytest.mark.needs_run

ENDLESS = """
import threading
portal, keep = open_portal(keep=True)
SIZE = 4 << 20
def work(size=SIZE):
    source, target, record = Buffer(size), Buffer(size), Buffer(32)
    while True:
        record.data.raw = bytes(32)
        submit(portal, descriptor(MOVE, record.address, source.address, target.address, size, flags=0xE), tries=1 << 30)
        wait(record, 60)
[threading.Thread(target=work, daemon=True).start() for _ in range(2)]
time.sleep(0.1)
"""


@pytest.mark.parametrize("options", [(), ("--delay", "300")], ids=["exact", "delayed"])
def test_a_short_round_of_the_stress(options: tuple[str, ...]) -> None:
    result = one_run(options, 11, 14, longest=30)
    assert result.wrong == [], result
    assert result.told.startswith("14 children, 0 failures")


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("os._exit(3)", 3),
        ("threading.Thread(target=os._exit, args=(3,)).start(); time.sleep(60)", 3),
        ("os.kill(os.getpid(), signal.SIGKILL)", 137),
        ("os.execv('/bin/sh', ['sh', '-c', 'exit 4'])", 4),
        ("os.close(keep); os._exit(3)", 3),
    ],
    ids=["exits", "another thread exits", "is killed", "execs", "closes, then exits"],
)
def test_a_process_ends_while_its_threads_work_for_the_device(end: str, code: int) -> None:
    done = run_python(ENDLESS + end, timeout=60)
    assert done.code == code, done.err


def test_attributes_cannot_be_mapped_and_write_of_one_is_no_deadlock() -> None:
    done = run_python("""
        fd = os.open("/sys/bus/dsa/devices/wq0.0/clients", os.O_RDONLY)
        for length, flags in ((4096, 2), (8192, 2), (1 << 20, 2), (4096, 1)):
            failed = libc.mmap(None, length, 1, flags, fd, 0) in (None, 2**64 - 1)
            print(failed, ctypes.get_errno(), end=" ")
        wq = os.open("/dev/dsa/wq0.0", os.O_RDWR)
        record = Buffer(32)
        print(os.write(wq, descriptor(MOVE, record.address, 8, record.address, 64)), wait(record))
        """)
    assert done.out == "True 19 True 19 True 19 True 19 64 3\n", done


@pytest.mark.parametrize(("size", "blocked"), some([(2 << 20, True), (64, True), (64, False), (2 << 20, False)], 2))
def test_a_stopped_process_makes_no_progress(size: int, blocked: bool) -> None:
    done = run_python(f"""
        import threading
        pid = os.getpid()
        shared = mmap.mmap(-1, 4096)
        def progress():
            return struct.unpack_from("<4Q", shared)
        if os.fork() == 0:
            bad = stuck = 0
            while min(progress()) < 3:
                time.sleep(0.01)
            for _ in range(6):
                os.kill(pid, signal.SIGSTOP)
                two, still, end = progress(), 0, time.monotonic() + 20
                while still < 3 and time.monotonic() < end:  # the stop takes its time on a busy machine, and then it lasts
                    time.sleep(0.07)
                    one, two = two, progress()
                    still = still + 1 if one == two else 0
                bad += still < 3
                os.kill(pid, signal.SIGCONT)
                end = time.monotonic() + 30
                while progress() == two and time.monotonic() < end:
                    time.sleep(0.005)
                stuck += progress() == two
            print(bad, stuck, flush=True)
            os.kill(pid, signal.SIGKILL)
            os._exit(0)
        portal, _ = open_portal()
        def work(at):
            if {blocked}:
                signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            source, target = Buffer({size}), Buffer({size})
            while move(portal, source, target, {size}) == 1:
                struct.pack_into("<Q", shared, 8 * at, struct.unpack_from("<Q", shared, 8 * at)[0] + 1)
        [threading.Thread(target=work, args=(at,)).start() for at in range(4)]
        """)
    assert (done.out, done.code) == ("0 0\n", 137), done.err


def test_signals_that_come_during_a_large_move_keep_their_siginfo() -> None:
    done = run_python("""
        portal, _ = open_portal()
        size, pid = 16 << 20, os.getpid()
        source, target = Buffer(size), Buffer(size)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGSEGV})
        if os.fork() == 0:
            class Info(ctypes.Union):
                _fields_ = [("raw", ctypes.c_char * 128)]
            for number in range(20):
                libc.sigqueue(pid, signal.SIGSEGV, ctypes.c_void_p(4711))
                time.sleep(0.01)
            os._exit(0)
        good = other = moves = 0
        while os.waitpid(-1, os.WNOHANG)[0] == 0:
            moves += move(portal, source, target, size) == 1
            while info := signal.sigtimedwait({signal.SIGSEGV}, 0):
                good += (info.si_code, info.si_pid > 0) == (-1, True)
                other += info.si_code != -1
        print(good > 0, other, moves > 0)
        """)
    assert done.out == "True 0 True\n", done


@pytest.mark.parametrize("size", [64, 2 << 20])
@pytest.mark.parametrize("blocked", [False, True])
def test_a_program_with_a_seccomp_filter_of_its_own(size: int, blocked: bool) -> None:
    done = run_python(f"""
        from stress_program import filter_ourselves
        portal, _ = open_portal()
        source, target = Buffer({size}), Buffer({size})
        source.data[0] = b"f"
        if {blocked}:
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        filter_ourselves()
        for _ in range(3):
            print(move(portal, source, target, {size}), bytes(target)[:1], end=" ")
        print(signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before, flush=True)
        os._exit(0)
        """)
    assert (done.code, done.out) == (0, "1 b'f' 1 b'f' 1 b'f' True\n"), done.err


def test_a_filter_for_all_threads_meets_no_call_of_ours() -> None:
    """The others map portals, and have their signals blocked while they submit: each needs calls in their name."""
    done = run_python("""
        import threading
        rules = [(0x20, 0, 0, 0), (0x15, 4, 0, 13), (0x15, 0, 2, 28), (0x20, 0, 0, 32), (0x15, 1, 0, 10),
                 (6, 0, 0, 0x7FFF0000), (6, 0, 0, 0x80000000)]  # no rt_sigaction, no MADV_DONTFORK
        code = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *rule) for rule in rules))
        head = ctypes.create_string_buffer(struct.pack("<HxxxxxxQ", len(rules), ctypes.addressof(code)))
        def child(number):
            signal.signal(signal.SIGSEGV, signal.SIG_DFL)
            portal, _ = open_portal()
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGILL, signal.SIGSEGV})
            source, target = Buffer(64), Buffer(64)
            def map_portals():
                while True:
                    libc.munmap(open_portal()[0], 4096)
            def moves():
                mine = Buffer(64), Buffer(64)
                while True:
                    move(portal, *mine, 64)
            for work in (map_portals, moves):
                threading.Thread(target=work, daemon=True).start()
            time.sleep(0.01 + number % 10 / 1000)
            libc.prctl(38, 1, 0, 0, 0)
            failed = libc.syscall(317, 1, 1, ctypes.byref(head))  # SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC
            os._exit(failed or move(portal, source, target, 64))
        ends = []
        for number in range(40):
            pid = os.fork()
            pid or child(number)
            ends.append(os.waitpid(pid, 0)[1])
        print(set(ends))
        """)
    assert done.out == "{256}\n", done


def test_a_fault_kills_a_program_with_a_filter_as_any_other() -> None:
    done = run_python("""
        from stress_program import filter_ourselves
        portal, _ = open_portal()
        filter_ourselves()
        submit(portal + 8, descriptor(MOVE))
        """)
    assert done.code == 128 + signal.SIGSEGV, done.err


@pytest.mark.parametrize("data", [7, OURS_32], ids=["its own data", "our data of 32-bit calls"])
def test_the_program_s_own_trace_action_finds_no_tracer(data: int) -> None:
    done = run_python(f"""
        rules = [(0x20, 0, 0, 0), (0x15, 0, 1, 110), (6, 0, 0, 0x7FF00000 | {data}), (6, 0, 0, 0x7FFF0000)]
        code = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *rule) for rule in rules))
        head = ctypes.create_string_buffer(struct.pack("<HxxxxxxQ", len(rules), ctypes.addressof(code)))
        libc.prctl(38, 1, 0, 0, 0)
        print(libc.prctl(22, 2, ctypes.c_void_p(ctypes.addressof(head)), 0, 0), libc.syscall(110), ctypes.get_errno())
        """)
    assert done.out == "0 -1 38\n", done


@pytest.mark.parametrize("size", [64, 1 << 20])
def test_a_page_that_a_userfaultfd_would_serve_is_a_fault(size: int) -> None:
    """The handler asks the tracer first; nobody hangs, and the page that the program itself touches is served."""
    done = run_python(f"""
        import threading
        fd = libc.syscall(323, 1)
        if fd < 0:
            print("3 0 served")
            sys.exit()
        length = 1 << 20
        place = libc.mmap(None, length, 3, 0x22, -1, 0)
        ioctl = libc.ioctl
        ioctl(fd, ctypes.c_ulong(0xC018AA3F), ctypes.byref((ctypes.c_uint64 * 3)(0xAA, 0, 0)))
        ioctl(fd, ctypes.c_ulong(0xC020AA00), ctypes.byref((ctypes.c_uint64 * 4)(place, length, 1, 0)))
        page = Buffer(4096, 4096)
        page.data[:6] = b"served"
        def serve():
            os.read(fd, 32)
            with open(sys.executable, "rb") as file:
                mmap.mmap(file.fileno(), 4096, mmap.MAP_SHARED, mmap.PROT_READ).close()
            ioctl(fd, ctypes.c_ulong(0xC028AA03), ctypes.byref((ctypes.c_uint64 * 5)(place, page.address, 4096, 0, 0)))
        threading.Thread(target=serve).start()
        portal, _ = open_portal()
        record, target = Buffer(32), Buffer({size})
        submit(portal, descriptor(MOVE, record.address, place, target.address, {size}))
        status = wait(record)  # before the program touches the page: the device must not find it
        libc.memcpy(ctypes.c_void_p(target.address), ctypes.c_void_p(place), 6)  # without the lock of the interpreter
        print(status, int.from_bytes(record.data.raw[4:8], "little"), bytes(target)[:6].decode())
        """.replace("import threading\n", "import sys, threading\n"), "--faults", "kind")
    assert done.out == "3 0 served\n", done


def test_calls_that_could_hide_a_task_or_a_mapping() -> None:
    done = run_python("""
        portal, _ = open_portal()
        source, target = Buffer(64), Buffer(64)
        def child():
            try:
                mine, _ = open_portal()
                os._exit(move(mine, source, target, 64) != 1)
            finally:
                os._exit(9)
        fork32 = machine_code("b802000000 cd80 c3")
        pid = fork32(0, 0)
        pid or child()
        print(os.waitpid(pid, 0)[1], end=" ")
        pid = libc.syscall(56, 0x800000 | signal.SIGCHLD, 0, 0, 0, 0)
        pid or child()
        print(os.waitpid(pid, 0)[1], move(portal, source, target, 64), end=" ")
        for below in (4096, portal - 0x7ED500000000 + (1 << 30)):
            at, _ = open_portal()
            start = at - below if below == 4096 else 0x7ED500000000 - (1 << 30)
            def gone():
                libc.munmap(ctypes.c_void_p(start), ctypes.c_size_t(at + 4096 - start))
                move(at, source, target, 64)
            print(died(gone), end=" ")
        """)
    assert done.out.split() == ["0", "0", "1", "11", "11"], done


def test_room_for_one_page_is_enough() -> None:
    done = run_python("""
        import resource
        fd = os.open("/dev/dsa/wq0.0", os.O_RDWR)
        source, target = Buffer(64), Buffer(64)
        size = int(open("/proc/self/statm").read().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, ((size + 1) * 4096,) * 2)
        at = libc.mmap(None, 4096, 2, 1, fd, 0)
        results = [move(at, source, target, 64) for _ in range(3)]
        print(results)
        """)
    assert done.out == "[1, 1, 1]\n", done


def test_ls_finds_what_is_redirected() -> None:
    done = run("sh", "-c", "ls -l /dev/dsa/wq0.0 /sys/bus/dsa/devices/dsa0/ >/dev/null && echo fine",
               options=("--isolation", "redirect"))  # fmt: skip
    assert done.out == "fine\n" and done.err.startswith("pasidlab run"), done


def test_a_design_file_is_data(tmp_path: Path) -> None:
    proof = tmp_path / "executed"
    design = tmp_path / "mine.py"
    body = """
    from pasidlab.model.ambient import current
    from pasidlab.model.state import MSR_IA32_PASID_VALID
    from pasidlab.model.x86.cpu import wrmsr_pasid
    X = open({proof!r}, "w").close()
    def try_fixup_enqcmd_gp() -> bool:
        {loop}
        wrmsr_pasid(current.mm.pasid | MSR_IA32_PASID_VALID)
        return True
    """.replace("\n    ", "\n")
    program = "portal, _ = open_portal()\nprint(move(portal, Buffer(64), Buffer(64), 64))"
    design.write_text(body.format(proof=str(proof), loop="pass"))
    done = run_python(program, "--design", str(design))
    assert (done.out, done.report["gp_fixups"], proof.exists()) == ("1\n", 1, False), done.err
    design.write_text(body.format(proof=str(proof), loop="while current.mm.pasid != 0: pass"))
    done = run_python(program, "--design", str(design))
    assert done.code == 2 and "mine.py:7:" in done.err and "never ends" in done.err and not proof.exists()
    design.write_text("import os\nos.system('touch " + str(proof) + "')\n")
    done = run_python(program, "--design", str(design))
    assert done.code == 2 and "Traceback" not in done.err and not proof.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_batch_without_end_ends_with_a_signal(number: signal.Signals) -> None:
    program = """
from dsa_client import *
size = 1 << 31
place = libc.mmap(None, ctypes.c_size_t(size), 3, 0x4022, -1, 0)
listed, record, other = Buffer(64 * 1024), Buffer(32), Buffer(32)
member = descriptor(5, other.address, place, place, size - 4096)
listed.data.raw = member * 1024
portal, _ = open_portal()
signal.signal(signal.SIGINT, signal.SIG_DFL)
print("submitting", flush=True)
submit(portal, descriptor(BATCH, record.address, listed.address, 0, 1024))
wait(record, 1000)
"""
    with subprocess.Popen(
        [sys.executable, "-c", RUN, "--summary", "none", "--faults", "kind", "--", sys.executable, "-c", program],
        stdout=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
    ) as started:  # fmt: skip
        assert started.stdout is not None and started.stdout.readline() == "submitting\n"
        time.sleep(1)
        os.killpg(started.pid, number) if number == signal.SIGINT else os.kill(started.pid, number)
        assert started.wait(15) == 128 + number


def test_sigterm_ends_what_a_program_that_is_gone_has_left() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", RUN, "--summary", "none", "--", "sh", "-c", "(trap '' TERM; sleep 40) & echo $$; exit 6"],
        stdout=subprocess.PIPE,
    ) as started:  # fmt: skip
        assert started.stdout is not None
        leader = int(started.stdout.readline())
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            while Path(f"/proc/{leader}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX":
                time.sleep(0.01)
        assert started.poll() is None
        started.send_signal(signal.SIGTERM)
        assert started.wait(15) == 6


@pytest.mark.parametrize(("redirection", "told"), [(">&-", 1), ("2>&-", 0), (">&- 2>&-", 0), ("2>/dev/full", 0)])
def test_closed_and_full_streams_cost_no_status(redirection: str, told: int, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    command = f"exec {redirection}; exec \"$0\" -c '{RUN}' --json {report} -- sh -c 'exit 5'"
    done = subprocess.run(["sh", "-c", command, sys.executable], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr.count("exit status 5")) == (5, "", told), done
    assert '"exit": 5' in report.read_text() and "Traceback" not in done.stderr


def test_a_full_disk_costs_one_line_and_nothing_else(tmp_path: Path) -> None:
    done = run("sh", "-c", "exit 7", options=("--trace", "/dev/full"))
    assert (done.code, done.report["exit"]) == (7, 7)
    assert done.err.count("cannot write /dev/full: No space left on device") == 1 and "Traceback" not in done.err
    assert "exit status 7" in done.err


def test_descriptors_of_ours_do_not_grow_with_threads() -> None:
    script = """
        import threading
        portal, _ = open_portal()
        both = threading.Barrier(151)
        def work():
            print(move(portal, Buffer(64), Buffer(64), 64), end="")
            both.wait()
        [threading.Thread(target=work).start() for _ in range(150)]
        both.wait()
        """
    limited = f"ulimit -n 40; exec \"$0\" -c '{RUN}' --summary none -- \"$@\""
    source = "from dsa_client import *\n" + "\n".join(line[8:] for line in script.split("\n"))
    done = subprocess.run(
        ["sh", "-c", limited, sys.executable, sys.executable, "-u", "-c", source],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "1" * 150), done.stderr
