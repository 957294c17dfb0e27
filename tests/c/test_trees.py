"""Source trees: what is taken from them and from where. Real ones are looked for in PASIDLAB_LINUX_TREES (a path list) and /usr/src."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from pasidlab import designs
from pasidlab.checking.api import check
from pasidlab.cli import _group
from pasidlab.designs import Opening
from pasidlab.errors import PasidlabError
from pasidlab.model.scope import Scope

RACE = Scope(cpus=1, tasks=1, mms=1, pasids=1, events=frozenset(["preempt", "softirq"]))
FIXUP = """static bool try_fixup_enqcmd_gp(void)
{
	if (!mm_valid_pasid(current->mm) || current->pasid_activated)
		return false;
	wrmsrq(MSR_IA32_PASID, mm_get_enqcmd_pasid(current->mm) | MSR_IA32_PASID_VALID);
	current->pasid_activated = 1;
	return true;
}
"""
CORE = """static DEFINE_PER_CPU(bool, kernel_fpu_allowed);

bool irq_fpu_usable(void)
{
	if (!this_cpu_read(kernel_fpu_allowed))
		return false;
	return !in_hardirq() || !softirq_count();
}

void kernel_fpu_begin_mask(unsigned int kfpu_mask)
{
	if (!irqs_disabled())
		fpregs_lock();
	WARN_ON_FPU(!irq_fpu_usable());
	this_cpu_write(kernel_fpu_allowed, false);
	if (!(current->flags & (PF_KTHREAD | PF_USER_WORKER)) && !test_thread_flag(TIF_NEED_FPU_LOAD)) {
		set_thread_flag(TIF_NEED_FPU_LOAD);
		save_fpregs_to_fpstate(x86_task_fpu(current));
	}
	__cpu_invalidate_fpregs_state();
}

void kernel_fpu_end(void)
{
	this_cpu_write(kernel_fpu_allowed, true);
	if (!irqs_disabled())
		fpregs_unlock();
}

int fpu_clone(struct task_struct *dst, u64 clone_flags, bool minimal, unsigned long ssp)
{
	struct fpu *dst_fpu = (void *)dst + sizeof(*dst);

	dst_fpu->last_cpu = -1;
	set_tsk_thread_flag(dst, TIF_NEED_FPU_LOAD);
	fpregs_lock();
	if (test_thread_flag(TIF_NEED_FPU_LOAD))
		fpregs_restore_userregs();
	save_fpregs_to_fpstate(dst_fpu);
	fpregs_unlock();
	dst_fpu->fpstate->regs.xsave.header.xfeatures &= ~XFEATURE_MASK_PASID;
	return 0;
}

void fpu_sync_fpstate(struct fpu *fpu, int how)
{
}

void fpregs_mark_activate(void)
{
	new_way_of_doing_it(current);
}
"""
SCHED = """static inline void switch_fpu(struct task_struct *old, int cpu)
{
	if (!test_tsk_thread_flag(old, TIF_NEED_FPU_LOAD) && !(old->flags & (PF_KTHREAD | PF_USER_WORKER))) {
		struct fpu *old_fpu = x86_task_fpu(old);

		set_tsk_thread_flag(old, TIF_NEED_FPU_LOAD);
		save_fpregs_to_fpstate(old_fpu);
		old_fpu->last_cpu = cpu;
	}
}
"""
FORK = "static struct task_struct *dup_task_struct(struct task_struct *orig, int node)\n{\n\ttsk->pasid_activated = 0;\n\treturn tsk;\n}\n"
FILES = {
    "Makefile": "VERSION = 6\nPATCHLEVEL = 16\nSUBLEVEL = 2\n",
    "arch/x86/kernel/traps.c": FIXUP,
    "arch/x86/kernel/fpu/core.c": CORE,
    "arch/x86/include/asm/fpu/sched.h": SCHED,
    "kernel/fork.c": FORK,
}


def tree(folder: Path, **changes: str) -> str:
    """A tree of a few files; ``changes`` by the last part of a file's name without its ending."""
    for name, text in FILES.items():
        path = folder / "linux" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(changes.pop(Path(name).stem, text), encoding="utf-8")
    for name, text in changes.items():
        path = folder / "linux" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return str(folder / "linux")


def rows(kernel: str, **options: object) -> dict[str, tuple[str, str]]:
    return {name: (place, why) for name, place, why in Opening("", kernel=kernel, **options).design().provenance}  # type: ignore[arg-type]


def test_where_functions_come_from(tmp_path: Path) -> None:
    found = rows(tree(tmp_path))
    core = "arch/x86/kernel/fpu/core.c"
    assert found["try_fixup_enqcmd_gp"] == ("arch/x86/kernel/traps.c:1", "")
    assert found["switch_fpu"] == ("arch/x86/include/asm/fpu/sched.h:1", "")
    assert found["kernel_fpu_begin_mask"] == (f"{core}:10", "")
    assert found["fpu_clone"] == (f"{core}:30", "")
    assert found["dup_task_struct (pasid lines)"] == ("kernel/fork.c:3", "")
    assert not {"switch_fpu_prepare", "switch_fpu_finish", "fpu__copy", "update_pasid"} & set(found)


def test_why_functions_stay_built_in(tmp_path: Path) -> None:
    found = rows(tree(tmp_path))
    core = "arch/x86/kernel/fpu/core.c"
    assert found["fpregs_lock"] == ("", "Linux 6.16.2 has no function of this name")
    assert found["fpregs_mark_activate"] == ("", f"it uses function 'new_way_of_doing_it' ({core}:51:2)")
    assert found["fpu_sync_fpstate"] == ("", f"{core}:45:1: fpu_sync_fpstate has 2 parameters, but is known as fpu_sync_fpstate(fpu)")
    assert found["mm_init"] == ("", "kernel/fork.c has no such function")


CHECK = "\tif (current->mm != ctx->mm)\n\t\treturn -EPERM;\n"
CDEV = f"""static int idxd_cdev_mmap(struct file *filp, struct vm_area_struct *vma)
{{
	struct idxd_user_context *ctx = filp->private_data;

	if (!may_have_a_portal())
		return -EPERM;
{CHECK}	return new_mapping(ctx, vma);
}}

static ssize_t idxd_cdev_write(struct file *filp, const char __user *buf, size_t len, loff_t *unused)
{{
	struct idxd_user_context *ctx = filp->private_data;

{CHECK}	return each_descriptor(ctx, buf, len);
}}
"""
HEIRS = Scope(cpus=1, tasks=2, mms=2, pasids=2, events=frozenset(["preempt", "fork", "write"]))


@pytest.mark.parametrize(("cdev", "broken"), [
    (CDEV, []), (CDEV.replace(CHECK, "", 1), ["isolated"]), (CDEV[::-1].replace(CHECK[::-1], "", 1)[::-1], ["isolated"]),
])  # fmt: skip
def test_an_if_brings_the_statement_it_governs(cdev: str, broken: list[str], tmp_path: Path) -> None:
    """8dfa57aabff6 (v6.15): who has the device's file from its parent may neither write to it nor map its portal."""
    kernel = tree(tmp_path, **{"drivers/dma/idxd/cdev.c": cdev})
    result = check(Opening("", kernel=kernel).design(), HEIRS, properties=["isolated"])
    assert [c.property for c in result.counterexamples] == broken


REGSET = """int xstateregs_set(struct task_struct *target, const struct user_regset *regset, unsigned int pos, const void *kbuf)
{
	struct fpu *fpu = &target->thread.fpu;
	struct xregs_state *copied = NULL;
	int ret;

	if (!kbuf)
		copied = from_the_tracer(regset, pos);
	fpu_force_restore(fpu);
	ret = copy_uabi_from_kernel_to_xstate(fpu->fpstate, kbuf ?: copied, &target->thread.pkru);
	forget(copied);
	return ret;
}
"""
TRACER = Scope(cpus=1, tasks=2, mms=1, pasids=1, events=frozenset(["preempt", "ptrace"]))


def test_what_a_tracer_gives_a_task_is_loaded(tmp_path: Path) -> None:
    name = "arch/x86/kernel/fpu/regset.c"
    kernel = tree(tmp_path, **{name: REGSET})
    assert rows(kernel)["xstateregs_set (fpu_force_restore lines)"] == (f"{name}:3", "")
    assert check(Opening("", kernel=kernel).design(), TRACER).counterexamples == ()
    kernel = tree(tmp_path, **{name: REGSET.replace("\tfpu_force_restore(fpu);\n", "")})
    result = check(Opening("", kernel=kernel).design(), TRACER)
    assert {c.property for c in result.counterexamples} == {"coherent", "preserved"}


EXIT_WORK = "\tif (unlikely(ti_work & _TIF_NEED_FPU_LOAD))\n\t\tswitch_fpu_return();\n"
OLD_ENTRY = f"""static inline void arch_exit_to_user_mode_prepare(struct pt_regs *regs, unsigned long ti_work)
{{
	notify_whom_it_concerns(ti_work);
{EXIT_WORK}}}
"""
NEW_ENTRY = f"""static inline void arch_exit_work(unsigned long ti_work)
{{
{EXIT_WORK}}}

static inline void arch_exit_to_user_mode_prepare(struct pt_regs *regs, unsigned long ti_work)
{{
	arch_exit_work(ti_work);
}}
"""
SWITCHES = Scope(cpus=1, tasks=2, mms=1, pasids=1, events=frozenset(["preempt"]))


@pytest.mark.parametrize(("entry", "label", "line"), [
    (OLD_ENTRY, "arch_exit_to_user_mode_prepare (switch_fpu_return lines)", 4), (NEW_ENTRY, "arch_exit_work (switch_fpu_return lines)", 3),
])  # fmt: skip
def test_registers_are_loaded_on_the_way_to_user_mode(entry: str, label: str, line: int, tmp_path: Path) -> None:
    """arch_exit_work() has had these lines since v6.11."""
    name = "arch/x86/include/asm/entry-common.h"
    kernel = tree(tmp_path, **{name: entry})
    assert {row: place for row, place in rows(kernel).items() if row.startswith("arch_exit")} == {label: (f"{name}:{line}", "")}
    assert check(Opening("", kernel=kernel).design(), SWITCHES).counterexamples == ()
    for wrong in ("", EXIT_WORK.replace("& _TIF", "& ~_TIF")):
        kernel = tree(tmp_path, **{name: entry.replace(EXIT_WORK, wrong)})
        assert {c.property for c in check(Opening("", kernel=kernel).design(), SWITCHES).counterexamples} >= {"owned"}


def test_lines_have_no_place_in_a_design_with_that_function_of_its_own(tmp_path: Path) -> None:
    kernel, base = tree(tmp_path, **{"drivers/dma/idxd/cdev.c": CDEV}), tmp_path / "base.py"
    own = "from pasidlab.declare import instruction\n\n\n@instruction\ndef write_descriptor() -> None:\n    pass\n"
    base.write_text(f"{designs.early.path.read_text()}\n\n{own}")
    why = "the design around has a write_descriptor() of its own"
    assert rows(kernel, base=str(base))["idxd_cdev_write (current->mm lines)"] == ("", why)
    assert rows(kernel)["idxd_cdev_write (current->mm lines)"] == ("drivers/dma/idxd/cdev.c:16", "")


def test_lines_are_named_with_their_places(tmp_path: Path) -> None:
    found = rows(tree(tmp_path, **{"drivers/dma/idxd/cdev.c": CDEV}))
    assert found["idxd_cdev_mmap (current->mm lines)"] == ("drivers/dma/idxd/cdev.c:7", "")
    assert found["idxd_cdev_write (current->mm lines)"] == ("drivers/dma/idxd/cdev.c:16", "")
    without = rows(tree(tmp_path, **{"drivers/dma/idxd/cdev.c": CDEV.replace(CHECK, "", 1)}))
    assert without["idxd_cdev_mmap (current->mm lines)"] == ("", "no such line: the model does without it")


def test_a_stub_brings_a_function_back(tmp_path: Path) -> None:
    assert rows(tree(tmp_path), stubs=("new_way_of_doing_it=noop",))["fpregs_mark_activate"][0] == "arch/x86/kernel/fpu/core.c:49"


def test_verdict_of_a_tree(tmp_path: Path) -> None:
    assert check(Opening("", kernel=tree(tmp_path), allow_unjudged=("*",)).design(), RACE).holds
    broken = SCHED.replace("old_fpu->last_cpu = cpu;", "").replace("set_tsk", "clear_tsk")
    kernel = tree(tmp_path / "broken", sched=broken)
    assert check(Opening("", kernel=kernel).design(), Scope(cpus=1, tasks=2, mms=2, pasids=2, events=RACE.events)).verdict == "violated"


def test_a_file_over_a_tree(tmp_path: Path) -> None:
    file = Path(__file__).parents[2] / "examples" / "late_either.c"
    design = Opening(str(file), kernel=tree(tmp_path)).design()
    found = {name: (place, why) for name, place, why in design.provenance}
    assert found["try_fixup_enqcmd_gp"] == ("", "the file brings the functions of 'late-either'")
    assert found["kernel_fpu_end"][0] == "arch/x86/kernel/fpu/core.c:23"
    assert found["fpu__pasid_write"][0] == f"{file}:6"
    assert [c.property for c in check(design, RACE).counterexamples] == ["coherent", "served"]
    early = Opening(str(file.with_name("early.c")), kernel=tree(tmp_path)).design()
    assert {name: place for name, place, _ in early.provenance}["try_fixup_enqcmd_gp"].endswith("examples/early.c:6")


def test_a_flag_nobody_resets(tmp_path: Path) -> None:
    scope = Scope(cpus=1, tasks=2, mms=1, pasids=1, events=frozenset(["preempt", "clone"]))
    assert check(Opening("", kernel=tree(tmp_path), allow_unjudged=("*",)).design(), scope).holds
    forgetful = Opening("", kernel=tree(tmp_path / "b", fork=FORK.replace("\ttsk->pasid_activated = 0;\n", ""))).design()
    assert [c.property for c in check(forgetful, scope).counterexamples] == ["served"]


def test_enqcmd_compiled_out(tmp_path: Path) -> None:
    kernel = tree(tmp_path, **{"arch/x86/include/asm/disabled-features.h": "#define DISABLE_ENQCMD (1 << (X86_FEATURE_ENQCMD & 31))\n"})
    assert rows(kernel)["try_fixup_enqcmd_gp"] == (
        "", "ENQCMD is compiled out (arch/x86/include/asm/disabled-features.h:1): every #GP of ENQCMD is fatal",
    )  # fmt: skip
    assert [(c.property, len(c.steps)) for c in check(Opening("", kernel=kernel).design(), RACE).counterexamples] == [("served", 2)]


def test_lines_the_parser_loses_cost_one_function(tmp_path: Path) -> None:
    kernel = tree(tmp_path, core=CORE.replace("bool irq_fpu_usable(void)\n{", "bool irq_fpu_usable(void)\n{\n\tSOME_MACRO(a b c) {{{ ;"))
    found = rows(kernel)
    assert found["kernel_fpu_end"][0] == "arch/x86/kernel/fpu/core.c:24"


def test_json_names_the_places_and_replay_reads_it(tmp_path: Path) -> None:
    kernel = tree(tmp_path, core=CORE.replace("\t__cpu_invalidate_fpregs_state();\n", ""))
    saved = tmp_path / "found.json"
    options = ["check", "--kernel", kernel, "--events", "preempt,softirq", "-o", str(saved), "--json"]
    done = CliRunner().invoke(_group, options, standalone_mode=False)
    (result,) = json.loads(saved.read_text())["results"]
    assert (done.return_value, result["design"], result["base"], result["verdict"]) == (1, "linux-6.16.2", "early", "violated")
    assert {"function": "switch_fpu", "place": "arch/x86/include/asm/fpu/sched.h:1", "why": ""} in result["provenance"]
    again = CliRunner().invoke(_group, ["replay", str(saved)], standalone_mode=False)
    assert again.return_value == 1
    assert "linux-6.16.2: every step made again by the interpreter" in again.output


@pytest.mark.parametrize("changes", [{"Makefile": "all:\n"}, {"Makefile": "VERSION = 6\n"}])
def test_what_is_no_tree(changes: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(PasidlabError, match="is no Linux source tree"):
        Opening("", kernel=tree(tmp_path, **changes)).design()


def test_a_tree_without_the_functions(tmp_path: Path) -> None:
    with pytest.raises(PasidlabError, match=r"\(Linux 2.6\) has none of the functions that are modelled"):
        Opening("", kernel=tree(tmp_path, Makefile="VERSION = 2\nPATCHLEVEL = 6\n", traps="", core="", sched="", fork="")).design()


def test_files_that_were_not_fetched(tmp_path: Path) -> None:
    with pytest.raises(PasidlabError, match=r"core.c is a pointer of Git LFS, not the file\n  hint: git lfs pull"):
        Opening("", kernel=tree(tmp_path, core="version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")).design()


def real_trees() -> list[str]:
    named = [path for path in os.environ.get("PASIDLAB_LINUX_TREES", "").split(os.pathsep) if path]
    return named or [str(path.parent) for path in Path("/usr/src").glob("linux-source-*/Makefile")]


# What must come from every tree since v5.18; versions have other names for some.
WANTED = [
    "fpregs_lock", "fpregs_unlock", "fpregs_state_valid", "fpregs_activate", "fpregs_deactivate", "__cpu_invalidate_fpregs_state",
    "__fpu_invalidate_fpregs_state", "fpregs_restore_userregs", "irq_fpu_usable", "kernel_fpu_begin_mask", "kernel_fpu_end", "fpu_clone",
    "fpu_flush_thread", "fpu__drop", "fpu__clear_user_states", "try_fixup_enqcmd_gp", "exc_general_protection", "mm_pasid_drop",
    "dup_task_struct (pasid lines)", "mm_init (pasid lines)", "__mmdrop (pasid lines)",
]  # fmt: skip


@pytest.mark.skipif(not real_trees(), reason="no Linux source tree in PASIDLAB_LINUX_TREES or /usr/src")
@pytest.mark.parametrize("kernel", real_trees())
def test_real_trees(kernel: str) -> None:
    design = Opening("", kernel=kernel).design()
    found = {name: place for name, place, _ in design.provenance}
    if found.get("try_fixup_enqcmd_gp"):
        assert [name for name in WANTED if not found.get(name)] == []
        assert found.get("switch_fpu") or (found["switch_fpu_prepare"] and found["switch_fpu_finish"])
        assert found.get("fpu_reset_fpregs") or found.get("fpu_reset_fpstate_regs")
        assert check(design, Scope(cpus=1, tasks=1, mms=1, pasids=1, events=frozenset(["preempt", "softirq"]))).holds
    else:
        assert check(design, RACE).counterexample("served") is not None


SVA = """void mm_pasid_drop(struct mm_struct *mm)
{
	if (!mm->iommu_mm)
		return;
	iommu_free_global_pasid(mm->iommu_mm->pasid);
	mm->iommu_mm = NULL;
}
"""
MMS = FORK + """
static struct mm_struct *mm_init(struct mm_struct *mm)
{
	set_up(mm);
	mm_pasid_init(mm);
	return mm;
}

void __mmdrop(struct mm_struct *mm)
{
	mm_pasid_drop(mm);
	free_what_is_left(mm);
}
"""
RELEASE = """static void idxd_file_dev_release(struct device *dev)
{
	struct idxd_user_context *ctx = context_of(dev);

	if (is_shared(ctx->wq))
		idxd_device_drain_pasid(ctx->wq->idxd, ctx->pasid);
	if (ctx->sva) {
		tell_others(ctx);
		iommu_sva_unbind_device(ctx->sva);
	}
	kfree(ctx);
}
"""
DRAIN, UNBIND = "\t\tidxd_device_drain_pasid(ctx->wq->idxd, ctx->pasid);\n", "\t\tiommu_sva_unbind_device(ctx->sva);\n"
LIVES = ["bind", "unbind", "exit"]
EMPTY = "static inline void mm_pasid_init(struct mm_struct *mm)\n{\n}\n\n"
CLEARS = EMPTY.replace("{\n", "{\n\tmm->iommu_mm = NULL;\n")
PASIDS = [
    ("fork", MMS, LIVES, set()), ("fork", MMS.replace("\tmm_pasid_drop(mm);\n", ""), LIVES, {"no_leak"}),
    ("fork", MMS.replace("\tmm_pasid_init(mm);\n", ""), [*LIVES, "fork"], {"no_stale", "isolated"}),
    ("fork", MMS.replace("static struct mm", f"{EMPTY}static struct mm", 1), [*LIVES, "fork"], {"no_stale", "isolated"}),
    ("fork", MMS.replace("static struct mm", f"{CLEARS}static struct mm", 1), [*LIVES, "fork"], set()),
    ("cdev", RELEASE, [*LIVES, "device"], set()), ("cdev", RELEASE.replace(DRAIN, "\t\t;\n"), [*LIVES, "exec", "device"], {"no_stale"}),
    ("cdev", RELEASE.replace(UNBIND, ""), LIVES, {"no_leak"}),
    ("cdev", RELEASE.replace(UNBIND, "").replace(DRAIN, UNBIND + DRAIN), [*LIVES, "exec", "device"], {"no_stale"}),
]  # fmt: skip
CHOSEN = [one for n, one in enumerate(PASIDS) if os.environ.get("PASIDLAB_LONG") or n in (1, 3, 7)]


@pytest.mark.parametrize(("where", "text", "events", "broken"), CHOSEN)
def test_a_pasid_from_its_beginning_to_its_end(
    where: str, text: str, events: list[str], broken: set[str], tmp_path: Path,
) -> None:  # fmt: skip
    path = {"fork": "kernel/fork.c", "cdev": "drivers/dma/idxd/cdev.c"}[where]
    kernel = tree(tmp_path, **{"drivers/iommu/iommu-sva.c": SVA, path: text})
    scope = Scope(cpus=1, tasks=1 + ("fork" in events), mms=2, pasids=2, events=frozenset(events))
    found = {c.property for c in check(Opening("", kernel=kernel).design(), scope).counterexamples}
    assert broken <= found
    assert broken or not found
