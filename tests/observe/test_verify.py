"""A live kernel against the model: what it does conforms, and what no kernel does is found."""

import json
from pathlib import Path

import pytest
from observing import pasidlab
from trace_mutants import ALWAYS, Windows

from harness import LONG
from pasidlab.observe.automaton import Hidden
from pasidlab.observe.derived import derived
from pasidlab.observe.kinds import Kind

SAMPLE = Path(__file__).parent / "data" / "linux-6.18.rec"
"""``pasidlab observe record -o linux-6.18.rec -- python tests/observe/workload.py 0.01``, on Linux 6.18.44, 2 CPUs, AMD."""


@pytest.fixture(scope="module")
def windows():
    """Of the sample, which is the same on every machine."""
    return Windows(SAMPLE)


def test_a_recording_of_another_machine_conforms():
    found = json.loads(pasidlab("verify", SAMPLE, "--json"))
    assert (found["verdict"], found["kernel"], found["events"], found["judged"]) == ("conforms", "6.18.44-fc-v782", 1788, 1543)
    assert {(row["function"], row["during"]): row["times"] for row in found["hidden"]} == {
        ("fpregs_restore_userregs", "exit_to_user_mode_prepare"): 29, ("fpu_flush_thread", "sys_execve"): 1,
        ("kernel_fpu_begin", "sys_exit"): 1, ("kernel_fpu_begin", "sys_fork"): 2,
    }  # fmt: skip


def test_stats_of_the_sample():
    found = json.loads(pasidlab("stats", SAMPLE, "--json"))
    assert (found["still_there"], found["kernel_uses"]) == (29, {"sys_fork": 2, "sys_exit": 1})
    assert "2 in sys_fork(), 1 in sys_exit()" in pasidlab("stats", SAMPLE)


def test_kernels_that_the_model_is_not_made_for_are_refused(tmp_path):
    old = SAMPLE.read_bytes().replace(b'"kernel": "6.18.44-fc-v782"', b'"kernel": "5.10.44-fc-v782"', 1)
    (tmp_path / "old.rec").write_bytes(old)
    assert "that of 5.18 and newer" in pasidlab("verify", tmp_path / "old.rec", code=2)


def test_the_protocol_is_that_of_the_version(tmp_path):
    """Up to 6.15 the event at a switch tells a clear flag: the recording of 6.18 is none of 6.12."""
    old = SAMPLE.read_bytes().replace(b'"kernel": "6.18.44-fc-v782"', b'"kernel": "6.12.44-fc-v782"', 1)
    (tmp_path / "other.rec").write_bytes(old)
    assert "x86_fpu_regs_deactivated load: 0, interrupts off" in pasidlab("verify", tmp_path / "other.rec", code=1)


def test_a_busy_machine_conforms(live):
    found = json.loads(pasidlab("verify", live, "--json"))
    assert (found["verdict"], found["lost"], found["contradiction"]) == ("conforms", 0, None)
    assert found["judged"] > 1000
    hidden = {(row["function"], row["during"]): row["times"] for row in found["hidden"]}
    assert hidden["fpu_flush_thread", "sys_execve"] > 0
    assert "\nconforms" in pasidlab("verify", live)


def test_coverage_tells_what_was_shown_and_what_never(live):
    found = json.loads(pasidlab("coverage", live, "--json"))
    certain = {row["event"] for row in found["certain"]}
    assert {"x86_fpu_copy_dst load: 0", "x86_fpu_regs_activated load: 1, interrupts off", "sched_process_fork"} <= certain
    assert any("kvm_arch_vcpu_ioctl_run" in row["place"] for row in found["never"]) or found["perhaps"]
    assert "were seen for certain" in pasidlab("coverage", live)


@pytest.mark.parametrize("kind", ALWAYS)
def test_what_no_kernel_does_is_found(windows, kind):
    made, found, _ = windows.tried(kind, 5, 1)
    assert made == 5
    assert found == made


def test_a_contradiction_is_told_with_its_history(live, tmp_path):
    data = bytearray(live.read_bytes())
    number = Windows(live).about.parsed["x86_fpu/x86_fpu_regs_deactivated"].number
    head = number.to_bytes(2, "little") + b"\x01"
    at = data.index(head, len(data) // 2)
    while data[at + 16] != 1:
        at = data.index(head, at + 1)
    data[at + 16] = 0  # load_fpu
    (tmp_path / "flipped.rec").write_bytes(data)
    said = pasidlab("verify", tmp_path / "flipped.rec", code=1)
    assert "CONTRADICTION at event" in said
    assert "<- not explained" in said
    assert "x86_fpu_regs_deactivated load: 1, interrupts off" in said


VERSIONS = [(6, 12), (6, 18), *[(6, 16)] * LONG]
"""To derive the third takes seconds."""


def test_versions_differ_as_the_kernel_did():
    """The flag of the event at a switch; fpu__drop() of a failed fork's child."""
    shown = {version: {edge.letter[:4] for edges in derived(version).edges for edge in edges if edge.letter} for version in VERSIONS}
    at_switch = {
        version: {load for kind, _, load, irqs_off in found if kind == Kind.x86_fpu_regs_deactivated and irqs_off}
        for version, found in shown.items()
    }
    assert at_switch == {version: {version >= (6, 16)} for version in VERSIONS}
    child_dropped = {version: (Kind.x86_fpu_dropped, False, False, False) in found for version, found in shown.items()}
    assert child_dropped == {version: version < (6, 17) for version in VERSIONS}


def test_hidden_steps_are_those_without_an_event():
    hidden = {edge.hidden for edges in derived((6, 18)).edges for edge in edges if edge.hidden}
    assert {
        Hidden("kernel_fpu_begin", "softirq_uses_fpu"), Hidden("kernel_fpu_begin", "sys_fork"), Hidden("kernel_fpu_begin", "sys_exit"),
        Hidden("kernel_fpu_begin", "sys_wait4"), Hidden("fpu_flush_thread", "sys_execve"),
        Hidden("fpregs_restore_userregs", "exit_to_user_mode_prepare"), Hidden("fpu_force_restore", "tracer_sets_registers"),
    } <= hidden  # fmt: skip
