"""Tasks and address spaces: the state the kernel keeps for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pasidlab.lang.arrivals import TaskContext
from pasidlab.lang.declare import NULL, Range, size, struct
from pasidlab.machine.cpu import PasidMsr, UserComponent
from pasidlab.machine.iommu import PasidNumber

if TYPE_CHECKING:
    from pasidlab.machine.cpu import Cpu

TASKS = size("tasks")
MMS = size("mms")

TaskState = Annotated[int, Range(0, 2)]
TASK_DEAD = 0
TASK_RUNNING = 1
TASK_TRACED = 2

UserCount = Annotated[int, Range(0, 7)]


@struct(count=TASKS, symmetric=True)
class Task(TaskContext):
    """task_struct, with its struct fpu. ``last_cpu`` None is the kernel's -1."""

    state: TaskState = TASK_DEAD
    cpu: Cpu = NULL  # where it last ran, for a scope without migration
    mm: Mm = NULL
    file: File = NULL  # the open device, in the file table the threads of a process share
    # struct fpu and TIF_NEED_FPU_LOAD
    need_fpu_load: bool = False
    last_cpu: Cpu = NULL
    bv_pasid: bool = False  # XSTATE_BV[10] of the memory image
    image_pasid: PasidMsr = 0
    bv_user: bool = False
    image_user: UserComponent = 0
    # KVM: which fpstate fpu->fpstate points to, and the guest's
    guest_fpstate: bool = False
    guest_bv_pasid: bool = False
    guest_pasid: PasidMsr = 0
    guest_bv_user: bool = False
    guest_user: UserComponent = 0
    # what designs keep per task
    pasid_activated: bool = False  # v5.18
    has_valid_pasid: bool = False  # the series of September 2021
    holds_pasid_ref: bool = False  # the same, as a reference
    pasid_work: bool = False  # task_work queued
    # user mode: the instruction pointer stands at an ENQCMD that faulted; signal handling
    at_enqcmd: bool = False
    in_handler: bool = False
    frame_user: UserComponent = 0
    frame_at_enqcmd: bool = False
    # what properties remember
    entitled: bool = False  # its process was bound when the ENQCMD it stands at faulted
    expected_user: UserComponent = 0
    had_pasid: bool = False


@struct(count=MMS, symmetric=True)
class Mm:
    """mm_struct."""

    mm_users: UserCount = 0
    mm_count: UserCount = 0
    pasid: PasidNumber = 0
    pasid_refs: UserCount = 0  # the refcounted design
    portal: bool = False  # the device is open and its portal mapped


@struct(count=MMS)
class File:
    """idxd_user_context: an open work queue. ``mm`` is not counted (v6.12 drivers/dma/idxd/cdev.c)."""

    refs: UserCount = 0  # tasks whose file table holds it
    mm: Mm = NULL
    pasid: PasidNumber = 0
