"""The device tree where namespaces are forbidden: system calls that name its files are traced, their paths rewritten.

Programs that open many files are slower than in a namespace. Attributes do not change, and poll(2) always says ready. An open file of a
device is an empty file of its own. inotify(7) tells when that is closed, and a lease whether others still have it open, by a name that
nobody recognizes (``aliases``). It is opened for reading: what is written other than by write(2), which is traced, fails (EBADF) and
is not lost in it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import struct
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial

from pasidlab.errors import PasidlabError
from pasidlab.live import owned, ptrace, workers
from pasidlab.live.aliases import AT_FDCWD, absolute, descriptor_named, has_others
from pasidlab.live.cdev import CharacterDevices
from pasidlab.live.descriptors import must_be_no_limit
from pasidlab.live.guard import Before
from pasidlab.live.inject import Injector
from pasidlab.live.lending import Lender
from pasidlab.live.libc import checked, libc
from pasidlab.live.loop import Gate
from pasidlab.live.nodes import Attribute, Binary, Directory, Link, WqNode
from pasidlab.live.outputs import TerminalTeller
from pasidlab.live.places import tops
from pasidlab.live.portals import PortalMapper, answer
from pasidlab.live.registers import ARGUMENTS, ORIG_RAX, RAX, RegisterArray
from pasidlab.live.seccomp import ArgumentTests, FilterRule, high, low
from pasidlab.live.state import OpenFile, Thread

_WRITE = 1
# System call number -> position of the path; the ones that take a directory descriptor have it just before.
_PATHS = {
    2: 0, 4: 0, 6: 0, 21: 0, 76: 0, 80: 0, 89: 0, 90: 0, 92: 0, 94: 0, 137: 0, 188: 0, 189: 0, 191: 0, 192: 0, 194: 0, 195: 0,
    197: 0, 198: 0, 257: 1, 262: 1, 267: 1, 268: 1, 269: 1, 280: 1, 332: 1, 437: 1, 439: 1,
}  # fmt: skip
_OPENS = {2: 1, 257: 2, 437: 2}  # open, openat, openat2 -> position of the flags
_OPENAT2 = 437  # its flags are the first field of a struct open_how
_OPEN_HOW = 24  # bytes of it, linux/openat2.h
_IN_CLOSE = 0x10  # IN_CLOSE_NOWRITE, linux/inotify.h: not what made the file, nor what asks for others
_SOON, _LATEST = 0.001, 0.05  # seconds between two looks for others
_CHANGES = os.O_ACCMODE | os.O_CREAT | os.O_TRUNC  # to a device file the latter two mean nothing
_MOST_WRITTEN, _PIECE = 0x7FFFFFC0, 1 << 16  # bytes: of a call (MAX_RW_COUNT), and read at once
_PATIENCE, _STEP = 1.0, 0.05  # seconds at the end for what others have left, and between two looks
_LONGEST = 4096  # bytes of a path (PATH_MAX)


class _Told(Exception):
    """A signal came."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Redirector:
    """Keeps the tree in a directory of its own and sends the program there."""

    def __init__(self, tree: Directory, files: CharacterDevices, injector: Injector, before: Before) -> None:
        """Writes the tree. A signal that ends pasidlab meanwhile does so when what there is of it has been removed."""
        self.tree, self.files, self.injector, self.lender = tree, files, injector, Lender(injector)
        self._sweeper: threading.Thread | None = None
        self.nodes: dict[str, WqNode] = {}
        self._made, self._progress = 0, TerminalTeller()
        with contextlib.ExitStack() as undone:
            try:
                self.place = owned.OwnDirectory()
                undone.callback(self.place.close, injector.loop.dealt_with)
                self.root, self.opens = self.place.path, os.path.join(self.place.path, "open")
                self.place.mark()
                self._opens = owned.make_directory(self.place.fd, "open")
                self._lay_out(tree, self.place.fd, "", before.take_ending)
            except _Told as told:
                undone.close()
                before.end(told.number)
            except OSError as error:
                must_be_no_limit(error)
                what = f"the device tree cannot be written to {tempfile.gettempdir()}: {error.strerror}"
                raise PasidlabError(what, hint="TMPDIR names another directory") from None
            self.tops = tuple(f"{parent}/{name}" for parent, names in tops(tree).items() for name in names)
            self._notify = checked(libc.inotify_init1(os.O_CLOEXEC), "inotify_init1")
            undone.pop_all()
        self._watched: dict[int, int] = {}  # inotify watch -> handle
        self._opening: set[OpenFile | None] = set()  # the program has them in a moment
        self.mapper: PortalMapper | None = None

    def start(self) -> None:
        """After the fork."""
        workers.start_thread(self._watch, "inotify", self.injector.loop.post)
        self._sweeper = workers.start_thread(owned.sweep, "sweep", self.injector.loop.post)  # much may have been left

    def rules(self) -> list[FilterRule]:
        """Every call with a path, and writes of whole descriptors to what is not standard input, output or error."""
        found: list[FilterRule] = [(number, []) for number in _PATHS]
        whole: list[ArgumentTests] = [[(low(2), "has", 0xFFFFFFC0)], [(high(2), ">", 0)]]
        return found + [(_WRITE, [(low(0), ">", 2), (low(2), "lacks", 63), *condition]) for condition in whole]

    def close(self) -> None:
        """Remove the directory."""
        os.close(self._opens)
        self.place.close(self.injector.loop.dealt_with)
        end = time.monotonic() + _PATIENCE
        while self._sweeper and self._sweeper.is_alive() and time.monotonic() < end:
            self._sweeper.join(_STEP)
            self.injector.loop.dealt_with()  # it is waited for on purpose

    def _lay_out(self, directory: Directory, there: int, path: str, ends: Callable[[], int]) -> None:
        if number := ends():
            raise _Told(number)
        self._made += len(directory.entries)
        self._progress.told(f"makes the device tree, {self._made} files so far")
        for name, entry in directory.entries.items():
            if isinstance(entry, Directory):
                inside = owned.make_directory(there, name)
                try:
                    self._lay_out(entry, inside, f"{path}/{name}", ends)
                finally:
                    os.close(inside)
            elif isinstance(entry, Link):
                os.symlink(entry.target, name, dir_fd=there)
            elif isinstance(entry, WqNode):
                owned.make_socket(there, name)
                self.nodes[f"{path}/{name}"] = entry
            else:
                os.close(owned.make_file(there, name, _content(entry)))

    def on_call(self, thread: Thread, registers: RegisterArray) -> None:
        """At the seccomp stop of a traced call."""
        number = registers[ORIG_RAX]
        if number == _WRITE:
            self._write(thread, registers)
        elif number in _PATHS:
            self._path(thread, registers, number)
        else:
            assert self.mapper is not None
            self.mapper.on_call(thread, registers)

    def _path(self, thread: Thread, registers: RegisterArray, number: int) -> None:
        position = _PATHS[number]
        path, ends, _ = thread.mm.memory.read(registers[ARGUMENTS[position]], _LONGEST).partition(b"\0")
        directory = registers[ARGUMENTS[0]] if position else AT_FDCWD
        text, file, node = os.fsdecode(path), None, None
        target = self._target(thread, text, directory) if ends else None
        if ends and number in _OPENS:
            node = self._node(thread, text, directory, target, _flags(thread, registers, number))
        if node:
            try:
                self._settle(node)
                file = self.files.handles[self.files.open(thread.tid, node, _flags(thread, registers, number))]
                target = self._backing(file)
            except OSError as error:  # of the device; or a full disk, or no watch is left
                if file:
                    self._forget(file)
                answer(thread, registers, -(error.errno or errno.EIO))
                return
        if target is None:
            ptrace.resume(thread.tid)
            return
        name = os.fsencode(target) + b"\0"

        def prepare(place: int) -> RegisterArray:
            changed = ptrace.copy_registers(registers)
            changed[ARGUMENTS[position]] = place + _OPEN_HOW
            thread.mm.memory.write(place + _OPEN_HOW, name)
            if file:
                _for_reading(thread, changed, number, place, beneath=not text.startswith("/"))
            return changed

        try:
            result = self.lender.call(thread, registers, _OPEN_HOW + len(name), prepare)
        finally:
            self._opening.discard(file)
        if file and result < 0:
            self._forget(file)
        registers[RAX] = result & (1 << 64) - 1
        ptrace.set_registers(thread.tid, registers)
        ptrace.resume(thread.tid)

    def _node(self, thread: Thread, path: str, directory: int, target: str | None, flags: int) -> WqNode | None:
        """The device file that is opened: by its own name, or by that of a descriptor, which is one more open of it."""
        if flags & os.O_PATH:
            return None
        if target:
            return self.nodes.get(self.tree.resolved(target.removeprefix(self.root)))
        named = None if flags & os.O_NOFOLLOW else descriptor_named(thread, path, directory)
        file = self._open_file(*named) if named else None
        return file.node if isinstance(file, OpenFile) else None

    def _target(self, thread: Thread, path: str, directory: int) -> str | None:
        """Where the path leads in our directory; None if it is not ours, or the kernel finds it from a directory of ours by itself."""
        there = absolute(thread, path, directory)
        from_ours = there != path and there.startswith(self.root + "/")
        there = os.path.normpath(there.removeprefix(self.root) if from_ours else there)
        ours = any(there == top or there.startswith(top + "/") for top in self.tops)
        if from_ours and self.tree.resolved(there) not in self.nodes:
            return None
        return self.root + there if ours and len(self.root + there) < _LONGEST - _OPEN_HOW else None

    def _backing(self, file: OpenFile) -> str:
        """An empty file that stands for this one open file."""
        name = str(file.handle)
        made = owned.make_file(self._opens, name)
        try:
            itself = b"/proc/self/fd/%d" % made
            watch = checked(libc.inotify_add_watch(self._notify, itself, _IN_CLOSE), "inotify_add_watch")
        except OSError:
            os.unlink(name, dir_fd=self._opens)
            raise
        finally:
            os.close(made)
        self._watched[watch] = file.handle
        self._opening.add(file)
        return os.path.join(self.opens, name)

    def _forget(self, file: OpenFile) -> None:
        if file.handle in self.files.handles:
            self.files.release(file.handle)

    def _watch(self) -> None:
        while True:
            try:
                events = os.read(self._notify, 4096)
            except OSError:
                return
            at = 0
            while at < len(events):
                watch, mask, _, length = struct.unpack_from("<iIII", events, at)
                at += 16 + length
                if mask & _IN_CLOSE:
                    self.injector.loop.post(partial(self._closed, watch))

    def _closed(self, watch: int) -> None:
        handle, wait = self._watched.pop(watch, 0), _SOON
        while handle and has_others(self._opens, str(handle)):
            gate = Gate(self.injector.loop)
            self.injector.loop.after(wait, gate.open)
            gate.wait()
            wait = min(2 * wait, _LATEST)
        self._end(handle)

    def _settle(self, node: WqNode) -> None:
        """A dedicated queue is about to be opened: files of it that are closed, which nobody has told yet, end now."""
        for file in tuple(self.files.handles.values()) if node.wq.mode == "dedicated" else ():
            if file.node is node and file not in self._opening and has_others(self._opens, str(file.handle)) is False:
                self._end(file.handle)

    def _end(self, handle: int) -> None:
        with contextlib.suppress(OSError):
            os.unlink(str(handle), dir_fd=self._opens)  # and the watch is gone
        if handle in self.files.handles:
            self.files.release(handle)

    def open_file(self, thread: Thread, number: int) -> OpenFile | Attribute | Binary | None:
        """See ``Finder.open_file``: the file's name tells."""
        return self._open_file(thread.tid, number)

    def _open_file(self, tid: int, number: int) -> OpenFile | Attribute | Binary | None:
        try:
            path = os.readlink(f"/proc/{tid}/fd/{number}")
        except OSError:
            return None
        if path.startswith(self.opens + "/"):
            name = os.path.basename(path).removesuffix(" (deleted)")
            return self.files.handles.get(int(name)) if name.isdecimal() and len(name) < 20 else None
        node = self.tree.find(path.removeprefix(self.root)) if path.startswith(self.root + "/") else None
        return node if isinstance(node, Attribute | Binary) else None

    def _write(self, thread: Thread, registers: RegisterArray) -> None:
        """write(2), piece by piece: the program says how long it is."""
        file = self.open_file(thread, registers[ARGUMENTS[0]] & 0xFFFFFFFF)
        if not isinstance(file, OpenFile):
            ptrace.resume(thread.tid)
            return
        address, size, done = registers[ARGUMENTS[1]], min(registers[ARGUMENTS[2]], _MOST_WRITTEN), 0
        while done < size:
            wanted = min(_PIECE, size - done)
            data = thread.mm.memory.read(address + done, wanted)
            try:
                accepted = self.files.write(thread.tid, file.handle, data) if len(data) >= 64 else -errno.EFAULT
            except OSError as error:
                accepted = -(error.errno or errno.EIO)
            if accepted <= 0:
                done = done or accepted
                break
            done += accepted
            if accepted < wanted:
                break
        answer(thread, registers, done)


def _content(node: Attribute | Binary) -> bytes:
    if isinstance(node, Binary):
        return bytes(node.data)
    with contextlib.suppress(OSError):  # cdev_minor of a disabled queue: ENXIO
        return node.content()
    return b""


def _flags(thread: Thread, registers: RegisterArray, number: int) -> int:
    """The flags of an open."""
    value = registers[ARGUMENTS[_OPENS[number]]]
    return int.from_bytes(thread.mm.memory.read(value, 8), "little") if number == _OPENAT2 else int(value)


def _for_reading(thread: Thread, registers: RegisterArray, number: int, place: int, *, beneath: bool) -> None:
    """Let an open be one for reading alone; ``place``: memory for what openat2(2) takes. Where the program's path lies ``beneath`` a
    directory, ours does not: how openat2(2) is to resolve it does not count (RESOLVE_BENEATH).
    """
    argument = ARGUMENTS[_OPENS[number]]
    if number != _OPENAT2:
        registers[argument] &= ~_CHANGES
        return
    how = bytearray(thread.mm.memory.read(registers[argument], min(registers[ARGUMENTS[3]], _OPEN_HOW)))
    how[:4] = (int.from_bytes(how[:4], "little") & ~_CHANGES).to_bytes(4, "little")
    how[8:16] = bytes(len(how[8:16]))  # the mode, EINVAL without O_CREAT
    if beneath:
        how[16:24] = bytes(len(how[16:24]))
    thread.mm.memory.write(place, how)
    registers[argument] = place
