"""Finds and checks the program, and forks the child that becomes it."""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import signal
import socket
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from pasidlab.errors import PasidlabError
from pasidlab.live import namespace, ptrace, seccomp
from pasidlab.live.descriptors import binary_file, text_file
from pasidlab.live.guard import Before
from pasidlab.live.libc import Iovec, process_vm_readv
from pasidlab.live.status import numbers_are_ours

_X86_64 = 62  # e_machine, elf.h
_NAMED = 20  # bytes up to the end of e_machine
_MACHINES = {3: "32-bit x86", 40: "32-bit ARM", 183: "AArch64", 243: "RISC-V", 21: "PowerPC", 22: "s390"}


def find_program(name: str) -> str:
    """The path execve will get. PasidlabError says why a program cannot be run here."""
    if platform.machine() != "x86_64" or sys.platform != "linux":
        raise PasidlabError(
            f"this is {sys.platform} on {platform.machine()}; ENQCMD programs run on x86-64 Linux only",
            hint="use an x86-64 Linux machine or virtual machine; no special CPU is needed",
        )
    if not numbers_are_ours():
        raise PasidlabError(
            "/proc does not show pasidlab's processes: it is another PID namespace's, or is not mounted",
            hint="mount -t proc proc /proc, in a mount namespace of its own: unshare --pid --fork --mount-proc",
        )
    path = name if "/" in name else shutil.which(name)
    if path is None or not os.path.exists(path):
        raise PasidlabError(f"no such program: {name}", hint="give a path, or a name that is in PATH")
    if os.path.isdir(path) or not os.access(path, os.X_OK):
        raise PasidlabError(f"{path} cannot be executed", hint="chmod +x, or name the interpreter: pasidlab run -- python3 FILE")
    _check_binary(path, os.path.realpath(path), 0)
    return path


def _check_binary(path: str, real: str, depth: int) -> None:
    status = os.stat(real)
    if not stat.S_ISREG(status.st_mode):
        raise PasidlabError(f"{path} is not a regular file: it cannot be executed", hint="name a program")
    if status.st_mode & stat.S_ISUID or (status.st_mode & stat.S_ISGID and status.st_mode & stat.S_IXGRP):
        raise PasidlabError(
            f"{path} is a setuid program: under a tracer it would run without its privileges",
            hint="run pasidlab itself as that user, on a copy of the program without the setuid bit",
        )
    try:
        with binary_file(real) as file:
            head = file.read(256)
    except PermissionError:
        raise PasidlabError(f"{path} cannot be read, so its architecture cannot be checked", hint="make it readable") from None
    if head[:2] == b"#!" and depth < 4:
        words = head[2:].split(b"\n")[0].split()
        if words and os.path.exists(words[0]):
            _check_binary(path, os.path.realpath(os.fsdecode(words[0])), depth + 1)
    elif head[:4] == b"\x7fELF" and len(head) >= _NAMED:
        machine = int.from_bytes(head[18:20], "little")
        if head[4] != 2 or machine != _X86_64:
            kind = _MACHINES.get(machine, "x32" if machine == _X86_64 else f"machine {machine}")
            raise PasidlabError(f"{path} is a {kind} program; only 64-bit x86 programs can use ENQCMD", hint="build it for x86-64")


@dataclass
class Child:
    """The forked child, waiting to be seized and told to go."""

    pid: int
    channel: socket.socket
    file_system: int = 0  # st_dev of the device tree in its namespace

    def abandon(self) -> None:
        """Give it up."""
        self.channel.close()
        os.waitpid(self.pid, 0)


@dataclass(frozen=True)
class ChildProgram:
    """What the child becomes, under which filter, and what it finds restored."""

    path: str
    arguments: list[str]
    filter_code: bytes
    before: Before


def spawn(program: ChildProgram, tops: dict[str, list[str]] | None) -> Child:
    """Fork. With ``tops`` the child makes its namespaces first. It execs the program when it is told ``G``."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        ours.close()
        _become(program, tops, theirs)
    theirs.close()
    return Child(pid, ours)


def _become(program: ChildProgram, tops: dict[str, list[str]] | None, channel: socket.socket) -> NoReturn:
    """In the child. Messages: U write my id maps, F here is /dev/fuse, R ready (st_dev of the tree follows), E failed (text
    follows).
    """
    try:
        tree = namespace.enter_namespaces(tops, channel) if tops is not None else 0
        channel.sendall(b"R%d" % tree)
        if channel.recv(1) == b"G":
            for number in (signal.SIGPIPE, signal.SIGXFSZ):
                signal.signal(number, signal.SIG_DFL)
            program.before.restore()
            seccomp.install(program.filter_code)
            os.execve(program.path, program.arguments, os.environ)
    except OSError as error:
        channel.sendall(b"E" + f"{error.filename or program.path}: {error.strerror or error}".encode())
    finally:
        os._exit(127)


def prepare(child: Child, serve: Callable[[int], None]) -> str:
    """Talk to the child until it is ready; ``serve`` gets the /dev/fuse descriptor. Returns what failed, empty if
    nothing.
    """
    while True:
        message, descriptors, _, _ = socket.recv_fds(child.channel, 512, 1)
        if message == b"U":
            try:
                namespace.write_id_maps(child.pid)
            except OSError as error:
                return f"id maps: {error.strerror}"
            child.channel.sendall(b"M")
        elif message == b"F":
            serve(descriptors[0])
        elif message[:1] == b"R":
            child.file_system = int(message[1:])
            return ""
        else:
            return message[1:].decode(errors="replace") or "the child died"


def attach(child: Child) -> None:
    """Seize the child and let it exec. PasidlabError says what forbids it."""
    try:
        ptrace.seize(child.pid)
    except OSError as error:
        child.abandon()
        raise PasidlabError(f"ptrace is forbidden here: {error.strerror}", hint=_ptrace_hint()) from None
    if process_vm_readv(child.pid, *_probe_at(), 0) != 1:  # fork gave the child the same byte at the same place
        child.abandon()
        raise PasidlabError(
            "process_vm_readv(2) is forbidden here: the device could not reach the program's memory",
            hint="in a container: --cap-add SYS_PTRACE, or a seccomp profile that permits process_vm_readv and process_vm_writev",
        )
    child.channel.sendall(b"G")


_probe = ctypes.create_string_buffer(b"x", 2)
_probe_iovs = (Iovec * 2)(Iovec(ctypes.addressof(_probe) + 1, 1), Iovec(ctypes.addressof(_probe), 1))


def _probe_at() -> tuple[int, int, int, int]:
    at = ctypes.addressof(_probe_iovs)
    return at, 1, at + ctypes.sizeof(Iovec), 1


def exec_error(child: Child) -> str:
    """After the child is gone: why execve failed, empty if it did not."""
    child.channel.setblocking(False)
    try:
        return child.channel.recv(512)[1:].decode(errors="replace")
    except BlockingIOError:
        return ""


def _ptrace_hint() -> str:
    with text_file("/proc/self/status") as file:
        tracer = next(line.split()[1] for line in file if line.startswith("TracerPid"))
    if tracer != "0":
        return f"process {tracer} (strace -f, gdb) traces pasidlab itself; a program has only one tracer: start it without"
    try:
        with text_file("/proc/sys/kernel/yama/ptrace_scope") as file:
            scope = file.read().strip()
    except OSError:
        scope = "0"
    if scope in ("2", "3"):
        return f"kernel.yama.ptrace_scope is {scope}: set it to 1 or 0 (sysctl), or run as root"
    return "in a container allow it: --cap-add SYS_PTRACE and a seccomp profile that permits ptrace and process_vm_readv"
