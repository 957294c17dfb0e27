"""What of a patch, a C file or a tree is judged, built in or unrelated: nothing is dropped in silence."""

from __future__ import annotations

import json
import os
from pathlib import Path
from xml.etree.ElementTree import fromstring

import pytest
from click.testing import CliRunner, Result
from test_trees import CORE, FILES, FIXUP, FORK, tree

from pasidlab.checking.api import check
from pasidlab.cli import _group
from pasidlab.designs import Opening
from pasidlab.designs.intake.changes import TextChange
from pasidlab.designs.intake.judged import Fate, Judged
from pasidlab.designs.intake.same_code import _that_compile
from pasidlab.errors import PasidlabError
from pasidlab.model.scope import Scope

TINY = Scope(cpus=1, tasks=1, mms=1, pasids=1, events=frozenset(["preempt", "softirq"]))
KVM = """int fpu_update_guest_xfd(struct fpu_guest *guest_fpu, bool enter_guest)
{
	fpregs_lock();
	fpregs_unlock();
	return 0;
}
"""
# What the small tree lacks is known.
OTHERS = ["-q", *(word for name in ("f*", "__*", "save*", "restore*", "switch*") for word in ("--allow-unjudged", name))]
MMAP = """unsigned long do_mmap(struct file *file)
{
	if (!file)
		return -EINVAL;
	return 0;
}
"""


def diff(path: str, before: str, after: str, context: int = 3) -> str:
    """A diff of a whole file, as git writes it."""
    import difflib

    lines = difflib.unified_diff(before.splitlines(True), after.splitlines(True), f"a/{path}", f"b/{path}", n=context)
    return f"diff --git a/{path} b/{path}\n" + "".join(lines)


def account(tmp_path: Path, patch: str, **options: object) -> Judged:
    """What is said of a patch over the small tree with two more files."""
    kernel = tree(tmp_path, **{"arch/x86/kvm/swap.c": "", "mm/mmap.c": MMAP, "arch/x86/kernel/fpu/core2.h": ""})
    Path(kernel, "arch/x86/kernel/fpu/core.c").write_text(CORE + "\n" + KVM)
    file = tmp_path / "fix.patch"
    file.write_text(patch)
    design = Opening(str(file), kernel=kernel, **options).design()  # type: ignore[arg-type]
    assert design.account is not None
    return design.account()


def changed_file(tmp_path: Path, kernel: str, path: str, before: str, after: str) -> Judged:
    """What is said of a patch that changes one file of a tree."""
    file = tmp_path / "fix.patch"
    file.write_text(diff(path, before, after))
    design = Opening(str(file), kernel=kernel).design()
    assert design.account is not None
    return design.account()


def fates(judged: Judged) -> dict[str, str]:
    return {item.name: item.fate.value for item in judged.items if item.changed}


CORE_FILE = "arch/x86/kernel/fpu/core.c"


def core(old: str, new: str) -> str:
    before = CORE + "\n" + KVM
    assert old in before
    return diff(CORE_FILE, before, before.replace(old, new, 1))


def test_a_judged_and_a_built_in_function(tmp_path: Path) -> None:
    old = "\tthis_cpu_write(kernel_fpu_allowed, true);\n"
    text = core(old, f"\tbarrier();\n{old}\tfpregs_lock();\n")
    judged = account(tmp_path, text + core("\tfpregs_lock();\n\tfpregs_unlock();\n\treturn 0;", "\treturn 0;"))
    assert fates(judged) == {"kernel_fpu_end": "judged", "fpu_update_guest_xfd": "built in"}
    assert [(hunk.functions, hunk.fate) for hunk in judged.hunks] == [
        (("kernel_fpu_end",), Fate.JUDGED), (("fpu_update_guest_xfd",), Fate.BUILT_IN),
    ]  # fmt: skip
    (swap,) = [item for item in judged.open if item.function == "fpu_update_guest_xfd"]
    assert swap.file == CORE_FILE
    (end,) = [item for item in judged.open if item.function == "kernel_fpu_end"]
    assert [(one.text, one.why) for one in end.left_out] == [("barrier();", "memory is sequentially consistent")]


def test_hunks_elsewhere_are_unrelated_and_need_not_apply(tmp_path: Path) -> None:
    elsewhere = diff("mm/mmap.c", MMAP, MMAP.replace("EINVAL", "ENOMEM"))
    misfit = diff("mm/mmap.c", MMAP.replace("return 0", "return 9"), MMAP.replace("return 0", "return 8"))
    absent = diff("mm/nothing.c", MMAP, MMAP.replace("EINVAL", "ENOMEM"))
    change = core("\tthis_cpu_write(kernel_fpu_allowed, true);\n", "\tthis_cpu_write(kernel_fpu_allowed, false);\n")
    for text in (elsewhere, misfit, absent):
        judged = account(tmp_path, text + change)
        assert [hunk.fate for hunk in judged.hunks] == [Fate.UNRELATED, Fate.JUDGED]
        assert {name for name, fate in fates(judged).items() if fate != "unrelated"} == {"kernel_fpu_end"}
    with pytest.raises(PasidlabError, match=r"fix.patch changes nothing that is modelled \(mm/mmap.c\)"):
        account(tmp_path, elsewhere)


def test_a_comment_is_no_change(tmp_path: Path) -> None:
    with pytest.raises(PasidlabError, match=r"changes no code, only comments and white space \(arch/x86/kernel/fpu/core.c\)"):
        account(tmp_path, core("\tthis_cpu_write(kernel_fpu_allowed, true);", "\t/* Now. */\n\tthis_cpu_write(kernel_fpu_allowed,  true);"))


@pytest.mark.parametrize(
    ("new", "why"),
    [
        ("\n#ifdef CONFIG_FOO\n\tfpregs_lock();\n#endif\n", "left out by #if"),
        (
            "\n\tif (cpu_feature_enabled(X86_FEATURE_XFD))\n\t\tfpregs_lock();\n",
            "the condition it depends on is never true in the model, or not in this scope",
        ),
        ("\n\tsmp_wmb();\n", "memory is sequentially consistent"),
        ("\n\txfd_update_state(1);\n", "XFD is not modelled"),
    ],
)
def test_lines_of_a_judged_function_that_mean_nothing(new: str, why: str, tmp_path: Path) -> None:
    judged = account(tmp_path, core("\tthis_cpu_write(kernel_fpu_allowed, true);\n", "\tthis_cpu_write(kernel_fpu_allowed, true);" + new))
    (item,) = [item for item in judged.open if item.changed]
    assert (item.function, item.fate, [one.why for one in item.left_out]) == ("kernel_fpu_end", Fate.JUDGED, [why])


def test_a_function_that_is_judged_in_part(tmp_path: Path) -> None:
    """It counts as judged, and each line that means nothing is told once, with a violation as well."""
    judged = account(tmp_path, core("\tfpregs_lock();\n\tfpregs_unlock();", "\tbarrier();\n\tbarrier();"))
    assert judged.sentences()[0] == "judged 0 of 1 changed function"
    judged = account(tmp_path, core("\tif (!irqs_disabled())\n\t\tfpregs_lock();\n", "\tbarrier();\n\tbarrier();\n"))
    assert judged.sentences()[0] == "judged 1 of 1 changed function, one of them in part"
    assert judged.sentence().count("'barrier();' means nothing here") == 1


def test_messages_may_come_and_go(tmp_path: Path) -> None:
    new = '\tthis_cpu_write(kernel_fpu_allowed, true);\n\tif (irqs_disabled())\n\t\tpr_warn("late");\n\ttrace_x86_fpu(1);\n'
    assert not [item for item in account(tmp_path, core("\tthis_cpu_write(kernel_fpu_allowed, true);\n", new)).open if item.changed]


def test_an_order_that_is_taken_away(tmp_path: Path) -> None:
    fixup = FIXUP.replace("current->mm)", "READ_ONCE(current->mm))", 1)
    judged = changed_file(tmp_path, tree(tmp_path, traps=fixup), "arch/x86/kernel/traps.c", fixup, FIXUP)
    (item,) = [item for item in judged.open if item.changed]
    assert item.left_out[0].why == "memory is sequentially consistent"


def test_words_that_matter_anywhere(tmp_path: Path) -> None:
    text = diff("mm/mmap.c", MMAP, MMAP.replace("\treturn 0;", "\tcurrent->pasid_activated = 1;\n\treturn 0;"))
    (item,) = [item for item in account(tmp_path, text).items if item.changed]
    assert (item.function, item.fate) == ("do_mmap", Fate.BUILT_IN)


def test_lines_outside_functions(tmp_path: Path) -> None:
    text = core("static DEFINE_PER_CPU(bool, kernel_fpu_allowed);", "static DEFINE_PER_CPU(bool, kernel_fpu_allowed) = true;")
    (item,) = [item for item in account(tmp_path, text).items if item.changed]
    assert (item.name, item.fate) == (f"lines outside functions of {CORE_FILE}", Fate.BUILT_IN)
    with pytest.raises(PasidlabError, match="changes nothing that is modelled"):
        account(tmp_path, core("static DEFINE_PER_CPU", "#include <linux/fpu.h>\nvoid kernel_fpu_end(void);\nstatic DEFINE_PER_CPU"))


def test_a_function_with_a_part_that_is_taken_away(tmp_path: Path) -> None:
    start = CORE.index("void kernel_fpu_end")
    judged = account(tmp_path, core(CORE[start : CORE.index("int fpu_clone")], ""))
    (item,) = [item for item in judged.open if item.function == "kernel_fpu_end" and item.changed]
    assert "nothing here has its part" in item.why


@pytest.mark.parametrize("line", ["#define user_mode(regs) 0", "#undef likely", "#define smp_processor_id() 1"])
def test_a_macro_under_a_name_that_is_known(line: str, tmp_path: Path) -> None:
    """It is left aside, and a judged change beside it does not hide that."""
    changed = f"{line}\n{FIXUP.replace('pasid_activated = 1', 'pasid_activated = 0')}"
    judged = changed_file(tmp_path, tree(tmp_path), "arch/x86/kernel/traps.c", FIXUP, changed)
    found = [item.name for item in judged.open if item.changed]
    assert found == ["lines outside functions of arch/x86/kernel/traps.c"]


def test_a_line_that_is_moved(tmp_path: Path) -> None:
    """Before the copy of the parent's task_struct the flag is reset in vain."""
    reset = "\ttsk->pasid_activated = 0;\n"
    before = FORK.replace(reset, f"\tarch_dup_task_struct(tsk, orig);\n{reset}")
    moved = FORK.replace(reset, f"{reset}\tarch_dup_task_struct(tsk, orig);\n")
    judged = changed_file(tmp_path, tree(tmp_path, fork=before), "kernel/fork.c", before, moved)
    (item,) = [item for item in judged.open if item.changed]
    assert "is moved or" in item.why or "only its lines" in item.why


ALLOW = "\tthis_cpu_write(kernel_fpu_allowed, true);\n"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("\tif (user_mode(regs))\n", "", "user_mode is always the same in the model"),
        ("", f"#ifndef CONFIG_FOO\n{ALLOW}#endif\n", "CONFIG_FOO is taken as n"),
    ],
)
def test_what_has_one_answer_in_the_model(old: str, new: str, says: str, tmp_path: Path) -> None:
    before = CORE + "\n" + KVM
    before, after = before.replace(ALLOW, old + ALLOW, 1), before.replace(ALLOW, new or ALLOW, 1)
    kernel = tree(tmp_path)
    Path(kernel, CORE_FILE).write_text(before)
    (item,) = [item for item in changed_file(tmp_path, kernel, CORE_FILE, before, after).open if item.changed]
    assert says in str(item)


def test_a_fix_up_that_no_longer_asks_whether_the_fault_was_mended_before(tmp_path: Path) -> None:
    """A fault of another cause is then mended for ever."""
    patch = diff("arch/x86/kernel/traps.c", FIXUP, FIXUP.replace(" || current->pasid_activated", ""))
    assert not [item for item in account(tmp_path, patch).open if item.changed]
    design = Opening(str(tmp_path / "fix.patch"), kernel=str(tmp_path / "linux"), allow_unjudged=("*",)).design()
    scope = Scope(cpus=1, tasks=1, mms=1, pasids=1, events=frozenset({"preempt", "gp"}))
    assert [one.property for one in check(design, scope, jobs=1).counterexamples] == ["served"]


@pytest.mark.parametrize("to", ["", "after"])
def test_a_call_of_which_the_model_has_a_part(to: str, tmp_path: Path) -> None:
    """Taken out, or moved: without fpstate_reset() the first fork of a kernel follows NULL."""
    reset, mark = "\tfpstate_reset(dst_fpu);\n", "\tset_tsk_thread_flag(dst, TIF_NEED_FPU_LOAD);\n"
    before = CORE.replace(mark, reset + mark, 1)
    saved = "\tsave_fpregs_to_fpstate(dst_fpu);\n"
    after = CORE.replace(saved, saved + reset, 1) if to else CORE
    kernel = tree(tmp_path)
    Path(kernel, CORE_FILE).write_text(before)
    judged = changed_file(tmp_path, kernel, CORE_FILE, before, after)
    (said,) = [item for item in judged.open if item.changed]
    assert said.name == "fpu_clone" and "'fpstate_reset(dst_fpu);': of fpstate_reset() the model has but a part" in str(said)


def test_a_line_that_moves_past_such_a_call(tmp_path: Path) -> None:
    """A diff may show either of the two as what moves."""
    mark = "\tset_tsk_thread_flag(dst, TIF_NEED_FPU_LOAD);\n"
    stay = "\tfpstate_reset(dst_fpu);\n\tdst_fpu->last_cpu = -1;\n"
    before, after = CORE.replace(mark, stay + mark, 1), CORE.replace(mark, mark + stay, 1)
    judged = changed_file(tmp_path, tree(tmp_path, core=before), CORE_FILE, before, after)
    (said,) = [item for item in judged.open if item.changed]
    assert f"'{mark.strip()}': it moves, and of fpstate_reset() the model has but a part" in str(said)


def test_a_question_with_one_answer_that_is_asked_of_another(tmp_path: Path) -> None:
    two = "\tstruct fpstate *a = current->thread.fpu.fpstate, *b = current->thread.fpu.fpstate;\n\n"
    before = CORE.replace("\tif (!irqs_disabled())", f"{two}\tif (!a->is_confidential && !irqs_disabled())", 1)
    assert before != CORE
    kernel = tree(tmp_path, core=before)
    judged = changed_file(tmp_path, kernel, CORE_FILE, before, before.replace("a->is_conf", "b->is_conf"))
    assert "a->is_confidential is always the same in the model" in judged.sentence()


def test_a_helper_of_lines_that_are_taken(tmp_path: Path) -> None:
    """Steps that go through lines of a large function are seen."""
    helper = "static void forget_pasid(struct task_struct *t)\n{\n\tt->pasid_activated = 0;\n}\n\n"
    file = tmp_path / "fix.patch"
    file.write_text(diff("kernel/fork.c", FORK, helper + FORK.replace("tsk->pasid_activated = 0;", "forget_pasid(tsk);")))
    scope = ["--events", "preempt,clone", "--cpus", "1", "--tasks", "2", "--mms", "1"]
    done = CliRunner().invoke(_group, ["check", str(file), "--kernel", tree(tmp_path), *OTHERS, *scope], standalone_mode=False)
    assert "judged 2 of 2 changed functions." in done.output


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (ALLOW, "\tthis_cpu_write(kernel_fpu_allowed, 2 - 1);\n"),
        (ALLOW, f"\tif (!in_nmi()) {{\n\t{ALLOW}\t}}\n"),
    ],
)
def test_a_change_that_compiles_to_the_same_code(old: str, new: str, tmp_path: Path) -> None:
    judged = account(tmp_path, core(old, new))
    (item,) = [item for item in judged.open if item.changed]
    assert (item.function, item.fate) == ("kernel_fpu_end", Fate.SAME)
    assert "(arch/x86/kernel/fpu/core.c:23): the model compiles it to the same code before and after" in judged.sentence()
    assert [hunk.fate for hunk in judged.hunks] == [Fate.SAME]
    assert not account(tmp_path, core(old, new), allow_unjudged=("kernel_fpu_end",)).sentence().count("; not judged: kernel")


def test_a_part_of_a_change_that_compiles_to_the_same_code(tmp_path: Path) -> None:
    judged = account(tmp_path, core(ALLOW, "\tif (!in_nmi())\n\t\tthis_cpu_write(kernel_fpu_allowed, false);\n"))
    (item,) = [item for item in judged.open if item.changed]
    assert item.fate is Fate.JUDGED
    assert [one.text for one in item.left_out] == ["if (!in_nmi())"]


@pytest.mark.parametrize(
    ("old", "new", "silent"),
    [
        (ALLOW, "#ifndef CONFIG_FOO\n\tthis_cpu_write(kernel_fpu_allowed, false);\n#endif\n", "#ifndef CONFIG_FOO"),
        ("\t__cpu_invalidate_fpregs_state();\n", "\tif (kfpu_mask & KFPU_MXCSR)\n\t\tfpregs_lock();\n", "if (kfpu_mask & KFPU_MXCSR)"),
    ],
)
def test_conditions_that_always_hold(old: str, new: str, silent: str, tmp_path: Path) -> None:
    """An option that nobody has set; a parameter that is the same in every call."""
    (item,) = [item for item in account(tmp_path, core(old, new)).open if item.changed]
    assert [one.text for one in item.left_out] == [silent]


def test_an_option_outside_functions(tmp_path: Path) -> None:
    """``#ifdef`` around a function is taken as n, as it is inside of one."""
    start = "void kernel_fpu_end(void)\n{"
    end = CORE[CORE.index(start) :].split("\n}\n")[0] + "\n}\n"
    judged = account(tmp_path, core(end, f"#ifdef CONFIG_FOO\n{end}#else\n{start}\n}}\n#endif\n"))
    (item,) = [item for item in judged.open if item.changed and not item.function]
    assert [one.text for one in item.left_out] == ["#ifdef CONFIG_FOO"]
    judged = account(tmp_path, core(end, f"#ifdef CONFIG_PREEMPT_RT\n{start}\n}}\n#else\n{end}#endif\n"))
    assert "CONFIG_PREEMPT_RT is taken as n" in judged.sentence()


@pytest.mark.parametrize(("argument", "acts"), [
    ("test_and_set_thread_flag(TIF_NEED_FPU_LOAD)", True), ("kfpu_mask++", True),
    ("test_thread_flag(TIF_NEED_FPU_LOAD)", False), ("kfpu_mask", False),
])  # fmt: skip
def test_a_message_may_leave_its_arguments_alone(argument: str, acts: bool, tmp_path: Path) -> None:
    """Without dynamic debugging, pr_debug() evaluates nothing."""
    line = "\t__cpu_invalidate_fpregs_state();\n"
    judged = account(tmp_path, core(line, f"\tfpregs_lock();\n\tpr_debug(\"= %d\", {argument});\n"))
    assert ("whether pr_debug() evaluates" in judged.sentence()) is acts


def test_features_of_every_machine_with_enqcmd_may_be_asked_for(tmp_path: Path) -> None:
    judged = account(tmp_path, core(ALLOW, "\tif (use_xsave())\n\t\tthis_cpu_write(kernel_fpu_allowed, false);\n"))
    assert fates(judged) == {"kernel_fpu_end": "judged"}
    assert not [item for item in judged.open if item.changed]


def test_locals_may_be_renamed(tmp_path: Path) -> None:
    before = CORE + "\n" + KVM
    assert "dst_fpu" in before
    judged = account(tmp_path, diff(CORE_FILE, before, before.replace("dst_fpu", "theirs")))
    assert fates(judged) == {"fpu_clone": "equivalent"}
    assert not [item for item in judged.open if item.changed]


def test_a_mail_shows_what_was_before(tmp_path: Path) -> None:
    after = FIXUP.replace("pasid_activated = 1", "pasid_activated = 2 - 1")
    file = tmp_path / "fix.patch"
    file.write_text(diff("arch/x86/kernel/traps.c", FIXUP, after, context=9))
    design = Opening(str(file), base="early").design()
    assert design.account is not None
    assert fates(design.account()) == {"try_fixup_enqcmd_gp": "same code"}


def test_a_line_that_goes_on_in_the_next(tmp_path: Path) -> None:
    """What stands in the second line of a condition is a part of the line that is taken."""
    check = "\tif (current->mm != ctx->mm)\n"
    before = f"static int idxd_cdev_mmap(struct file *filp)\n{{\n{check}\t\treturn -EPERM;\n\treturn 0;\n}}\n"
    kernel = tree(tmp_path, **{"drivers/dma/idxd/cdev.c": before})
    after = before.replace(check, "\tif (current->mm != ctx->mm\n\t    && 0)\n")
    (item,) = [item for item in changed_file(tmp_path, kernel, "drivers/dma/idxd/cdev.c", before, after).items if item.changed]
    assert item.open == (item.fate is Fate.BUILT_IN)
    program = Opening(str(tmp_path / "fix.patch"), kernel=kernel).design()
    assert ("idxd_cdev_mmap (current->mm lines)", "drivers/dma/idxd/cdev.c:3", "") in program.provenance


def test_a_macro_counts_where_the_code_has_it(tmp_path: Path) -> None:
    head = "static DEFINE_PER_CPU(bool, kernel_fpu_allowed);\n"
    outside = f"lines outside functions of {CORE_FILE}"
    assert fates(account(tmp_path, core(head, head + "#define fpregs_lock() do { } while (0)\n"))) == {outside: "judged"}
    assert fates(account(tmp_path, core(head, head + "#define NOBODY 1\n"))) == {outside: "built in"}


def test_code_that_becomes_a_comment(tmp_path: Path) -> None:
    old = "\tfpregs_lock();\n\tfpregs_unlock();\n"
    judged = account(tmp_path, core(f"{old}\treturn 0;", f"\t/*\n{old}\t*/\n\treturn 0;"))
    assert fates(judged) == {"fpu_update_guest_xfd": "built in"}


@pytest.mark.parametrize(
    "line", ["EXPORT_SYMBOL_GPL(irq_fpu_usable);", "MODULE_LICENSE(\"GPL\"); /* PASID */"],
)  # fmt: skip
def test_lines_that_only_concern_linking(line: str, tmp_path: Path) -> None:
    with pytest.raises(PasidlabError, match="changes nothing that is modelled"):
        account(tmp_path, core("\nbool irq_fpu_usable(void)", f"{line}\n\nbool irq_fpu_usable(void)"))


@pytest.mark.parametrize("front", ["./", "linux-6.12.orig/", "i/", '"a/'])
def test_what_diffs_put_in_front_of_a_path(front: str, tmp_path: Path) -> None:
    text = core(ALLOW, ALLOW + "\tfpregs_lock();\n")
    end = '"' if front.startswith('"') else ""
    for mark, old in (("---", "a/"), ("+++", "b/")):
        text = text.replace(f"{mark} {old}{CORE_FILE}", f"{mark} {front}{CORE_FILE}{end}")
    assert fates(account(tmp_path, text)) == {"kernel_fpu_end": "judged"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"diff --git a/{CORE_FILE} b/x.c\nrename from {CORE_FILE}\nrename to x.c\n", "the patch renames"),
        (f"diff --git a/{CORE_FILE} b/{CORE_FILE}\ndeleted file mode 100644\nindex 1..0\n", "the patch deletes"),
        (f"--- a/{CORE_FILE}\n+++ b/{CORE_FILE}\n@@ -1,1 +1,1 @@\n a\n b\n-c\n", "has more lines than its heading says"),
    ],
)
def test_changes_that_a_patch_does_not_show(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(PasidlabError, match=says):
        account(tmp_path, core(ALLOW, ALLOW + "\tfpregs_lock();\n") + text)


def test_a_member_that_the_model_has(tmp_path: Path) -> None:
    before = "struct fpu {\n\tunsigned int\t\tlast_cpu;\n\tunsigned long\t\tavx;\n};\n"
    kernel = tree(tmp_path, **{"arch/x86/include/asm/fpu/types.h": before})
    judged = changed_file(tmp_path, kernel, "arch/x86/include/asm/fpu/types.h", before, before.replace("int\t", "char\t"))
    assert [item.name for item in judged.open if item.changed] == ["lines outside functions of arch/x86/include/asm/fpu/types.h"]


def test_a_helper_that_two_files_have(tmp_path: Path) -> None:
    helper = "static void lose(void)\n{{\n\t{}\n}}\n\n"
    traps = FILES["arch/x86/kernel/traps.c"]
    text = diff("arch/x86/kernel/traps.c", traps, helper.format("this_cpu_write(kernel_fpu_allowed, false);") + traps)
    before = CORE + "\n" + KVM
    after = helper.format("return;") + before.replace(ALLOW, ALLOW + "\tlose();\n", 1)
    judged = account(tmp_path, text + diff(CORE_FILE, before, after))
    why = "two files have a function of this name"
    assert {f"it calls lose(): {why}", why} <= {one.why for one in judged.open}


def test_assembler_is_named(tmp_path: Path) -> None:
    old = "\tthis_cpu_write(kernel_fpu_allowed, true);"
    judged = account(tmp_path, core(old, f'\tasm volatile("" ::: "memory");\n{old}'))
    (item,) = [item for item in judged.open if item.changed]
    assert [left.why for left in item.left_out] == ["inline assembler"]


def test_what_is_not_c_has_no_quotes(tmp_path: Path) -> None:
    """An apostrophe in a help text is no character constant."""
    before = "config X86\n\tselect ARCH_HAS_CPU_PASID if IOMMU_SVA\n\thelp\n\t  The kernel's own.\n"
    before = "config Y\n\thelp\n\t  Don't.\n" + before
    kernel = tree(tmp_path, **{"arch/x86/Kconfig": before})
    after = before.replace("\tselect ARCH_HAS_CPU_PASID if IOMMU_SVA\n", "")
    judged = changed_file(tmp_path, kernel, "arch/x86/Kconfig", before, after)
    assert [item.name for item in judged.open if item.changed] == ["lines outside functions of arch/x86/Kconfig"]


def test_an_acknowledgement(tmp_path: Path) -> None:
    text = core("\tfpregs_lock();\n\tfpregs_unlock();\n\treturn 0;", "\treturn 0;")
    judged = account(tmp_path, text, allow_unjudged=("fpu_update_*", "nothing",))
    assert not [item for item in judged.open if item.changed]
    assert [item.function for item in judged.acknowledged] == ["fpu_update_guest_xfd"]
    assert judged.options_unused == ("--allow-unjudged nothing",)
    assert "not judged, as acknowledged: fpu_update_guest_xfd" in judged.sentence()


def test_options_that_nothing_asks_for(tmp_path: Path) -> None:
    text = core("true);\n\tif (!irqs", "1);\n\tif (!irqs")
    assert account(tmp_path, text, config=("CONFIG_NOTHING=y",), stubs=("nobody=noop",)).unused == (
        "--config CONFIG_NOTHING", "--stub nobody",
    )  # fmt: skip


def test_a_file_whose_function_replaces_nothing(tmp_path: Path) -> None:
    file = tmp_path / "fix.c"
    misspelt = "void fpu_flush_thred(void)\n{\n\tfpregs_lock();\n\tfpregs_unlock();\n}\n"
    file.write_text(f"{FIXUP}\n{misspelt}\nint three(void)\n{{\n\treturn 3;\n}}\n")
    result = check(Opening(str(file)).design(), TINY)
    assert result.verdict == "inconclusive"
    assert {item.name: item.fate.value for item in result.judged.items} == {  # type: ignore[union-attr]
        "try_fixup_enqcmd_gp": "judged", "fpu_flush_thred": "built in", "three": "unrelated",
    }  # fmt: skip
    assert check(Opening(str(file), allow_unjudged=("fpu_flush_thred",)).design(), TINY).holds


def test_a_helper_that_became_part_of_its_caller_is_judged(tmp_path: Path) -> None:
    """It takes the address of a variable, so there is no code of its own; its lines are in its caller's."""
    file = tmp_path / "mine.c"
    file.write_text(
        "static void activate(u32 *out)\n{\n\t*out = current->mm->pasid;\n\twrmsrl(MSR_IA32_PASID, *out | MSR_IA32_PASID_VALID);\n}\n"
        "static void unused(u32 *out)\n{\n\twrmsrl(MSR_IA32_PASID, *out);\n}\n"
        "bool try_fixup_enqcmd_gp(void)\n{\n\tu32 pasid = 0;\n\n\tactivate(&pasid);\n\treturn pasid != 0;\n}\n"
    )
    design = Opening(str(file)).design()
    assert design.account is not None
    assert fates(design.account()) == {"activate": "judged", "try_fixup_enqcmd_gp": "judged", "unused": "built in"}


def test_a_tree_that_lacks_what_matters_is_no_holds(tmp_path: Path) -> None:
    kernel = tree(tmp_path)
    result = check(Opening("", kernel=kernel).design(), TINY)
    assert result.verdict == "inconclusive"
    missing = {item.function: item.why for item in result.judged.open}  # type: ignore[union-attr]
    assert missing["fpregs_mark_activate"].startswith("it uses function 'new_way_of_doing_it'")
    assert missing["fpregs_lock"] == "Linux 6.16.2 has no function of this name"
    assert "exit_thread" not in missing


def run(*arguments: str) -> Result:
    return CliRunner().invoke(_group, ["check", *arguments, "--events", "preempt", "--cpus", "1", "--tasks", "1"], standalone_mode=False)


@pytest.mark.parametrize(
    ("old", "new"),
    [("\tthis_cpu_write(kernel_fpu_allowed, true);\n", ""), ("\tif (!irqs_disabled())\n\t\tfpregs_unlock();\n", "")],
)
def test_what_is_taken_away_counts_as_well(old: str, new: str, tmp_path: Path) -> None:
    patch = tmp_path / "idle.patch"
    patch.write_text(core(old, new))
    done = run(str(patch), "--kernel", tree(tmp_path), *OTHERS)
    assert done.return_value == 3
    assert "no step of the scope executes what the patch changes in it." in " ".join(done.output.split())


def test_a_change_that_no_step_executes(tmp_path: Path) -> None:
    """Where nothing makes the fault of which a function takes care, nothing is said of the function."""
    kernel = tree(tmp_path)
    patch, saved, sarif = tmp_path / "idle.patch", tmp_path / "found.json", tmp_path / "a.sarif"
    patch.write_text(core("\tthis_cpu_write(kernel_fpu_allowed, true);\n", "\tthis_cpu_write(kernel_fpu_allowed, false);\n"))
    files = ["-o", str(saved), "-o", str(sarif)]
    done = run(str(patch), "--kernel", kernel, *OTHERS, *files)
    assert done.return_value == 3
    said = "kernel_fpu_end (arch/x86/kernel/fpu/core.c:23): no step of the scope executes what the patch changes in it"
    assert f"not judged: {said}." in " ".join(done.output.split())
    judged = json.loads(saved.read_text())["results"][0]["judged"]
    assert [one["fate"] for one in (*judged["functions"], *judged["hunks"]) if one.get("changed", True)] == ["not executed", "not executed"]
    assert any(said in found["message"]["text"] for found in json.loads(sarif.read_text())["runs"][0]["results"])
    assert run(str(patch), "--kernel", kernel, *OTHERS, "--allow-unjudged", "kernel_fpu_end").return_value == 0


def test_a_file_of_which_no_step_executes_a_line(tmp_path: Path) -> None:
    """A function of the file counts like one that a patch changes. One that only computes may leave nothing in the steps."""
    file = tmp_path / "end.c"
    file.write_text("void kernel_fpu_end(void)\n{\n\tpreempt_enable();\n}\n")
    done = run(str(file), "-q")
    assert done.return_value == 3
    assert "judged 0 of 1 changed function." in done.output
    assert "no step of the scope executes it." in " ".join(done.output.split())
    assert run(str(file), "-q", "--allow-unjudged", "kernel_fpu_end").return_value == 0
    file.write_text("bool irq_fpu_usable(void)\n{\n\treturn true;\n}\n")
    assert "nothing of it is left in the steps of the scope." in " ".join(run(str(file), "-q").output.split())
    file.write_text("int idxd_irq(void)\n{\n\treturn 0;\n}\nbool irq_fpu_usable(void)\n{\n\treturn !in_hardirq();\n}\n")
    used = ["check", str(file), "-q", "--events", "softirq", "--cpus", "1", "--tasks", "1"]
    assert "judged 1 of 1 changed function." in CliRunner().invoke(_group, used, standalone_mode=False).output


def test_every_report_says_it(tmp_path: Path) -> None:
    kernel = tree(tmp_path)
    Path(kernel, CORE_FILE).write_text(CORE + "\n" + KVM)
    patch = tmp_path / "fix.patch"
    patch.write_text(core("\tfpregs_lock();\n\tfpregs_unlock();\n\treturn 0;", "\treturn 0;"))
    files = [tmp_path / f"found.{suffix}" for suffix in ("json", "sarif", "xml", "md", "html", "mail", "mmd")]
    done = run(str(patch), "--kernel", kernel, "-q", *(word for file in files for word in ("-o", str(file))))
    assert done.return_value == 3
    assert "judged 0 of 1 changed function." in done.output
    assert "not judged: fpu_update_guest_xfd" in done.output
    for file in files[2:]:
        assert "fpu_update_guest_xfd" in file.read_text().replace("\\", ""), file
    (result,) = json.loads(files[0].read_text())["results"]
    assert result["judged"]["hunks"][0]["fate"] == "built in"
    assert [one["function"] for one in result["judged"]["functions"] if one["changed"]] == ["fpu_update_guest_xfd"]
    sarif = json.loads(files[1].read_text())["runs"][0]
    assert any(r["ruleId"] == "not_judged" and "fpu_update_guest_xfd" in r["message"]["text"] for r in sarif["results"])
    assert fromstring(files[2].read_text()).find(".//testcase[@name='judged']/error") is not None
    allowed = run(str(patch), "--kernel", kernel, "-q", "--allow-unjudged", "*")
    assert allowed.return_value == 0
    assert "as acknowledged: fpu_update_guest_xfd" in allowed.output


def test_bad_input(tmp_path: Path) -> None:
    kernel = tree(tmp_path)
    change = diff(CORE_FILE, CORE, CORE.replace("kernel_fpu_allowed, true", "kernel_fpu_allowed, 1"))
    file = tmp_path / "fix.patch"
    file.write_text("\ufeff" + change)
    assert Opening(str(file), kernel=kernel).design().account is not None
    file.write_text(change + change)
    with pytest.raises(PasidlabError, match="has this change already"):
        Opening(str(file), kernel=kernel).design()
    for path in ("../../etc/passwd", "/etc/passwd"):
        file.write_text(change.replace(f"a/{CORE_FILE}", path).replace(f"b/{CORE_FILE}", path))
        with pytest.raises(PasidlabError, match="which is outside the tree"):
            Opening(str(file), kernel=kernel).design()
    assert FILES["Makefile"].startswith("VERSION")


SOURCE = Path("/usr/src/linux-source-6.12")
EXEC = Scope(cpus=1, tasks=1, mms=2, pasids=2, events=frozenset(["preempt", "exec", "bind", "unbind"]))
SWAP = Scope(cpus=1, tasks=1, mms=1, pasids=1, events=frozenset(["preempt", "kvm"]))
SIGNALS = Scope(cpus=1, tasks=1, mms=1, pasids=1, events=frozenset(["preempt", "signal", "fault"]))
TRACER = Scope(cpus=1, tasks=2, mms=1, pasids=1, events=frozenset(["preempt", "ptrace"]))
EXIT = Scope(cpus=1, tasks=1, mms=2, pasids=2, events=frozenset(["bind", "unbind", "exit", "exec"]))
HEIRS = Scope(cpus=1, tasks=2, mms=2, pasids=2, events=frozenset(["preempt", "fork", "write"]))
DRAINED = Scope(cpus=1, tasks=1, mms=2, pasids=2, events=frozenset(["preempt", "bind", "unbind", "device", "exit", "exec"]))
MOVED = Scope(cpus=2, tasks=1, mms=1, pasids=1, events=frozenset(["preempt", "migrate", "signal"]))
SAME_MM = "\tif (current->mm != ctx->mm)\n\t\treturn -EPERM;\n\n"
ENTRY_FILE = "arch/x86/include/asm/entry-common.h"
CLEAR = "current->pasid_activated = 0;"


PATCHES = [
    ("arch/x86/kernel/process.c", "\tfpu_flush_thread();\n", f"\tfpu_flush_thread();\n\t{CLEAR}\n", EXEC, ""),
    ("fs/exec.c", "\tflush_thread();\n", f"\t{CLEAR}\n\tflush_thread();\n", EXEC, ""),
    (CORE_FILE, "\tfpu_reset_fpregs();\n}", f"\tfpu_reset_fpregs();\n\t{CLEAR}\n}}", EXEC, ""),
    (
        CORE_FILE,
        "\tif (!cur_fps->is_confidential && !test_thread_flag(TIF_NEED_FPU_LOAD))\n\t\tsave_fpregs_to_fpstate(fpu);\n",
        "", SWAP, "preserved",
    ),
    (
        "arch/x86/kernel/fpu/signal.c",
        "\t__fpu_invalidate_fpregs_state(fpu);\n\t__cpu_invalidate_fpregs_state();\n", "", SIGNALS, "coherent",
    ),
    ("arch/x86/kernel/fpu/regset.c", "\t__fpu_invalidate_fpregs_state(fpu);\n", "", TRACER, "coherent"),
    ("drivers/iommu/iommu-sva.c", "\tiommu_free_global_pasid(iommu_mm->pasid);\n", "", EXIT, "no_leak"),
    ("drivers/dma/idxd/cdev.c", SAME_MM + "\trc = check_vma", "\trc = check_vma", HEIRS, "isolated"),
    ("drivers/dma/idxd/cdev.c", SAME_MM + "\tfor (i", "\tfor (i", HEIRS, "isolated"),
    ("arch/x86/kernel/fpu/regset.c", "\tfpu_force_restore(fpu);\n\tret = copy_uabi", "\tret = copy_uabi", TRACER, "coherent"),
    ("kernel/fork.c", "\tmm_pasid_drop(mm);\n", "", EXIT, "no_leak"),
    ("drivers/dma/idxd/cdev.c", "\t\tidxd_device_drain_pasid(idxd, ctx->pasid);\n", "", DRAINED, "no_stale"),
    ("drivers/dma/idxd/cdev.c", "\t\tiommu_sva_unbind_device(ctx->sva);\n\t\tidxd_xa", "\t\tidxd_xa", EXIT, "no_leak"),
    (
        "arch/x86/kernel/fpu/signal.c",
        "\tif (test_thread_flag(TIF_NEED_FPU_LOAD) && xfeatures_mask_supervisor())\n\t\tos_xrstor_supervisor(fpu->fpstate);\n",
        "", MOVED, "preserved",
    ),
    (ENTRY_FILE, "\tif (unlikely(ti_work & _TIF_NEED_FPU_LOAD))\n\t\tswitch_fpu_return();\n", "", TINY, "owned"),
] if SOURCE.exists() else []  # fmt: skip
CHOSEN = [patch for n, patch in enumerate(PATCHES) if os.environ.get("PASIDLAB_LONG") or n in (0, 3, 6)]
"""Each takes some seconds: without the long mode one of what must hold, one of the registers, one of the PASID."""


@pytest.mark.skipif(not SOURCE.exists(), reason="Debian's linux-source-6.12 is not there")
@pytest.mark.parametrize(("file", "old", "new", "scope", "broken"), CHOSEN)
def test_patches_of_the_real_tree(file: str, old: str, new: str, scope: Scope, broken: str, tmp_path: Path) -> None:
    before = (SOURCE / file).read_text()
    assert old in before
    patch = tmp_path / "fix.patch"
    patch.write_text(diff(file, before, before.replace(old, new, 1)))
    result = check(Opening(str(patch), kernel=str(SOURCE)).design(), scope)
    assert result.judged is not None
    assert fates(result.judged).get(next(item for item in result.judged.items if item.changed).name) == "judged"
    if broken:
        assert broken in [c.property for c in result.counterexamples]
    else:
        assert result.holds, str(result)


def test_a_declaration_goes_with_its_use() -> None:
    """Nothing compiles without the first alone: they are taken back together. What no other block mends stays by itself."""
    declared, used, other = ((TextChange(n, n + 1, "", text),) for n, text in enumerate(("int n = 3;", "n = n + 1;", "f();")))

    def compiles(changes: tuple[TextChange, ...]) -> bool:
        return declared[0] not in changes or used[0] in changes

    assert _that_compile([declared, used, other], compiles) == [used, other, (*declared, *used)]
    assert _that_compile([declared, other], compiles) == [other, declared]
    assert _that_compile([declared, used, other], lambda changes: len(changes) == 2 and other[0] not in changes)[-1] == other
