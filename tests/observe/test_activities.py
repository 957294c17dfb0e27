"""Activities that bring registers to and from memory in many ways (``activities/``): each recorded on this machine, and conforming."""

import gzip
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from observing import pasidlab

from harness import LONG

DATA = Path(__file__).parent / "data"
FOLDER = Path(__file__).with_name("activities")
NAMES = tuple(re.findall(r'\{ "(\w+)", \w+ \}', (FOLDER / "main.c").read_text()))


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The activities, compiled."""
    if not shutil.which("gcc"):
        pytest.skip("gcc is not installed")
    path = tmp_path_factory.mktemp("activities") / "activities"
    subprocess.run(["gcc", "-O1", "-o", path, *FOLDER.glob("*.c"), "-lpthread"], check=True)
    return path


def recorded(program, path, seconds, *names):
    """The verdict of a recording of these activities."""
    pasidlab("record", "-o", path, "--buffer", "8192", "--", program, str(seconds), *names)
    found = json.loads(pasidlab("verify", path, "--json"))
    assert (found["lost"], found["contradiction"]) == (0, None)
    return found


def test_all_together_conform(tracefs, program, tmp_path):
    path = tmp_path / "all.rec"
    found = recorded(program, path, 0.5)
    assert found["verdict"].startswith("conforms") and found["judged"] > 1000
    seen = {row["event"] for row in json.loads(pasidlab("coverage", path, "--json"))["certain"]}
    assert {"sched_process_exec", "sys_enter_rt_sigreturn", "signal_deliver of SIGSEGV, no handler"} <= seen


@pytest.mark.skipif(not LONG, reason="PASIDLAB_LONG=1: ten seconds for each activity")
@pytest.mark.parametrize("name", NAMES)
def test_each_conforms_for_long(tracefs, program, tmp_path, name):
    assert recorded(program, tmp_path / f"{name}.rec", 10, name)["verdict"].startswith("conforms")


SAMPLES = {"linux-6.1-activities": 10187, "linux-6.12-activities-functions": 15487, "linux-6.12-kvm-functions": 7379}
"""``record_in_qemu.py VMLINUZ FILE 3 --activities all --modules lib/modules/RELEASE``, the first 10,200 lines; with ``--functions``, for 2
seconds, the first 15,500; ``--activities kvm``, for 0.1 seconds, whole."""


@pytest.mark.parametrize("name", SAMPLES)
def test_kernels_of_debian_conform_with_activities(name):
    found = json.loads(pasidlab("verify", DATA / f"{name}.txt.gz", "--json", "--recorded", "x86_fpu"))
    assert (found["verdict"], found["events"]) == ("conforms", SAMPLES[name])


@pytest.mark.parametrize("line", ["fpu_swap_kvm_fpstate <-kvm_arch_vcpu_ioctl_run", ": kvm_fpu: unload"])
def test_a_swap_of_the_guests_registers_that_is_missing_is_a_contradiction(tmp_path, line):
    lines = gzip.decompress((DATA / "linux-6.12-kvm-functions.txt.gz").read_bytes()).decode().splitlines(keepends=True)
    at = next(n for n, text in enumerate(lines) if n > 3000 and line in text)
    (tmp_path / "trace.txt").write_text("".join(lines[:at] + lines[at + 1 :]))
    found = json.loads(pasidlab("verify", tmp_path / "trace.txt", "--json", "--recorded", "x86_fpu", code=1))
    assert abs(found["contradiction"]["number"] - at) < 100
