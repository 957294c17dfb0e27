"""Everything at once: signals at any moment, stops, spawning threads, real binaries of every kind."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from running import run, run_python

pytestmark = pytest.mark.needs_run
HELLO = Path(__file__).parents[2] / "examples" / "dsa_hello.c"


def test_a_storm_of_signals_loses_no_submission_and_no_signal() -> None:
    done = run_python("""
        import threading
        portal, _ = open_portal()
        ticks, bad = [], []
        signal.signal(signal.SIGALRM, lambda number, frame: ticks.append(1))
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        big, copy = Buffer(4 << 20), Buffer(4 << 20)
        ctypes.memset(big.address, 0x5A, 4 << 20)
        def work():
            source, target = Buffer(512), Buffer(512)
            for number in range(300):
                source.data[0] = bytes([number & 255])
                if move(portal, source, target, 512) != 1 or bytes(target) != bytes(source):
                    bad.append(number)
        threads = [threading.Thread(target=work) for _ in range(4)]
        [thread.start() for thread in threads]
        for _ in range(30):
            ctypes.memset(copy.address, 0, 4 << 20)
            if move(portal, big, copy, 4 << 20) != 1 or bytes(copy) != bytes(big):
                bad.append("large")
        [thread.join() for thread in threads]
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(bad, len(ticks) > 20)
    """)
    assert done.out == "[] True\n", done.err
    assert (done.code, done.report["submissions"]) == (0, 4 * 300 + 30)


def test_stopping_and_continuing_a_process_while_it_submits() -> None:
    done = run_python("""
        pid = os.fork()
        if pid == 0:
            portal, _ = open_portal()
            source, target = Buffer(1 << 20), Buffer(1 << 20)
            ctypes.memset(source.address, 7, 1 << 20)
            good = sum(move(portal, source, target, size) == 1 for size in (64, 1 << 20) * 200)
            os._exit(good != 400)
        stops = 0
        while True:
            time.sleep(0.002)
            os.kill(pid, signal.SIGSTOP)
            status = os.waitpid(pid, os.WUNTRACED)[1]
            if not os.WIFSTOPPED(status):
                break
            stops += 1
            os.kill(pid, signal.SIGCONT)
        print(status, stops > 3)
    """)
    assert done.out == "0 True\n", done.err
    assert done.report["submissions"] == 400


def test_children_are_spawned_while_threads_submit() -> None:
    done = run_python("""
        import subprocess, sys, threading
        portal, _ = open_portal()
        bad, over = [], threading.Event()
        def work():
            source, target = Buffer(64), Buffer(64)
            while not over.is_set():
                if move(portal, source, target, 64) != 1:
                    bad.append(1)
        threads = [threading.Thread(target=work) for _ in range(3)]
        [thread.start() for thread in threads]
        for number in range(20):
            pid = os.posix_spawn("/bin/sh", ["sh", "-c", f"exit {number}"], os.environ)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == number
            assert subprocess.run(["/bin/true"], close_fds=False).returncode == 0  # vfork
        over.set()
        [thread.join() for thread in threads]
        print(bad)
    """)
    assert done.out == "[]\n", done.err


def test_exec_while_other_threads_submit() -> None:
    done = run_python("""
        import sys, threading
        portal, _ = open_portal()
        def work():
            source, target = Buffer(64), Buffer(64)
            while True:
                move(portal, source, target, 64)
        [threading.Thread(target=work, daemon=True).start() for _ in range(4)]
        time.sleep(0.1)
        threading.Thread(target=os.execv, args=("/bin/echo", ["echo", "done"])).start()
        time.sleep(60)
    """)
    assert (done.code, done.out) == (0, "done\n"), done.err


def compiled(tmp_path: Path, source: Path, *flags: str) -> Path:
    """The program, or a skip with the compiler's reason."""
    if not shutil.which("gcc"):
        pytest.skip("gcc is not installed")
    target = tmp_path / f"{source.stem}{'_'.join(flags)}"
    done = subprocess.run(["gcc", "-O2", "-o", target, source, *flags], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"gcc cannot build it: {done.stderr[-200:]}")
    return target


@pytest.mark.parametrize("flags", [(), ("-no-pie",), ("-static",), ("-static-pie",)], ids=lambda flags: "".join(flags) or "pie")
def test_binaries_of_every_kind(tmp_path: Path, flags: tuple[str, ...]) -> None:
    done = run(str(compiled(tmp_path, HELLO, *flags)))
    assert done.code == 0, done.err
    assert done.report["submissions"] > 0 and set(done.report["statuses"]) == {"0x01 success"}


PRELOADED = r"""
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

static uint8_t descriptor[64] __attribute__((aligned(64))), record[32] __attribute__((aligned(32)));

__attribute__((destructor)) static void submit_noop(void)
{
	int fd = open("/dev/dsa/wq0.0", O_RDWR);
	void *portal = mmap(0, 4096, PROT_WRITE, MAP_SHARED, fd, 0);

	*(uint64_t *)(descriptor + 8) = (uint64_t)record;
	descriptor[4] = 12;
	asm volatile("enqcmd (%1), %0" : : "r"(portal), "r"(descriptor) : "memory", "cc");
	while (!*(volatile uint8_t *)record)
		;
}
"""


def test_a_preloaded_library_submits_from_a_program_that_knows_nothing(tmp_path: Path) -> None:
    source = tmp_path / "preloaded.c"
    source.write_text(PRELOADED)
    library = compiled(tmp_path, source, "-shared", "-fPIC")
    done = run("/usr/bin/env", f"LD_PRELOAD={library}", "/bin/sh", "-c", "/bin/echo one; exec /bin/echo two")
    assert (done.code, done.out) == (0, "one\ntwo\n"), done.err
    assert done.report["statuses"] == {"0x01 success": 2}  # of the two that came to their ends
