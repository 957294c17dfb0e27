"""The tracer beside which ``bench run`` measures."""

from __future__ import annotations

import os

import pytest

from pasidlab.live import benchtracer

pytestmark = pytest.mark.needs_run


def test_every_submission_is_stepped_over_and_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    before, cpus = os.listdir("/proc/self/fd"), os.sched_getaffinity(0)
    assert 1 < benchtracer.microseconds(50) < 1e5
    assert (os.listdir("/proc/self/fd"), os.sched_getaffinity(0)) == (before, cpus)
    end = os._exit
    monkeypatch.setattr(os, "_exit", lambda code: end(3))
    with pytest.raises(OSError, match="wait status 0x300"):
        benchtracer.microseconds(50)
