"""A busy machine, to be recorded: threads, forks, execs, signals, crypto in the kernel, migrations, a tracer, core dumps.

``workload.py SECONDS``.
"""

import contextlib
import ctypes
import hashlib
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time


def ping_pong(end):
    """Two processes that wake each other."""
    here, there = socket.socketpair()
    if os.fork() == 0:
        here.close()
        with contextlib.suppress(OSError):
            while data := there.recv(16):
                there.send(data)
        os._exit(0)
    there.close()
    while time.monotonic() < end:
        for _ in range(100):
            here.send(b"x")
            here.recv(16)
    here.close()
    os.wait()


def family(end):
    """Children that fork, exit, exec, and die of signals."""
    while time.monotonic() < end:
        children = []
        for how in range(4):
            pid = os.fork()
            if pid == 0:
                if how == 0:
                    os.execv("/bin/true", ["true"])
                if how == 1:
                    os.kill(os.getpid(), signal.SIGKILL)
                if how == 3:  # a thread that is not the leader takes over its leader's pid
                    thread = threading.Thread(target=os.execv, args=("/bin/true", ["true"]))
                    thread.start()
                    thread.join()
                if how == 2 and os.fork() == 0:
                    sum(x * 0.5 for x in range(1000))
                os._exit(0)
            children.append(pid)
        for pid in children:
            os.waitpid(pid, 0)
        subprocess.run(["/bin/true"], check=True)


def signalled(end):
    """Floating point under a timer's signals, one handler inside another."""
    total = 0.0

    def handler(number, frame):
        nonlocal total
        total += 0.25
        if number == signal.SIGALRM and random.random() < 0.5:
            os.kill(os.getpid(), signal.SIGUSR1)

    signal.signal(signal.SIGALRM, handler)
    signal.signal(signal.SIGUSR1, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.0005)
    data = bytes(1 << 14)
    while time.monotonic() < end:
        total += sum(x * 0.5 for x in range(2000))
        hashlib.sha256(data).digest()
        os.getrandom(64)


def wanderer(end):
    """Threads that sleep, and move from CPU to CPU."""
    cpus = sorted(os.sched_getaffinity(0))

    def thread():
        number = 0.5
        while time.monotonic() < end:
            os.sched_setaffinity(0, {random.choice(cpus)})
            number = number * 1.0001 + 0.1
            time.sleep(0.0001)

    threads = [threading.Thread(target=thread) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()


PTRACE_TRACEME, PTRACE_CONT, PTRACE_GETFPREGS, PTRACE_SETFPREGS = 0, 7, 14, 15  # linux/ptrace.h, asm/ptrace-abi.h
USER_FPREGS_BYTES = 512


def traced(end):
    """A child that stops itself again and again; its tracer reads and writes its registers."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
    child = os.fork()
    if child == 0:
        libc.ptrace(PTRACE_TRACEME, 0, None, None)
        total = 0.5
        while time.monotonic() < end:
            total = total * 1.0001 + 0.1
            os.kill(os.getpid(), signal.SIGSTOP)
        os._exit(0)
    registers = ctypes.create_string_buffer(USER_FPREGS_BYTES)
    while os.WIFSTOPPED(os.waitpid(child, 0)[1]):
        for request in (PTRACE_GETFPREGS, PTRACE_SETFPREGS):
            assert libc.ptrace(request, child, None, registers) == 0, os.strerror(ctypes.get_errno())
        libc.ptrace(PTRACE_CONT, child, None, None)


def dumped(end):
    """Children that dump core: the kernel asks for the registers of the task that dies."""
    with tempfile.TemporaryDirectory() as folder:
        while time.monotonic() < end:
            pid = os.fork()
            if pid == 0:
                os.chdir(folder)
                resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
                os.abort()
            os.waitpid(pid, 0)
            time.sleep(0.2)


def main():
    end = time.monotonic() + float(sys.argv[1])
    works = (ping_pong, ping_pong, family, signalled, wanderer, traced, dumped)
    for work in works:
        if os.fork() == 0:
            work(end)
            os._exit(0)
    failed = 0
    for _ in works:
        failed |= os.wait()[1]
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
