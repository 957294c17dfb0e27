"""Before and after a patch in one command: what got better, what got worse, what of it was judged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from test_judged import CORE_FILE, OTHERS, diff
from test_trees import CORE, FIXUP, tree

from pasidlab.checking.compare import Compared, Effect
from pasidlab.checking.findings import PropertyResult
from pasidlab.cli import _group
from pasidlab.errors import PasidlabError

TRAPS = "arch/x86/kernel/traps.c"
FORGETFUL = FIXUP.replace(" | MSR_IA32_PASID_VALID", "")


def run(*arguments: str) -> Result:
    options = ["check", *arguments, "--compare", "--events", "preempt,softirq", "--cpus", "1", "--tasks", "1", "--mms", "1", "--jobs", "1"]
    return CliRunner().invoke(_group, [*options, "--allow-unjudged", "*"], standalone_mode=False)


def test_a_fix_makes_it_better(tmp_path: Path) -> None:
    kernel = tree(tmp_path, traps=FORGETFUL)
    patch, saved = tmp_path / "fix.patch", tmp_path / "found.json"
    patch.write_text(diff(TRAPS, FORGETFUL, FIXUP))
    done = run(str(patch), "--kernel", kernel, "-q", "-o", str(saved), "-o", str(tmp_path / "a.sarif"), "-o", str(tmp_path / "a.xml"))
    assert done.return_value == 0, done.output
    assert "better: served." in done.output
    assert "changed: try_fixup_enqcmd_gp." in done.output
    document = json.loads(saved.read_text())
    assert [result["verdict"] for result in document["results"]] == ["violated", "holds"]
    served = next(one for one in document["comparison"]["properties"] if one["property"] == "served")
    assert (served["before"], served["after"], served["change"]) == (False, True, "better")
    found = json.loads((tmp_path / "a.sarif").read_text())["runs"][0]["results"]
    assert [(r["ruleId"], r["baselineState"]) for r in found] == [("served", "absent")]
    assert "<failure" not in (tmp_path / "a.xml").read_text()
    again = CliRunner().invoke(_group, ["replay", str(saved)], standalone_mode=False)
    assert again.return_value == 1
    assert "wrmsrq(MSR_IA32_PASID, mm_get_enqcmd_pasid(current->mm));" in " ".join(again.output.split()).replace("current- >", "current->")


def test_a_tree_that_has_the_fix(tmp_path: Path) -> None:
    kernel = tree(tmp_path)
    patch = tmp_path / "fix.patch"
    patch.write_text(diff(TRAPS, FORGETFUL, FIXUP))
    assert run(str(patch), "--kernel", kernel, "-q", "-R").return_value == 0
    done = run(str(patch), "--kernel", kernel)
    assert isinstance(done.exception, PasidlabError)
    assert "has this change already" in str(done.exception)
    done = run(str(patch), "--kernel", tree(tmp_path / "old", traps=FORGETFUL), "-R")
    assert "does not have this change" in str(done.exception)


def test_a_patch_that_makes_it_worse(tmp_path: Path) -> None:
    kernel = tree(tmp_path)
    patch = tmp_path / "bad.patch"
    patch.write_text(diff(TRAPS, FIXUP, FORGETFUL))
    done = run(str(patch), "--kernel", kernel, "-q")
    assert done.return_value == 1
    assert "worse: served." in done.output


def test_what_is_not_judged_is_no_success(tmp_path: Path) -> None:
    kernel = tree(tmp_path)
    patch = tmp_path / "barrier.patch"
    old = "\tthis_cpu_write(kernel_fpu_allowed, true);"
    patch.write_text(diff(CORE_FILE, CORE, CORE.replace(old, f"\tsmp_wmb();\n{old}")))
    scope = ["--events", "preempt", "--cpus", "1", "--tasks", "1", "--jobs", "1"]
    options = ["check", str(patch), "--kernel", kernel, "--compare", *scope, "-q"]
    assert CliRunner().invoke(_group, options, standalone_mode=False).return_value == 3


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        (True, True, Effect.PROVED), (False, True, Effect.BETTER), (None, True, Effect.BETTER), (True, False, Effect.WORSE),
        (None, False, Effect.WORSE), (False, False, Effect.BROKEN), (True, None, Effect.OPEN),
    ],
)  # fmt: skip
def test_what_a_patch_does_to_a_property(before: bool | None, after: bool | None, change: Effect) -> None:
    assert Compared(PropertyResult("served", before, True), PropertyResult("served", after, True)).change is change


def test_a_patch_without_a_difference(tmp_path: Path) -> None:
    """A mask that no PASID of the scope feels: what is proved is proved of the model's PASIDs alone."""
    kernel = tree(tmp_path)
    patch, saved = tmp_path / "mask.patch", tmp_path / "found.json"
    patch.write_text(diff(TRAPS, FIXUP, FIXUP.replace("mm_get_enqcmd_pasid(current->mm)", "(mm_get_enqcmd_pasid(current->mm) & 0xfffff)")))
    files = [saved, *(tmp_path / f"a.{kind}" for kind in ("sarif", "xml", "html", "md"))]
    options = ["check", str(patch), "--kernel", kernel, "--compare", "--events", "preempt", "--cpus", "1", "--tasks", "1", "--jobs", "1"]
    done = CliRunner().invoke(_group, [*options, *OTHERS, *(one for file in files for one in ("-o", str(file)))], standalone_mode=False)
    assert done.return_value == 3
    assert "the patch makes no difference in this scope" in done.output
    assert json.loads(saved.read_text())["comparison"]["same"]
    assert all("the patch makes no difference in this scope" in file.read_text() for file in files[1:])
    known = CliRunner().invoke(_group, [*options, *OTHERS, "--allow-unjudged", "try_fixup*"], standalone_mode=False)
    assert known.return_value == 0
