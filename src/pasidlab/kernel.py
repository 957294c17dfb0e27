"""The kernel and the machine around a design, under their own names: ``from pasidlab.kernel import current, fpregs_lock, Task``.

Which file of pasidlab/model a name comes from:

ambient.py
    current, this_cpu
state.py
    BondCount, BottomHalves, CPUS, Cpu, FaultCount, File, INIT, KERNEL_DATA, Locks, MMS, MSR_IA32_PASID_VALID, Mm, PASIDS,
    PASID_NUMBERS, PasidEntry, PasidMsr, PasidNumber, SpinLock, TASKS, TASK_DEAD, TASK_RUNNING, TASK_TRACED, Task, TaskState,
    USER_DATA, UserComponent, UserCount, locks
x86/cpu.py
    MSR_IA32_PASID_MASK, XFEATURE_MASK_FPSTATE, XFEATURE_MASK_PASID, XFEATURE_MASK_USER, rdmsr_pasid, wrmsr_pasid, xrstors,
    xsaves
x86/enqcmd.py
    enqcmd, pasid_in_table, privileged_instruction, use_fpu
x86/device.py
    device_access, device_complete, device_page_request, idxd_device_drain_pasid, intel_iommu_drain_pasid_prq, prq_event_thread,
    submit_work
x86/iommu.py
    intel_pasid_setup_first_level, intel_pasid_tear_down_entry, iommu_alloc_global_pasid, iommu_free_global_pasid, pasid_entry,
    pasid_entry_maps
linux/exit.py
    deactivate_mm, do_exit, do_task_dead, exit_files, exit_mm, exit_notify, exit_program, exit_thread, forget_program,
    release_task, somebody_is_dead, sys_exit, sys_wait4, wait_for_child
linux/fpu.py
    __cpu_invalidate_fpregs_state, __fpu_invalidate_fpregs_state, fpregs_activate, fpregs_assert_state_consistent,
    fpregs_deactivate, fpregs_lock, fpregs_lock_and_load, fpregs_mark_activate, fpregs_restore_userregs, fpregs_state_valid,
    fpregs_unlock, fpstate_reset, fpu__clear_user_states, fpu__drop, fpu_clone, fpu_flush_thread, fpu_idle_fpregs,
    fpu_reset_fpregs, fpu_sync_fpstate, get_xsave_addr, init_user_regs, irq_fpu_usable, kernel_fpu_begin, kernel_fpu_end,
    reset_header, restore_fpregs_from_fpstate, save_fpregs_to_fpstate, switch_fpu_finish, switch_fpu_prepare, switch_fpu_return,
    test_need_fpu_load, use_kernel_fpu, xfeatures_mask_supervisor
linux/idle.py
    intel_idle, kthread_unuse_mm, kthread_use_mm, runs_no_task
linux/initial.py
    NOT_THERE, OTHER_PROCESS, THREAD, bind_from_the_start, boot, hold_bond_at_boot, join, new_process, populate_at_boot,
    run_in_user_mode
linux/interrupts.py
    hardirq_uses_fpu, softirq_uses_fpu
linux/kvm.py
    fpu_swap_kvm_fpstate, guest_runs, kvm_arch_vcpu_ioctl_run, kvm_run, vcpu_enter_guest
linux/locks.py
    do_raw_spin_lock, do_raw_spin_trylock, do_raw_spin_unlock, is_kthread, lockdep_assert_irqs_disabled,
    lockdep_assert_irqs_enabled, might_sleep, mutex_lock_sva, mutex_unlock_sva, rcu_read_lock, rcu_read_unlock, rcu_sleep_check,
    warn_on_once
linux/mm.py
    atomic_dec_and_test_mm_users, intel_mm_release, mm_init, mm_is_free, mm_pasid_drop, mmdrop, mmget, mmgrab, mmput
linux/process.py
    alloc_task, clone_thread, copy_files, copy_process, copy_to_new_process, copy_to_new_thread, do_close_on_exec, dup_mm,
    dup_task_struct, exec_mmap, exec_program, flush_thread, fork_process, is_last_thread, kernel_clone, new_program,
    ret_from_fork, sys_clone, sys_execve, sys_fork, wake_up_new_task
linux/crypto.py
    begin_computing, end_computing, read_alg_socket, skcipher_recvmsg
linux/ptrace.py
    fpu_force_restore, freeze_traced, ptrace_setregset, ptrace_stop, set_user_components, somebody_is_traced, stop_for_tracer,
    sys_ptrace, unfreeze_traced, xstateregs_get
linux/random.py
    add_device_randomness, add_latent_entropy, blake2s_compress
linux/sched.py
    may_run_here, pick_next_task, schedule, set_current, work_is_waiting
linux/signal.py
    BAD_FRAME, FAST_PATH, PAGE_FAULT, RESTORED, SLOW_PATH, __fpu_restore_sig, arch_do_signal_or_restart, copy_fpstate_to_sigframe,
    copy_from_user_sigframe, copy_sigframe_from_user_to_xstate, copy_uabi_to_xstate, fault_in_user_page, force_sig_segv,
    lose_frame, pop_frame, push_frame, restore_fpregs_from_user, restore_sigcontext, restore_slow_path, rt_sigreturn,
    sys_rt_sigreturn, xrstor_from_user_sigframe, xsave_to_user, xsave_to_user_sigframe
linux/sva.py
    attach_device_pasid, close_device, context_mm, context_pasid, detach_device_pasid, drop_file, free_file, idxd_cdev_mmap,
    idxd_cdev_open, idxd_cdev_release, idxd_cdev_write, idxd_submit_user_descriptor, install_file, iommu_alloc_mm_data,
    iommu_sva_bind_device, iommu_sva_unbind_device, map_device, map_portal, new_file, open_device, pasid_bound, pasid_unbound,
    sys_close, sys_mmap, uninstall_file, write_descriptor, write_device
linux/tracepoints.py
    trace_call_copy_fpstate_to_sigframe, trace_call_fpregs_lock_and_load, trace_call_fpregs_mark_activate,
    trace_call_fpu__clear_user_states, trace_call_fpu__drop, trace_call_fpu__restore_sig, trace_call_fpu_clone,
    trace_call_fpu_flush_thread, trace_call_fpu_swap_kvm_fpstate, trace_call_fpu_sync_fpstate, trace_call_kernel_fpu_begin_mask,
    trace_call_kernel_fpu_end, trace_call_switch_fpu_return, trace_kvm_fpu, trace_sched_process_exec, trace_sched_process_exit,
    trace_sched_process_fork, trace_sched_process_wait, trace_sched_switch, trace_signal_deliver, trace_sys_enter_rt_sigreturn,
    trace_x86_fpu_after_save, trace_x86_fpu_before_save, trace_x86_fpu_copy_dst, trace_x86_fpu_dropped,
    trace_x86_fpu_regs_activated, trace_x86_fpu_regs_deactivated
linux/traps.py
    arch_exit_to_user_mode_prepare, exc_general_protection, exit_to_user_mode_loop, exit_to_user_mode_prepare,
    exit_to_user_mode_work, gp_user_force_sig_segv, mm_valid_pasid, need_resched, return_from_syscall, task_work_run,
    try_fixup_enqcmd_gp
"""

# ruff: noqa: I001, RUF022
from __future__ import annotations

from pasidlab.model.ambient import (
    current, this_cpu,
)
from pasidlab.model.linux.crypto import (
    begin_computing, end_computing, read_alg_socket, skcipher_recvmsg,
)
from pasidlab.model.linux.exit import (
    deactivate_mm, do_exit, do_task_dead, exit_files, exit_mm, exit_notify, exit_program, exit_thread, forget_program,
    release_task, somebody_is_dead, sys_exit, sys_wait4, wait_for_child,
)
from pasidlab.model.linux.fpu import (
    __cpu_invalidate_fpregs_state, __fpu_invalidate_fpregs_state, fpregs_activate, fpregs_assert_state_consistent,
    fpregs_deactivate, fpregs_lock, fpregs_lock_and_load, fpregs_mark_activate, fpregs_restore_userregs, fpregs_state_valid,
    fpregs_unlock, fpstate_reset, fpu__clear_user_states, fpu__drop, fpu_clone, fpu_flush_thread, fpu_idle_fpregs,
    fpu_reset_fpregs, fpu_sync_fpstate, get_xsave_addr, init_user_regs, irq_fpu_usable, kernel_fpu_begin, kernel_fpu_end,
    reset_header, restore_fpregs_from_fpstate, save_fpregs_to_fpstate, switch_fpu_finish, switch_fpu_prepare, switch_fpu_return,
    test_need_fpu_load, use_kernel_fpu, xfeatures_mask_supervisor,
)
from pasidlab.model.linux.idle import (
    intel_idle, kthread_unuse_mm, kthread_use_mm, runs_no_task,
)
from pasidlab.model.linux.initial import (
    NOT_THERE, OTHER_PROCESS, THREAD, bind_from_the_start, boot, hold_bond_at_boot, join, new_process, populate_at_boot,
    run_in_user_mode,
)
from pasidlab.model.linux.interrupts import (
    hardirq_uses_fpu, softirq_uses_fpu,
)
from pasidlab.model.linux.kvm import (
    fpu_swap_kvm_fpstate, guest_runs, kvm_arch_vcpu_ioctl_run, kvm_run, vcpu_enter_guest,
)
from pasidlab.model.linux.locks import (
    do_raw_spin_lock, do_raw_spin_trylock, do_raw_spin_unlock, is_kthread, lockdep_assert_irqs_disabled,
    lockdep_assert_irqs_enabled, might_sleep, mutex_lock_sva, mutex_unlock_sva, rcu_read_lock, rcu_read_unlock, rcu_sleep_check,
    warn_on_once,
)
from pasidlab.model.linux.mm import (
    atomic_dec_and_test_mm_users, intel_mm_release, mm_init, mm_is_free, mm_pasid_drop, mmdrop, mmget, mmgrab, mmput,
)
from pasidlab.model.linux.process import (
    alloc_task, clone_thread, copy_files, copy_process, copy_to_new_process, copy_to_new_thread, do_close_on_exec, dup_mm,
    dup_task_struct, exec_mmap, exec_program, flush_thread, fork_process, is_last_thread, kernel_clone, new_program,
    ret_from_fork, sys_clone, sys_execve, sys_fork, wake_up_new_task,
)
from pasidlab.model.linux.ptrace import (
    fpu_force_restore, freeze_traced, ptrace_setregset, ptrace_stop, set_user_components, somebody_is_traced, stop_for_tracer,
    sys_ptrace, unfreeze_traced, xstateregs_get,
)
from pasidlab.model.linux.random import (
    add_device_randomness, add_latent_entropy, blake2s_compress,
)
from pasidlab.model.linux.sched import (
    may_run_here, pick_next_task, schedule, set_current, work_is_waiting,
)
from pasidlab.model.linux.signal import (
    BAD_FRAME, FAST_PATH, PAGE_FAULT, RESTORED, SLOW_PATH, __fpu_restore_sig, arch_do_signal_or_restart, copy_fpstate_to_sigframe,
    copy_from_user_sigframe, copy_sigframe_from_user_to_xstate, copy_uabi_to_xstate, fault_in_user_page, force_sig_segv,
    lose_frame, pop_frame, push_frame, restore_fpregs_from_user, restore_sigcontext, restore_slow_path, rt_sigreturn,
    sys_rt_sigreturn, xrstor_from_user_sigframe, xsave_to_user, xsave_to_user_sigframe,
)
from pasidlab.model.linux.sva import (
    attach_device_pasid, close_device, context_mm, context_pasid, detach_device_pasid, drop_file, free_file, idxd_cdev_mmap,
    idxd_cdev_open, idxd_cdev_release, idxd_cdev_write, idxd_submit_user_descriptor, install_file, iommu_alloc_mm_data,
    iommu_sva_bind_device, iommu_sva_unbind_device, map_device, map_portal, new_file, open_device, pasid_bound, pasid_unbound,
    sys_close, sys_mmap, uninstall_file, write_descriptor, write_device,
)
from pasidlab.model.linux.tracepoints import (
    trace_call_copy_fpstate_to_sigframe, trace_call_fpregs_lock_and_load, trace_call_fpregs_mark_activate,
    trace_call_fpu__clear_user_states, trace_call_fpu__drop, trace_call_fpu__restore_sig, trace_call_fpu_clone,
    trace_call_fpu_flush_thread, trace_call_fpu_swap_kvm_fpstate, trace_call_fpu_sync_fpstate, trace_call_kernel_fpu_begin_mask,
    trace_call_kernel_fpu_end, trace_call_switch_fpu_return, trace_kvm_fpu, trace_sched_process_exec, trace_sched_process_exit,
    trace_sched_process_fork, trace_sched_process_wait, trace_sched_switch, trace_signal_deliver, trace_sys_enter_rt_sigreturn,
    trace_x86_fpu_after_save, trace_x86_fpu_before_save, trace_x86_fpu_copy_dst, trace_x86_fpu_dropped,
    trace_x86_fpu_regs_activated, trace_x86_fpu_regs_deactivated,
)
from pasidlab.model.linux.traps import (
    arch_exit_to_user_mode_prepare, exc_general_protection, exit_to_user_mode_loop, exit_to_user_mode_prepare,
    exit_to_user_mode_work, gp_user_force_sig_segv, mm_valid_pasid, need_resched, return_from_syscall, task_work_run,
    try_fixup_enqcmd_gp,
)
from pasidlab.model.state import (
    BondCount, BottomHalves, CPUS, Cpu, FaultCount, File, INIT, KERNEL_DATA, Locks, MMS, MSR_IA32_PASID_VALID, Mm, PASIDS,
    PASID_NUMBERS, PasidEntry, PasidMsr, PasidNumber, SpinLock, TASKS, TASK_DEAD, TASK_RUNNING, TASK_TRACED, Task, TaskState,
    USER_DATA, UserComponent, UserCount, locks,
)
from pasidlab.model.x86.cpu import (
    MSR_IA32_PASID_MASK, XFEATURE_MASK_FPSTATE, XFEATURE_MASK_PASID, XFEATURE_MASK_USER, rdmsr_pasid, wrmsr_pasid, xrstors,
    xsaves,
)
from pasidlab.model.x86.device import (
    device_access, device_complete, device_page_request, idxd_device_drain_pasid, intel_iommu_drain_pasid_prq, prq_event_thread,
    submit_work,
)
from pasidlab.model.x86.enqcmd import (
    enqcmd, pasid_in_table, privileged_instruction, use_fpu,
)
from pasidlab.model.x86.iommu import (
    intel_pasid_setup_first_level, intel_pasid_tear_down_entry, iommu_alloc_global_pasid, iommu_free_global_pasid, pasid_entry,
    pasid_entry_maps,
)

__all__ = [
    "BAD_FRAME", "BondCount", "BottomHalves", "CPUS", "Cpu", "FAST_PATH", "FaultCount", "File", "INIT", "KERNEL_DATA", "Locks",
    "MMS", "MSR_IA32_PASID_MASK", "MSR_IA32_PASID_VALID", "Mm", "NOT_THERE", "OTHER_PROCESS", "PAGE_FAULT", "PASIDS",
    "PASID_NUMBERS", "PasidEntry", "PasidMsr", "PasidNumber", "RESTORED", "SLOW_PATH", "SpinLock", "TASKS", "TASK_DEAD",
    "TASK_RUNNING", "TASK_TRACED", "THREAD", "Task", "TaskState", "USER_DATA", "UserComponent", "UserCount",
    "XFEATURE_MASK_FPSTATE", "XFEATURE_MASK_PASID", "XFEATURE_MASK_USER", "__cpu_invalidate_fpregs_state",
    "__fpu_invalidate_fpregs_state", "__fpu_restore_sig", "add_device_randomness", "add_latent_entropy", "alloc_task",
    "arch_do_signal_or_restart", "arch_exit_to_user_mode_prepare", "atomic_dec_and_test_mm_users", "attach_device_pasid",
    "begin_computing", "bind_from_the_start", "blake2s_compress", "boot", "clone_thread", "close_device", "context_mm",
    "context_pasid", "copy_files", "copy_fpstate_to_sigframe", "copy_from_user_sigframe", "copy_process",
    "copy_sigframe_from_user_to_xstate", "copy_to_new_process", "copy_to_new_thread", "copy_uabi_to_xstate", "current",
    "deactivate_mm", "detach_device_pasid", "device_access", "device_complete", "device_page_request", "do_close_on_exec",
    "do_exit", "do_raw_spin_lock", "do_raw_spin_trylock", "do_raw_spin_unlock", "do_task_dead", "drop_file", "dup_mm",
    "dup_task_struct", "end_computing", "enqcmd", "exc_general_protection", "exec_mmap", "exec_program", "exit_files", "exit_mm",
    "exit_notify", "exit_program", "exit_thread", "exit_to_user_mode_loop", "exit_to_user_mode_prepare", "exit_to_user_mode_work",
    "fault_in_user_page", "flush_thread", "force_sig_segv", "forget_program", "fork_process", "fpregs_activate",
    "fpregs_assert_state_consistent", "fpregs_deactivate", "fpregs_lock", "fpregs_lock_and_load", "fpregs_mark_activate",
    "fpregs_restore_userregs", "fpregs_state_valid", "fpregs_unlock", "fpstate_reset", "fpu__clear_user_states", "fpu__drop",
    "fpu_clone", "fpu_flush_thread", "fpu_force_restore", "fpu_idle_fpregs", "fpu_reset_fpregs", "fpu_swap_kvm_fpstate",
    "fpu_sync_fpstate", "free_file", "freeze_traced", "get_xsave_addr", "gp_user_force_sig_segv", "guest_runs",
    "hardirq_uses_fpu", "hold_bond_at_boot", "idxd_cdev_mmap", "idxd_cdev_open", "idxd_cdev_release", "idxd_cdev_write",
    "idxd_device_drain_pasid", "idxd_submit_user_descriptor", "init_user_regs", "install_file", "intel_idle",
    "intel_iommu_drain_pasid_prq", "intel_mm_release", "intel_pasid_setup_first_level", "intel_pasid_tear_down_entry",
    "iommu_alloc_global_pasid", "iommu_alloc_mm_data", "iommu_free_global_pasid", "iommu_sva_bind_device",
    "iommu_sva_unbind_device", "irq_fpu_usable", "is_kthread", "is_last_thread", "join", "kernel_clone", "kernel_fpu_begin",
    "kernel_fpu_end", "kthread_unuse_mm", "kthread_use_mm", "kvm_arch_vcpu_ioctl_run", "kvm_run", "lockdep_assert_irqs_disabled",
    "lockdep_assert_irqs_enabled", "locks", "lose_frame", "map_device", "map_portal", "may_run_here", "might_sleep", "mm_init",
    "mm_is_free", "mm_pasid_drop", "mm_valid_pasid", "mmdrop", "mmget", "mmgrab", "mmput", "mutex_lock_sva", "mutex_unlock_sva",
    "need_resched", "new_file", "new_process", "new_program", "open_device", "pasid_bound", "pasid_entry", "pasid_entry_maps",
    "pasid_in_table", "pasid_unbound", "pick_next_task", "pop_frame", "populate_at_boot", "privileged_instruction",
    "prq_event_thread", "ptrace_setregset", "ptrace_stop", "push_frame", "rcu_read_lock", "rcu_read_unlock", "rcu_sleep_check",
    "rdmsr_pasid", "read_alg_socket", "release_task", "reset_header", "restore_fpregs_from_fpstate", "restore_fpregs_from_user",
    "restore_sigcontext", "restore_slow_path", "ret_from_fork", "return_from_syscall", "rt_sigreturn", "run_in_user_mode",
    "runs_no_task", "save_fpregs_to_fpstate", "schedule", "set_current", "set_user_components", "skcipher_recvmsg",
    "softirq_uses_fpu", "somebody_is_dead", "somebody_is_traced", "stop_for_tracer", "submit_work", "switch_fpu_finish",
    "switch_fpu_prepare", "switch_fpu_return", "sys_clone", "sys_close", "sys_execve", "sys_exit", "sys_fork", "sys_mmap",
    "sys_ptrace", "sys_rt_sigreturn", "sys_wait4", "task_work_run", "test_need_fpu_load", "this_cpu",
    "trace_call_copy_fpstate_to_sigframe", "trace_call_fpregs_lock_and_load", "trace_call_fpregs_mark_activate",
    "trace_call_fpu__clear_user_states", "trace_call_fpu__drop", "trace_call_fpu__restore_sig", "trace_call_fpu_clone",
    "trace_call_fpu_flush_thread", "trace_call_fpu_swap_kvm_fpstate", "trace_call_fpu_sync_fpstate",
    "trace_call_kernel_fpu_begin_mask", "trace_call_kernel_fpu_end", "trace_call_switch_fpu_return", "trace_kvm_fpu",
    "trace_sched_process_exec", "trace_sched_process_exit", "trace_sched_process_fork", "trace_sched_process_wait",
    "trace_sched_switch", "trace_signal_deliver", "trace_sys_enter_rt_sigreturn", "trace_x86_fpu_after_save",
    "trace_x86_fpu_before_save", "trace_x86_fpu_copy_dst", "trace_x86_fpu_dropped", "trace_x86_fpu_regs_activated",
    "trace_x86_fpu_regs_deactivated", "try_fixup_enqcmd_gp", "unfreeze_traced", "uninstall_file", "use_fpu", "use_kernel_fpu",
    "vcpu_enter_guest", "wait_for_child", "wake_up_new_task", "warn_on_once", "work_is_waiting", "write_descriptor",
    "write_device", "wrmsr_pasid", "xfeatures_mask_supervisor", "xrstor_from_user_sigframe", "xrstors", "xsave_to_user",
    "xsave_to_user_sigframe", "xsaves", "xstateregs_get",
]
