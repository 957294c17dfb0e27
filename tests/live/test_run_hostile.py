"""Programs that do to their memory, their files and themselves what no program does: nothing hangs, nothing is harmed."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from running import RUN, run, run_python
from tries_place import build

from harness import some
from pasidlab.errors import PasidlabError
from pasidlab.live import guard, owned
from pasidlab.live.session import RunOptions, Session

pytestmark = pytest.mark.needs_run

WAYS = {
    "mappings": ("moved-over", "attached-over", "resized", "taken", "emptied", "made-read-only", "occupied", "beside"),
    "odd": (
        "path-only", "sealed", "through-proc", "closed-meanwhile", "other-stack", "no-stack", "handed-over", "not-dumpable",
        "without-privileges", "apart", "leader-gone", "traced-child", "endless-write", "polled", "long-names", "small-stack",
        "waiting-open",
    ),
    "calls": ("fork32", "untraced", "room"),
}  # fmt: skip


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with all of ``programs/``."""
    place = tmp_path_factory.mktemp("programs")
    if why := build(place):
        pytest.skip(why)
    return place


@pytest.mark.parametrize(("program", "isolation"), some([(p, i) for p in WAYS for i in ("auto", "redirect")], 3))
def test_what_no_program_does(program: str, isolation: str, programs: Path) -> None:
    ways = WAYS[program]
    loop = f"for way in {' '.join(ways)}; do {programs / program} $way; echo $way $?; done"
    done = run("/bin/sh", "-c", loop, options=("--isolation", isolation), timeout=120)
    found = dict(line.split() for line in done.out.splitlines())
    assert {way: code for way, code in found.items() if code not in ("0", "77")} == {}, done.err
    assert list(found) == list(ways) and "Traceback" not in done.err


@pytest.mark.parametrize("isolation", some(["auto", "redirect"], 1))
def test_what_few_programs_do(isolation: str, programs: Path, tmp_path: Path) -> None:
    """Each ends with 0: writes while others map, single steps, user dispatch of system calls, a place of ours taken, shared memory made
    shorter, code that is data or another's by now, opens that it permits, writes that it tracks, the device file under other names,
    memory beyond a file's end, a thread's own table of descriptors, deaths behind a filter, and (with 3) a file system of its own. So
    do submissions by children of vfork(2), stops where a stack has no room, (with 4) an execve of 32 bits that a filter marks, a page of
    ours that it serves, and where bases of segments are what no tracer sets. So
    do children whose maker ends before it can tell of them, calls that are interrupted by a signal that others block while they submit,
    calls of those others, which are not interrupted, handlers that are called once, affinities, files opened from a directory,
    submissions by who shares the memory alone, code in the place of ours, memory in the place of code that is being replaced,
    submissions in compatibility mode,
    (with 4) the exec of what nobody may read, and first processes of pid namespaces that end by a fault.
    """
    right = {"writers": 0, "steps 1048576 2": 0, "steps 64 40": 0, "dispatch 64 1": 0, "dispatch 1048576 0": 0, "takes": 0, "shrinks": 0}
    right |= {"empties now": 0, "empties wiped": 0, "empties forked": 0, "deaths": 0}
    right |= {"bases": 0, "vforks": 0, "protects": 0, "pending 64": 0, "pending 2097152": 0, "masks": 0, "sent 64": 0, "sent 2097152": 0}
    right |= {"beyond": 0, "unshared": 0, "handlers": 0, "fetch data": 0, "fetch other": 0, "fetch unreadable": 0, "fetch secret": 0}
    right |= {f"moves {tmp_path}": 0, f"permits {tmp_path}": 0, "tracks": 0, "halts 2": 0, "marks": 4, "unserved own": 0}
    right |= {"orphans killed 4": 0, "orphans exec 4": 0, "siblings": 0, "replaced": 0, "parts": 0, "joins": 0}
    right |= {f"heirs {how} 6": 0 for how in ("killed", "exec", "apart", "copied")} | {"reopens": 0, "copies": 0}
    right |= {f"calls_on {what}": 0 for what in ("portal", "code", "slots", "page", "text")}
    right |= {f"patched {tmp_path} 60": 0, f"unread {tmp_path}": 4, "firsts": 0}
    right |= {f"elsewhere {how} {tmp_path}": 0 for how in ("bound", "alone", "jailed", "unmounted")}
    right |= {f"mounts {how} {tmp_path}": 3 for how in ("itself", "never")}
    right |= {"interrupts 0.3": 0, "undisturbed 0.5": 0, "oneshot": 0, "pinned": 0, "from_here": 0, "narrow": 0}
    loop = "".join(f"{programs}/{words}; echo $?; " for words in right)
    done = run("/bin/sh", "-c", loop, options=("--isolation", isolation), timeout=60)
    found = dict(zip(right, map(int, done.out.split()), strict=True))
    assert {words: code for words, code in found.items() if code not in (right[words], 77)} == {}, done.err


@pytest.mark.parametrize(("unused", "options"), some([(n, o) for n in ("0", "1", "30") for o in (("--exact",), ("--delay", "30"), ())], 3))
def test_a_handled_signal_that_others_block_while_they_submit(unused: str, options: tuple[str, ...], programs: Path) -> None:
    """However few real-time signals the program leaves unused."""
    done = run(str(programs / "lends"), unused, "0.5", options=options)
    assert done.code in (0, 77), done


@pytest.mark.parametrize(("what", "options"), [("born", ()), ("submits", ("--exact",))])
def test_children_that_are_killed_while_their_memory_is_read(what: str, options: tuple[str, ...], programs: Path) -> None:
    done = run(str(programs / "killed"), what, "3", options=options)
    assert (done.code, done.report["problems"]) == (0, []), done.err


@pytest.mark.parametrize("how", some(["stop", "kill", "group", "exec", "stopped-kill", "exit", "stopped-go", "end"], 2))
def test_a_close_that_waits_for_another_thread_s_descriptor_keeps_nobody_waiting(how: str, programs: Path) -> None:
    done = run(str(programs / "closes"), how, "4")
    assert done.code == 0, done


def test_a_leader_that_ends_before_its_descriptor_completes(programs: Path) -> None:
    done = run(str(programs / "leader"), "64", options=("--delay", "30000"))
    assert done.out == "status 0x1\n", done


def test_a_directory_without_room_for_the_tree_is_named_and_left_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "no room")

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(owned, "make_file", full)
    with pytest.raises(PasidlabError, match=f"cannot be written to {tmp_path}: no room"):
        Session(RunOptions(isolation="redirect")).run(["/bin/true"], guard.Before(frozenset(), (64, 64)))
    assert list(tmp_path.iterdir()) == []


def test_a_directory_is_removed_however_deep_it_has_become(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Deeper than a path, or a stack of calls, may be."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    own = owned.OwnDirectory()
    inside = os.dup(own.fd)
    for _ in range(3000):
        os.close(owned.make_file(inside, "file"))
        deeper = owned.make_directory(inside, "directory")
        os.close(inside)
        inside = deeper
    os.close(inside)
    own.close()
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_another_run_sweeps_before_it_is_locked_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make, made = tempfile.mkdtemp, list[str]()

    def swept(prefix: str) -> str:
        made.append(make(prefix=prefix))
        if len(made) < 3:
            owned.sweep()
        return made[-1]

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(tempfile, "mkdtemp", swept)
    own = owned.OwnDirectory()
    assert (len(made), own.path) == (3, made[-1])
    owned.sweep()
    assert list(map(str, tmp_path.iterdir())) == [own.path]
    own.close()


def test_an_access_for_which_a_thread_of_ours_starts_late_still_happens(programs: Path, tmp_path: Path) -> None:
    """The thread that submitted has been let go by then, and while another calls execve it is not known whose memory it has."""
    late = """
import time
from pasidlab.live import workers
start = workers.start_thread
workers.start_thread = lambda work, name, post: start(lambda: (time.sleep(0.1 * (name == "patient")), work()), name, post)
"""
    file = tmp_path / "four"
    file.write_text("#!/bin/sh\nexit 4\n")
    file.chmod(0o755)
    words = ["--isolation", "redirect", "--", str(programs / "execs"), "words", str(file)]
    done = subprocess.run([sys.executable, "-c", late + RUN, *words], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in (4, 77), done


@pytest.mark.parametrize("how", ["self", "other"])
def test_an_access_that_is_late_by_itself_reaches_no_program_that_has_its_thread_s_number_since(how: str, programs: Path) -> None:
    late = """
import time
from pasidlab.live import memory
from pasidlab.live.libc import process_vm_writev
transfer = memory.transfer
memory.transfer = lambda call, *rest: (time.sleep(0.6 * (call is process_vm_writev)), transfer(call, *rest))[1]
"""
    words = ["--summary", "none", "--", str(programs / "renumbered"), how]
    done = subprocess.run([sys.executable, "-c", late + RUN, *words], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in (0, 77), done


def test_nobody_is_killed_who_is_dead() -> None:
    """Numbers of the dead may be a stranger's."""
    watched = """
import os
wait, kill, dead = os.waitpid, os.kill, set()
def waitpid(*arguments):
    pid, status = wait(*arguments)
    if pid and status & 0xff != 0x7f:
        dead.add(pid)
    return pid, status
def watched(pid, number):
    if pid in dead:
        print("killed the dead", flush=True)
    kill(pid, number)
os.waitpid, os.kill = waitpid, watched
"""
    group = "import os, time\nos.setpgid(0, 0)\nfor _ in range(8):\n    os.fork() or time.sleep(60)\ntime.sleep(0.2)\nos.killpg(0, 9)"
    words = [sys.executable, "-c", watched + RUN, "--isolation", "redirect", "--", sys.executable, "-c", group]
    for _ in range(2):
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, "killed the dead" in done.stdout) == (137, False), done


@pytest.mark.parametrize(("how", "plain", "redirected"), [
    ("open", "status 1", "open: No such file or directory"), ("write", "write: waits", "write: Bad file descriptor"),
    ("worker", "write: waits", "write: Bad file descriptor"),
])  # fmt: skip
def test_io_uring_opens_and_writes_as_the_guards_page_says(how: str, plain: str, redirected: str, programs: Path) -> None:
    for isolation, told in (("auto", (plain, redirected)), ("redirect", (redirected,))):
        done = run(str(programs / "ring"), how, options=("--isolation", isolation))
        assert done.code == 77 or done.out.strip() in told, (isolation, done)


def test_a_program_that_hides_from_a_tracer_without_privileges(programs: Path) -> None:
    words = ["setpriv", "--inh-caps", "-all", "--bounding-set", "-all"] if os.geteuid() == 0 else []
    words += [sys.executable, "-c", RUN, "--isolation", "redirect", "--", str(programs / "odd"), "not-dumpable"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("how", ["unmounted", "covered", "pivoted"])
def test_a_program_changes_the_mounts_that_it_was_started_with(how: str, programs: Path) -> None:
    """Under redirection it has the mount namespace of pasidlab."""
    apart = ["unshare", "-m" if os.geteuid() == 0 else "-Urm", "--propagation", "private"]
    words = [*apart, sys.executable, "-c", RUN, "--isolation", "redirect", "--summary", "none", "--", str(programs / "roots"), how]
    done = subprocess.run(words, capture_output=True, text=True, timeout=20, check=False)
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("no mount namespace can be changed here")
    assert (done.returncode, done.stderr) == (128 + signal.SIGILL, "")


@pytest.mark.parametrize(("how", "code"), [("source", 130), ("path", 0)])
def test_ctrl_c_ends_the_command_of_a_shell_wherever_it_waits(how: str, code: int, programs: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-c", RUN, "--summary", "none", "--", "bash", "-c", f"{programs}/unserved {how} {tmp_path}; true"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True) as done:
        try:
            if not done.stdout or done.stdout.readline() != "waits\n":
                pytest.skip("no userfaultfd here")
            time.sleep(0.1)
            os.killpg(done.pid, signal.SIGINT)
            assert done.wait(timeout=5) == code
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(done.pid, signal.SIGKILL)


def test_a_process_kills_another_that_waits_for_a_page(programs: Path, tmp_path: Path) -> None:
    done = run("bash", "-c", f"{programs}/unserved source {tmp_path} & sleep 0.5; kill $!; wait $!; exit $?", timeout=20)
    assert done.code in (143, 77), done


@pytest.mark.parametrize("isolation", some(["auto", "redirect"], 1))
def test_a_thread_that_waits_for_a_page_is_stopped_and_handles_signals(isolation: str, programs: Path) -> None:
    """The instruction is executed again: once the page is served, one descriptor is submitted. Its source, what UMONITOR arms and where
    MOVDIR64B writes are waited for; all alone, beside another thread, and with all signals blocked.
    """
    awaits = f"{programs}/awaits"
    for how in ("alone", "threads", "blocked"):
        done = run(awaits, how, "source", options=("--isolation", isolation), timeout=30)
        assert (done.code, done.report["submissions"]) in ((0, 1), (77, 0)), (how, done)
    others = [f"{how} {what}" for how in ("alone", "blocked") for what in ("target", "monitor")] + ["threads monitor"]
    loop = "".join(f"{awaits} {words}; echo $?; " for words in [*others, "execs source", "term source"])
    done = run("/bin/sh", "-c", loop, options=("--isolation", isolation), timeout=60)
    assert done.out.split() in (["0"] * 6 + ["15"], ["77"] * 7), done


def test_code_is_written_while_who_waits_for_a_page_has_the_lock_of_all_mappings(programs: Path, tmp_path: Path) -> None:
    done = run(str(programs / "held"), str(tmp_path), timeout=30)
    assert done.code in (0, 77), done


def test_sigterm_ends_a_thread_that_works_for_the_device_and_waits_for_memory(programs: Path) -> None:
    group = Path("/sys/fs/cgroup/memory") / f"pasidlab-test-{os.getpid()}"
    words = [sys.executable, "-c", RUN, "--summary", "none", "--", str(programs / "limited"), str(group)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as done:
        try:
            if not done.stdout or done.stdout.readline() != "waits\n":
                pytest.skip("no memory cgroup can be made here")
            time.sleep(0.3)
            done.terminate()
            assert done.wait(timeout=5) == 128 + signal.SIGTERM
        finally:
            done.kill()
            done.wait()
            for _ in range(100):
                with contextlib.suppress(OSError):
                    group.rmdir()
                if not group.exists():
                    break
                time.sleep(0.02)


@pytest.mark.parametrize("words", some([
    ("run", "--devices", "{}", "--", "/bin/true"), ("run", "--design", "{}", "--", "/bin/true"), ("check", "{}", "--jobs", "1"),
    ("check", "{c}"), ("check", "--base", "{}", "{fine}"), ("replay", "{}"), ("explore", "{}"),
    ("export", "{}"), ("observe", "verify", "{}"),
], 3), ids=" ".join)  # fmt: skip
def test_what_is_no_file_and_never_ends_is_bad_input(words: tuple[str, ...], tmp_path: Path) -> None:
    places = {name: tmp_path / name for name in ("endless", "endless.c")}
    fine = tmp_path / "fine.c"
    fine.write_text("bool try_fixup_enqcmd_gp(void) { return false; }\n")
    for place in places.values():
        place.symlink_to("/dev/zero")
    named = {"c": places["endless.c"], "fine": fine}
    line = [word.format(places["endless"], **named) for word in words]
    script = "import sys; from pasidlab.cli import main; main(sys.argv[1:])"
    done = subprocess.run([sys.executable, "-c", script, *line], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2 and not done.stdout, done
    assert done.stderr.startswith(f"error: cannot read {tmp_path}/") and "it is a character device" in done.stderr, done.stderr


def test_a_file_that_is_too_large_is_bad_input_and_a_pipe_is_read(tmp_path: Path) -> None:
    large = tmp_path / "devices.toml"
    large.write_text("#" * ((1 << 20) + 1))
    done = run("/bin/true", options=("--devices", str(large)))
    assert done.code == 2 and "too large: at most 1 MiB" in done.err, done
    script = f"exec {sys.executable} -c '{RUN}' --devices <(echo '[[device]]'; echo 'name = \"dsa3\"') -- ls /sys/bus/dsa/devices"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "dsa3" in done.stdout.split(), done


@pytest.mark.parametrize("option", ["--devices", "--trace", ""])
def test_ctrl_c_ends_what_waits_for_a_fifo(option: str, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo, 0o755)
    words = [option, str(fifo), "--", "/bin/true"] if option else ["--", str(fifo)]
    begun = f"print('begun', file=__import__('sys').stderr, flush=True){RUN}"  # before that, Ctrl-C is the interpreter's
    with subprocess.Popen([sys.executable, "-c", begun, *words], stderr=subprocess.PIPE, text=True, start_new_session=True) as started:
        assert started.stderr is not None and started.stderr.readline() == "begun\n"
        if not option:
            assert started.wait(20) == 2 and "not a regular file" in started.stderr.read()
            return
        end, code = time.monotonic() + 20, None
        while code is None and time.monotonic() < end:
            os.killpg(started.pid, signal.SIGINT)
            time.sleep(0.2)
            code = started.poll()
        assert code == -signal.SIGINT


def test_names_of_the_program_do_not_reach_the_terminal(programs: Path, tmp_path: Path) -> None:
    """Of files and of tasks: they come escaped, also where they hold the end of a line."""
    odd = "\x1b]0;title\x07\x1b[2J\x9b\n\u202e"
    program = tmp_path / f"named {odd}"
    program.write_bytes((programs / "odd").read_bytes())
    program.chmod(0o755)
    done = run(str(program), "other-stack")
    lines = done.err.splitlines()
    assert done.code == 0 and any(r"named \x1b]0;title\x07\x1b[2J\x9b" in line and r"\u202e" in line for line in lines), done.err
    traced = run_python(f"""
        libc.prctl(15, {odd[:14].encode()!r}, 0, 0, 0)  # PR_SET_NAME
        libc.ptrace(0, 0, None, None)
        """)
    assert r"tracer: \x1b]0;title\x07" in traced.err
    refused = run(str(tmp_path / f"missing {odd}"))
    for text in (done.err, traced.err, refused.err, done.out):
        assert all(character.isprintable() or character == "\n" for character in text), text


def test_a_link_in_the_place_of_the_run_s_own_directory_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "others").mkdir()
    for number in range(9):
        (tmp_path / "others" / str(number)).write_text("theirs")
    done = run_python("""
        import glob, tempfile
        (root,) = glob.glob(tempfile.gettempdir() + "/pasidlab-run-*")
        others = tempfile.gettempdir() + "/others"
        print(os.open("/dev/dsa/wq0.0", os.O_RDWR | os.O_CREAT | os.O_TRUNC) > 0)
        os.rename(root + "/open", root + "/moved")
        os.symlink(others, root + "/open")
        for flags in (os.O_RDWR, os.O_RDWR | os.O_CREAT | os.O_TRUNC):
            try:
                os.open("/dev/dsa/wq0.0", flags)
            except OSError as error:
                print(error.errno)
        os.rename(root, root + "-moved")
        os.symlink(others, root)
        """, "--isolation", "redirect", env={"TMPDIR": str(tmp_path)})
    assert done.code == 0 and done.out.startswith("True\n"), done
    assert {path.name: path.read_text() for path in (tmp_path / "others").iterdir()} == {str(n): "theirs" for n in range(9)}
    left = [path for path in tmp_path.glob("pasidlab-run-*") if not path.is_symlink()]
    assert [list(path.iterdir()) for path in left] in ([], [[]]), left


def test_the_compilers_are_not_loaded() -> None:
    script = "import sys; import pasidlab.live.session; print(*{'numba', 'llvmlite', 'tree_sitter'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


def test_who_serves_a_page_of_sigaction_may_call_it_too() -> None:
    """One thread's action comes from a page that another must serve first, which sets a handler itself."""
    done = run_python("""
        import threading
        open_portal()
        fd = libc.syscall(323, 0)
        if fd < 0:
            print("0 served 0")  # the kernel's own accesses are served for the privileged only
            raise SystemExit
        place = libc.mmap(None, 4096, 3, 0x22, -1, 0)
        libc.ioctl(fd, ctypes.c_ulong(0xC018AA3F), ctypes.byref((ctypes.c_uint64 * 3)(0xAA, 0, 0)))
        libc.ioctl(fd, ctypes.c_ulong(0xC020AA00), ctypes.byref((ctypes.c_uint64 * 4)(place, 4096, 1, 0)))
        page, told = Buffer(4096, 4096), []
        def serve():
            os.read(fd, 32)
            told.append(libc.syscall(13, 7, ctypes.c_void_p(page.address), None, 8))
            copy = (ctypes.c_uint64 * 5)(place, page.address, 4096, 0, 0)
            libc.ioctl(fd, ctypes.c_ulong(0xC028AA03), ctypes.byref(copy))
        thread = threading.Thread(target=serve)
        thread.start()
        answer = libc.syscall(13, 11, ctypes.c_void_p(place), None, 8)
        thread.join()
        print(answer, "served", *told)
        """, "--isolation", "redirect", timeout=30)
    assert done.out == "0 served 0\n", done
