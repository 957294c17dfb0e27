"""Who owns the FPSIMD/SVE registers of a CPU: arch/arm64/kernel/fpsimd.c of Linux v6.12, not PREEMPT_RT.

Registers are loaded late, on the way back to user mode (do_notify_resume()). Two facts say that a CPU still has a task's registers: its
``fpsimd_last_state`` points to the task's state, and the task's ``fpsimd_cpu`` is the CPU. TIF_FOREIGN_FPSTATE, kept right by
fpsimd_thread_switch(), is clear for the task that runs if both are so.

- Softirqs may use NEON: kernel_neon_begin() saves what is live and gives the copy up. So whoever changes a task's state or the flag
  keeps softirqs off, by get_cpu_fpsimd_context(), which is local_bh_disable().
- Kernel-mode NEON of a task may be preempted: TIF_KERNEL_FPSTATE has the switch save and load its registers, to ``kernel_fpsimd_state``.
- The first SVE instruction traps: do_sve_acc() sets TIF_SVE, and sve_init_regs() makes SVE state of the registers, or of the copy in
  memory if the registers are foreign. That copy is then newer than any CPU's, which fpsimd_flush_task_state() says.
- A system call discards SVE state lazily: fpsimd_syscall_enter() sets ``to_save`` to FP_STATE_FPSIMD, fpsimd_syscall_exit() sets it back.
- execve() empties the state: fpsimd_flush_thread().

Contents are only told apart by whose they are and whether they are as the program left them last. Not modelled: SME, KVM, signals,
ptrace, vector lengths. Idle CPUs run "no task". With two tasks: --size tasks=2 --events preempt,softirq, or preempt,sve.
"""

from __future__ import annotations

from typing import Annotated

from pasidlab.declare import (
    NULL, CpuContext, Range, TaskContext, at, check, context, current, each, enter, entry, event, exit_to_user, happens, initial,
    instruction, local_bh_disable, local_bh_enable, local_irq_disable, local_irq_enable, maybe, model, pick, reached, release, size,
    struct, take, this_cpu, user,
)  # fmt: skip

model(
    sizes={"cpus": 2, "tasks": 1},
    events={
        "preempt": "a task loses its CPU, and goes on on any",
        "softirq": "a softirq uses kernel_neon_begin()",
        "neon": "a system call uses kernel_neon_begin()",
        "sve": "programs use SVE",
        "exec": "execve()",
    },
    mistakes={
        "softirqs_on": "get_cpu_fpsimd_context() does not keep softirqs off",
        "keeps_cpu": "fpsimd_flush_task_state() leaves fpsimd_cpu as it is",
        "one_sided": "fpsimd_thread_switch() looks at fpsimd_last_state alone",
        "no_kernel_flag": "kernel_neon_begin() does not set TIF_KERNEL_FPSTATE",
        "stale_copy": "sve_init_regs() edits the copy in memory and does not give up those in registers",
    },
    copies={
        "owner": "last_st unless last_st_kernel", "last_cpu": "fpsimd_cpu", "load": "tif_foreign_fpstate",
        "v": "vregs = uw = expected", "of": "vregs_of = uw_of", "z": "zregs = uw_z = expected_z",
    },
)

Contents = Annotated[int, Range(0, 2)]  # of a program: 0 or 1, changed by each use
KERNEL_MODE = 2


@struct(count=size("cpus"), symmetric=True)
class Cpu(CpuContext):
    """The registers (``vregs`` of ``vregs_of``, ``zregs``: bits above 128 in use), CPACR_EL1.ZEN, fpsimd_last_state."""

    current: Task = NULL
    vregs: Contents = 0
    vregs_of: Task = NULL
    zregs: bool = False
    zen: bool = False
    last_st: Task = NULL
    last_st_kernel: bool = False  # it points to kernel_fpsimd_state
    to_save_fpsimd: bool = False


@struct(count=size("tasks"), symmetric=True)
class Task(TaskContext):
    """thread_struct and thread flags. ``expected`` and ``expected_z`` are what the program last put there."""

    tif_foreign_fpstate: bool = True
    tif_kernel_fpstate: bool = False
    tif_sve: bool = False
    fpsimd_cpu: Cpu = NULL
    fp_type_sve: bool = False
    uw: Contents = 0
    uw_of: Task = NULL
    uw_z: bool = False
    kernel_fpsimd_cpu: Cpu = NULL
    kernel_state: Contents = 0
    kernel_state_of: Task = NULL
    expected: Contents = 0
    expected_z: bool = False


@initial
def boot() -> None:
    """One task runs on its way to user mode for the first time, the others wait."""
    at(Cpu, 0).current = at(Task, 0)
    at(Task, 0).on_cpu = True
    for task in each(Task):
        task.uw_of = task
        task.pc = 1


# ---- arch/arm64/kernel/fpsimd.c


def get_cpu_fpsimd_context() -> None:
    """The registers and the flag are this context's own."""
    if not event("softirqs_on"):
        local_bh_disable()


def put_cpu_fpsimd_context() -> None:
    """Softirqs may use them again."""
    if not event("softirqs_on"):
        local_bh_enable()


def in_serving_softirq() -> bool:
    """Only softirqs and what interrupts them."""
    return this_cpu.softirq_pc != 0


@instruction
def load_state(task: Task, restore_sve_regs: bool) -> None:
    """sve_load_state(), or fpsimd_load_state(), which zeroes the bits above 128."""
    this_cpu.vregs = task.uw
    this_cpu.vregs_of = task.uw_of
    this_cpu.zregs = restore_sve_regs and task.uw_z


@instruction
def save_state(st: Task, is_kernel: bool, save_sve_regs: bool) -> None:
    """fpsimd_save_state() or sve_save_state() to where fpsimd_last_state points."""
    if is_kernel:
        st.kernel_state = this_cpu.vregs
        st.kernel_state_of = this_cpu.vregs_of
    else:
        st.uw = this_cpu.vregs
        st.uw_of = this_cpu.vregs_of
        st.uw_z = save_sve_regs and this_cpu.zregs


def task_fpsimd_load() -> None:
    """Registers from memory, SVE traps as the format says."""
    if current.fp_type_sve:
        check("sve", current.tif_sve, "WARN_ON_ONCE(!test_and_set_thread_flag(TIF_SVE))")
        current.tif_sve = True
        this_cpu.zen = True
        load_state(current, True)
    else:
        current.tif_sve = False
        this_cpu.zen = False
        load_state(current, False)


def fpsimd_save_user_state() -> None:
    """What is live goes to memory; by way of fpsimd_last_state."""
    if not current.tif_foreign_fpstate:
        save_sve_regs = not this_cpu.to_save_fpsimd and current.tif_sve
        save_state(this_cpu.last_st, this_cpu.last_st_kernel, save_sve_regs)
        this_cpu.last_st.fp_type_sve = save_sve_regs


def fpsimd_save_kernel_state(task: Task) -> None:
    """Kernel-mode registers of a task; they are what the CPU has now."""
    save_state(task, True, False)
    this_cpu.last_st = task
    this_cpu.last_st_kernel = True
    this_cpu.to_save_fpsimd = True
    task.kernel_fpsimd_cpu = this_cpu


@instruction
def fpsimd_load_kernel_state(task: Task) -> None:
    """Kernel-mode registers of a task, unless the CPU has them."""
    if this_cpu.last_st is not task or not this_cpu.last_st_kernel or task.kernel_fpsimd_cpu is not this_cpu:
        this_cpu.vregs = task.kernel_state
        this_cpu.vregs_of = task.kernel_state_of
        this_cpu.zregs = False


def fpsimd_flush_cpu_state() -> None:
    """Nobody's state is in the registers any more."""
    this_cpu.last_st = NULL
    this_cpu.last_st_kernel = False
    if current is not None:
        current.tif_foreign_fpstate = True


def fpsimd_bind_task_to_cpu() -> None:
    """The registers are current's."""
    this_cpu.last_st = current
    this_cpu.last_st_kernel = False
    this_cpu.to_save_fpsimd = False
    current.fpsimd_cpu = this_cpu
    this_cpu.zen = current.tif_sve


def fpsimd_flush_task_state(task: Task) -> None:
    """No CPU's copy of a task's state counts any more."""
    if not event("keeps_cpu"):
        task.fpsimd_cpu = NULL
    task.tif_foreign_fpstate = True


def fpsimd_restore_current_state() -> None:
    """On the way to user mode."""
    get_cpu_fpsimd_context()
    if current.tif_foreign_fpstate:
        current.tif_foreign_fpstate = False
        task_fpsimd_load()
        fpsimd_bind_task_to_cpu()
    put_cpu_fpsimd_context()


def fpsimd_thread_switch(following: Task | None) -> None:
    """From __switch_to(), with interrupts off; current is still the one before."""
    if current is not None:
        if current.tif_kernel_fpstate:
            fpsimd_save_kernel_state(current)
        else:
            fpsimd_save_user_state()
    if following is not None:
        if following.tif_kernel_fpstate:
            fpsimd_flush_cpu_state()
            fpsimd_load_kernel_state(following)
        else:
            wrong_task = this_cpu.last_st is not following or this_cpu.last_st_kernel
            wrong_cpu = following.fpsimd_cpu is not this_cpu and not event("one_sided")
            following.tif_foreign_fpstate = wrong_task or wrong_cpu


def kernel_neon_begin() -> None:
    """The registers for the kernel."""
    get_cpu_fpsimd_context()
    if current is not None:
        if current.tif_kernel_fpstate:
            fpsimd_save_kernel_state(current)
        else:
            fpsimd_save_user_state()
            if not in_serving_softirq() and not event("no_kernel_flag"):
                current.tif_kernel_fpstate = True
    fpsimd_flush_cpu_state()
    put_cpu_fpsimd_context()


def kernel_neon_end() -> None:
    """And back: to the kernel mode of the task, if a softirq had interrupted that."""
    if current is not None:
        if in_serving_softirq() and current.tif_kernel_fpstate:
            fpsimd_load_kernel_state(current)
        else:
            current.tif_kernel_fpstate = False


def sve_init_regs() -> None:
    """SVE state, of what there is of FPSIMD state."""
    if not current.tif_foreign_fpstate:
        this_cpu.zregs = False
        fpsimd_bind_task_to_cpu()
    else:
        current.uw_z = False
        current.fp_type_sve = True
        if not event("stale_copy"):
            fpsimd_flush_task_state(current)


# ---- entries, arch/arm64/kernel/entry-common.c


@entry("exception")
def el0_sve_acc() -> None:
    """An SVE instruction has trapped: do_sve_acc()."""
    local_irq_enable()
    get_cpu_fpsimd_context()
    reached("sve")
    check("sve", not current.tif_sve, "WARN_ON(1): SVE access shouldn't have trapped")
    current.tif_sve = True
    sve_init_regs()
    put_cpu_fpsimd_context()


@entry("exception")
def el0_svc() -> None:
    """A system call: fpsimd_syscall_enter(), then interrupts on."""
    if current.tif_sve:
        this_cpu.zregs = False
    this_cpu.to_save_fpsimd = True
    local_irq_enable()
    if happens("exec"):
        fpsimd_flush_thread()
    elif happens("neon"):
        use_neon()


def fpsimd_flush_thread() -> None:
    """execve(): the new program begins with nothing."""
    get_cpu_fpsimd_context()
    fpsimd_flush_task_state(current)
    current.uw = 0
    current.uw_of = current
    current.uw_z = False
    current.tif_sve = False
    current.fp_type_sve = False
    current.expected = 0
    put_cpu_fpsimd_context()


def use_neon() -> None:
    """Kernel-mode NEON: what it puts into the registers is there until it is done."""
    kernel_neon_begin()
    put_kernel_data(current)
    reached("kernel_mode")
    check("kernel_mode", this_cpu.vregs == KERNEL_MODE and this_cpu.vregs_of is current, "kernel-mode NEON finds other registers")
    kernel_neon_end()


@instruction
def put_kernel_data(task: Task | None) -> None:
    """Registers as kernel-mode NEON of the task leaves them, or of a softirq (no task)."""
    this_cpu.vregs = KERNEL_MODE
    this_cpu.vregs_of = task
    this_cpu.zregs = False


@context("softirq", event="softirq")
def softirq() -> None:
    """A softirq that encrypts, say."""
    kernel_neon_begin()
    put_kernel_data(None)
    kernel_neon_end()


@exit_to_user
def exit_to_user_mode() -> None:
    """do_notify_resume() as long as there is work, then fpsimd_syscall_exit(), which does nothing after what is no system call."""
    local_irq_disable()
    while current.tif_foreign_fpstate:
        local_irq_enable()
        fpsimd_restore_current_state()
        local_irq_disable()
    this_cpu.to_save_fpsimd = False


# ---- programs


def as_expected() -> bool:
    """The registers are what the program left in them."""
    return this_cpu.vregs_of is current and this_cpu.vregs == current.expected and this_cpu.zregs == current.expected_z


@user()
def use_fpsimd() -> None:
    """An FPSIMD instruction: writes to V zero the bits above (Arm ARM, "the SVE registers")."""
    reached("preserved")
    check("preserved", as_expected(), "a program finds other registers than it left")
    this_cpu.vregs = 1 - current.expected
    current.expected = 1 - current.expected
    this_cpu.zregs = False
    current.expected_z = False


@user(event="sve")
def use_sve() -> None:
    """An SVE instruction."""
    if not this_cpu.zen:
        enter(el0_sve_acc)
    else:
        check("preserved", as_expected(), "a program finds other registers than it left")
        this_cpu.zregs = True
        current.expected_z = True


@user()
def svc() -> None:
    """The system call ABI discards what is above 128 bits (Documentation/arch/arm64/sve.rst, section 3)."""
    current.expected_z = False
    enter(el0_svc)


# ---- kernel/sched/core.c


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
    """__schedule() and __switch_to()."""
    prev = current
    following = pick_next_task()
    fpsimd_thread_switch(following)
    this_cpu.current = following
    if prev is not None:
        release(prev)
