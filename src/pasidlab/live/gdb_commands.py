"""The requests of gdb's remote serial protocol (GDB manual, appendix E, "Packets", "General Query Packets"), answered by a Debugger.

All-stop mode: everything stands still while gdb asks.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from pasidlab.errors import printable
from pasidlab.live import ptrace
from pasidlab.live.debugger import Continuation, Debugger, Stopped
from pasidlab.live.descriptors import binary_file, text_file
from pasidlab.live.gdb_files import HostFiles
from pasidlab.live.gdb_packets import escaped, unescaped
from pasidlab.live.gdb_registers import ThreadRegisters, description
from pasidlab.live.gdb_signals import from_gdb, to_gdb

_PACKET = 0x4000  # bytes of a packet, the longest we take and make
_MOST = _PACKET // 2 - 64  # bytes of memory in one
_SUPPORTED = (
    f"PacketSize={_PACKET:x};QStartNoAckMode+;QPassSignals+;QProgramSignals+;swbreak+;exec-events+;vContSupported+;binary-upload+;"
    "qXfer:features:read+;qXfer:auxv:read+;qXfer:exec-file:read+"
)
_BAD, _NO_MEMORY, _BUSY = b"E01", b"E0e", b"E10"


class Conversation:
    """With one gdb. ``send`` takes the data of a packet; ``kill`` ends the program."""

    def __init__(self, debugger: Debugger, send: Callable[[bytes], None], kill: Callable[[], None]) -> None:
        self._debugger, self._send, self._kill = debugger, send, kill
        self._files = HostFiles()
        self._tid = 0  # of g, G, p and P
        self._ended: bytes | None = None  # the process is gone, which gdb has not been told
        self._asked = False  # gdb waits for a stop
        self.acknowledges = True
        debugger.come()
        debugger.on_stop, debugger.on_end = self._stopped, self._gone

    def close(self) -> None:
        """gdb is gone."""
        self._files.close()
        self._debugger.on_stop = lambda stopped: None
        self._debugger.on_end = lambda status: None
        self._debugger.leave()

    def interrupt(self) -> None:
        """Ctrl-C in gdb."""
        self._debugger.halt()

    def answer(self, request: bytes) -> None:
        """Do what a packet asks for. What is wrong with it is an error reply; what is not known, an empty one."""
        try:
            reply = self._reply(request)
        except (ValueError, IndexError, OverflowError):
            reply = _BAD
        except ptrace.Gone:
            reply = _BUSY
        except OSError as error:
            reply = b"E%02x" % min(error.errno or 1, 255)
        if reply is not None:
            self._send(reply)

    # The program stops and ends

    def _stopped(self, stopped: Stopped) -> None:
        self._tid = stopped.tid
        if self._asked:
            self._asked = False
            if stopped.why:
                self._send(b"O" + f"pasidlab: {printable(stopped.why)}\n".encode().hex().encode())
            self._send(self._stop_reply(stopped))

    @staticmethod
    def _stop_reply(stopped: Stopped) -> bytes:
        reason = f"{stopped.reason};" if stopped.reason else ""
        return f"T{to_gdb(stopped.signal):02x}{reason}thread:{stopped.tid:x};".encode()

    def _gone(self, status: int) -> None:
        said = b"X%02x" % to_gdb(os.WTERMSIG(status)) if os.WIFSIGNALED(status) else b"W%02x" % os.WEXITSTATUS(status)
        if self._asked:
            self._asked = False
            self._send(said)
        else:
            self._ended = said

    # Requests

    def _reply(self, request: bytes) -> bytes | None:
        letter, rest = request[:1], request[1:]
        requests: dict[bytes, Callable[[bytes], bytes | None]] = {
            b"?": self._why, b"g": self._registers, b"G": self._set_registers, b"p": self._register, b"P": self._set_register,
            b"m": self._read, b"x": self._read_binary, b"M": self._write, b"X": self._write_binary, b"Z": self._insert, b"z": self._remove,
            b"H": self._choose, b"T": self._alive, b"D": self._detach, b"k": self._end, b"q": self._query, b"Q": self._set,
            b"v": self._long,
        }  # fmt: skip
        if letter in (b"c", b"C", b"s", b"S"):
            return self._old_continue(request)
        return requests[letter](rest) if letter in requests else b""

    def _why(self, _: bytes) -> bytes | None:
        if self._debugger.process is None:
            return self._ended or b"W00"
        if self._debugger.last:
            self._tid = self._debugger.last.tid
            return self._stop_reply(self._debugger.last)
        self._asked = True
        self._debugger.halt(0)
        return None

    def _thread(self) -> int:
        """The thread chosen, which stands still."""
        if not self._debugger.knows(self._tid):
            self._tid = min(self._debugger.threads, default=0)
        if not self._tid or not self._debugger.halted:
            raise ValueError("nothing stands still")
        return self._tid

    def _registers(self, _: bytes) -> bytes:
        return ThreadRegisters(self._thread()).whole().hex().encode()

    def _register(self, rest: bytes) -> bytes:
        return ThreadRegisters(self._thread()).one(int(rest, 16)).hex().encode()

    def _set_registers(self, rest: bytes) -> bytes:
        tid = self._thread()
        if not self._debugger.may_set_registers(tid):
            return _BUSY
        ThreadRegisters(tid).set_whole(bytes.fromhex(rest.decode()))
        return b"OK"

    def _set_register(self, rest: bytes) -> bytes:
        number, _, value = rest.partition(b"=")
        tid = self._thread()
        if not self._debugger.may_set_registers(tid):
            return _BUSY
        ThreadRegisters(tid).set_one(int(number, 16), bytes.fromhex(value.decode()))
        return b"OK"

    def _memory(self, place: bytes) -> bytes:
        address, length = (int(one, 16) for one in place.split(b","))
        data = self._debugger.threads[self._thread()].mm.memory.read(address, min(length, _MOST))
        return self._debugger.breakpoints.hidden(address, data)

    def _read(self, rest: bytes) -> bytes:
        return self._memory(rest).hex().encode() or _NO_MEMORY

    def _read_binary(self, rest: bytes) -> bytes:
        data = self._memory(rest)
        return b"b" + escaped(data) if data or rest.endswith(b",0") else _NO_MEMORY

    def _write(self, rest: bytes) -> bytes:
        place, _, data = rest.partition(b":")
        return self._store(place, bytes.fromhex(data.decode()))

    def _write_binary(self, rest: bytes) -> bytes:
        place, _, data = rest.partition(b":")
        return self._store(place, unescaped(data))

    def _store(self, place: bytes, data: bytes) -> bytes:
        address, length = (int(one, 16) for one in place.split(b","))
        tid = self._thread()
        if length != len(data):
            return _BAD
        memory = self._debugger.threads[tid].mm.memory
        return b"OK" if not data or self._debugger.breakpoints.write(tid, memory, address, data) else _NO_MEMORY

    def _insert(self, rest: bytes) -> bytes:
        kind, address = rest.split(b",")[:2]
        if kind != b"0":
            return b""
        tid = self._thread()
        memory = self._debugger.threads[tid].mm.memory
        return b"OK" if self._debugger.breakpoints.insert(tid, memory, int(address, 16)) else _NO_MEMORY

    def _remove(self, rest: bytes) -> bytes:
        kind, address = rest.split(b",")[:2]
        if kind != b"0":
            return b""
        tid = self._thread()
        self._debugger.breakpoints.remove(tid, self._debugger.threads[tid].mm.memory, int(address, 16))
        return b"OK"

    def _choose(self, rest: bytes) -> bytes:
        tid = int(rest[1:], 16)
        if tid > 0 and not self._debugger.knows(tid):
            return _BAD
        if rest[:1] == b"g" and tid > 0:
            self._tid = tid
        return b"OK"

    def _alive(self, rest: bytes) -> bytes:
        return b"OK" if self._debugger.knows(int(rest, 16)) else _BAD

    def _detach(self, _: bytes) -> bytes:
        self._debugger.leave()
        return b"OK"

    def _end(self, _: bytes) -> bytes | None:
        self._debugger.leave()
        self._kill()
        return None

    # Going on

    def _old_continue(self, request: bytes) -> bytes | None:
        number = from_gdb(int(request[1:].split(b";")[0], 16)) if request[:1] in (b"C", b"S") else 0
        chosen, step = self._thread(), request[:1] in (b"s", b"S")
        return self._go_on(lambda tid: Continuation(step and tid == chosen, number if tid == chosen else 0))

    def _continue(self, rest: bytes) -> bytes | None:
        """vCont;ACTION[:THREAD]...: the first that fits a thread counts."""
        actions: list[tuple[int, Continuation]] = []
        for one in rest.split(b";")[1:]:
            what, _, whose = one.partition(b":")
            if what[:1] not in b"csCS" or not what:
                return _BAD
            number = from_gdb(int(what[1:], 16)) if what[:1] in b"CS" else 0
            tid = int(whose, 16) if whose else -1
            actions.append((tid, Continuation(what[:1] in b"sS", number)))
        if not actions:
            return _BAD
        return self._go_on(lambda tid: next((action for whose, action in actions if whose in (-1, tid)), None))

    def _go_on(self, actions: Callable[[int], Continuation | None]) -> bytes | None:
        if self._ended:
            said, self._ended = self._ended, None
            return said
        self._asked = True
        self._debugger.go_on(actions)
        return None

    def _long(self, rest: bytes) -> bytes | None:
        if rest == b"Cont?":
            return b"vCont;c;C;s;S"
        if rest.startswith(b"Cont;"):
            return self._continue(rest)
        if rest.startswith(b"File:"):
            return self._files.answer(rest.removeprefix(b"File:"))
        if rest.startswith(b"Kill"):
            self._end(b"")
            return b"OK"
        return b""

    # Queries

    def _query(self, rest: bytes) -> bytes:
        name = rest.split(b":")[0].split(b",")[0]
        answers: dict[bytes, Callable[[], bytes]] = {
            b"Supported": lambda: self._supported(rest),
            b"C": lambda: b"QC%x" % self._tid,
            b"Attached": lambda: b"0",
            b"fThreadInfo": lambda: b"m" + b",".join(b"%x" % tid for tid in sorted(self._debugger.threads) if self._debugger.knows(tid)),
            b"sThreadInfo": lambda: b"l",
            b"ThreadExtraInfo": lambda: _name(int(rest.split(b",")[1], 16)).encode().hex().encode(),
            b"Symbol": lambda: b"OK",
            b"Xfer": lambda: self._transfer(rest),
        }
        return answers[name]() if name in answers else b""

    def _supported(self, rest: bytes) -> bytes:
        self._debugger.follows_exec = b"exec-events+" in rest.partition(b":")[2].split(b";")
        return _SUPPORTED.encode()

    def _transfer(self, rest: bytes) -> bytes:
        """qXfer:OBJECT:read:ANNEX:OFFSET,LENGTH."""
        _, name, operation, annex, place = rest.split(b":")
        offset, length = (int(one, 16) for one in place.split(b","))
        process = self._debugger.process
        if operation != b"read" or process is None:
            return _BAD
        if name == b"features":
            if annex != b"target.xml":
                return b"E00"
            whole = description().encode()
        elif name == b"auxv":
            with binary_file(f"/proc/{process.pid}/auxv") as file:
                whole = file.read()
        elif name == b"exec-file":
            whole = os.fsencode(os.readlink(f"/proc/{process.pid}/exe"))
        else:
            return b""
        piece = whole[offset : offset + min(length, _MOST)]
        return (b"m" if offset + len(piece) < len(whole) else b"l") + escaped(piece)

    def _set(self, rest: bytes) -> bytes:
        if rest == b"StartNoAckMode":
            self.acknowledges = False
            return b"OK"
        name, _, numbers = rest.partition(b":")
        if name in (b"PassSignals", b"ProgramSignals"):
            named = {from_gdb(int(one, 16)) for one in numbers.split(b";") if one} - {0}
            if name == b"PassSignals":
                self._debugger.passed = named
            else:
                self._debugger.withheld = frozenset(range(1, 65)) - named
            return b"OK"
        return b""


def _name(tid: int) -> str:
    """What ps shows for the thread."""
    with text_file(f"/proc/{tid}/comm") as file:
        return printable(file.read().removesuffix("\n"))
