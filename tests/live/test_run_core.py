"""A core dump at the first rejected descriptor: what is in it, and that gdb reads it."""

from __future__ import annotations

import os
import shutil
import signal
import struct
import subprocess
from pathlib import Path

import pytest
from running import run, run_python

pytestmark = pytest.mark.needs_run
RIP = 16  # index in struct user_regs_struct

REJECTED = """
portal, _ = open_portal()
record, source, target = Buffer(64), Buffer(4096), Buffer(4096)
source.data[:10] = b"the source"
untouched = libc.mmap(None, 1 << 16, 3, 0x22, -1, 0)

def move(flags, source_at=None):
    record.data.raw = bytes(64)
    submit(portal, descriptor(MOVE, record.address, source_at or source.address, target.address, 100, CRAV | RCR | flags))
    return hex(wait(record))

print(hex(source.address), move(0), move(0x80), move(0x80), move(0, untouched))
"""


class Core:
    """The segments and notes of a core dump."""

    def __init__(self, path: Path) -> None:
        self.data = path.read_bytes()
        kind, machine = struct.unpack_from("<HH", self.data, 16)
        assert self.data[:5] == b"\x7fELF\x02" and (kind, machine) == (4, 62)
        (count,) = struct.unpack_from("<H", self.data, 56)
        self.segments = [struct.unpack_from("<IIQQQQQQ", self.data, 64 + 56 * number) for number in range(count)]
        assert all(offset + size <= len(self.data) for _, _, offset, _, _, size, _, _ in self.segments)
        self.notes: list[tuple[int, bytes]] = []
        _, _, at, _, _, size, _, _ = self.segments[0]
        end = at + size
        while at < end:
            name, length, note = struct.unpack_from("<III", self.data, at)
            start = at + 12 + (name + 3 & ~3)
            self.notes.append((note, self.data[start : start + length]))
            at = start + (length + 3 & ~3)

    def note(self, kind: int) -> bytes:
        return next(data for number, data in self.notes if number == kind)

    def read(self, address: int, size: int) -> bytes:
        for kind, _, offset, start, _, held, _, _ in self.segments:
            if kind == 1 and start <= address and address + size <= start + held:
                return self.data[offset + address - start : offset + address - start + size]
        raise AssertionError(f"{address:#x} is not in the dump")


def test_the_dump_shows_the_program_at_its_instruction(tmp_path: Path) -> None:
    file = tmp_path / "core"
    done = run_python(REJECTED, "--core", str(file))
    source, *statuses = done.out.split()
    assert statuses == ["0x1", "0x11", "0x11", "0x3"], done.err  # looking at memory brought no page into it
    assert f"  core: {file}\n" in done.err
    problem = next(one for one in done.report["problems"] if one["kind"] == "rejected")
    core = Core(file)
    status = core.note(1)
    assert len(status) == 336 and struct.unpack_from("<Q", status, 112 + 8 * RIP) == (int(problem["address"], 16),)
    assert struct.unpack_from("<i", status, 32) == (problem["thread"],)
    assert core.read(int(source, 16), 10) == b"the source"
    process = core.note(3)
    assert len(process) == 136 and b"python" in process[40:56] and b"from dsa_client import" in process[56:]
    assert struct.unpack_from("<i", core.note(0x53494749)) == struct.unpack_from("<h", status, 12)
    files = core.note(0x46494C45)
    count, page = struct.unpack_from("<QQ", files)
    assert page == 4096 and files.count(b"\0", 16 + 24 * count) == count and b"/dev/dsa/wq0.0\0" in files
    assert len(core.note(6)) % 16 == 0 and len(core.note(2)) == 512
    assert os.stat(file).st_mode & 0o777 == 0o600


def test_a_link_in_the_place_of_its_folder_is_not_followed(tmp_path: Path) -> None:
    place, elsewhere = tmp_path / "place", tmp_path / "elsewhere"
    place.mkdir()
    elsewhere.mkdir()
    change = f"os.rename({str(place)!r}, {str(tmp_path / 'moved')!r})\nos.symlink({str(elsewhere)!r}, {str(place)!r})\n"
    done = run_python(change + REJECTED, "--core", str(place / "core"))
    assert (done.code, os.listdir(elsewhere), os.listdir(tmp_path / "moved")) == (0, [], ["core"]), done


def test_an_injected_status_is_a_rejection_and_a_page_fault_is_none(tmp_path: Path) -> None:
    file = tmp_path / "core"
    done = run_python(REJECTED.replace("0x80", "0"), "--core", str(file), "--error", "0x20@2")
    assert done.out.split()[1:] == ["0x1", "0x20", "0x1", "0x3"] and Core(file).note(1), done.err
    file.unlink()
    done = run_python(REJECTED.replace("0x80", "0"), "--core", str(file))
    assert done.out.split()[1:] == ["0x1", "0x1", "0x1", "0x3"] and not file.exists()
    assert "  core: none, no descriptor was rejected\n" in done.err


@pytest.mark.parametrize(
    "before",
    [
        "libc.syscall(60, 0)",  # exit(2): the leader is gone
        "libc.syscall(323, 1)",  # userfaultfd(2): the program may serve its memory itself
    ],
    ids=["leader gone", "served"],
)
def test_the_memory_is_there_whoever_has_it(before: str, tmp_path: Path) -> None:
    file = tmp_path / "core"
    done = run_python(
        f"""
        import sys, threading, time
        def submits():
            while "(60" in {before!r} and open(f"/proc/{{os.getpid()}}/stat").read().rsplit(") ", 1)[1][0] != "Z":
                pass
            exec({REJECTED!r}, globals())
            sys.stdout.flush()
            end = time.monotonic() + 30
            while not os.path.exists({str(file)!r}) and time.monotonic() < end:
                time.sleep(0.01)  # who may serve its own memory goes on while it is dumped
            os._exit(0)
        threading.Thread(target=submits).start()
        {before}
        """,
        "--core", str(file),
    )  # fmt: skip
    assert done.out.split()[1:] == ["0x1", "0x11", "0x11", "0x3"], done.err
    assert file.exists(), done.err
    core = Core(file)
    assert core.read(int(done.out.split()[0], 16), 10) == b"the source" and b"from dsa_client import" in core.note(3)[56:]


def test_other_threads_are_there(tmp_path: Path) -> None:
    file = tmp_path / "core"
    waiting = "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    run_python(waiting + REJECTED, "--core", str(file))
    threads = [data for kind, data in Core(file).notes if kind == 1]
    assert len(threads) == 2 and len({struct.unpack_from("<i", data, 32) for data in threads}) == 2
    assert struct.unpack_from("<Q", threads[1], 112 + 8 * RIP) != (0,)  # where its system call is


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--delay", "5"), "--core: with --delay or --reorder"),
        (("--reorder", "1"), "--core: with --delay or --reorder"),
    ],
)
def test_what_cannot_be_dumped_is_refused(options: tuple[str, ...], words: str, tmp_path: Path) -> None:
    done = run("/bin/true", options=("--core", str(tmp_path / "core"), *options))
    assert done.code == 2 and words in done.err


def test_a_place_that_takes_no_file_is_refused(tmp_path: Path) -> None:
    done = run("/bin/true", options=("--core", str(tmp_path / "nowhere" / "core")))
    assert done.code == 2 and "no such directory" in done.err
    done = run("/bin/true", options=("--core", "/dev/null"))
    assert done.code == 2 and "not a regular file" in done.err


PROGRAM = r"""
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
static char record[64] __attribute__((aligned(64))), descriptor[64] __attribute__((aligned(64))), words[64] = "words of the source";
static void *sleeper(void *nothing) { pause(); return nothing; }
__attribute__((noinline)) void submit_wrong(void *portal) {
    asm volatile(".byte 0xf2, 0x0f, 0x38, 0xf8, 0x3e" : : "D"(portal), "S"(descriptor) : "memory");
}
int main(void) {
    pthread_t thread;
    pthread_create(&thread, 0, sleeper, 0);
    void *portal = mmap(0, 4096, PROT_WRITE, MAP_SHARED, open("/dev/dsa/wq0.0", O_RDWR), 0);
    uint64_t addresses[3] = {(uint64_t)record, (uint64_t)words, (uint64_t)words};
    memcpy(descriptor + 8, addresses, 24);
    descriptor[4] = 0x8c, descriptor[7] = 3, descriptor[32] = 16;
    submit_wrong(portal);
    memset(words, 0, sizeof words);
    return 0;
}
"""


def test_gdb_reads_it(tmp_path: Path) -> None:
    for tool in ("gcc", "gdb"):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed")
    (tmp_path / "program.c").write_text(PROGRAM)
    subprocess.run(["gcc", "-g", "-O1", "-pthread", "-o", "program", "program.c"], cwd=tmp_path, check=True)
    done = run(str(tmp_path / "program"), options=("--core", str(tmp_path / "core")))
    assert done.code == 0, done.err
    asked = ("bt", "thread apply all bt", "p words", "x/5xb $rip")
    command = ["gdb", "-nx", "-batch", *(f"-ex={one}" for one in asked), "program", "core"]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False).stdout
    assert "#0  0x" in told and "in submit_wrong (portal=" in told and "in main () at program.c" in told, told
    assert "in sleeper (" in told and '"words of the source"' in told, told
    assert "0xf2\t0x0f\t0x38\t0xf8\t0x3e" in told, told


def test_a_dump_of_an_address_space_of_terabytes_keeps_nothing_else_waiting(tmp_path: Path) -> None:
    """It would take half a minute. A second thread's calls are answered meanwhile, and SIGTERM ends it."""
    target = tmp_path / "core"
    done = run_python(
        """
        import threading
        for number in range(90):
            libc.mmap(None, 60 << 30, 1 | number % 2 << 1, 0x4022, -1, 0)
        portal, _ = open_portal()
        threading.Thread(target=move, args=(portal, Buffer(64), Buffer(64), 64), daemon=True).start()
        def others():
            time.sleep(0.3)
            began = time.monotonic()
            for _ in range(10):
                os.close(os.open("/dev/dsa/wq0.0", os.O_RDWR))
            print(time.monotonic() - began < 5, flush=True)
            os.kill(os.getppid(), signal.SIGTERM)
        threading.Thread(target=others).start()
        submit(portal, descriptor(MOVE, Buffer(64).address, 64, 64, 64, CRAV | RCR | 0x80))
        """,
        "--core", str(target), "--isolation", "redirect", timeout=30,
    )  # fmt: skip
    assert (done.out, done.code) == ("True\n", 128 + signal.SIGTERM), done
    assert "watchdog" not in done.err and "system call of its own" not in done.err and os.listdir(tmp_path) == []
