"""Where bits of a PASID or of a CPU's number are cut off: whatever the variables are called, and through calls."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_judged import account, changed_file, core, diff, fates
from test_trees import FIXUP, SCHED, tree

from pasidlab.designs import Opening

PASID, CPU = "a PASID has 20 bits, and those of the model are small numbers", "the number of a CPU has 13 bits"
FILE = """{before}
static bool try_fixup_enqcmd_gp(void)
{{
	u32 pasid;

	if (!mm_valid_pasid(current->mm))
		return false;
	pasid = current->mm->pasid;
	{line}
	wrmsrl(MSR_IA32_PASID, {value} | MSR_IA32_PASID_VALID);
	current->pasid_activated = 1;
	return true;
}}
"""


def said(tmp_path: Path, line: str, value: str = "pasid", before: str = "") -> list[str]:
    """What is left out of a fix-up with a line more, or another value for the register."""
    file = tmp_path / "fix.c"
    file.write_text(FILE.format(before=before, line=line, value=value))
    design = Opening(str(file)).design()
    assert design.account is not None
    return [f"{item.name}: {one}" for item in design.account().items for one in item.left_out]


CUT = [
    ("u16 x = pasid;", "x", PASID), ("u32 n = pasid; u8 x = n;", "x", PASID), ("", "(s16)pasid", PASID), ("", "(pasid & 0xffUL)", PASID),
    ("u32 mask = 0177;", "(pasid & mask)", PASID), ("", "(pasid % 64)", PASID), ("", "(pasid >> 4 << 4)", PASID),
    ("", "(pasid << 16 >> 16)", PASID), ("pasid &= 0xff;", "pasid", PASID), ("struct { u32 id : 12; } a = { pasid };", "a.id", PASID),
    ("u64 old; rdmsrl(MSR_IA32_PASID, old); u16 low = old;", "pasid | low", PASID),
    ("u8 me = smp_processor_id(); WARN_ON(me == 9);", "pasid", CPU),
    ("unsigned long m = 1ul << raw_smp_processor_id(); WARN_ON(!m);", "pasid", CPU),
    ("int n = smp_processor_id() + 1; WARN_ON((u8)n == 9);", "pasid", CPU),
    ("int a[4] = {}; WARN_ON(a[smp_processor_id()]);", "pasid", CPU),
    ("if (pasid > 1000) return false;", "pasid", PASID), ("if (7 == pasid) return false;", "pasid", PASID),
    ("switch (pasid) { case 1: return false; }", "pasid", PASID), ("int me = smp_processor_id(); WARN_ON(me >= 64);", "pasid", CPU),
    ("int me = smp_processor_id(); bool first = !me; WARN_ON(!first && first);", "pasid", CPU),
]  # fmt: skip


@pytest.mark.parametrize(("line", "value", "why"), CUT)
def test_bits_that_are_cut_off(line: str, value: str, why: str, tmp_path: Path) -> None:
    """The numbers of the model fit into any type."""
    (one,) = said(tmp_path, line, value)
    assert one.startswith("try_fixup_enqcmd_gp: '") and why in one


WHOLE = [
    ("u32 x = pasid; u64 y = x; int z = y;", "z"), ("", "(pasid & 0xfffff)"),
    ("u64 old; rdmsrl(MSR_IA32_PASID, old);", "pasid | (old & BIT(31))"),
    ("bool has = pasid; WARN_ON(!has);", "pasid"), ('pr_debug("%u", (u16)pasid);', "pasid"), ("u16 x = 5; WARN_ON(x == 4);", "pasid"),
    ("u16 me = smp_processor_id(); WARN_ON(me != raw_smp_processor_id());", "pasid"), ("", "(pasid << 8 >> 8)"),
    ("", "FIELD_PREP(GENMASK(19, 0), pasid)"), ("if (!pasid || pasid == IOMMU_PASID_INVALID) return false;", "pasid"),
    ("WARN_ON(current->thread.fpu.last_cpu == -1);", "pasid"), ("u64 m = pasid * 8;", "m / 8"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "value"), WHOLE)
def test_bits_that_are_all_kept(line: str, value: str, tmp_path: Path) -> None:
    assert said(tmp_path, line, value) == []


def test_calls_are_followed(tmp_path: Path) -> None:
    """The line is told where the bits go: of what is passed, or of what is returned."""
    passed = said(tmp_path, "", "wide(pasid)", "static u64 wide(u16 n)\n{\n\treturn n;\n}\n")
    assert [one.partition(":")[0] for one in passed] == ["try_fixup_enqcmd_gp"]
    inside = said(tmp_path, "", "wide(pasid)", "static u64 wide(u64 n)\n{\n\treturn n & 15;\n}\n")
    assert [one.partition(":")[0] for one in inside] == ["wide"]
    result = said(tmp_path, "", "mine(current->mm)", "static u8 mine(struct mm_struct *m)\n{\n\treturn m->pasid;\n}\n")
    assert [one.partition(":")[0] for one in result] == ["mine"]


def test_a_parameter_that_the_kernel_around_passes(tmp_path: Path) -> None:
    file = tmp_path / "fix.c"
    file.write_text("void switch_fpu_prepare(struct task_struct *old, s8 cpu)\n{\n\told->thread.fpu.last_cpu = cpu;\n}\n")
    design = Opening(str(file)).design()
    assert design.account is not None
    assert CPU in design.account().sentence()


def test_a_patch_over_a_tree(tmp_path: Path) -> None:
    """A declaration is changed, and another line of the function loses bits by it."""
    old = FIXUP.replace("\twrmsrq(MSR_IA32_PASID, mm_get_enqcmd_pasid(current->mm)", "\tu32 n;\n\n\tn = mm_get_enqcmd_pasid(current->mm);\n"
                        "\twrmsrq(MSR_IA32_PASID, n")  # fmt: skip
    assert old != FIXUP
    kernel = tree(tmp_path, traps=old)
    judged = changed_file(tmp_path, kernel, "arch/x86/kernel/traps.c", old, old.replace("u32 n;", "u16 n;"))
    assert f"'n = mm_get_enqcmd_pasid(current->mm);': {PASID}" in judged.sentence()
    judged = account(tmp_path, diff("arch/x86/include/asm/fpu/sched.h", SCHED, SCHED.replace("last_cpu = cpu;", "last_cpu = (u8)cpu;")))
    assert CPU in judged.sentence()


MASKS = [("(u8)~XFEATURE_MASK_PASID", "same code"), ("~(XFEATURE_MASK_PASID | BIT_ULL(11))", "same code"), ("~XFEATURE_MASK_FP", "judged")]


@pytest.mark.parametrize(("mask", "fate"), MASKS)
def test_components_that_the_model_lacks(mask: str, fate: str, tmp_path: Path) -> None:
    """A mask that takes more of them away is the same to the model: nothing is said of it."""
    assert fates(account(tmp_path, core("&= ~XFEATURE_MASK_PASID", f"&= {mask}"))) == {"fpu_clone": fate}
