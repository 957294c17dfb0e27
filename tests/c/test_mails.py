"""A patch says the same in every form in which it travels."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from mails import EXAMPLES, HEADERS, body, diff, forms, late_either, quoted

from harness import some
from pasidlab.checking.api import check
from pasidlab.designs import Opening
from pasidlab.errors import PasidlabError
from pasidlab.model.scope import Scope

RACE = Scope(cpus=1, tasks=1, mms=1, pasids=1, events=frozenset(["preempt", "softirq"]))


@cache
def outcome(path: Path) -> tuple[str, int, list[tuple[str, int]]]:
    result = check(Opening(str(path)).design(), RACE)
    return result.verdict, result.states, [(c.property, len(c.steps)) for c in result.counterexamples]


@pytest.mark.parametrize("name", some(forms(late_either()), 4))
def test_every_form_gives_the_same_verdict(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(forms(late_either())[name])
    assert outcome(path) == outcome(EXAMPLES / "late_either.c") == ("violated", 2602, [("coherent", 12), ("served", 20)])


def test_from_python(tmp_path: Path) -> None:
    path = tmp_path / "plain.eml"
    path.write_bytes(forms(late_either())["plain.eml"])
    assert check(str(path), RACE).states == check(str(EXAMPLES / "late_either.c"), RACE).states == 2602


def test_lines_of_a_counterexample_are_lines_of_the_mail(tmp_path: Path) -> None:
    path = tmp_path / "quoted.eml"
    path.write_bytes(forms(late_either())["quoted.eml"])
    result = check(Opening(str(path)).design(), RACE)
    places = [line.here for step in result.counterexample("coherent").steps for line in step.lines]
    written = next(place for place in places if "wrmsrl" in place.source)
    assert "wrmsrl(MSR_IA32_PASID, pasid_state);" in path.read_text().split("\n")[written.line - 1]


def raised(tmp_path: Path, text: str, name: str = "mail.eml", **options: object) -> str:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(PasidlabError) as caught:
        Opening(str(path), **options).design()  # type: ignore[arg-type]
    return str(caught.value).replace(f"{tmp_path}/", "")


def test_a_reply_that_stops_in_the_middle_of_a_function(tmp_path: Path) -> None:
    lines = quoted(body(late_either()), "> ").split("\n")
    cut = next(n for n, line in enumerate(lines) if "wrmsrl" in line) + 1
    text = "\n".join([HEADERS, *lines[:cut], "", "This is wrong.", ""])
    assert raised(tmp_path, text).startswith("mail.eml:17: this hunk of arch/x86/kernel/traps.c is cut short: 27 lines are missing")


def test_whole_functions_before_the_cut_are_taken(tmp_path: Path) -> None:
    from pasidlab.designs.intake.gather import gather, read_options

    lines = quoted(body(late_either()), "> ").split("\n")
    cut = next(n for n, line in enumerate(lines) if "__fixup_pasid_exception" in line) + 1
    path = tmp_path / "mail.eml"
    path.write_text("\n".join([HEADERS, *lines[:cut], "", "And so on.", ""]), encoding="utf-8")
    found = gather(str(path), read_options())
    assert list(found.program.functions) == ["fpu__pasid_write"]
    assert "is cut short: 14 lines are missing; whole functions before that are taken" in found.notes[0]


def test_a_change_inside_a_function_needs_a_tree(tmp_path: Path) -> None:
    text = "--- a/traps.c\n+++ b/traps.c\n@@ -1,3 +1,3 @@ static bool try_fixup_enqcmd_gp(void)\n \tint a;\n-\ta = 1;\n+\ta = 2;\n }\n"
    message = raised(tmp_path, text, "x.patch")
    assert message.startswith("x.patch holds no whole function that is modelled; it changes lines of try_fixup_enqcmd_gp")
    assert "--kernel TREE applies the patch to a source tree" in message


def tree(tmp_path: Path) -> Path:
    root = tmp_path / "linux"
    (root / "arch/x86/kernel").mkdir(parents=True)
    (root / "Makefile").write_text("VERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 0\n")
    (root / "arch/x86/kernel/traps.c").write_text(
        "static bool fixup_iopl_exception(struct pt_regs *regs)\n{\n\treturn true;\n}\n\nstatic bool try_fixup_enqcmd_gp(void)\n{\n"
        "\tif (current->pasid_activated)\n\t\treturn false;\n\twrmsrl(MSR_IA32_PASID, current->mm->pasid);\n"
        "\tcurrent->pasid_activated = 1;\n\treturn true;\n}\n"
    )
    return root


def test_a_patch_is_applied_over_a_tree(tmp_path: Path) -> None:
    path = tmp_path / "fix.patch"
    path.write_text(
        "--- a/arch/x86/kernel/traps.c\n+++ b/arch/x86/kernel/traps.c\n@@ -8,5 +8,5 @@ static bool try_fixup_enqcmd_gp(void)\n"
        " \tif (current->pasid_activated)\n \t\treturn false;\n-\twrmsrl(MSR_IA32_PASID, current->mm->pasid);\n"
        "+\twrmsrl(MSR_IA32_PASID, current->mm->pasid | MSR_IA32_PASID_VALID);\n \tcurrent->pasid_activated = 1;\n \treturn true;\n"
    )
    root = str(tree(tmp_path))
    assert [c.property for c in check(Opening("", kernel=root).design(), RACE).counterexamples] == ["served"]
    assert check(Opening(str(path), kernel=root).design(), RACE).verdict == "inconclusive"  # this tree has next to nothing
    assert check(Opening(str(path), kernel=root, allow_unjudged=("*",)).design(), RACE).holds


def test_a_patch_that_does_not_apply(tmp_path: Path) -> None:
    text = diff(late_either()).replace(" \treturn true;", " \treturn maybe;")
    message = raised(tmp_path, text, "fix.patch", kernel=str(tree(tmp_path)))
    assert message.startswith("fix.patch:5: the patch does not apply to arch/x86/kernel/traps.c at line 560: 'return maybe;' is expected, ")
    text = diff(late_either(), "arch/x86/kernel/cpu/intel.c")
    message = raised(tmp_path, text, "b.patch", kernel=str(tmp_path / "linux"))
    assert message == "the patch changes arch/x86/kernel/cpu/intel.c, which linux does not have"


def test_a_function_twice_in_one_mail(tmp_path: Path) -> None:
    """Which of them is meant is not to be told."""
    one = "static bool fixup_pasid_exception(void)\n{\n\treturn false;\n}\n\n"
    text = f"From: B <b@example.org>\nSubject: Re: x\n\nEither\n\n{one}or\n\n{one}"
    assert "fixup_pasid_exception() is given twice, here and in line 6" in raised(tmp_path, text)


def test_a_hunk_that_does_not_show_its_function(tmp_path: Path) -> None:
    """diff without -p: the file is of the territory, so a tree is asked for."""
    file = "arch/x86/kernel/traps.c"
    text = f"--- a/{file}\n+++ b/{file}\n@@ -750,2 +750,3 @@\n \tint ret;\n \n+\tcond_local_irq_enable(regs);\n"
    assert "does not show which function it changes" in raised(tmp_path, text, "fix.patch")
