"""eager-ipi: v5.10 (20f0afd1fb3d): binding sends update_pasid() by IPI to every CPU of mm_cpumask(); so does unbinding.

Disabled by 9bfecd058339 (v5.13): "broken beyond repair". fpregs_lock() keeps bottom halves out, not IPIs, so the handler lands in
the middle of code that moves FPU state; and it acts on whatever task happens to run.
"""

from __future__ import annotations

from pasidlab.declare import (
    context,
    each,
    event,
    instruction,
    local_irq_disable,
    local_irq_enable,
    preempt_disable,
    preempt_enable,
    wait_until,
)
from pasidlab.kernel import (
    MSR_IA32_PASID_VALID,
    Cpu,
    Mm,
    Task,
    __fpu_invalidate_fpregs_state,
    attach_device_pasid,
    current,
    detach_device_pasid,
    intel_iommu_drain_pasid_prq,
    iommu_alloc_global_pasid,
    iommu_free_global_pasid,
    mmdrop,
    mutex_lock_sva,
    mutex_unlock_sva,
    test_need_fpu_load,
    this_cpu,
    wrmsr_pasid,
)


def update_pasid() -> None:
    """arch/x86/kernel/fpu/xstate.c of v5.10: the MSR if TIF_NEED_FPU_LOAD is clear, else the image."""
    mm = current_mm()
    if mm is None:
        return
    pasid = mm.pasid
    value = (pasid | MSR_IA32_PASID_VALID) if pasid != 0 else 0
    if not test_need_fpu_load(current):
        wrmsr_pasid(value)
    elif current is not None:
        edit_image(current, value)


def current_mm() -> Mm | None:
    """current->mm: a kernel thread may have borrowed one."""
    if current is None:
        return this_cpu.kthread_mm
    return current.mm


def edit_image(task: Task, value: int) -> None:
    """get_xsave_addr() after setting XSTATE_BV; last_cpu is reset if the value changes."""
    task.bv_pasid = True
    if task.image_pasid != value:
        __fpu_invalidate_fpregs_state(task)
        task.image_pasid = value


@context("ipi", event="ipi")
def update_pasid_ipi() -> None:
    """The function the IPI runs, on whatever this CPU is doing."""
    update_pasid()
    this_cpu.ipi_pending = False


def switch_fpu_finish(task: Task) -> None:
    """v5.10 also called update_pasid() for every incoming task; TIF_NEED_FPU_LOAD is set there, so it edits the image."""
    task.need_fpu_load = True
    update_pasid()


def load_pasid(mm: Mm) -> None:
    """on_each_cpu_mask(mm_cpumask(mm), update_pasid, NULL, true)."""
    preempt_disable()
    send_ipis(mm)
    local_irq_disable()
    if this_cpu.loaded_mm is mm:
        update_pasid()
    local_irq_enable()
    wait_until(all_ipis_done(), "spin")
    preempt_enable()


@instruction
def send_ipis(mm: Mm) -> None:
    """To every other CPU that has this mm loaded, lazily too."""
    if event("ipi"):
        for cpu in each(Cpu):
            if cpu.loaded_mm is mm and cpu is not this_cpu:
                cpu.ipi_pending = True


@instruction
def all_ipis_done() -> bool:
    """Every CPU has run the function."""
    for cpu in each(Cpu):
        if cpu.ipi_pending:
            return False
    return True


def iommu_sva_bind_device(mm: Mm) -> None:
    """intel_svm_bind_mm(): the number (ioasid_alloc()), the table entry, and only then mm->pasid and load_pasid()."""
    mutex_lock_sva()
    if mm.pasid == 0:
        pasid = iommu_alloc_global_pasid()
        attach_device_pasid(mm, pasid)
        mm.pasid = pasid
        load_pasid(mm)
    else:
        attach_device_pasid(mm, mm.pasid)
    mutex_unlock_sva()


def iommu_sva_unbind_device(mm: Mm, pasid: int) -> None:
    """intel_svm_unbind_mm(): the entry goes, load_pasid(mm, PASID_DISABLED), the number is free."""
    mutex_lock_sva()
    if detach_device_pasid(pasid):
        intel_iommu_drain_pasid_prq(pasid)
        unpublish(mm)
        load_pasid(mm)
        iommu_free_global_pasid(pasid)
        mmdrop(mm)
    mutex_unlock_sva()


@instruction
def unpublish(mm: Mm) -> None:
    """mm->pasid = 0: from here the kernel has been asked to take the PASID away from every thread."""
    mm.pasid = 0
    for task in each(Task):
        if task.mm is mm:
            task.had_pasid = False


def populate_at_boot(task: Task, number: int) -> None:
    """A process bound from the start has had its IPIs."""
    value = task.mm.pasid | MSR_IA32_PASID_VALID
    if task.on_cpu:
        for cpu in each(Cpu):
            if cpu.current is task:
                cpu.msr_pasid = value
    else:
        task.bv_pasid = True
        task.image_pasid = value
