"""Every call of the vocabulary, made in a state where little is on and in one where much is: what it returns, changes and complains of.

``calls.txt`` holds them, a line each, in four parts: the left side in ``model/linux/vocabulary.toml``, a body of C that makes the call, and
what comes of it in either state. That is the value returned, ``field=value`` for what changed, ``!`` before a check that failed or a wait
without end; ``-`` stands for nothing.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from c_machine import Crash, Machine

import pasidlab

VOCABULARY = Path(pasidlab.__file__).parent / "model" / "linux" / "vocabulary.toml"
ROWS = [line.split(" | ") for line in Path(__file__).with_name("calls.txt").read_text(encoding="utf-8").splitlines()]
VALID = 1 << 31

QUIET = {
    "Task.state": 1, "Task.file": 1, "Task.bv_user": 1, "Task.image_user": 1, "File.refs": 2, "File.mm": 1, "File.pasid": 1,
    "Mm.mm_users": 3, "Mm.mm_count": 3, "PasidEntry.allocated": 1, "PasidEntry.mm": 1, "PasidEntry.present": 1, "PasidEntry.users": 1,
}  # fmt: skip
BUSY = QUIET | {
    "Cpu.irqs_off": 1, "Cpu.preempt_count": 2, "Cpu.softirq_count": 3, "Cpu.softirq_pc": 1, "Cpu.hardirq_pc": 1, "Cpu.ipi_pending": 1,
    "Cpu.msr_pasid": VALID | 1, "Cpu.user_regs": 2, "Cpu.loaded_mm": 1, "Task.bv_pasid": 1, "Task.image_pasid": 1, "Task.last_cpu": 2,
    "Task.need_fpu_load": 1, "Task.guest_fpstate": 1, "Task.rcu_read_lock_nesting": 1, "Task.softirq_disable_cnt": 3,
    "Locks.iommu_sva_lock": 1, "PasidEntry.in_flight": 1,
}  # fmt: skip
"""What the first CPU, its task and the task's process have. A busy state's choices are the greatest possible."""

FUNCTION = """\
static void func(void *info) { wrmsrl(MSR_IA32_PASID, 0); }
static long f(struct idxd_user_context *ctx)
{
	struct fpstate *fpstate = current->thread.fpu.fpstate;
	unsigned long flags = 512;
	u64 v = 0;
	u32 low = 0, high = 0;

	%s
}
"""


def outcome(pattern: str, body: str, *, busy: bool) -> str:
    """What a body of C does in a state, as ``calls.txt`` has it."""
    returns = "return " in body
    config = {"CONFIG_PREEMPT_RT": "y"} if pattern.startswith("rt_") else None
    design = "eager-ipi" if "cpumask" in pattern or "ipis" in pattern else "early"
    text = FUNCTION % (body if returns else f"{body} return 0;")
    one = Machine(text, design, ["key=unconstrained:1..1", "off=noop"], config)
    for path, value in (BUSY if busy else QUIET).items():
        one.set(path, value)
    one.chooses_most = busy
    before = dict(one.state)
    found = []
    try:
        value = one.run(one.function("f"), [1])
        found += [str(value)] if returns else []
    except Crash as end:
        found.append(f"! {end}")
    found += [f"{path}={new}" for (path, n), new in one.state.items() if new != before[path, n]]
    found += [f"! {sentence.partition(': ')[0]}" for sentence in one.failed]
    return "; ".join(dict.fromkeys(found)) or "-"


def test_every_call_of_the_vocabulary_has_its_row() -> None:
    assert [row[0] for row in ROWS] == list(tomllib.loads(VOCABULARY.read_text(encoding="utf-8"))["calls"])


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_a_call_does_what_its_row_says(row: list[str]) -> None:
    pattern, body, quiet, busy = row
    assert (outcome(pattern, body, busy=False), outcome(pattern, body, busy=True)) == (quiet, busy)
