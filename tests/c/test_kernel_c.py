"""C as the kernel has it, and as it is mailed: each form is understood, or its mistake is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from pasidlab.designs import Opening
from pasidlab.errors import PasidlabError

VALUE = "current->mm->pasid | MSR_IA32_PASID_VALID"


def fixup(line: str) -> str:
    return f"static bool try_fixup_enqcmd_gp(void)\n{{\n\t{line}\n\treturn true;\n}}\n"


@pytest.mark.parametrize(
    "line",
    [
        f"native_write_msr(MSR_IA32_PASID, {VALUE}, 0);", f"wrmsrns(MSR_IA32_PASID, {VALUE});",
        f"if (wrmsrl_safe(MSR_IA32_PASID, {VALUE}))\n\t\treturn false;", "if (read_thread_flags() & _TIF_NEED_FPU_LOAD)\n\t\treturn false;",
        "if (current_thread_info()->flags & _TIF_NEED_FPU_LOAD)\n\t\treturn false;", "cpu_relax();",
        "wrmsrl(MSR_IA32_PASID, FIELD_PREP(GENMASK(19, 0), current->mm->pasid));", "memset(current->thread.tls_array, 0, 4);",
    ],
)  # fmt: skip
def test_forms_of_the_kernel(line: str, tmp_path: Path) -> None:
    (tmp_path / "fix.c").write_text(fixup(line))
    design = Opening(str(tmp_path / "fix.c")).design()
    assert design.account is not None
    assert [item.fate.value for item in design.account().items] == ["judged"]


def test_wrong_arity_is_told(tmp_path: Path) -> None:
    (tmp_path / "fix.c").write_text(fixup("wrmsrl(MSR_IA32_PASID);"))
    with pytest.raises(PasidlabError, match=r"wrmsrl\(\) is not known with these arguments: the model knows wrmsrl\(MSR_"):
        Opening(str(tmp_path / "fix.c")).design()


def test_bare_functions_in_a_mail(tmp_path: Path) -> None:
    head = "From: a@example.org\nSubject: idea\nDate: Mon, 20 Sep 2021 19:23:45 +0000\n\nHow about:\n\n"
    file = tmp_path / "idea.eml"
    file.write_text(f"{head}{fixup(f'wrmsrl(MSR_IA32_PASID, {VALUE});')}\nThanks\n")
    design = Opening(str(file)).design()
    assert "the functions in the text are taken as they stand" in design.notes[0]
    assert design.account is not None
    assert [item.fate.value for item in design.account().items if item.function] == ["judged"]
