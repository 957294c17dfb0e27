"""A process's memory is reached through whichever of its threads still lives."""

from __future__ import annotations

import ctypes
import os
import subprocess
from types import SimpleNamespace
from typing import Any

import pytest

from pasidlab.live import ptrace
from pasidlab.live.emulate import Emulator, page_fault
from pasidlab.live.memory import ProcessMemory
from pasidlab.live.presence import Pagemaps
from pasidlab.live.registers import CS, Registers
from pasidlab.live.signals import TRAP_SIGNALS, SignalKeeper

pytestmark = pytest.mark.needs_run


def _dead() -> int:
    child = subprocess.Popen(["/bin/true"])
    child.wait()
    return child.pid


def test_a_record_is_written_however_many_threads_die_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three that had the memory when they were looked at have none when it is to be written."""
    dying, here = [_dead() for _ in range(3)], os.getpid()
    memory = ProcessMemory(_dead(), Pagemaps(), set(dying) | {here})
    looked_at: list[int] = []
    monkeypatch.setattr(memory, "_has_it", lambda tid: tid not in looked_at and (tid == here or not looked_at.append(tid)))
    monkeypatch.setattr(memory, "_threads", [*dying, here])
    record = ctypes.create_string_buffer(32)
    assert memory.write_record(ctypes.addressof(record), b"\x01" * 32) == 32
    assert (record.raw, looked_at, memory.pid) == (b"\x01" * 32, dying, here)


def test_pages_are_asked_for_through_a_thread_that_lives() -> None:
    """The first that was asked may have ended: what its file says is no answer."""
    page = ctypes.create_string_buffer(b"x", 4096)
    leader = subprocess.Popen(["/bin/true"])
    os.waitid(os.P_PID, leader.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and has its number still
    memory = ProcessMemory(leader.pid, Pagemaps(), {leader.pid, os.getpid()})
    assert memory.present(ctypes.addressof(page), 64) == 64
    leader.wait()


def _thread(pid: int) -> Any:
    """A stopped thread, as far as the emulator looks at it before it carries anything out."""
    memory = ProcessMemory(pid, Pagemaps(), {pid})
    nothing = lambda *_: None  # noqa: E731
    mm = SimpleNamespace(memory=memory, shortcut=None, syscall_at=0, served=False, mapping_at=nothing, instructions_at=lambda *_: b"")
    return SimpleNamespace(tid=pid, mm=mm)


def test_what_cannot_be_read_is_a_fault_and_of_who_was_killed_none() -> None:
    """The page at 0 is nobody's."""
    here, killed = _thread(os.getpid()), _thread(_dead())
    assert here.mm.memory.read_or_gone(0, 32) == b""
    with pytest.raises(ptrace.Gone):
        killed.mm.memory.read_or_gone(0, 32)
    assert page_fault(here, 0, "nothing is there").code == ptrace.SEGV_MAPERR
    with pytest.raises(ptrace.Gone):
        page_fault(killed, 0, "nothing is there")


def test_the_action_that_a_call_has_told_of_is_lost_with_the_memory_or_the_process() -> None:
    """The call was made, and what it wrote at address 32 is there no more."""
    injector: Any = SimpleNamespace(loop=None, call=lambda *_: 0)
    keeper = SignalKeeper(injector, TRAP_SIGNALS)
    assert keeper._exchange_at(_thread(os.getpid()), 11, b"", 0) is None
    with pytest.raises(ptrace.Gone):
        keeper._exchange_at(_thread(_dead()), 11, b"", 0)


def test_an_instruction_of_who_was_killed_is_not_out_of_reach() -> None:
    told: list[int] = []
    nothing: Any = None
    events: Any = SimpleNamespace(out_of_reach=lambda thread, ip: told.append(thread.tid))
    emulator, registers = Emulator(nothing, nothing, nothing, events, nothing), Registers()
    registers[CS] = 0x33  # code of 64 bits
    assert emulator._site(_thread(os.getpid()), registers) == (None, None)
    with pytest.raises(ptrace.Gone):
        emulator._site(_thread(_dead()), registers)
    assert told == [os.getpid()]
