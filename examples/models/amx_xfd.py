"""AMX's tile data, XFD, and an fpstate that grows: arch/x86/kernel/fpu/ of Linux v6.12.

Tile data take 8 KB, so a task gets room for them only when it uses them. Until then its ``fpstate->xfd`` has the bit of XTILEDATA, and so
has MSR IA32_XFD while its registers are loaded: the first AMX instruction raises #NM. handle_xfd_event() lets interrupts in and calls
fpstate_realloc(): a larger buffer, then, under fpregs_lock(), the registers are loaded if they are not live (the new buffer is empty), the
task gets the new fpstate, and xfd_update_state() opens the feature.

- MSR writes are slow: ``xfd_state`` of the CPU holds what the MSR has, and xfd_update_state() writes only what differs.
- XSAVES of a component that XFD disables saves nothing (SDM vol. 1, 13.14); XRSTORS of one raises #NM, in the kernel a crash. So
  restore_fpregs_from_fpstate() updates XFD before XRSTORS. XSAVES is only asked for what the fpstate has room for (os_xsave()).
- XFD has the life time of the registers: if those are valid and not loaded, it is not written either.
- A CPU that comes online has its XFD set by fpu__init_cpu_xstate(), and ``xfd_state`` with it.
- execve() makes the fpstate the small one: fpu_flush_thread().

Contents are the value the program left there, 0 for INIT. Permissions, signals, guests and PKRU are not modelled.
"""

from __future__ import annotations

from typing import Annotated

from pasidlab.declare import (
    NULL, CpuContext, Range, TaskContext, at, check, context, current, each, enter, entry, event, exit_to_user, happens, initial,
    instruction, local_bh_disable, local_bh_enable, local_irq_disable, local_irq_enable, maybe, model, never, pause, pick, reached,
    release, require, rule, size, struct, take, this_cpu, user,
)  # fmt: skip

model(
    sizes={"cpus": 2, "tasks": 2},
    events={
        "preempt": "a task loses its CPU, and goes on on any",
        "softirq": "a softirq uses kernel_fpu_begin()",
        "exec": "execve()",
        "hotplug": "an idle CPU goes offline and comes back",
    },
    mistakes={
        "xrstor_first": "restore_fpregs_from_fpstate() updates XFD after XRSTORS",
        "no_restore": "fpstate_realloc() does not load the registers before it changes the buffer",
        "no_lock": "fpstate_realloc() does not call fpregs_lock()",
        "no_update": "fpstate_realloc() does not update XFD",
        "stale_cache": "a CPU that comes online has its XFD set, but not xfd_state",
    },
    copies={
        "owner": "fpregs_owner", "last_cpu": "last_cpu", "load": "need_fpu_load",
        "tiles": "tiles = image = expected", "of": "tiles_of = image_of", "xfd": "msr_xfd = xfd = xfd",
    },
)

Tiles = Annotated[int, Range(0, 2)]  # 0: INIT; else what the program put there
INIT = 0


@struct(count=size("cpus"), symmetric=True)
class Cpu(CpuContext):
    """Registers, MSR IA32_XFD, and the kernel's variables of the CPU."""

    current: Task = NULL
    tiles: Tiles = INIT
    tiles_of: Task = NULL  # NULL: nobody's
    msr_xfd: bool = True
    xfd_state: bool = True
    fpregs_owner: Task = NULL


@struct(count=size("tasks"), symmetric=True)
class Task(TaskContext):
    """A task and its fpstate; ``expected`` is what the program left in its tiles."""

    need_fpu_load: bool = True
    last_cpu: Cpu = NULL
    xfd: bool = True  # the fpstate is small
    image: Tiles = INIT
    image_of: Task = NULL
    expected: Tiles = INIT


@initial
def boot() -> None:
    """One task is on its way to user mode for the first time, the others wait."""
    at(Cpu, 0).current = at(Task, 0)
    at(Task, 0).on_cpu = True
    for task in each(Task):
        task.pc = 1


# ---- the hardware


@instruction
def wrmsr_xfd(disabled: bool) -> None:
    """WRMSR(IA32_XFD)."""
    this_cpu.msr_xfd = disabled


@instruction
def xsaves(task: Task) -> None:
    """os_xsave(): tiles that are not INIT and not disabled go to memory, if fpstate->xfeatures, the mask, has them."""
    saved = this_cpu.tiles != INIT and not this_cpu.msr_xfd and not task.xfd
    task.image = this_cpu.tiles if saved else INIT
    task.image_of = this_cpu.tiles_of if saved else NULL


@instruction
def xrstors(task: Task) -> None:
    """Tiles from memory."""
    reached("restored")
    check("restored", not this_cpu.msr_xfd or task.image == INIT, "XRSTORS of tile data raises #NM in the kernel: XFD disables them")
    this_cpu.tiles = task.image
    this_cpu.tiles_of = task.image_of


# ---- arch/x86/kernel/fpu/


def xfd_update_state(task: Task) -> None:
    """The MSR is written only if the cache says that it has another value."""
    if this_cpu.xfd_state != task.xfd:
        wrmsr_xfd(task.xfd)
        this_cpu.xfd_state = task.xfd


def fpregs_lock() -> None:
    """Neither softirqs nor preemption."""
    if not event("no_lock"):
        local_bh_disable()


def fpregs_unlock() -> None:
    """Both again."""
    if not event("no_lock"):
        local_bh_enable()


def fpregs_state_valid(task: Task) -> bool:
    """The registers of this CPU are a copy of the task's fpstate."""
    return this_cpu.fpregs_owner is task and task.last_cpu is this_cpu


def restore_fpregs_from_fpstate(task: Task) -> None:
    """XFD first."""
    if event("xrstor_first"):
        xrstors(task)
        xfd_update_state(task)
    else:
        xfd_update_state(task)
        xrstors(task)


def fpregs_restore_userregs() -> None:
    """What is not there yet is loaded."""
    if not fpregs_state_valid(current):
        restore_fpregs_from_fpstate(current)
        this_cpu.fpregs_owner = current
        current.last_cpu = this_cpu
    current.need_fpu_load = False


def fpstate_realloc() -> None:
    """A larger fpstate for the task that runs."""
    pause()  # vzalloc() may sleep
    fpregs_lock()
    if current.need_fpu_load and not event("no_restore"):
        fpregs_restore_userregs()
    current.xfd = False
    current.image = INIT
    current.image_of = NULL
    if not event("no_update"):
        xfd_update_state(current)
    fpregs_unlock()


def fpu_flush_thread() -> None:
    """execve(): fpstate_reset() is outside of the lock, fpu_reset_fpregs() inside."""
    current.xfd = True
    local_bh_disable()
    current.last_cpu = NULL  # __fpu_invalidate_fpregs_state()
    current.image = INIT
    current.image_of = NULL
    current.expected = INIT
    current.need_fpu_load = True
    local_bh_enable()


@context("softirq", event="softirq")
def softirq() -> None:
    """kernel_fpu_begin(); the kernel itself does not use tiles."""
    if current is not None and not current.need_fpu_load:
        current.need_fpu_load = True
        xsaves(current)
    this_cpu.fpregs_owner = NULL


# ---- entries


@entry("exception")
def exc_device_not_available() -> None:
    """#NM of user mode: handle_xfd_event()."""
    local_irq_enable()
    fpstate_realloc()
    local_irq_disable()


@entry("syscall")
def sys_call() -> None:
    """Any system call."""
    if happens("exec"):
        fpu_flush_thread()


@exit_to_user
def arch_exit_to_user_mode_prepare() -> None:
    """switch_fpu_return() is the last that is done, with interrupts off."""
    local_irq_disable()
    if current.need_fpu_load:
        fpregs_restore_userregs()
    reached("armed")


@user()
def use_amx() -> None:
    """TILELOADD, or #NM where XFD disables it."""
    if this_cpu.msr_xfd:
        enter(exc_device_not_available)
    else:
        reached("preserved")
        check("preserved", this_cpu.tiles == current.expected, "a program finds other tiles than it left")
        check("preserved", this_cpu.tiles == INIT or this_cpu.tiles_of is current, "a program finds another's tiles")
        this_cpu.tiles = 1 if current.expected != 1 else 2
        this_cpu.tiles_of = current
        current.expected = 1 if current.expected != 1 else 2


@user()
def tilerelease() -> None:
    """The tiles become INIT; XFD does not disable TILERELEASE of tiles that are."""
    require(not this_cpu.msr_xfd)
    this_cpu.tiles = INIT
    this_cpu.tiles_of = NULL
    current.expected = INIT


@user()
def syscall() -> None:
    """Into the kernel."""
    enter(sys_call)


@rule(event="hotplug")
def cpu_online() -> None:
    """An idle CPU was offline: its registers are blank, nobody owns them (native_kick_ap()), and fpu__init_cpu_xstate() sets XFD."""
    require(this_cpu.current is None and this_cpu.schedule_pc == 0 and this_cpu.softirq_pc == 0 and this_cpu.hardirq_pc == 0)
    this_cpu.tiles = INIT
    this_cpu.tiles_of = NULL
    this_cpu.fpregs_owner = NULL
    this_cpu.msr_xfd = True
    if not event("stale_cache"):
        this_cpu.xfd_state = True


# ---- kernel/sched/core.c, arch/x86/kernel/process_64.c


def work_is_waiting() -> bool:
    """Some task waits for an idle CPU."""
    for task in each(Task):
        if not task.on_cpu:
            return True
    return False


@instruction
def pick_next_task() -> Task | None:
    """Any task that waits; or idle, as a task may wait on another run queue."""
    if maybe():
        return None
    return take(pick(Task))


@context("schedule")
def schedule() -> None:
    """__schedule(), __switch_to(): switch_fpu_prepare() and switch_fpu_finish()."""
    prev = current
    following = pick_next_task()
    if prev is not None and not prev.need_fpu_load:
        xsaves(prev)
        prev.last_cpu = this_cpu
    this_cpu.current = following
    if following is not None:
        following.need_fpu_load = True
    if prev is not None:
        release(prev)


@never("armed", "a task is in user mode with another XFD than its fpstate has room for")
def wrong_xfd(cpu: Cpu) -> bool:
    """xstate_op_valid(), fpu/xstate.c: the MSR is as current's fpstate says."""
    in_user_mode = cpu.current is not None and cpu.current.pc == 0 and cpu.schedule_pc == 0 and cpu.softirq_pc == 0 and cpu.hardirq_pc == 0
    return in_user_mode and cpu.msr_xfd != cpu.current.xfd
