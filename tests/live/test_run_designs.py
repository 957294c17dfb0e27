"""Designs of the debate on a real program: what the checker faults can be seen killing it."""

from __future__ import annotations

import pytest
from running import run_python

from pasidlab.errors import PasidlabError
from pasidlab.live.fixup import VALID, DesignFixup
from pasidlab.live.state import Mm, Process, Thread

SOUND = ("late-exclusive", "late-locked", "memory-edit", "early", "early-read", "task-work")
FAULTY = ("late-either", "late-either-refs", "late-bare")


def lives(design: str, chaos: int | None, submissions: int = 60) -> bool:
    """A thread binds and submits, and so does a second one; false once the design has no PASID for one of them."""
    fixup = DesignFixup(design, chaos)
    process = Process(1, Mm.of(1))
    process.mm.pasid = 3
    threads = [Thread(tid, process) for tid in (1, 2)]
    fixup.thread_started(threads[0], None, same_mm=False)
    fixup.bound(threads[0])
    fixup.thread_started(threads[1], threads[0], same_mm=True)
    for number in range(submissions):
        thread = threads[number % 2]
        for _ in range(64):
            msr = fixup.msr(thread)
            if msr & VALID:
                break
            if not fixup.fixup(thread):
                return False
        assert msr == 3 | VALID
    return True


@pytest.mark.parametrize("design", [*SOUND, *FAULTY, "eager-ipi"])
def test_without_chaos_every_design_serves(design: str) -> None:
    assert lives(design, None)


@pytest.mark.parametrize("design", SOUND)
def test_sound_designs_survive_any_chaos(design: str) -> None:
    assert all(lives(design, seed) for seed in range(20))


@pytest.mark.parametrize("design", FAULTY)
def test_faulty_designs_lose_a_pasid_under_some_chaos(design: str) -> None:
    fates = [lives(design, seed) for seed in range(20)]
    assert not all(fates)
    assert fates == [lives(design, seed) for seed in range(20)], "the same seed, the same fate"


def test_a_process_without_pasid_is_refused_and_a_child_starts_anew() -> None:
    fixup = DesignFixup("early")
    parent = Thread(1, Process(1, Mm.of(1)))
    fixup.thread_started(parent, None, same_mm=False)
    assert not fixup.fixup(parent)
    parent.mm.pasid = 1
    assert fixup.fixup(parent) and fixup.msr(parent) == 1 | VALID
    assert not fixup.fixup(parent)
    child = Thread(2, Process(2, Mm.of(2)))
    fixup.thread_started(child, parent, same_mm=False)
    assert fixup.msr(child) == 0
    fixup.executed(parent)
    assert fixup.msr(parent) == 0


def test_unknown_design() -> None:
    with pytest.raises(PasidlabError, match="unknown design 'latte-either'"):
        DesignFixup("latte-either")


PROGRAM = """
    portal, _ = open_portal()
    source, target = Buffer(64), Buffer(64)
    source.data.raw = b"p" * 64
    for _ in range(50):
        assert move(portal, source, target, 64) == 1
    print(bytes(target)[:1])
"""


@pytest.mark.needs_run
def test_a_design_kills_a_real_program() -> None:
    seed = str(next(seed for seed in range(20) if not lives("late-bare", seed, 1)))
    done = run_python(PROGRAM, "--design", "late-bare", "--chaos", seed)
    assert done.code == 128 + 11
    assert done.report["gp_fixups_refused"] == 1
    assert "no PASID" in done.err
    assert run_python(PROGRAM, "--design", "early", "--chaos", seed).out == "b'p'\n"
