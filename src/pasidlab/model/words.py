"""How the model's steps and values are called in a trace: in the words of the kernel list."""

from __future__ import annotations

from pasidlab.lang.words import Words

_CONTENTS = dict(enumerate(("init", "user", "kernel")))  # as state.UserComponent

WORDS = Words(
    values={
        "Cpu.user_regs": _CONTENTS,
        **dict.fromkeys(("Task.image_user", "Task.guest_user", "Task.frame_user"), _CONTENTS),
        **dict.fromkeys(("Task.expected_user", "Task.guest_expected_user"), _CONTENTS),
        "Task.state": dict(enumerate(("dead", "running", "traced"))),
    },
    actions={
        "enqcmd": "ENQCMD",
        "privileged_instruction": "HLT",
        "use_fpu": "uses its registers",
        "open_device": "open(/dev/dsa/wq0.0), mmap()",
        "close_device": "munmap(), close()",
        "exec_program": "execve()",
        "fork_process": "fork()",
        "clone_thread": "pthread_create()",
        "exit_program": "exit()",
        "rt_sigreturn": "sigreturn()",
        "stop_for_tracer": "<stopped by a tracer>",
        "ptrace_setregset": "ptrace(PTRACE_GETREGSET, PTRACE_SETREGSET, PTRACE_CONT)",
        "kvm_run": "ioctl(KVM_RUN)",
        "read_alg_socket": "recvmsg() of an AF_ALG socket",
        "intel_idle": "<idle gives the FPU up>",
        "kthread_use_mm": "<kthread_use_mm()>",
        "kthread_unuse_mm": "<kthread_unuse_mm()>",
        "device_access": "device translates an address",
        "device_page_request": "device sends a page request",
        "prq_event_thread": "page request is answered",
        "device_complete": "device completes its work",
    },
    aside=frozenset({"at_enqcmd", "at_privileged", "entitled", "had_pasid", "expected_user", "guest_expected_user", "computing"}),
    signatures=False,
)
