"""Which changes of Linux matter to PASIDs and FPU state, whether the model takes them or not."""

from __future__ import annotations

import pytest

from pasidlab.lang import source
from pasidlab.lang.c.territory import territory
from pasidlab.model.sources import MODEL_FILES, PREEMPT_RT_FILES

LINES = [
    ("kernel/fork.c", "dup_task_struct", "*tsk = *orig;", True),
    ("kernel/fork.c", "mm_init", "*mm = *p->mm;", True),
    ("kernel/fork.c", "dup_task_struct", "tsk->splice_pipe = NULL;", False),
    ("fs/exec.c", "begin_new_exec", "me->thread = init_task.thread;", True),
    ("fs/exec.c", "begin_new_exec", "retval = de_thread(me);", True),
    ("fs/exec.c", "begin_new_exec", "set_dumpable(current->mm, suid_dumpable);", False),
    ("arch/x86/kernel/process_64.c", "__switch_to", "int cpu = smp_processor_id();", True),
    ("arch/x86/kernel/process_64.c", "__switch_to", "savesegment(es, prev->es);", False),
    ("arch/x86/kernel/fpu/xstate.c", "fpu__init_system_xstate", "fpu_kernel_cfg.max_features &= ~XFEATURE_MASK_PASID;", True),
    ("arch/x86/kernel/fpu/xstate.c", "print_xstate_feature", "pr_info();", False),
    ("drivers/dma/idxd/device.c", "idxd_cmd_exec", "wait_for_completion(&done);", True),
    ("include/linux/bottom_half.h", "local_bh_disable", "return;", True),
    ("include/linux/sched/mm.h", "mmget_not_zero", "return true;", True),
    ("include/linux/sched.h", "set_tsk_thread_flag", "return;", True),
    ("include/linux/sched.h", "need_resched", "return true;", False),
    ("include/linux/preempt.h", "", "preempt_count_inc(); \\", True),
    ("drivers/iommu/intel/cache.c", "cache_tag_flush_iotlb", "return;", True),
]


@pytest.mark.parametrize(("file", "function", "line", "matters"), LINES)
def test_a_line_matters(file: str, function: str, line: str, matters: bool) -> None:
    found = territory()
    part = found.place(file, function)
    assert (part is not None and not part.unrelated and bool(found.relevant(file, function, [line]))) is matters


def test_what_linux_does_not_have_is_in_the_model():
    known = source.collect([*MODEL_FILES, *PREEMPT_RT_FILES]).functions
    assert not [name for name in territory().model if name not in known]
    assert not {"boot", "work_is_waiting", "submit_work"} - territory().model
