"""mmput(): the PASID was dropped with the last user, but a device may hold the address space beyond that."""

from __future__ import annotations

from pasidlab.kernel import Mm, atomic_dec_and_test_mm_users, intel_mm_release, mm_pasid_drop, mmdrop


def mmput(mm: Mm) -> None:
    """mm_pasid_drop() in __mmput(), v5.18-rc1 to rc5."""
    if atomic_dec_and_test_mm_users(mm):
        mm.portal = False
        intel_mm_release(mm)
        if mm.pasid != 0:
            mm_pasid_drop(mm)
        mmdrop(mm)


def fixed_mmput(mm: Mm) -> None:
    """mm_pasid_drop() in __mmdrop()."""
    if atomic_dec_and_test_mm_users(mm):
        mm.portal = False
        intel_mm_release(mm)
        mmdrop(mm)
