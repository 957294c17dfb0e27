"""idxd_cdev_write(): a descriptor written to an inherited file goes out with the PASID of the process that opened it."""

from __future__ import annotations

from pasidlab.declare import check, enter, entry, reached, require, user
from pasidlab.kernel import File, current


@user(event="device")
def write_descriptor() -> None:
    """write(2) of a descriptor, where the portal may not be mapped."""
    require(not current.at_enqcmd and current.file is not None)
    enter(sys_write)


@entry("syscall")
def sys_write() -> None:
    """write(2)."""
    file = current.file
    if file is not None:
        idxd_cdev_write(file)


def idxd_cdev_write(file: File) -> None:
    """Whoever holds the file may write."""
    submit_user_descriptor(file)


def fixed_idxd_cdev_write(file: File) -> None:
    """-EPERM to any other address space."""
    if file.mm is not current.mm:
        return
    submit_user_descriptor(file)


def submit_user_descriptor(file: File) -> None:
    """ENQCMDS with ctx->pasid."""
    reached("isolated")
    check("isolated", file.mm is current.mm, "a descriptor was submitted with the PASID of another process")
