"""From the trap of an ENQCMD to its completion record: ARCHITECTURE.md's walk passes each room once, in that order."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

HERE = Path(__file__).parent
NOTED = """
import sys, threading
from pathlib import Path
import pasidlab
from pasidlab.cli import main
SOURCES = str(Path(pasidlab.__file__).parent)
noted = []
def note(frame, event, _):
    if event == "call" and frame.f_code.co_filename.startswith(SOURCES):
        noted.append(frame.f_code.co_qualname)
sys.setprofile(note)
threading.setprofile(note)
try:
    main(["run", "--exact", "--", sys.executable, "-c", sys.argv[1]])
finally:
    sys.setprofile(None)
    Path(sys.argv[2]).write_text(chr(10).join(noted))
"""
PROGRAM = """
from dsa_client import *
portal, _ = open_portal()
source, target = Buffer(64), Buffer(64)
for _ in range(3):
    assert move(portal, source, target, 64) == 1
"""
WALK = [
    "Tracer._trap", "SignalKeeper.look", "Emulator.step", "get_registers_at", "Instruction.source", "Engine.submit", "WorkQueue.submit",
    "Diagnosis.submitted", "Accelerator.execute", "Checker.check", "memory_move", "ProcessMemory.write_record", "Diagnosis.completed",
    "SubmissionSite.end", "set_registers_at", "Shortcuts.consider", "resume",
]  # fmt: skip


def test_a_submission_passes_each_room_once(tmp_path):
    noted = tmp_path / "noted"
    around = {**os.environ, "PYTHONPATH": str(HERE)}
    done = subprocess.run([sys.executable, "-c", NOTED, PROGRAM, str(noted)], capture_output=True, text=True, timeout=60, env=around)
    assert done.returncode == 0, done.stderr
    calls = noted.read_text().splitlines()
    traps = [n for n, call in enumerate(calls) if call == "Tracer._trap"]
    assert len(traps) == 3
    for first, after in pairwise([*traps[1:], len(calls)]):
        passed = [call for call in calls[first:after] if call in WALK]
        assert passed[: passed.index("resume") + 1] == WALK
