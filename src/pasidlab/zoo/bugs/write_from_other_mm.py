"""idxd_cdev_write(): a descriptor written to an inherited file goes out with the PASID of the process that opened it."""

from __future__ import annotations

from pasidlab.declare import instruction
from pasidlab.kernel import current, idxd_submit_user_descriptor


@instruction
def write_descriptor() -> None:
    """Whoever holds the file may write."""
    if current.file is not None:
        idxd_submit_user_descriptor(current.file)


@instruction
def fixed_write_descriptor() -> None:
    """-EPERM to any other address space."""
    if current.file is None:
        return
    if current.mm is not current.file.mm:
        return
    idxd_submit_user_descriptor(current.file)
