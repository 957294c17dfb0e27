"""/proc/cpuinfo shows the instructions that are emulated."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from running import run, run_python

from pasidlab.live.cpuinfo import with_flags

EMULATED = {"enqcmd", "movdir64b", "waitpkg"}
SHOW = """
    text = open("/proc/cpuinfo").read()
    flags = [line.split() for line in text.split("\\n") if line.startswith("flags")]
    print(len(flags), all({"enqcmd", "movdir64b", "waitpkg"} <= set(one) for one in flags), len(text))
    small = open("/proc/cpuinfo", "rb", buffering=0)
    print(len(b"".join(iter(lambda: small.read(100), b""))))
"""


@pytest.mark.needs_run
@pytest.mark.parametrize("how", ["namespace", "redirect"])
def test_cpuinfo_shows_the_instructions(how: str) -> None:
    done = run_python(SHOW, "--isolation", how)
    if how == "namespace" and "no private namespaces here" in done.err:
        pytest.skip(done.err)
    count, shown, length, pieces = done.out.split()
    assert (int(count), shown) == (os.cpu_count(), "True") and length == pieces, done.err
    host = Path("/proc/cpuinfo").read_text()
    assert int(length) >= len(host) - 50 * int(count)


@pytest.mark.needs_run
def test_a_program_can_still_mount_procfs_in_a_namespace_of_its_own() -> None:
    command = ("unshare", "-Urpf", "--mount-proc", "/bin/true")
    if not shutil.which("unshare") or os.system(" ".join(command) + " 2>/dev/null"):
        pytest.skip("user namespaces cannot be made here")
    assert run(*command).code == 0


def test_flags_are_added_once_to_every_processor() -> None:
    cpu = "processor\t: 0\nflags\t\t: fpu movdir64b sse2\nvmx flags\t: vnmi\nbugs\t\t: none\n\n"
    shown = with_flags(cpu * 2)
    assert shown.count("flags\t\t: fpu movdir64b sse2 waitpkg enqcmd\n") == 2 and "vmx flags\t: vnmi\n" in shown
    assert with_flags(shown) == shown and with_flags("") == ""
