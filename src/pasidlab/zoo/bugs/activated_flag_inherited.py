"""dup_task_struct(): pasid_activated comes with the copy of task_struct, the register does not."""

from __future__ import annotations

from pasidlab.declare import NULL, instruction
from pasidlab.kernel import Task, current


@instruction
def dup_task_struct(child: Task) -> None:
    """The flag stays what it was in the parent."""
    copy_task_struct(child)
    child.pasid_activated = current.pasid_activated


@instruction
def fixed_dup_task_struct(child: Task) -> None:
    """The flag is reset."""
    copy_task_struct(child)
    child.pasid_activated = False


@instruction
def copy_task_struct(child: Task) -> None:
    """arch_dup_task_struct() and what it resets."""
    child.last_cpu = current.last_cpu
    child.need_fpu_load = current.need_fpu_load
    child.has_valid_pasid = False
    child.holds_pasid_ref = False
    child.pasid_work = False
    child.in_handler = current.in_handler
    child.frame_user = current.frame_user
    child.frame_at_enqcmd = current.frame_at_enqcmd
    child.expected_user = current.expected_user
    child.had_pasid = False
    child.at_enqcmd = False
    child.image_user = 0
    child.image_pasid = 0
    child.cpu = NULL
