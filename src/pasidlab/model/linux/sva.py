"""Binding a process to the device: drivers/iommu/iommu-sva.c, drivers/iommu/intel/svm.c, drivers/dma/idxd/cdev.c of v6.12.

The mm owns its PASID for life (701fac40384f): unbinding tears the table entry down and leaves the number to the mm.
"""

from __future__ import annotations

from pasidlab.lang.declare import NULL, check, each, enter, entry, happens, instruction, reached, require, user
from pasidlab.model.ambient import current
from pasidlab.model.linux.locks import mutex_lock_sva, mutex_unlock_sva
from pasidlab.model.linux.mm import mmdrop, mmgrab
from pasidlab.model.state import MMS, TASK_DEAD, File, Mm, Task
from pasidlab.model.x86.device import idxd_device_drain_pasid, intel_iommu_drain_pasid_prq, submit_work
from pasidlab.model.x86.iommu import (
    intel_pasid_setup_first_level,
    intel_pasid_tear_down_entry,
    iommu_alloc_global_pasid,
    pasid_entry,
    pasid_entry_maps,
)


@instruction
def iommu_alloc_mm_data(mm: Mm) -> None:
    """iommu_alloc_mm_data(): the mm keeps the PASID it has, or gets one, visible to all its threads at once.

    One step: the ida is only touched under iommu_sva_lock, so nobody can tell when.
    """
    if mm.pasid == 0:
        mm.pasid = iommu_alloc_global_pasid()


def iommu_sva_bind_device(mm: Mm) -> None:
    """iommu_sva_bind_device(): PASID first, table entry after it, under iommu_sva_lock."""
    mutex_lock_sva()
    iommu_alloc_mm_data(mm)
    attach_device_pasid(mm, mm.pasid)
    mutex_unlock_sva()
    pasid_bound(mm)


@instruction
def attach_device_pasid(mm: Mm, pasid: int) -> None:
    """The attach handle is found, or an SVA domain is allocated (mmgrab) and its table entry set up. One step: under iommu_sva_lock."""
    if pasid_entry(pasid).users == 0:
        mmgrab(mm)
        intel_pasid_setup_first_level(pasid, mm)
    check("no_leak", pasid_entry(pasid).users < MMS, "a bond is left behind by a file that was closed")
    if pasid_entry(pasid).users < MMS:
        pasid_entry(pasid).users += 1


def pasid_bound(mm: Mm) -> None:
    """What a design does once a process has its PASID: nothing, unless it pushes the PASID to the threads."""


def pasid_unbound(mm: Mm) -> None:
    """What a design does before a process loses its PASID: nothing while the mm owns it."""


def iommu_sva_unbind_device(mm: Mm, pasid: int) -> None:
    """iommu_sva_unbind_device(): the last one tears the entry down and drains page requests. The PASID stays with the mm."""
    mutex_lock_sva()
    pasid_unbound(mm)
    if detach_device_pasid(pasid):
        intel_iommu_drain_pasid_prq(pasid)
        mmdrop(mm)
    mutex_unlock_sva()


@instruction
def detach_device_pasid(pasid: int) -> bool:
    """The last user of the attach handle tears the table entry down. One step: under iommu_sva_lock."""
    pasid_entry(pasid).users -= 1
    if pasid_entry(pasid).users != 0:
        return False
    intel_pasid_tear_down_entry(pasid, False)
    return True


@instruction
def new_file() -> File | None:
    """A free idxd_user_context; None: -ENOMEM."""
    for file in each(File):
        if file.refs == 0 and file.mm is None:
            file.mm = current.mm
            return file
    return None


@instruction
def install_file(file: File) -> bool:
    """fd_install() and mmap(): all threads of the process have the file and its portal. False: another thread was first."""
    file.pasid = current.mm.pasid
    if current.file is not None:
        return False
    for task in each(Task):
        if task.mm is current.mm and task.state != TASK_DEAD:
            task.file = file
            file.refs += 1
    idxd_cdev_mmap(file)
    return True


@user(event="bind")
def open_device() -> None:
    """open("/dev/dsa/wq0.0") and mmap() of its portal."""
    require(not current.at_enqcmd and current.file is None)
    enter(idxd_cdev_open)


@entry("syscall")
def idxd_cdev_open() -> None:
    """idxd_cdev_open(), then idxd_cdev_mmap(). A process keeps one file: a thread that comes second closes its own again."""
    if current.file is not None or current.mm.portal:
        return
    file = new_file()
    if file is None:
        return
    iommu_sva_bind_device(current.mm)
    if not install_file(file):
        idxd_cdev_release(file)


@instruction
def idxd_cdev_mmap(ctx: File) -> None:
    """idxd_cdev_mmap(): a process that has the file from its parent gets no portal (-EPERM).

    A dedicated queue has its PASID in WQCFG: what is submitted to its portal goes to the address space of who opened it (DSA, WQCFG).
    """
    if current.mm is not ctx.mm:
        return
    check("isolated", current.mm is ctx.mm, "the portal of a queue is mapped into another process than the one whose PASID it has")
    reached("isolated")
    current.mm.portal = True


@instruction
def idxd_submit_user_descriptor(ctx: File) -> None:
    """idxd_submit_user_descriptor(): ENQCMDS takes the PASID from the descriptor (SDM vol. 2, ENQCMDS): the context's."""
    reached("isolated")
    check("isolated", current.mm is ctx.mm, "the kernel submits a descriptor of one process with the PASID of another")
    if happens("device") and pasid_entry_maps(ctx.pasid, current.mm):
        submit_work(ctx.pasid)


@user(event="write")
def write_device() -> None:
    """write(2) of a descriptor to the device's file."""
    require(not current.at_enqcmd and current.file is not None)
    enter(idxd_cdev_write)


@entry("syscall")
def idxd_cdev_write() -> None:
    """idxd_cdev_write() (v6.10). One step: write(2) holds a reference to the file, so nobody releases it meanwhile."""
    write_descriptor()


@instruction
def write_descriptor() -> None:
    """The check of the address space and the submission."""
    if current.file is None:
        return
    if current.mm is not current.file.mm:
        return
    idxd_submit_user_descriptor(current.file)


@user(event="write")
def map_device() -> None:
    """mmap(2) of the device's file by a process that has no portal: one that has the file from its parent."""
    require(not current.at_enqcmd and current.file is not None and not current.mm.portal)
    enter(sys_mmap)


@entry("syscall")
def sys_mmap() -> None:
    """mmap(2). One step: mmap_lock is held for writing, and a reference to the file."""
    map_portal()


@instruction
def map_portal() -> None:
    """mmap_region() calls the file's own function."""
    if current.file is not None:
        idxd_cdev_mmap(current.file)


@user(event="unbind")
def close_device() -> None:
    """munmap() of the portal and close()."""
    require(not current.at_enqcmd and current.file is not None)
    enter(sys_close)


@entry("syscall")
def sys_close() -> None:
    """close(2)."""
    file = uninstall_file()
    if file is not None and file.refs == 0:
        idxd_cdev_release(file)


@instruction
def uninstall_file() -> File | None:
    """The file leaves the process's file table, its portal the address space; who takes the last reference gets it.

    From here on no thread of the process may expect its ENQCMD to get through.
    """
    file = current.file
    if file is None:
        return None
    for task in each(Task):
        if task.file is file and task.mm is current.mm:
            task.file = NULL
            file.refs -= 1
            task.entitled = False
    if current.mm is file.mm:
        current.mm.portal = False
    return file if file.refs == 0 else None


@instruction
def drop_file() -> File | None:
    """exit_files(): the exiting task's reference; the last one gets the file."""
    file = current.file
    if file is None:
        return None
    current.file = NULL
    file.refs -= 1
    return file if file.refs == 0 else None


def idxd_cdev_release(file: File) -> None:
    """idxd_file_dev_release() for a shared work queue: drain the PASID, then unbind."""
    pasid = context_pasid(file)
    mm = context_mm(file)
    idxd_device_drain_pasid(pasid)
    iommu_sva_unbind_device(mm, pasid)
    free_file(file)


@instruction
def context_pasid(file: File) -> int:
    """ctx->pasid; nobody else has the context any more."""
    return file.pasid


@instruction
def context_mm(file: File) -> Mm:
    """ctx->mm."""
    return file.mm


@instruction
def free_file(file: File) -> None:
    """kfree(ctx)."""
    file.pasid = 0
    file.mm = NULL
