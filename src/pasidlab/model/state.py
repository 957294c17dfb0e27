"""The state of the model: every struct, what its fields may hold, and what the values are called.

Component 10 of xstate (PASID) is the MSR itself: its INIT value is 0 and XINUSE[10] is "MSR is not 0" (SDM vol. 1, 13.5.9, 13.6).
The user component stands for all of user xstate: INIT (0), what the program put there (1), or what kernel code left behind (2).
"""

from __future__ import annotations

from typing import Annotated

from pasidlab.lang.arrivals import CpuContext, NestingCount, TaskContext
from pasidlab.lang.declare import NULL, Bits, Range, singleton, size, struct

CPUS = size("cpus")
TASKS = size("tasks")
MMS = size("mms")
PASIDS = size("pasids")

MSR_IA32_PASID_VALID = 1 << 31  # SDM vol. 4, table 2-2: IA32_PASID (D93H), bit 31
PASID_NUMBERS = size("pasid_mask")  # the bits PASIDs of this scope need, of the 20 the MSR has

PasidMsr = Annotated[int, Bits(MSR_IA32_PASID_VALID | PASID_NUMBERS)]
UserComponent = Annotated[int, Range(0, 2)]

INIT = 0
USER_DATA = 1
KERNEL_DATA = 2

PasidNumber = Annotated[int, Range(0, PASIDS)]  # 0: none; the kernel's first PASID is 1 (IOMMU_FIRST_GLOBAL_PASID)
BondCount = Annotated[int, Range(0, MMS)]

TaskState = Annotated[int, Range(0, 2)]
TASK_DEAD = 0
TASK_RUNNING = 1
TASK_TRACED = 2

FaultCount = Annotated[int, Range(0, 2)]  # 2: twice or more
UserCount = Annotated[int, Range(0, 7)]
BottomHalves = Annotated[int, Range(0, 15)]  # in units of SOFTIRQ_OFFSET (v6.12, kernel/softirq.c)


@struct(count=CPUS, symmetric=True)
class Cpu(CpuContext):
    """A CPU, with the kernel's per-CPU variables about its registers."""

    current: Task = NULL
    msr_pasid: PasidMsr = 0
    user_regs: UserComponent = 0
    fpregs_owner: Task = NULL  # fpu_fpregs_owner_ctx
    in_kernel_fpu: bool = False
    loaded_mm: Mm = NULL  # this CPU is in mm_cpumask() of that mm, lazily too
    kthread_mm: Mm = NULL  # what a kernel thread on this CPU has borrowed with kthread_use_mm()


@struct(count=PASIDS)
class PasidEntry:
    """The entry of PASID ``index + 1``, with what software and the device hold for that number."""

    allocated: bool = False  # in iommu_global_pasid_ida
    mm: Mm = NULL  # FLPTR: whose page tables; meaningful while present
    present: bool = False
    fault_disabled: bool = False  # FPD: left behind by a release that could not drain
    cached: bool = False  # in the IOTLB or PASID cache
    in_flight: bool = False  # the device holds descriptors with this PASID
    page_request: bool = False  # a page request of this PASID is queued
    users: BondCount = 0  # of the attach handle


@struct(count=1)
class Locks:
    """The global locks: who holds them."""

    iommu_sva_lock: Task = NULL


locks = singleton(Locks)


@struct(count=2)
class SpinLock:
    """The spin locks a design may have: the CPU that holds it, or the task (PREEMPT_RT). The kernel around takes none of them."""

    holder: Cpu = NULL
    owner: Task = NULL


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
    rcu_read_lock_nesting: NestingCount = 0
    softirq_disable_cnt: BottomHalves = 0  # PREEMPT_RT
    migration_disabled: NestingCount = 0
    # user mode: the instruction pointer stands at an ENQCMD that faulted; signal handling
    at_enqcmd: bool = False
    at_privileged: FaultCount = 0  # the instruction there is another, which no PASID mends: how often it faulted in a row
    in_handler: bool = False
    frame_user: UserComponent = 0
    frame_at_enqcmd: bool = False
    # what properties remember
    entitled: bool = False  # its process was bound when the ENQCMD it stands at faulted
    expected_user: UserComponent = 0
    guest_expected_user: UserComponent = 0
    computing: bool = False  # inside kernel_fpu_begin() in a system call
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
