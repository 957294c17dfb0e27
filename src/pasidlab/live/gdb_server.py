"""Where gdb connects: one at a time, from this machine and of this user only."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable
from queue import SimpleQueue

from pasidlab.errors import PasidlabError
from pasidlab.live import workers
from pasidlab.live.debugger import Debugger
from pasidlab.live.descriptors import text_file
from pasidlab.live.gdb_commands import Conversation
from pasidlab.live.gdb_packets import INTERRUPT, NoPacket, Reader, packet
from pasidlab.live.loop import EventLoop
from pasidlab.live.outputs import tell

_HOST = "127.0.0.1"
_FLUSH = 0.3  # seconds at the end for what gdb has not been sent: the watchdog must not take it for a system call that lasts
_PATIENCE = 1.0  # seconds at the end for a thread of ours that nothing keeps
_PIECE = 1 << 16  # bytes received at once


class GdbServer:
    """Threads of its own wait for gdb once the program stands still; what gdb asks for is done by the loop."""

    def __init__(self, port: int, debugger: Debugger, loop: EventLoop, kill: Callable[[], None]) -> None:
        """``port`` 0: one that is free. PasidlabError if it is not."""
        self._debugger, self._loop, self._kill = debugger, loop, kill
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((_HOST, port))
        except OSError as error:
            self._socket.close()
            raise PasidlabError(f"--gdb {port}: {error.strerror}", hint="another port, or 0 for one that is free") from None
        self._socket.listen(1)
        self._thread: threading.Thread | None = None
        self._connection: socket.socket | None = None  # gdb's
        self._made: SimpleQueue[Conversation | None] = SimpleQueue()  # by the loop; None: the run is over
        self._over = False
        debugger.on_stop = lambda stopped: self._start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._socket.getsockname()[1])

    def _start(self) -> None:
        """The program stands at its first instruction."""
        self._debugger.on_stop = lambda stopped: None
        self._thread = workers.start_thread(self._serve, "gdb", self._loop.post)
        tell(f"pasidlab run: the program waits for gdb: gdb -ex 'target remote :{self.port}'")

    def close(self) -> None:
        """The run is over: gdb hears what is still to be said, and then that this was all."""
        self._over = True
        self._made.put(None)
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        for what, seconds in ((socket.SHUT_RD, _FLUSH), (socket.SHUT_RDWR, _PATIENCE)):  # the latter: gdb does not read
            if self._connection:
                with contextlib.suppress(OSError):
                    self._connection.shutdown(what)
            if self._thread:
                self._thread.join(seconds)
        self._socket.close()

    def _serve(self) -> None:
        while not self._over:
            try:
                connection, peer = self._socket.accept()
            except OSError:  # closed
                return
            self._connection = connection
            with connection:
                if self._over:
                    return
                if _user_of(peer, connection.getsockname()) in (os.getuid(), 0):
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        """Until gdb goes."""
        outgoing: SimpleQueue[bytes | None] = SimpleQueue()
        try:
            writer = workers.start_thread(lambda: _write(connection, outgoing), "gdb writer", self._loop.post)
        except PasidlabError:  # no thread to answer with: gdb sees that nobody talks to it
            return
        talk = self._begin(lambda data: outgoing.put(packet(data)))
        if talk:
            with contextlib.suppress(OSError, NoPacket):
                self._listen(connection, talk, outgoing)
            self._loop.post(talk.close)
        outgoing.put(None)
        writer.join(_FLUSH)
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)  # it has hung up, and does not read: what is being sent to it fails
        writer.join()

    def _begin(self, send: Callable[[bytes], None]) -> Conversation | None:
        """A conversation, made by the loop; None when the run is over."""
        self._loop.post(lambda: self._made.put(Conversation(self._debugger, send, self._kill)))
        return self._made.get()

    def _listen(self, connection: socket.socket, talk: Conversation, outgoing: SimpleQueue[bytes | None]) -> None:
        reader = Reader()
        while data := connection.recv(_PIECE):
            for request, whole in reader.feed(data):
                self._take(talk, request, whole, outgoing)

    def _take(self, talk: Conversation, request: bytes, whole: bool, outgoing: SimpleQueue[bytes | None]) -> None:
        if request == INTERRUPT:
            self._loop.post(talk.interrupt)
            return
        if talk.acknowledges:
            outgoing.put(b"+" if whole else b"-")
        if whole:
            self._loop.post(lambda: talk.answer(request))


def _write(connection: socket.socket, outgoing: SimpleQueue[bytes | None]) -> None:
    with contextlib.suppress(OSError):
        while (data := outgoing.get()) is not None:
            connection.sendall(data)


def _user_of(peer: tuple[str, int], here: tuple[str, int]) -> int:
    """Whose end of the connection the peer's is (/proc/net/tcp, Documentation/networking/proc_net_tcp.rst); -1 if nobody's."""
    wanted = [f"{_hexadecimal(host)}:{port:04X}" for host, port in (peer, here)]
    with text_file("/proc/net/tcp") as file:
        for line in file:
            fields = line.split()
            if fields[1:3] == wanted:
                return int(fields[7])
    return -1


def _hexadecimal(host: str) -> str:
    return f"{int.from_bytes(socket.inet_aton(host), 'little'):08X}"
