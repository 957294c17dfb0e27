"""Designs of the debate on a real program: what the checker faults can be seen killing it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from running import run_python

from harness import LONG, some
from pasidlab.designs import BUILT_IN
from pasidlab.errors import PasidlabError
from pasidlab.live.fixup import VALID, DesignFixup
from pasidlab.live.loop import EventLoop
from pasidlab.live.presence import Pagemaps
from pasidlab.live.state import AddressSpace, Process, Thread

SOUND = ("late-exclusive", "late-locked", "memory-edit", "early", "early-read", "task-work")
SEEDS = 20 if LONG else 10
FAULTY = ("late-either", "late-either-refs", "late-bare")


@pytest.mark.parametrize("chaos", [None, 1])
def test_nothing_is_kept_of_threads_that_have_ended(chaos: int | None) -> None:
    fixup = DesignFixup("early", chaos)
    loop = EventLoop()
    for tid in range(1, 20):
        thread = Thread(tid, Process(tid, AddressSpace(tid, loop, Pagemaps(), tid)))
        thread.mm.pasid = 1
        fixup.thread_started(thread, None, same_mm=False)
        fixup.bound(thread)
        assert fixup.fixup(thread) and fixup.kernel.tasks
        fixup.thread_ended(thread)
        assert (len(fixup.kernel.cpus), fixup.kernel.tasks) == (1, [])


def lives(design: str, chaos: int | None, submissions: int = 60) -> bool:
    """A thread binds and submits, and so does a second one; false once the design has no PASID for one of them."""
    fixup = DesignFixup(design, chaos)
    process = Process(1, AddressSpace(1, EventLoop(), Pagemaps(), 1))
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


@pytest.mark.parametrize("design", some(SOUND, 2))
def test_sound_designs_survive_any_chaos(design: str) -> None:
    assert all(lives(design, seed) for seed in range(SEEDS))


@pytest.mark.parametrize("design", some(FAULTY, 3))
def test_faulty_designs_lose_a_pasid_under_some_chaos(design: str) -> None:
    fates = [lives(design, seed) for seed in range(SEEDS)]
    assert not all(fates)
    assert fates == [lives(design, seed) for seed in range(SEEDS)], "the same seed, the same fate"


EXAMPLES = Path(__file__).parents[2] / "examples"
C_DESIGNS = sorted(EXAMPLES.glob("*.c"), key=lambda path: path.name)
C_DESIGNS = some([path for path in C_DESIGNS if path.stem.replace("_", "-") in BUILT_IN], 6)


@pytest.mark.parametrize("path", C_DESIGNS, ids=lambda path: path.name)
def test_designs_in_c_fare_as_their_python_forms(path: Path) -> None:
    name = path.stem.replace("_", "-")
    assert lives(str(path), None)
    if name != "eager-ipi":
        assert all(lives(str(path), seed) for seed in range(12)) == (name in SOUND)


def test_a_process_without_pasid_is_refused_and_a_child_starts_anew() -> None:
    fixup = DesignFixup("early")
    parent = Thread(1, Process(1, AddressSpace(1, EventLoop(), Pagemaps(), 1)))
    fixup.thread_started(parent, None, same_mm=False)
    assert not fixup.fixup(parent)
    parent.mm.pasid = 1
    assert fixup.fixup(parent) and fixup.msr(parent) == 1 | VALID
    assert not fixup.fixup(parent)
    child = Thread(2, Process(2, AddressSpace(2, EventLoop(), Pagemaps(), 2)))
    fixup.thread_started(child, parent, same_mm=False)
    assert fixup.msr(child) == 0
    fixup.executed(parent)
    assert fixup.msr(parent) == 0


def test_unknown_design() -> None:
    with pytest.raises(PasidlabError, match="unknown design 'latte-either'"):
        DesignFixup("latte-either")


def test_a_loop_that_is_long_takes_no_longer_than_one_that_never_ends(tmp_path: Path) -> None:
    body = "".join("        x = x + 1 - 1\n" for _ in range(500))
    design = tmp_path / "long.py"
    design.write_text(
        "from pasidlab.kernel import current, mm_valid_pasid\n"
        "def try_fixup_enqcmd_gp() -> bool:\n"
        f"    x = 1\n    while x:\n{body}    return mm_valid_pasid(current.mm)\n"
    )
    fixup = DesignFixup(str(design))
    thread = Thread(1, Process(1, AddressSpace(1, EventLoop(), Pagemaps(), 1)))
    thread.mm.pasid = 1
    fixup.bound(thread)
    with pytest.raises(PasidlabError, match=r"takes too long: [0-9]+ instructions") as caught:
        fixup.fixup(thread)
    assert caught.value.position is not None and caught.value.position.line > 4


PROGRAM = """
    portal, _ = open_portal()
    source, target = Buffer(64), Buffer(64)
    source.data.raw = b"p" * 64
    for _ in range(50):
        assert move(portal, source, target, 64) == 1
    print(bytes(target)[:1])
"""


def fates(design: str, seed: int, order: list[int]) -> dict[str, list[int]]:
    """The MSR each of four threads finds at each of its submissions, made in ``order``; -1 where it was refused."""
    fixup = DesignFixup(design, seed)
    process = Process(1, AddressSpace(1, EventLoop(), Pagemaps(), 1))
    process.mm.pasid = 3
    threads = [Thread(tid, process) for tid in range(4)]
    for thread in threads[1:]:
        thread.child_of(threads[0])
    fixup.bound(threads[0])
    found: dict[str, list[int]] = {thread.lineage: [] for thread in threads}
    for number in order:
        thread = threads[number]
        if -1 in found[thread.lineage]:
            continue
        msr = fixup.msr(thread)
        while not msr & VALID and fixup.fixup(thread):
            msr = fixup.msr(thread)
        found[thread.lineage].append(msr if msr & VALID else -1)
    return found


@pytest.mark.parametrize("design", some([*FAULTY, "early", "task-work"], 4))
def test_what_befalls_a_thread_does_not_depend_on_the_order_of_the_others(design: str) -> None:
    one_by_one, in_turn = [n for n in range(4) for _ in range(20)], [n for _ in range(20) for n in (2, 0, 3, 1)]
    for seed in range(10):
        assert fates(design, seed, one_by_one) == fates(design, seed, in_turn)


@pytest.mark.needs_run
def test_the_demo_shows_one_design_serving_and_one_killing() -> None:
    demo = Path(__file__).parents[2] / "examples" / "demo_run.py"
    done = subprocess.run([sys.executable, str(demo)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("8 threads: 200 of 200 moves succeeded") == 1
    assert "killed by SIGSEGV, design late-either" in done.stderr


@pytest.mark.needs_run
def test_a_design_kills_a_real_program() -> None:
    seed = str(next(seed for seed in range(20) if not lives("late-bare", seed, 1)))
    done = run_python(PROGRAM, "--design", "late-bare", "--chaos", seed)
    assert done.code == 128 + 11
    assert done.report["gp_fixups_refused"] == 1
    assert "no PASID" in done.err
    assert run_python(PROGRAM, "--design", "early", "--chaos", seed).out == "b'p'\n"
