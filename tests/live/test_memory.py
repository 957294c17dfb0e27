"""A process's memory is reached through whichever of its threads still lives."""

from __future__ import annotations

import ctypes
import os
import subprocess

import pytest

from pasidlab.live.memory import ProcessMemory
from pasidlab.live.presence import Pagemaps

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
