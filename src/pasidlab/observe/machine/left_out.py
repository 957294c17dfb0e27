"""What nobody looks at here: contents of registers, address spaces and files. These functions take the place of the model's.

In the modelling language, read and not run.
"""

from __future__ import annotations

from pasidlab.lang.declare import choose, happens, instruction
from pasidlab.model.ambient import current
from pasidlab.model.linux.signal import BAD_FRAME, RESTORED
from pasidlab.model.state import Task


@instruction
def xsaves(task: Task, rfbm: int) -> None:
    """XSAVES."""


@instruction
def xrstors(task: Task, rfbm: int) -> None:
    """XRSTORS."""


@instruction
def use_kernel_fpu() -> None:
    """Contents."""


@instruction
def init_user_regs() -> None:
    """Contents."""


@instruction
def reset_header(task: Task) -> None:
    """Contents."""


@instruction
def copy_uabi_to_xstate(task: Task, value: int) -> None:
    """Contents."""


@instruction
def xsave_to_user_sigframe() -> None:
    """Contents."""


@instruction
def xrstor_from_user_sigframe() -> int:
    """XRSTOR from the frame, which may be bad or not there."""
    return choose(RESTORED, BAD_FRAME + 1) if happens("fault") else RESTORED


@instruction
def push_frame() -> None:
    """The frame."""


@instruction
def pop_frame() -> None:
    """The frame."""


@instruction
def lose_frame() -> None:
    """The frame."""


@instruction
def guest_runs() -> None:
    """Contents."""


@instruction
def dup_task_struct(child: Task) -> None:
    """arch_dup_task_struct()."""
    child.last_cpu = current.last_cpu
    child.need_fpu_load = current.need_fpu_load


def fpstate_reset(task: Task) -> None:
    """Which fpstate is in use makes no difference here."""


def copy_files(child: Task) -> None:
    """Files."""


def forget_program() -> None:
    """What the program was doing."""


def exit_mm() -> None:
    """Address spaces."""


def exit_files() -> None:
    """Files."""
