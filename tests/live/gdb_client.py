"""gdb's end of the remote protocol, as little as tests need; and runs of pasidlab that wait for it."""

from __future__ import annotations

import contextlib
import os
import re
import select
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator

from running import HERE, RUN

from pasidlab.live.gdb_packets import unescaped


class Client:
    """One connection. Packets are the text between $ and #."""

    def __init__(self, port: int) -> None:
        self._socket = socket.socket()
        self._socket.settimeout(30)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)  # it does not grow: what is not read has no room
        self._socket.connect(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""

    def close(self) -> None:
        self._socket.close()

    def shut(self) -> None:
        """Says nothing more."""
        self._socket.shutdown(socket.SHUT_WR)

    def raw(self, data: bytes) -> None:
        """Bytes as they are."""
        self._socket.sendall(data)

    def send(self, text: str) -> None:
        """One packet."""
        data = text.encode()
        self.raw(b"$%s#%02x" % (data, sum(data) & 0xFF))

    def byte(self) -> bytes:
        """One byte outside of a packet."""
        while not self._buffer:
            self._buffer += self._socket.recv(1 << 16) or b"\0"
        first, self._buffer = self._buffer[:1], self._buffer[1:]
        return first

    def packet(self) -> bytes:
        """The next packet; acknowledgements before it are passed over, and it is acknowledged."""
        while b"#" not in self._buffer or len(self._buffer) < self._buffer.index(b"#") + 3:
            more = self._socket.recv(1 << 16)
            assert more, f"closed after {self._buffer!r}"
            self._buffer += more
        end = self._buffer.index(b"#")
        data = self._buffer[:end].lstrip(b"+-")[1:]
        assert int(self._buffer[end + 1 : end + 3], 16) == sum(data) & 0xFF
        self._buffer = self._buffer[end + 3 :]
        self.raw(b"+")
        return data

    def ask(self, text: str) -> str:
        """The answer to a packet, as text."""
        self.send(text)
        return self.packet().decode("latin-1")

    def quiet(self, seconds: float) -> bool:
        """Whether nothing comes for so long."""
        return not select.select([self._socket], [], [], seconds)[0]

    def ended(self) -> bool:
        """Waits for what comes next; whether that is the end of the connection."""
        with contextlib.suppress(ConnectionResetError):  # an acknowledgement met a closed end
            while data := self._socket.recv(1 << 16):
                if data.strip(b"+"):
                    return False
        return True

    def go(self, text: str = "vCont;c") -> tuple[str, str]:
        """Let the program run: what the console is told, and how it stops."""
        said, answer = "", self.ask(text)
        while answer.startswith("O") and answer != "OK":
            said += bytes.fromhex(answer[1:]).decode()
            answer = self.packet().decode()
        return said, answer


@contextlib.contextmanager
def waiting_run(*command: str, options: tuple[str, ...] = ()) -> Iterator[tuple[subprocess.Popen[str], int, Callable[[], Client]]]:
    """``pasidlab run OPTIONS --gdb 0 -- COMMAND``, its port, once it waits, and what connects to it."""
    around = {**os.environ, "PYTHONPATH": str(HERE)}
    line = [sys.executable, "-c", RUN, "--summary", "none", *options, "--gdb", "0", "--", *command]
    run = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=around)
    try:
        assert run.stderr
        found = re.search(r"target remote :(\d+)", run.stderr.readline())
        assert found
        port = int(found[1])
        with contextlib.ExitStack() as clients:
            yield run, port, lambda: clients.enter_context(contextlib.closing(Client(port)))
    finally:
        run.kill()
        run.communicate()


def address_of(program: str, name: str, client: Client) -> int:
    """Of a function or a static variable, where the program lies in memory."""
    symbols = subprocess.run(["nm", program], capture_output=True, text=True, check=True).stdout
    offset = next(int(line.split()[0], 16) for line in symbols.splitlines() if line.endswith((f" T {name}", f" b {name}")))
    auxv = client.ask("qXfer:auxv:read::0,1000")[1:].encode("latin-1")
    entries = dict(struct.iter_unpack("<QQ", unescaped(auxv)))
    entry = next(int(line.split()[0], 16) for line in symbols.splitlines() if line.endswith(" T _start"))
    return entries[9] - entry + offset  # AT_ENTRY, linux/auxvec.h
