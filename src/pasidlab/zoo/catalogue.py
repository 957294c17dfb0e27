"""The historical bugs: what each is, which commit fixed it, and the scope in which it shows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pasidlab.model.scope import Scope

BUGS = Path(__file__).parent / "bugs"
MUTANT = "mutant"
"""Stands where the fix does, of a bug that nobody had to fix."""


@dataclass(frozen=True)
class Bug:
    """One bug. ``file`` holds the buggy function and its fixed twin; ``reason`` says why there is none.

    ``fix`` is the mainline commit that repaired it, with the release; ``mechanism`` says in two sentences what happens.
    """

    name: str
    fix: str
    mechanism: str
    breaks: str = ""
    file: str = ""
    base: str = "early"
    cpus: int = 2
    tasks: int = 1
    mms: int = 1
    events: str = ""
    reason: str = ""

    @property
    def mutant(self) -> bool:
        """True for a bug that was in no release and on no list, but is easy to make."""
        return self.fix == MUTANT

    @property
    def scope(self) -> Scope:
        """What the bug needs."""
        return Scope(cpus=self.cpus, tasks=self.tasks, mms=self.mms, pasids=self.mms, events=frozenset(self.events.split()))

    @property
    def path(self) -> Path:
        """The file of the bug."""
        return BUGS / self.file


CATALOGUE: tuple[Bug, ...] = (
    Bug(
        "owner-read-once", "59c4bd853abc (v5.4)",
        "fpu_fpregs_owner_ctx was read with a 'stable' accessor, so the compiler kept one CPU's value over retries of the signal frame. "
        "After preemption and somebody else's use of the FPU the stale owner made stale registers pass for the task's.",
        "isolated", "owner_read_once.py", cpus=1, tasks=2, mms=2, events="preempt signal fault",
    ),
    Bug(
        "irq-fpu-usable", "59f5ede3bc0f (v5.18)",
        "A hard interrupt that hit an fpregs_lock() section was told that it may use the FPU. "
        "It saves and clobbers registers between the test of TIF_NEED_FPU_LOAD and the use the section makes of the answer.",
        "preserved", "irq_fpu_usable.c", events="preempt softirq hardirq signal",
    ),
    Bug(
        "header-before-validation", "484cea4f362e (v5.13)",
        "The slow path of sigreturn copied the user's raw header into the kernel's image before it was validated. A later XRSTOR faults.",
        reason="the model's image has no reserved header bits that XRSTORS could reject",
    ),
    Bug(
        "failed-xrstor", "d8778e393afa (v5.13)",
        "XRSTOR from a bad signal frame fails after it has changed registers that pass for another task's valid copy. "
        "That task comes back, finds owner and last_cpu matching, and runs on the corrupted registers.",
        "preserved", "failed_xrstor.py", cpus=1, tasks=2, events="preempt signal fault",
    ),
    Bug(
        "partial-signal-restore", "efa165504943 (v5.13 or v5.14)",
        "Early returns out of a failing sigreturn left the FPU state half way. The frame of the SIGSEGV that follows is written from it.",
        "preserved", "partial_signal_restore.py", cpus=1, events="preempt signal fault",
    ),
    Bug(
        "init-component-skipped", "510b80a6a0f1 (v5.13)",
        "A component absent from the image (XSTATE_BV clear) was read as 'keep what is there' although it stands for the INIT value. "
        "Here: it is left out of the restore, and the registers keep what the previous task had. (The original was about PKRU.)",
        "preserved", "init_component_skipped.c", cpus=1, tasks=2, events="preempt",
    ),
    Bug(
        "supervisor-not-saved", "98265c17efa9 (v5.8)",
        "The slow path of sigreturn set TIF_NEED_FPU_LOAD without XSAVES. "
        "The supervisor states that were live are lost and a stale image is restored.",
        "preserved", "supervisor_not_saved.py", events="preempt signal",
    ),
    Bug(
        "signal-zaps-supervisor", "b860eb8dce59 (v5.8)",
        "Clearing the FPU for a signal handler reset every component. The PASID goes with it, while the flag says that the task has it.",
        "preserved", "signal_zaps_supervisor.c", events="preempt signal",
    ),
    Bug(
        "eager-ipi", "9bfecd058339 (v5.13)",
        "update_pasid() by IPI lands inside fpregs_lock() sections, which keep bottom halves out but not interrupts. "
        "An image is edited that is about to be overwritten, or registers are restored that were read before the edit.",
        "served", "", "eager-ipi", tasks=2, events="preempt softirq ipi bind",
    ),
    Bug(
        "write-valid-copy", "not merged (2021-09)",
        "With TIF_NEED_FPU_LOAD set and the registers still a valid copy, only the registers were written. "
        "Nothing saves them in that state: the next restore brings back the old image, and the flag forbids a second fix-up.",
        "served", "write_valid_copy.c", "late-either", events="preempt softirq",
    ),
    Bug(
        "cached-copy-survives", "not merged (2021-09)",
        "The memory image was edited but last_cpu was not reset. "
        "Back on a CPU that still holds the old registers the task takes them for its copy.",
        "served", "cached_copy_survives.c", "late-either", events="preempt migrate softirq",
    ),
    Bug(
        "fixup-after-irqs-on", "not merged (2021-09)",
        "The three-line fix-up ran after interrupts were enabled. Preemption between its tests and the WRMSR, and the MSR is written "
        "while the task's truth is in memory.",
        "served", "fixup_after_irqs_on.c", events="preempt softirq",
    ),
    Bug(
        "valid-bit-missing", "not merged (2021-09)",
        "The drafts wrote the PASID without bit 31. ENQCMD faults again, and since the flag is set the task gets SIGSEGV.",
        "served", "valid_bit_missing.c", events="preempt",
    ),
    Bug(
        "clone-foreign-registers", MUTANT,
        "fpu_clone() saves the registers although TIF_NEED_FPU_LOAD is set and another task's are loaded. "
        "The child starts with a stranger's state.",
        "preserved", "clone_foreign_registers.c", tasks=2, mms=1, events="preempt softirq clone",
    ),
    Bug(
        "pasid-inherited", "dc7507ddce59 (v5.18)",
        "The child of a fork got the parent's PASID with its registers. Its ENQCMD works on the parent's address space.",
        "refused", "pasid_inherited.c", tasks=2, mms=2, events="preempt fork",
    ),
    Bug(
        "pasid-drop-in-mmput", "2667ed10d9f0 (v5.18-rc6)",
        "exit_mm() dropped the PASID with the last user, before exit_files() released the device. "
        "The number is free, and may be another process's, while the device still works with it.",
        "no_stale", "pasid_drop_in_mmput.py", mms=2, events="preempt bind exit device",
    ),
    Bug(
        "unbind-after-drop", "06e14c36e20b (v7.0)",
        "Freeing the last SVA domain may drop the last reference of the mm. iommu_sva_unbind_device() looked at mm->iommu_mm after that.",
        "sound_kernel", "unbind_after_drop.py", mms=2, events="preempt bind exit device",
    ),
    Bug(
        "kernel-page-tables", "e37d5a2d60a3 (v6.19)",
        "The IOMMU caches kernel page-table pages that are freed and used for something else. Its walks then follow whatever is there.",
        reason="kernel page tables are not in the model",
    ),
    Bug(
        "handle-of-another-device", "6384c56c99d9 (v6.8)",
        "The SVA handle was shared between devices, so the second one got the first one's reference count.",
        reason="the model has one device",
    ),
    Bug(
        "drain-under-spinlock", "c43e1ccdebf2 and its successor (v6.13)",
        "The notifier's release drained page requests, which sleeps, under a spinlock. "
        "Now the entry is left non-present and unbinding drains.",
        "sound_kernel", "drain_under_spinlock.py", mms=2, events="preempt bind exit device",
    ),
    Bug(
        "write-from-other-mm", "8dfa57aabff6 (v6.15)",
        "A child that inherited the open file could write descriptors to it. They are submitted with the opener's PASID.",
        "isolated", "write_from_other_mm.py", tasks=2, mms=2, events="preempt fork write device",
    ),
    Bug(
        "open-error-path", "fixed in 6.12.117",
        "On the error path of idxd_cdev_open() put_device() runs the release: drain, unbind, free. "
        "The function falls through and does it a second time.",
        "sound_kernel", "open_error_path.py", mms=1, events="preempt bind unbind",
    ),
    Bug(
        "current-switched-early", "24b8a23638cb (v6.7)",
        "FPU switching in the middle of __switch_to() went by current. With current switched first it reads the incoming task's flag, "
        "and the outgoing task's registers are not saved.",
        "preserved", "current_switched_early.py", cpus=1, tasks=2, events="preempt",
    ),
    Bug(
        "begin-end-disagree", "2c340aab5485 (v7.0)",
        "kernel_fpu_begin() with interrupts on takes fpregs_lock(); kernel_fpu_end() with interrupts off does not give it back. "
        "Bottom halves stay disabled.",
        "sound_kernel", "begin_end_disagree.py", events="preempt softirq",
    ),
    Bug(
        "onlining-cpu", "2297554f01df (v6.16)",
        "irq_fpu_usable() was true on a CPU whose FPU was not initialised yet. The first user works with a stale owner.",
        reason="CPUs do not come and go in the model",
    ),
    Bug(
        "xfd-shadow", "10e4b5166df9 (v6.9)",
        "CPU hotplug reset MSR_IA32_XFD but not the kernel's shadow of it. The write was skipped and XRSTOR took #NM.",
        reason="XFD and hotplug are not in the model",
    ),
    Bug(
        "guest-xfd", "b45f72177594 (v6.19)",
        "A softirq saved a guest's state while XFD changed underneath it. XRSTORS in the host took #NM.",
        reason="XFD is not in the model",
    ),
    Bug(
        "guest-without-recheck", "e7517324 (v5.3)",
        "Preemption between loading the guest's registers and entering it sets TIF_NEED_FPU_LOAD. Entered without asking again, "
        "the guest runs on, and changes, another task's registers.",
        "preserved", "guest_without_recheck.c", cpus=1, tasks=2, events="preempt kvm",
    ),
    Bug(
        "mxcsr-of-guest", "18032b47adf1 (v6.6)",
        "A user image with reserved MXCSR bits made XRSTOR fault and left the previous value visible.",
        reason="the model's image has nothing that XRSTORS could reject",
    ),
    Bug(
        "ptrace-pkru", "4a804c4f8356 (v6.2)",
        "A tracer's PKRU was written to the image although thread.pkru is the copy that counts.",
        reason="PKRU is kept apart from xstate and is not in the model",
    ),
    Bug(
        "frame-from-image", "d9c9ce34ed5c (v5.2)",
        "When the user page faulted the signal frame was filled from the kernel's image, byte by byte. "
        "Components in INIT are not written there by XSAVES: the frame gets what an earlier save left.",
        "preserved", "frame_from_image.py", events="preempt signal fault",
    ),
    Bug(
        "clear-ipi-too-early", "dead code of v5.15",
        "Unbinding sent the clearing IPI before mm->pasid was cleared. "
        "Every CPU read the old number again and kept it, valid, after it was freed.",
        "no_stale", "clear_ipi_too_early.c", "eager-ipi", events="preempt ipi bind unbind",
    ),
    Bug(
        "dead-bytes-compared", "9bfecd058339 (v5.13)",
        "update_pasid() of v5.10 set the PASID's bit in XSTATE_BV, then gave the registers up only if the bytes behind it differed. "
        "Left over from an earlier bond they may be equal: the image has the PASID, the registers in INIT still pass for its copy.",
        "coherent", "dead_bytes_compared.c", "eager-ipi", cpus=1, events="preempt bind unbind",
    ),
    Bug(
        "clone-keeps-last-cpu", MUTANT,
        "fpu_clone() forgets last_cpu = -1, and struct fpu lies where a dead task's lay. "
        "The old owner pointer and the copied last_cpu make a stranger's registers pass for the child's.",
        "coherent", "clone_keeps_last_cpu.c", tasks=2, mms=1, events="preempt migrate clone exit",
    ),
    Bug(
        "activated-flag-inherited", "a3d29e8291b6 (v5.18)",
        "A child that inherits pasid_activated but not the PASID cannot be fixed up: its first ENQCMD is fatal. "
        "Hence the reset in dup_task_struct().",
        "served", "activated_flag_inherited.py", tasks=2, mms=1, events="preempt clone",
    ),
    Bug(
        "exec-keeps-registers", "1f69383b203e (v6.5)",
        "exec emptied the image and gave up the registers of the CPU it ran on, but left last_cpu as it was. "
        "Preempted on one CPU before that and back there after it, the new program runs on with the old registers and the old PASID.",
        "refused", "exec_keeps_registers.c", "early-read", mms=2, events="preempt migrate exec bind",
    ),
    Bug(
        "ptrace-keeps-copy", MUTANT,
        "A tracer replaces the image of a stopped task but forgets last_cpu = -1. "
        "The task comes back to its CPU and finds the old registers valid.",
        "preserved", "ptrace_keeps_copy.py", tasks=2, events="preempt ptrace",
    ),
)  # fmt: skip
"""In the order of their history; mutants are mistakes nobody has made in public yet."""
