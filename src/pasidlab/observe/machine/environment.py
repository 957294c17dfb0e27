"""What programs on a real machine do that a check bounds or leaves out. The FPU protocol itself stays the model's.

In the modelling language, read and not run. Handlers may be interrupted by handlers, a task may be killed wherever it returns to user
mode. What is not about who owns the registers (their contents, address spaces, files) is left out.
"""

from __future__ import annotations

from pasidlab.lang.declare import (
    at,
    choose,
    enter,
    entry,
    happens,
    maybe,
    pause,
    release,
    require,
    rule,
    user,
    wait_until,
)
from pasidlab.model.ambient import current
from pasidlab.model.linux.exit import do_exit, release_task
from pasidlab.model.linux.fpu import (
    fpregs_lock,
    fpregs_lock_and_load,
    fpregs_unlock,
    fpu__clear_user_states,
    fpu_flush_thread,
    fpu_sync_fpstate,
    kernel_fpu_begin,
    kernel_fpu_end,
    switch_fpu_return,
)
from pasidlab.model.linux.kvm import fpu_swap_kvm_fpstate, vcpu_enter_guest
from pasidlab.model.linux.process import alloc_task, copy_process, kernel_clone
from pasidlab.model.linux.ptrace import fpu_force_restore
from pasidlab.model.linux.signal import __fpu_restore_sig, copy_fpstate_to_sigframe
from pasidlab.model.linux.tracepoints import (
    trace_call_copy_fpstate_to_sigframe,
    trace_call_fpu__drop,
    trace_call_fpu__restore_sig,
    trace_call_fpu_clone,
    trace_kvm_fpu,
    trace_sched_process_exec,
    trace_sched_process_wait,
    trace_signal_deliver,
    trace_sys_enter_rt_sigreturn,
    trace_x86_fpu_dropped,
)
from pasidlab.model.state import TASK_RUNNING, TASK_TRACED, Cpu, Task
from pasidlab.observe.machine.recorder import no_event


def boot() -> None:
    """One task in user mode, its registers loaded. The other slot is for its children."""
    cpu = at(Cpu, 0)
    task = at(Task, 0)
    task.state = TASK_RUNNING
    task.on_cpu = True
    task.last_cpu = cpu
    cpu.current = task
    cpu.fpregs_owner = task


# What programs do.


def enqcmd() -> None:
    """Not looked at here."""
    require(False)


def use_fpu() -> None:
    """Contents of registers are not looked at."""
    require(False)


def exec_program() -> None:
    """execve(2) where other threads may be."""
    enter(sys_execve)


def wait_for_child() -> None:
    """wait4(2), whether there is a child or not."""
    enter(sys_wait4)


@entry("syscall")
def sys_wait4() -> None:
    """kernel_wait4()."""
    do_wait()


def do_wait() -> None:
    """Finds a dead child, or finds none and sleeps or returns."""
    trace_sched_process_wait()
    if maybe():
        release_task()


def exit_notify() -> None:
    """The init of a PID namespace first waits for all who are left: zap_pid_ns_processes(), kernel/pid_namespace.c, v6.12."""
    while maybe():
        do_wait()
    release_task()


@entry("syscall")
def sys_rt_sigreturn() -> None:
    """rt_sigreturn(2) of a 64-bit program."""
    trace_sys_enter_rt_sigreturn()
    pause()
    restore_frame(False)


def rt_sigreturn() -> None:
    """A program may call it whenever it likes."""
    enter(sys_rt_sigreturn)


@entry("syscall")
def sys32_rt_sigreturn() -> None:
    """Of a 32-bit program no event tells: arch_trace_is_compat_syscall(), arch/x86/include/asm/ftrace.h, v6.12."""
    no_event()
    pause()
    restore_frame(True)


@user()
def ia32_rt_sigreturn() -> None:
    """A 32-bit program's, which a program of 64 bits may call as well (int $0x80)."""
    enter(sys32_rt_sigreturn)


def restore_frame(ia32: bool) -> None:
    """restore_sigcontext() of arch/x86/kernel/signal_{32,64}.c, v6.12. Where no frame can be read, SIGSEGV is next."""
    if maybe() or not fpu__restore_sig(ia32):
        force_sig_segv()


def fpu__restore_sig(ia32: bool) -> bool:
    """fpu__restore_sig(); a frame may have no registers in it (``fpstate`` is NULL): then they start afresh."""
    trace_call_fpu__restore_sig()
    pause()
    if maybe():
        fpu__clear_user_states()
        return True
    if __fpu_restore_sig(ia32):
        return True
    fpu__clear_user_states()
    return False


@entry("syscall")
def sys_execve() -> None:
    """begin_new_exec(): what fails once the old program is gone ends in a signal (bprm_execve(), fs/exec.c, v6.12)."""
    if maybe():
        release_task()  # de_thread(): the leader whose pid a thread takes over
    fpu_flush_thread()
    pause()
    if maybe():
        exec_failed()
    trace_sched_process_exec()


def exec_failed() -> None:
    """force_fatal_sig(SIGSEGV): neither a handler nor a tracer gets it; or the task is killed meanwhile."""
    trace_signal_deliver(False, maybe())
    end_by_signal()


@user()
def other_system_call() -> None:
    """Any system call that does something with the registers."""
    enter(sys_other)


@entry("syscall")
def sys_other() -> None:
    """A core dump or a tracer asks for registers, shadow stacks are set up. Or the kernel computes, makes a worker, does nothing."""
    what = choose(0, 4)
    if what == 0:
        fpu_sync_fpstate()
    elif what == 1:
        fpregs_lock_and_load()
        fpregs_unlock()
    elif what == 2:
        process_uses_fpu()
    elif what == 3:
        create_io_thread()


def create_io_thread() -> None:
    """fpu_clone() of a thread that has no xstate of its own (PF_USER_WORKER) copies nothing. A signal may undo the thread at the end."""
    child = alloc_task()
    if child is None:
        return
    trace_call_fpu_clone()
    pause()
    if maybe():
        fork_failed(child)
    else:
        release(child)


def process_uses_fpu() -> None:
    """Crypto, checksums, RAID in a system call."""
    kernel_fpu_begin()
    kernel_fpu_end()


@entry("syscall")
def kvm_arch_vcpu_ioctl_run() -> None:
    """The guest's registers come back after an INIT of its CPU (kvm_xstate_reset()), and for KVM_GET_MP_STATE, which runs no guest."""
    while True:
        fpu_swap_kvm_fpstate(True)
        trace_kvm_fpu(True)
        while maybe():
            if maybe():
                vcpu_enter_guest()
            else:
                kvm_fpu_get()
                fpregs_unlock()
        fpu_swap_kvm_fpstate(False)
        trace_kvm_fpu(False)
        if maybe():
            break


def kvm_fpu_get() -> None:
    """KVM's emulator of instructions: arch/x86/kvm/fpu.h, v6.12."""
    fpregs_lock()
    if current.need_fpu_load:
        switch_fpu_return()


@rule()
def tracer_sets_registers() -> None:
    """PTRACE_SETREGSET on the task while it is on no CPU."""
    task = at(Task, 0)
    require(current is None and not task.on_cpu)
    fpu_force_restore(task)


# Ways that are longer than in a check.


@entry("syscall")
def sys_fork() -> None:
    """kernel_clone()."""
    child = copy_to_new_process()
    if child is None:
        fork_returns_error()
    else:
        kernel_clone(child)


def fork_returns_error() -> None:
    """kernel_clone() feeds the random driver all the same; no event tells of it."""
    kernel_clone(None)


def copy_to_new_process() -> Task | None:
    """copy_process(), which may fail early, or at its end: exit_thread() of the child then comes to fpu__drop()."""
    child = alloc_task()
    if child is None:
        return None
    if maybe():
        release(child)
        return None
    copy_process(child)
    if maybe():
        fork_failed(child)
        return None
    return child


def fork_failed(child: Task) -> None:
    """bad_fork_cleanup_thread: exit_thread(p); fpu__drop() of v6.12 deactivates only what is current's."""
    trace_call_fpu__drop()
    trace_x86_fpu_dropped(child)
    release(child)


def exit_to_user_mode_work() -> bool:
    """A signal is pending."""
    return happens("signal")


def exit_to_user_mode_loop() -> None:
    """get_signal() for a signal that has a handler, is ignored, stops the task, or ends it (perhaps with a core dump)."""
    get_signal(maybe())


def get_signal(segv: bool) -> None:
    """``segv``: SIGSEGV is pending, and comes before others (dequeue_synchronous_signal()); the end of the process comes before it."""
    if segv and ptrace_signal():
        return
    handled = maybe()
    trace_signal_deliver(handled, segv)
    while handled:
        if handle_signal() or ptrace_signal():
            return
        segv = maybe()
        handled = segv and maybe()
        trace_signal_deliver(handled, segv)
    if maybe():
        return
    end_by_signal()


def ptrace_signal() -> bool:
    """True if a tracer takes the signal, before signal_deliver (kernel/signal.c, v6.12). The sched_switch tells that the task is traced."""
    if maybe():
        return False
    pause()
    no_event()
    current.state = TASK_TRACED
    wait_until(current.state == TASK_RUNNING)
    return True


@rule()
def tracer_lets_go_on() -> None:
    """PTRACE_CONT, with another signal or without one; or the tracer is gone."""
    task = at(Task, 0)
    require(current is None and not task.on_cpu and task.state == TASK_TRACED)
    task.state = TASK_RUNNING


def end_by_signal() -> None:
    """The process ends, perhaps with a core dump."""
    while maybe():
        fpu_sync_fpstate()  # a core dump asks for one regset after another: fill_thread_core_info(), fs/binfmt_elf.c, v6.12
    do_exit()


def handle_signal() -> bool:
    """False where there is no room for a frame, or it cannot be written: SIGSEGV is next (signal_setup_done(), kernel/signal.c, v6.12)."""
    if maybe():
        return False
    if maybe():
        trace_call_copy_fpstate_to_sigframe()  # its __clear_user() of the xstate header fails before fpregs_lock()
        return False
    copy_fpstate_to_sigframe()
    if maybe():
        return False
    fpu__clear_user_states()
    return True


def arch_do_signal_or_restart() -> None:
    """exit_to_user_mode_loop() does it."""


def force_sig_segv() -> None:
    """The signal is delivered before user mode."""
    get_signal(True)
