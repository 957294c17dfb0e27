"""idxd_cdev_open(): put_device() on the error path runs the release, which unbinds and frees; then the function does it again."""

from __future__ import annotations

from pasidlab.declare import check, maybe
from pasidlab.kernel import File, current, free_file, idxd_cdev_release, install_file, iommu_sva_bind_device, new_file


def idxd_cdev_open() -> None:
    """Falls through."""
    if current.file is not None or current.mm.portal:
        return
    file = new_file()
    iommu_sva_bind_device(current.mm)
    file.pasid = current.mm.pasid
    if maybe():
        idxd_cdev_release(file)
        iommu_sva_unbind_context(file)
        return
    install_file(file)


def fixed_idxd_cdev_open() -> None:
    """The release has done it all."""
    if current.file is not None or current.mm.portal:
        return
    file = new_file()
    iommu_sva_bind_device(current.mm)
    file.pasid = current.mm.pasid
    if maybe():
        idxd_cdev_release(file)
        return
    install_file(file)


def iommu_sva_unbind_context(file: File) -> None:
    """iommu_sva_unbind_device(ctx->sva); kfree(ctx)."""
    check("sound_kernel", file.mm is not None, "idxd_user_context is used after it was freed")
    free_file(file)
