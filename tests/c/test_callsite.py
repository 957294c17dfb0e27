"""A patch without a tree is explored with its fix-up where it calls it."""

from __future__ import annotations

from pathlib import Path

import pytest
from mails import diff

from pasidlab.checking.api import check
from pasidlab.designs import Opening
from pasidlab.designs.intake import callsite
from pasidlab.designs.intake.callsite import Call, CallSite
from pasidlab.designs.intake.patch import FileChange, Hunk, Patch
from pasidlab.errors import PasidlabError
from pasidlab.model.scope import Scope

RACE = Scope(cpus=1, tasks=1, mms=1, pasids=1, events=frozenset(["preempt", "softirq"]))
FIXUP = """static bool __fixup_pasid_exception(void)
{
	u32 pasid = current->mm->pasid;

	if (!pasid || current->has_valid_pasid)
		return false;
	wrmsrl(MSR_IA32_PASID, pasid | MSR_IA32_PASID_VALID);
	current->has_valid_pasid = 1;
	return true;
}

static bool fixup_pasid_exception(void)
{
	if (!static_cpu_has(X86_FEATURE_ENQCMD))
		return false;
	return __fixup_pasid_exception();
}
"""
ENABLE = " \tcond_local_irq_enable(regs);\n"
CALL = "+\tif (user_mode(regs) && fixup_pasid_exception())\n+\t\treturn;\n+\n"


def handler(lines: str) -> str:
    count = lines.count("\n")
    old = sum(not line.startswith("+") for line in lines.splitlines())
    heading = "DEFINE_IDTENTRY_ERRORCODE(exc_general_protection)"
    return f"{diff(FIXUP)}@@ -610,{old} +650,{count} @@ {heading}\n{lines}"


def written(tmp_path: Path, text: str) -> str:
    file = tmp_path / "fix.patch"
    file.write_text(text)
    return str(file)


def test_a_call_before_interrupts_are_enabled(tmp_path: Path) -> None:
    file = written(tmp_path, handler(' \tRCU_LOCKDEP_WARN(!rcu_is_watching(), "no");\n' + CALL + ENABLE))
    found = Opening(file).design()
    assert found.around == "early"
    assert found.notes[0].startswith(f"__fixup_pasid_exception() is called before interrupts are enabled ({file}:")
    result = check(Opening(file).design(), RACE)
    assert result.holds, str(result)
    assert {item.function: item.fate.value for item in result.judged.items} == {  # type: ignore[union-attr]
        "__fixup_pasid_exception": "judged", "fixup_pasid_exception": "judged", "exc_general_protection": "judged",
    }  # fmt: skip


def test_a_call_after_interrupts_are_enabled(tmp_path: Path) -> None:
    file = written(tmp_path, handler(ENABLE + CALL + " \tif (static_cpu_has(X86_FEATURE_UMIP))\n"))
    assert Opening(file).design().around == "late-either"
    assert "served" in [c.property for c in check(Opening(file).design(), RACE).counterexamples]


@pytest.mark.parametrize("lines", [
    f" \tstruct task_struct *tsk;\n{CALL} \tint ret;\n",
    f"{ENABLE} \tcond_local_irq_disable(regs);\n{CALL} \tint ret;\n",
    f" \tif (v8086_mode(regs)) {{\n \t\tlocal_irq_enable();\n \t\tlocal_irq_disable();\n \t\treturn;\n \t}}\n{CALL}{ENABLE}",
])  # fmt: skip
def test_a_place_that_cannot_be_told(lines: str, tmp_path: Path) -> None:
    file = written(tmp_path, handler(lines))
    with pytest.raises(PasidlabError, match=r"cannot tell whether .*\(\) is called before .* or after\n  hint: --base early"):
        Opening(file).design()
    for base in ("early", "late-bare", "late-locked", "early-read"):
        assert Opening(file, base=base).design().around == base


@pytest.mark.parametrize("base", ["early", "late-bare", "late-either", "early-read", "task-work", "eager-ipi"])
def test_any_design_may_be_the_base(base: str, tmp_path: Path) -> None:
    file = tmp_path / "fix.c"
    file.write_text(FIXUP)
    design = Opening(str(file), base=base).design()
    assert design.account is not None
    assert [item.fate.value for item in design.account().items] == ["judged", "judged"]


def test_calls_on_both_sides(tmp_path: Path) -> None:
    """In one patch they contradict each other; in a series the last patch that shows them counts."""
    both = handler(' \tRCU_LOCKDEP_WARN(!rcu_is_watching(), "no");\n' + CALL + ENABLE + CALL + " \tif (static_cpu_has(X86_FEATURE_UMIP))\n")
    with pytest.raises(PasidlabError, match="cannot tell whether"):
        Opening(written(tmp_path, both)).design()
    first, last = (CallSite(place, 1) for place in (Call.BEFORE, Call.AFTER))
    hunks = {"first": [first], "none": [], "last": [last]}

    def left(*names: str) -> list[CallSite]:
        series = [Patch(name, [FileChange("traps.c", hunks=[Hunk(1, name, 1)])]) for name in names]
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(callsite, "fixup_calls", lambda hunk, fixups: hunks[hunk.heading])
            return callsite.sites_left(series, ["fixup"])

    assert left("first", "last") == left("first", "last", "none") == [last]
    assert left("last", "first") == [first]
    assert left("none") == []


def test_a_fix_up_under_a_name_of_its_own(tmp_path: Path) -> None:
    """The handler's call tells what it is, and which name it should have."""
    hunk = handler(' \tRCU_LOCKDEP_WARN(!rcu_is_watching(), "no");\n' + CALL + ENABLE)
    with pytest.raises(PasidlabError, match=r"handle_enqcmd_gp\(\) is what the handler calls before interrupts") as raised:
        Opening(written(tmp_path, hunk.replace("fixup_pasid_exception", "handle_enqcmd_gp"))).design()
    assert "try_fixup_enqcmd_gp" in raised.value.hint
