"""The device tree, redirection, bad input, and hosts that forbid things."""

from __future__ import annotations

import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import pytest
from running import HERE, RUN, run, run_python

from pasidlab.errors import PasidlabError
from pasidlab.live import status
from pasidlab.live.config import devices_from

pytestmark = pytest.mark.needs_run

WALK = """
    root = "/sys/bus/dsa/devices"
    print(sorted(name for name in os.listdir(root) if name.startswith(("dsa", "iax", "wq"))))
    print(os.path.realpath(root + "/wq0.0"))
    read = lambda path: open(path).read().strip()
    device = os.path.realpath(root + "/dsa0")
    print(read(device + "/state"), read(device + "/gen_cap"), read(device + "/wq0.0/mode"), read(root + "/wq0.1/name"))
    minor = f"{read(device + '/cdev_major')}:{read(root + '/wq0.0/cdev_minor')}"
    print(os.path.realpath("/dev/char/" + minor), os.access("/sys/module/idxd", os.F_OK), os.path.exists("/dev/null"))
    print(os.listdir("/dev/dsa"))
    handle = os.open("/dev/dsa", os.O_RDONLY)
    fd = os.open("wq0.0", os.O_RDWR, dir_fd=handle)
    at = libc.mmap(None, 4096, 2, 1, fd, 0)
    source, target = Buffer(64), Buffer(64)
    source.data.raw = b"t" * 64
    print(move(at, source, target, 64), bytes(target) == bytes(source))
    print(os.write(fd, descriptor(NOOP)))
    open("/dev/null", "w").write("x" * 128)
    os.close(fd)
    libc.munmap(at, 4096)
    fd = os.open("/dev/dsa/wq0.1", os.O_RDWR)
    try:
        os.open("/dev/dsa/wq0.1", os.O_RDWR)
    except OSError as error:
        print(error.errno)
    os.close(fd)
    for _ in range(3000):
        try:
            os.close(os.open("/dev/dsa/wq0.1", os.O_RDWR))
            break
        except OSError:
            time.sleep(0.01)
    else:
        print("never released")
"""


@pytest.mark.parametrize("how", ["namespace", "redirect"])
def test_the_tree_and_the_device_work_either_way(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    done = run_python(WALK, "--isolation", how)
    if how == "namespace" and "no private namespaces here" in done.err:
        pytest.skip(done.err)
    device = "/sys/devices/pci0000:6a/0000:6a:01.0/dsa0"
    assert done.out.split("\n")[:5] == [
        "['dsa0', 'wq0.0', 'wq0.1', 'wq0.2', 'wq0.3', 'wq0.4', 'wq0.5', 'wq0.6', 'wq0.7']",
        f"{device}/wq0.0",
        "enabled 0x40915f0107 shared dsa0-wq1",
        "/dev/dsa/wq0.0 True True",
        "['wq0.0', 'wq0.1']",
    ], done.err
    assert done.out.split("\n")[5:] == ["1 True", "64", "16", ""], done.err
    assert done.report["isolation"] == how
    assert not os.path.exists("/sys/bus/dsa/devices/dsa0/pasid_enabled") or os.path.exists("/sys/module/idxd")
    assert os.listdir(tmp_path) == []


def test_any_number_of_devices_and_attributes(tmp_path: Path) -> None:
    file = tmp_path / "devices.toml"
    file.write_text("""
        [[device]]
        name = "dsa2"
        numa_node = 1
        [[device.wq]]
        mode = "shared"
        size = 32
        threshold = 8
        name = "mine"
        driver_name = "special"
        [[device]]
        name = "iax3"
        [[device.wq]]
        mode = "dedicated"
    """)
    done = run_python(
        """
        read = lambda path: open("/sys/bus/dsa/devices/" + path).read().strip()
        print(read("dsa2/numa_node"), read("wq2.0/threshold"), read("wq2.0/name"), read("wq2.0/driver_name"),
        read("wq3.0/mode"))
        print(os.listdir("/dev/iax"), sorted(os.listdir("/dev/dsa")), read("wq4.0/size"))
        open("/sys/bus/dsa/devices/dsa2/cmd_status", "w").write("1")
        """,
        "--devices",
        str(file),
        "--wq",
        "shared,device=dsa4,size=5",
    )
    assert done.out == "1 8 mine special dedicated\n['wq3.0'] ['wq2.0', 'wq4.0'] 5\n", done.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--wq", "exclusive"), "mode 'exclusive'"),
        (("--wq", "shared,size"), "not key=value"),
        (("--wq", "shared,size=many"), "is not a number"),
        (("--wq", "shared,size=4,threshold=9"), "threshold <= size"),
        (("--wq", "shared,device=gpu0"), "no such device"),
        (("--devices", "/nowhere.toml"), "cannot read"),
        (("--error", "9"), "STATUS@N"),
        (("--delay", "nan"), "nan is no number"),
        (("--delay", "inf"), "not in the range"),
        (("--design", "nonsense"), "unknown design"),
        (("--trace", "/nowhere/trace.json"), "cannot write"),
    ],
)
def test_bad_options_are_one_message(options: tuple[str, ...], words: str) -> None:
    done = run("/bin/true", options=options)
    assert done.code == 2 and words in done.err and "Traceback" not in done.err, done.err


def test_malformed_toml(tmp_path: Path) -> None:
    queue = '[[device]]\n[[device.wq]]\nmode = "shared"\n'
    for text, words in {
        "[[device\n": "1:9: this is not TOML: Expected ']]'",
        "x = 1": "1: expected [[device]] tables",
        f"x = 0x{'f' * 6000}": "has a number of 24000 bits",
        f"{'a.' * 500_000}b = 1": "1: this is nested too deeply",
        f"[[device]]\na = {'[' * 100_000}": "2: this is nested too deeply",
        f"[[device]]\na = {'9' * 10_000}": "2: a number of 10000 digits",
        "device = [1]": "1: expected [[device]] tables",
        '[[device]]\nname = "dsa0"\nwq = 3': "3: dsa0: wq must be [[device.wq]] tables",
        "\xff": "is not UTF-8",
        '[[device]]\nname = "gpu0"': "no such device 'gpu0'",
        '[[device]]\nmax_groups = "many"': "2: dsa0: max_groups = 'many' is not a number",
        queue + "size = 200": "4: dsa0: size = 200 is out of range",
        queue + "size = [1]": "4: dsa0: size = '[1]' is not a number",
        queue + "size = 8\nthreshold = 9": "5: dsa0: threshold 9 of a queue of size 8",
        queue + "group_id = 4": "4: wq0.0: dsa0 has 4 groups",
        queue + 'op_config = "zz"': "4: dsa0: op_config 'zz' is no mask",
        queue + 'type = "kernel "': "4: dsa0: type 'kernel '",
    }.items():
        file = tmp_path / "bad.toml"
        file.write_bytes(text.encode("latin-1"))
        with pytest.raises(PasidlabError) as refused:
            devices_from((), str(file))
        assert words in str(refused.value), text


def elf(machine: int = 62, bits: int = 2, code: bytes = b"") -> bytes:
    """A static, non-PIE ELF program of one segment at 0x400000."""
    size = 120 + len(code)
    head = b"\x7fELF" + bytes([bits, 1, 1]) + bytes(9)
    head += struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, 0x400078, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    return head + struct.pack("<IIQQQQQQ", 1, 7, 0, 0x400000, 0x400000, size, size, 4096) + code


def program(path: Path, data: bytes, mode: int = 0o755) -> str:
    path.write_bytes(data)
    path.chmod(mode)
    return str(path)


def test_programs_that_cannot_be_run(tmp_path: Path) -> None:
    cases = {
        "/no/such/program": "no such program",
        "no-such-program-in-path": "no such program",
        str(tmp_path): "cannot be executed",
        program(tmp_path / "plain", b"text", 0o644): "cannot be executed",
        program(tmp_path / "arm", elf(183)): "AArch64",
        program(tmp_path / "i386", elf(3, 1)): "32-bit x86",
        program(tmp_path / "setuid", elf(), 0o4755): "setuid",
        program(tmp_path / "noise", b"\x00\x01\x02"): "Exec format error",
        program(tmp_path / "short", elf()[:5]): "Exec format error",
        program(tmp_path / "script", b"#!" + str(tmp_path / "arm").encode() + b"\n"): "AArch64",
    }
    for path, words in cases.items():
        done = run(path)
        assert done.code == 2 and words in done.err and "Traceback" not in done.err, (path, done.err)


STATIC = bytes.fromhex(
    "b802000000 488d3d69000000 be02000000 31d2 0f05"  # open("/dev/dsa/wq0.0", O_RDWR)
    # mmap(0, 4096, PROT_WRITE, MAP_SHARED, fd, 0)
    "4989c0 b809000000 31ff be00100000 ba02000000 41ba01000000 4531c9 0f05"
    "4889c3 488d0d40000000"  # rbx = portal; rcx = the descriptor
    "f20f38f819"  # enqcmd (%rcx),%rbx
    "0f94c0 0fb6f8 b83c000000 0f05"  # exit(retry)
)


def test_a_static_non_pie_program_without_libc(tmp_path: Path) -> None:
    code = bytearray(STATIC)
    path_at = len(code)
    code += b"/dev/dsa/wq0.0\0"
    code += bytes(-(len(code) + 120) % 64)
    descriptor_at = len(code)
    code += bytes(64)
    code[8:12] = struct.pack("<i", path_at - 12)
    lea = code.index(bytes.fromhex("488d0d"))
    code[lea + 3 : lea + 7] = struct.pack("<i", descriptor_at - (lea + 7))
    done = run(program(tmp_path / "static", elf(code=bytes(code))))
    assert done.code == 0, done.err
    assert done.report["queues"] == {"wq0.0": 1}


FORBID = """
import ctypes, struct, sys
numbers = [int(number) for number in sys.argv.pop(1).split(",")]
code = struct.pack("<HBBI", 0x20, 0, 0, 0)  # the number of the system call
for number in numbers:
    code += struct.pack("<HBBI", 0x15, 0, 1, number) + struct.pack("<HBBI", 6, 0, 0, 0x50001)  # EPERM
code += struct.pack("<HBBI", 6, 0, 0, 0x7FFF0000)
libc, buffer = ctypes.CDLL(None), ctypes.create_string_buffer(code, len(code))
head = ctypes.create_string_buffer(struct.pack("<HxxxxxxQ", len(code) // 8, ctypes.addressof(buffer)), 16)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, ctypes.c_void_p(ctypes.addressof(head)), 0, 0) == 0
"""


def forbidding(numbers: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """pasidlab run where these system calls fail with EPERM, as a container's seccomp profile makes them."""
    command = [sys.executable, "-c", FORBID + RUN, numbers, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(HERE)}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)


PTRACE, UNSHARE, MOUNT, READV, PIDFD_GETFD = "101", "272", "165", "310", "438"


def test_where_ptrace_is_forbidden_the_message_says_what_to_do() -> None:
    for calls, words in ((PTRACE, "ptrace is forbidden here: Operation not permitted"), (READV, "process_vm_readv(2)")):
        done = forbidding(calls, "--", "/bin/true")
        assert done.returncode == 2 and words in done.stderr and "--cap-add SYS_PTRACE" in done.stderr, done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("calls", [UNSHARE, MOUNT])
def test_where_namespaces_are_forbidden_paths_are_redirected(calls: str, tmp_path: Path) -> None:
    script = "from dsa_client import *; print(move(open_portal()[0], Buffer(64), Buffer(64), 64))"
    report = tmp_path / "report.json"
    done = forbidding(calls, "--json", str(report), "--", sys.executable, "-c", script)
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
    assert json.loads(report.read_text())["isolation"].startswith("redirect (")
    done = forbidding(calls, "--isolation", "namespace", "--", "/bin/true")
    assert done.returncode == 2 and "no private namespaces here: " in done.stderr, done.stderr
    assert "--isolation redirect" in done.stderr and "Traceback" not in done.stderr


def test_without_pidfd_getfd_the_open_file_is_known_by_name() -> None:
    script = "from dsa_client import *; print(move(open_portal()[0], Buffer(64), Buffer(64), 64))"
    done = forbidding(PIDFD_GETFD, "--", sys.executable, "-c", script)
    assert done.returncode == 0 and done.stdout.startswith("1\n"), done.stderr


def test_a_traced_pasidlab_says_so(tmp_path: Path) -> None:
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    command = ["strace", "-f", "-o", "/dev/null", sys.executable, "-c", RUN, "--", "/bin/true"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2 and "only one tracer" in done.stderr, done.stderr


def test_an_ordinary_user_without_fuse_gets_redirection() -> None:
    if os.getuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("needs root and setpriv to become an ordinary user")
    reader, writer = os.pipe()
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    command = [*user, sys.executable, "-c", RUN, "--json", f"/dev/fd/{writer}", "--", "/bin/true"]
    environment = {**os.environ, "PYTHONPATH": str(HERE), "HOME": "/tmp"}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, env=environment, check=False, pass_fds=(writer,)
    )
    os.close(writer)
    if "Permission denied" in done.stderr and "python" in done.stderr:
        pytest.skip("an ordinary user cannot read this Python")
    assert done.returncode == 0, done.stderr
    with open(reader) as file:
        assert json.load(file)["isolation"].split()[0] in ("redirect", "namespace")


@pytest.mark.parametrize("how", ["namespace", "redirect"])
def test_a_program_has_the_rights_that_it_has_without_us(how: str) -> None:
    script = """
    with open("/proc/self/status") as file:
        print([line for line in file if line.startswith("Cap")], os.readlink("/proc/self/ns/user"))
    print(libc.mlockall(3), libc.sched_setscheduler(0, 1, ctypes.byref(ctypes.c_int(5))), libc.setpriority(0, 0, -5))
    """
    alone = subprocess.run(
        [sys.executable, "-c", "from dsa_client import *\n" + textwrap.dedent(script)],
        capture_output=True, text=True, timeout=60, env={**os.environ, "PYTHONPATH": str(HERE)}, check=False,
    )  # fmt: skip
    if how == "namespace" and not int(status.status_of("self")["CapEff"], 16) >> 21 & 1:
        pytest.skip("needs CAP_SYS_ADMIN")
    moves = "portal, _ = open_portal(); print(move(portal, Buffer(64), Buffer(64), 64))"
    done = run_python(textwrap.dedent(script) + moves, "--isolation", how)
    assert done.out == alone.stdout + "1\n", done.err


def test_a_program_that_nobody_may_read_is_told_why_it_dies() -> None:
    if os.getuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("needs root and setpriv to become an ordinary user")
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chmod(folder, 0o755)
        hidden = program(Path(folder) / "hidden", elf(code=bytes.fromhex("f20f38f819")), 0o111)
        user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        command = [*user, sys.executable, "-c", RUN, "--", "sh", "-c", f"{hidden}; exit 0"]
        environment = {**os.environ, "PYTHONPATH": str(HERE), "HOME": "/tmp"}
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False, cwd="/")
    if "Permission denied" in done.stderr:
        pytest.skip("an ordinary user cannot read this Python")
    assert "memory: hidden stopped at an instruction that nobody may read" in done.stderr, done.stderr


def test_accel_config_lists_the_devices() -> None:
    if not shutil.which("accel-config"):
        pytest.skip("accel-config is not installed (Debian package accel-config)")
    done = run("accel-config", "list")
    listed = json.loads(done.out)
    assert [device["dev"] for device in listed] == ["dsa0"]
    queues = [wq for group in listed[0]["groups"] for wq in group.get("grouped_workqueues", [])]
    assert [(wq["dev"], wq["mode"], wq["state"], wq["type"]) for wq in queues] == [
        ("wq0.0", "shared", "enabled", "user"),
        ("wq0.1", "dedicated", "enabled", "user"),
    ]


def test_a_program_may_run_without_standard_output() -> None:
    """Only the program writes there, and learns of it: ``run`` tells what it has to say on standard error."""
    command = f"{sys.executable} -c 'from pasidlab.cli import main; main()' run -- sh -c 'echo lost; exit 3' >&-"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    assert done.returncode == 3 and "exit status 3, design early" in done.stderr.splitlines()[-1]


def test_what_was_ignored_or_closed_before_still_is() -> None:
    """As under nohup(1). A child that is left lives on although SIGHUP comes."""
    script = """if True:
        import os, signal, time
        print(*(signal.getsignal(one).name for one in (signal.SIGHUP, signal.SIGCHLD)), os.path.exists("/proc/self/fd/0"), flush=True)
        if os.fork():
            os._exit(4)
        time.sleep(1.5)
        print("lives")
        """

    def before() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        os.close(0)

    line = [sys.executable, "-c", RUN, "--summary", "none", "--", sys.executable, "-c", script]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True, preexec_fn=before) as done:
        assert done.stdout and done.stdout.readline() == "SIG_IGN SIG_IGN False\n"
        time.sleep(0.1)  # the first process has ended
        done.send_signal(signal.SIGHUP)
        assert done.stdout.read() == "lives\n"
    assert done.returncode == 4


@pytest.mark.parametrize("how", ["auto", "namespace", "redirect"])
def test_where_proc_is_of_another_pid_namespace_nothing_is_begun(how: str, tmp_path: Path) -> None:
    apart = ["unshare", "-pf"]
    if subprocess.run([*apart, "true"], capture_output=True, check=False).returncode:
        apart = ["unshare", "-Urpf"]
    if subprocess.run([*apart, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no namespaces here")
    line = [sys.executable, "-c", RUN, "--summary", "none", "--isolation", how, "--", "sh", "-c", "echo runs"]
    around = {**os.environ, "TMPDIR": str(tmp_path)}
    for words, code in (([*apart, *line], 2), ([*apart, "--mount-proc", *line], 0)):
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, env=around, check=False)
        assert done.returncode == code and done.stdout == ("" if code else "runs\n"), done.stderr
        assert ("another PID namespace's" in done.stderr and "--mount-proc" in done.stderr) == bool(code), done.stderr
        assert os.listdir(tmp_path) == []


def test_a_number_that_is_the_same_in_both_namespaces_is_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    assert status.numbers_are_ours()
    monkeypatch.setattr(status, "status_of", lambda task: {"NSpid": f"{os.getpid()}\t{os.getpid()}"})
    assert not status.numbers_are_ours()
    monkeypatch.setattr(status, "status_of", lambda task: {})
    assert status.numbers_are_ours()
    monkeypatch.setattr(os, "readlink", lambda path: "1")
    assert not status.numbers_are_ours()
