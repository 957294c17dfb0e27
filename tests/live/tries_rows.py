"""The dangers that ``tries`` tries: what is run, and what is right."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

from tries_place import HERE, Outcome, Place, Skipped, Variant

Once = Callable[[Place, int], str]
DELAY = ("--delay", "300")
CANNOT = 77  # exit status of a program that finds that it cannot be tried here
COMMAND = f"{sys.executable} -c 'from pasidlab.cli import main; main()'"


def exits(code: int, text: str = "", *, options: tuple[str, ...] = (), limit: float = 60) -> Callable[..., Once]:
    """The program must end with this status, and its output must match ``text`` from beginning to end where there is one."""

    def of(program: str, *words: str) -> Once:
        def once(place: Place, number: int) -> str:
            done = place.run(*options, "--", place.program(program), *words, limit=limit)
            return judged(done, code, text)

        return once

    return of


def judged(done: Outcome, code: int, text: str = "") -> str:
    """What is wrong with an outcome. Raises ``Skipped`` for that of a program that cannot be tried here."""
    if done.code == CANNOT:
        raise Skipped
    if done.code != code or "Traceback" in done.err or (text and not re.fullmatch(text, done.out)):
        return str(done)
    return ""


def ends() -> Iterator[Variant]:
    """A process ends while its threads work for the device."""
    codes = {"exit": 3, "exit-group": 3, "thread-exits": 3, "exec": 3, "thread-execs": 3, "abort": 134, "kill": 137, "term": 143}
    for how, code in codes.items():
        yield Variant("ends", how, exits(code)("ends", how, "4194304"))
        yield Variant("ends", f"{how}, delayed", exits(code, options=DELAY)("ends", how, "4194304"))
    for size in ("64", "1048576"):
        yield Variant("ends", f"leader, {size} bytes", exits(0, options=("--delay", "30000"))("leader", size))
    yield Variant("ends", "children by vfork", exits(0, options=("--exact",))("vforks"))


def attributes() -> Iterator[Variant]:
    """Files of sysfs cannot be mapped, and the device does not read them."""
    for name in ("wq0.0/clients", "wq0.0/size", "dsa0/state"):
        yield Variant("attributes", name, exits(0)("attributes", f"/sys/bus/dsa/devices/{name}"))


def names() -> Iterator[Variant]:
    """Names from strangers never become paths."""
    wrong = ("../../../../{}", "a/b", "..", "x;y", "ü", ".", "/{}", "-", "a" * 65)

    def option(place: Place, number: int) -> str:
        target = place.scratch / "written"
        name = wrong[number % len(wrong)].format(str(target).lstrip("/"))
        done = place.run("--wq", f"shared,{name}=hello", "--", "/bin/true")
        return judged(done, 2) or ("written" if target.exists() else "")

    def file(place: Place, number: int) -> str:
        target, devices = place.scratch / "written", place.scratch / "devices.toml"
        name = json.dumps(wrong[number % len(wrong)].format(str(target).lstrip("/")), ensure_ascii=False)
        form = ("[[device]]\nname = {}\n", "[[device]]\n{} = 1\n", "[[device]]\n[[device.wq]]\n{} = 'x'\n")[number % 3]
        devices.write_text(form.format(name))
        done = place.run("--devices", str(devices), "--", "/bin/true")
        return judged(done, 2) or ("written" if target.exists() else "")

    def link(place: Place, number: int) -> str:
        devices, dots = place.scratch / "devices.toml", place.scratch / "dots"
        dots.write_text("a." * 500_000 + "b = 1")
        devices.symlink_to(("/dev/zero", place.scratch, "/proc/self/mem", "/nothing", dots)[number % 5])
        return judged(place.run("--devices", str(devices), "--", "/bin/true"), 2)

    def elsewhere(how: str) -> Once:
        def once(place: Place, number: int) -> str:
            directory = place.scratch / "mounted"
            directory.mkdir()
            return judged(place.run("--", place.program("elsewhere"), how, str(directory), limit=30), 0)

        return once

    for how in ("bound", "alone", "jailed", "unmounted"):
        yield Variant("names", f"another name: {how}", elsewhere(how))
    yield Variant("names", "another table of descriptors", exits(0)("unshared"))
    yield Variant("names", "option", option)
    yield Variant("names", "device file", file)
    yield Variant("names", "a link to what is no device file", link)


def late() -> Iterator[Variant]:
    """Nothing of the old program lands in the next, whatever the delay."""

    def of(how: str) -> Once:
        def once(place: Place, number: int) -> str:
            delay = ("--delay", str(20 + number * 40 % 280), "--wq", "shared,size=128,threshold=128")
            return judged(place.run(*delay, "--", place.program("late"), how), 0, "0 bytes\n")

        return once

    yield from (Variant("late", how, of(how)) for how in ("leader", "thread", "int80"))


def execs() -> Iterator[Variant]:
    """execve waits in the kernel for what another thread of the program does, which needs us for it."""

    def of(how: str, options: tuple[str, ...]) -> Once:
        def once(place: Place, number: int) -> str:
            file = place.scratch / "four"
            file.write_text("#!/bin/sh\nexit 4\n")
            file.chmod(0o755)
            return judged(place.run(*options, "--", place.program("execs"), how, str(file), limit=30), 4)

        return once

    def forged(place: Place, number: int) -> str:
        file = place.scratch / "four"
        file.write_text("#!/bin/sh\nexit 4\n")
        file.chmod(0o755)
        return judged(place.run("--", place.program("forged"), str(file), limit=30), 4)

    for how in ("submits", "works", "words"):
        yield Variant("execs", how, of(how, ()))
        yield Variant("execs", f"{how}, delayed", of(how, DELAY))
    yield Variant("execs", "a forged stop", forged)


def strangers() -> Iterator[Variant]:
    """SIGTERM reaches nobody who has the number of a process that is gone, and ends what that has left."""

    def once(place: Place, number: int) -> str:
        words = [sys.executable, str(HERE / "recycled.py"), *place.options]
        apart = ["unshare", "-pf", "--mount-proc"] if os.geteuid() == 0 else ["unshare", "-Urpf", "--mount-proc"]
        done = subprocess.run([*apart, *words], capture_output=True, text=True, timeout=60, check=False)
        return "" if (done.returncode, done.stdout) == (0, "unharmed, ended\n") else f"{done.stdout!r} {done.stderr[-600:]!r}"

    yield Variant("strangers", "recycled number", once)


def stops() -> Iterator[Variant]:
    """From the moment that a stop is told until SIGCONT no thread goes on; then all do."""
    right = exits(0, r"stopped within \d+ ms\n", limit=60)
    for size in ("64", "4194304"):
        for blocked in ("0", "1"):
            yield Variant("stops", f"{size} bytes{', signals blocked' * int(blocked)}", right("stops", size, blocked, "5"))
    delayed = exits(0, r"stopped within \d+ ms\n", options=DELAY, limit=60)
    yield Variant("stops", "64 bytes, delayed", delayed("stops", "64", "0", "5"))


def waits() -> Iterator[Variant]:
    """Nobody waits for what the program controls."""
    for how, size in (("thread", "64"), ("thread", "2097152"), ("nobody", "64"), ("nobody", "2097152"), ("target", "64"),
                      ("target", "2097152"), ("list", "0"), ("record", "64")):  # fmt: skip
        yield Variant("waits", f"userfaultfd: {how}, {size} bytes", exits(0)("serves", how, size))

    def jail(place: Place, number: int) -> str:
        inside = place.scratch / "jail"
        inside.mkdir()
        return judged(place.run("--", place.program("jail"), str(inside)), 0)

    def endless(number: signal.Signals) -> Once:
        def once(place: Place, count: int) -> str:
            took = [0.0]

            def interrupt(pid: int) -> None:
                time.sleep(0.1)
                took[0] = time.monotonic()
                (os.killpg if number == signal.SIGINT else os.kill)(pid, number)

            done = place.run("--faults", "kind", "--", place.program("endless"), also=interrupt, said="submitting")
            slow = time.monotonic() - took[0] > 2
            return judged(done, 128 + number, "submitting\n") or ("more than 2 s" if slow else "")

        return once

    def loops(place: Place, number: int) -> str:
        design = place.scratch / "loops.py"
        design.write_text(DESIGN.format(before="pass", inside="while current.mm.pasid != 0: pass"))
        done = place.run("--design", str(design), "--", place.program("filters"), "64", "0", "0")
        return judged(done, 2) or ("" if re.search(r"loops\.py:\d+", done.err) else str(done))

    def early(number: signal.Signals) -> Once:
        """At some moment of the start: the program dies of it, or never begins."""

        def once(place: Place, count: int) -> str:
            def interrupt(pid: int) -> None:
                time.sleep(count * 7 % 100 / 100 * 0.5)
                os.killpg(pid, number)

            done = place.run("--", "/bin/sleep", "15", also=interrupt)
            return "" if done.code in (128 + number, -number) and "Traceback" not in done.err else str(done)

        return once

    def fifo(place: Place, number: int) -> str:
        """What the user names may be a FIFO: Ctrl-C ends that, and a program that is one is refused."""
        os.mkfifo(place.scratch / "fifo", 0o755)
        path = str(place.scratch / "fifo")
        words = (("--devices", path, "--", "/bin/true"), ("--trace", path, "--", "/bin/true"), ("--", path))[number % 3]

        def interrupt(pid: int) -> None:
            time.sleep(0.6)
            os.killpg(pid, signal.SIGINT)

        if words[0] == "--":
            return judged(place.run(*words, limit=30), 2)
        return judged(place.run(*words, also=interrupt, limit=30), -signal.SIGINT)

    def mounts(how: str) -> Once:
        def once(place: Place, number: int) -> str:
            directory = place.scratch / "mounted"
            directory.mkdir()
            return judged(place.run("--", place.program("mounts"), how, str(directory), limit=30), 3)

        return once

    def calls_on(place: Place, number: int) -> str:
        design = place.scratch / "calls.py"
        chain = "\n".join(f"def f{at}() -> bool:\n    return f{at + 1}() and f{at + 1}()" for at in range(30))
        before = f"{chain}\ndef f30() -> bool:\n    return True"
        design.write_text(DESIGN.format(before=before, inside="f0()"))
        done = place.run("--design", str(design), "--", place.program("filters"), "64", "0", "0", limit=30)
        return judged(done, 2) or ("" if re.search(r"calls\.py:\d+", done.err) else str(done))

    def report(place: Place, number: int) -> str:
        """The program puts a FIFO that nobody reads in the place of the report."""
        file = str(place.scratch / "report.json")
        done = place.run("--json", file, "--", "/bin/sh", "-c", 'rm -f "$0"; mkfifo "$0"; exit 5', file, limit=30)
        return judged(done, 5) or ("" if f"cannot write {file}" in done.err else str(done))

    def apart(place: Place, number: int) -> str:
        """Ctrl-C reaches the program also where that has left the run's process group."""
        which, code = ((signal.SIGINT, 130), (signal.SIGQUIT, 131))[number % 2]
        words = ("setsid", "/bin/sh", "-c", "ulimit -c 0; echo up; exec sleep 40")
        return judged(place.run("--", *words, also=lambda pid: os.killpg(pid, which), said="up", limit=30), code, "up\n")

    def permits(place: Place, number: int) -> str:
        return judged(place.run("--", place.program("permits"), str(place.scratch), limit=30), 0)

    def tables(place: Place, number: int) -> str:
        return judged(place.run("--", place.program("tables"), str(place.scratch / "file"), limit=30), 0)

    for how in ("itself", "never"):
        yield Variant("waits", f"its own file system: {how}", mounts(how))
    yield Variant("waits", "Ctrl-C, a session of its own", apart)
    yield Variant("waits", "opens that it permits", permits)
    yield Variant("waits", "a file of many tables", tables)
    yield Variant("waits", "userfaultfd: tracks writes", exits(0)("tracks"))
    yield Variant("waits", "writes while others map", exits(0)("writers"))
    yield Variant("waits", "a design that calls and calls", calls_on)
    yield Variant("waits", "a FIFO for the report", report)
    yield Variant("waits", "SIGTERM at the start", early(signal.SIGTERM))
    yield Variant("waits", "Ctrl-C at the start", early(signal.SIGINT))
    yield Variant("waits", "a FIFO that the user names", fifo)
    yield Variant("waits", "a FIFO under a chroot's path", jail)
    yield Variant("waits", "endless batch, SIGTERM", endless(signal.SIGTERM))
    yield Variant("waits", "endless batch, Ctrl-C", endless(signal.SIGINT))
    yield Variant("waits", "a design that loops", loops)


def filters() -> Iterator[Variant]:
    """A seccomp filter of the program's own is neither broken nor met by calls of ours."""
    for size, blocked, warm in (("64", "1", "0"), ("64", "0", "0"), ("1048576", "0", "0"), ("1048576", "0", "1"), ("1048576", "1", "1")):
        name = f"{size} bytes{', signals blocked' * int(blocked)}{', warm' * int(warm)}"
        yield Variant("filters", name, exits(0)("filters", size, blocked, warm))
        if size == "64":
            yield Variant("filters", f"{name}, delayed", exits(0, options=DELAY)("filters", size, blocked, warm))
    yield Variant("filters", "deaths", exits(0)("deaths"))
    yield Variant("filters", "RET_TRACE", exits(0, "-1 38\n")("untraced"))
    for size in ("64", "1048576"):
        for blocked in ("0", "1"):
            name = f"user dispatch, {size} bytes{', signals blocked' * int(blocked)}"
            yield Variant("filters", name, exits(0)("dispatch", size, blocked))


DESIGN = """
from pasidlab.kernel import MSR_IA32_PASID_VALID, current, wrmsr_pasid
{before}
def try_fixup_enqcmd_gp() -> bool:
    {inside}
    wrmsr_pasid(current.mm.pasid | MSR_IA32_PASID_VALID)
    return True
"""


def designs() -> Iterator[Variant]:
    """A design file is data: nothing in it is executed."""
    attacks = ('X = open("proof", "w").close()', "import os\nos.system('touch proof')", "class Y:\n    z = open('proof', 'w')",
               "def f(x=open('proof', 'w')): pass", "@(lambda f: open('proof', 'w'))\ndef g(): pass",
               "from os import mkdir\nmkdir('proof')")  # fmt: skip

    def once(place: Place, number: int) -> str:
        design = place.scratch / "mine.py"
        design.write_text(DESIGN.format(before=attacks[number % len(attacks)], inside="pass"))
        done = place.run("--design", str(design), "--", place.program("filters"), "64", "0", "0")
        executed = "executed" if (place.scratch / "proof").exists() else ""
        return executed or (judged(done, 0) and judged(done, 2))

    yield Variant("designs", "module-level code", once)


def directories() -> Iterator[Variant]:
    """A run in another PID namespace leaves the directory of a redirected one alone."""

    def once(place: Place, number: int) -> str:
        go = place.scratch / "go"
        shell = f"echo up; while [ ! -e {go} ]; do sleep 0.02; done; cat /sys/bus/dsa/devices/wq0.0/mode"
        second = ["unshare", "-pf", "--mount-proc", sys.executable, "-c", "from pasidlab.cli import main; main()", "run"]

        def other(pid: int) -> None:
            subprocess.run([*second, *place.options, "--summary", "none", "--", "/bin/true"], capture_output=True, check=False)
            go.touch()

        return judged(place.run("--", "/bin/sh", "-c", shell, also=other, said="up", limit=40), 0, "up\nshared\n")

    yield Variant("directories", "two runs", once)


def limits() -> Iterator[Variant]:
    """Descriptors of ours do not grow with the program's threads."""

    def once(place: Place, number: int) -> str:
        words = ["/bin/sh", "-c", f"ulimit -Sn 64; exec {COMMAND} run \"$@\"", "x"]
        more = [*place.options, "--summary", "none", "--", place.program("threads"), "200"]
        done = subprocess.run([*words, *more], capture_output=True, text=True, timeout=60, check=False)
        return "" if (done.returncode, done.stderr) == (0, "") else f"{done.returncode} {done.stderr[-400:]!r}"

    yield Variant("limits", "200 threads, 64 descriptors", once)


def outputs() -> Iterator[Variant]:
    """Full and closed streams cost one line and nothing else."""

    def once(place: Place, number: int) -> str:
        report = place.scratch / "report.json"
        streams = (">&-", "2>&-", ">&- 2>&-", "2>/dev/full", "--trace /dev/full")[number % 5]
        option, redirection = (streams, "") if streams.startswith("--") else ("", streams)
        command = f"exec {redirection}; exec {COMMAND} run --json {report} {option} \"$@\""
        words = ["/bin/sh", "-c", command, "x", *place.options, "--", "/bin/sh", "-c", "exit 5"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        told = done.stderr.count("cannot write /dev/full") == bool(option)
        right = done.returncode == 5 and done.stdout == "" and "Traceback" not in done.stderr and told
        return "" if right and json.loads(report.read_text())["exit"] == 5 else f"{streams}: {done}"

    yield Variant("outputs", "closed and full", once)


def calls() -> Iterator[Variant]:
    """What could hide a task, a mapping or a file: as without us, or refused."""
    for how, code in (("fork32", 0), ("untraced", 0), ("below", 139), ("over", 139), ("room", 0)):
        yield Variant("calls", how, exits(code)("calls", how))
    yield Variant("calls", "io_uring opens", exits(0, "status 1\n|open: No such file or directory\n")("ring", "open"))
    for how in ("write", "worker"):
        yield Variant("calls", f"io_uring: {how}", exits(0, "write: waits\n|write: Bad file descriptor\n")("ring", how))
    for size in ("64", "16777216"):
        yield Variant("calls", f"queued signals, {size} bytes", exits(0, r"heard \d+, right \d+\n")("queued", size))
    for size in ("64", "2097152"):
        yield Variant("calls", f"signals that wait, {size} bytes", exits(0)("pending", size))
        yield Variant("calls", f"siginfo as of a fault, {size} bytes", exits(0)("sent", size))
        yield Variant("calls", f"siginfo as of a fault, {size} bytes, exact", exits(0, options=("--exact",))("sent", size))
    yield Variant("calls", "code that is moved", exits(0)("moves", "/tmp"))
    yield Variant("calls", "masks of threads that submit", exits(0)("masks"))
    for size, times in (("64", "40"), ("1048576", "2")):
        yield Variant("calls", f"single steps, {size} bytes", exits(0)("steps", size, times))
    yield Variant("calls", "a page of ours taken", exits(0)("takes"))
    yield Variant("calls", "handlers in common", exits(0)("handlers"))
    yield Variant("calls", "bases of segments", exits(0)("bases"))
    yield from (Variant("calls", f"code of ours emptied: {how}", exits(0)("empties", how)) for how in ("now", "wiped", "not forked"))
    yield Variant("calls", "an instruction that is data", exits(0)("fetch", "data"))
    yield Variant("calls", "an instruction that cannot be read", exits(0)("fetch", "unreadable"))
    yield Variant("calls", "secret memory", exits(0)("fetch", "secret"))
    yield Variant("calls", "an instruction that is another", exits(0)("fetch", "other"))
    yield Variant("calls", "memory of ours made shorter", exits(0)("shrinks"))
    yield Variant("calls", "memory of ours protected", exits(0)("protects"))
    yield Variant("calls", "memory beyond a file's end", exits(0)("beyond"))

    def shell(text: str, out: str) -> Once:
        return lambda place, number: judged(place.run("--", "/bin/sh", "-c", text), 0, out)

    yield Variant("calls", "ls", shell("ls -l /dev/dsa/wq0.0 /sys/bus/dsa/devices/dsa0/ >/dev/null && echo fine", "fine\n"))
    digits = "n=9; for i in 1 2 3 4 5 6 7 8 9 10 11 12; do n=$n$n; done"
    store = "(echo $n > /sys/bus/dsa/devices/wq0.2/group_id) 2>/dev/null && echo taken || echo refused"
    yield Variant("calls", "4,096 digits", shell(f"{digits}; {store}", "refused\n|taken\n"))


VARIANTS = [
    variant
    for row in (ends, attributes, names, late, execs, strangers, stops, waits, filters, designs, directories, limits, outputs, calls)
    for variant in row()
]
