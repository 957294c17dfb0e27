"""Live recordings need root, tracefs and x86_fpu events; where they are not to be had the tests are skipped, with the reason."""

import sys

import pytest
from observing import WORKLOAD, pasidlab

from pasidlab.errors import PasidlabError
from pasidlab.observe.tracefs import Tracefs


@pytest.fixture(scope="session")
def tracefs():
    """The tracefs of this machine."""
    try:
        found = Tracefs()
        with found.instance() as instance:
            if not instance.has_event("x86_fpu/x86_fpu_regs_activated"):
                pytest.skip("this kernel has no x86_fpu events")
    except PasidlabError as error:
        pytest.skip(f"no recording here: {error.what}")
    yield found
    found.close()


@pytest.fixture(scope="session")
def live(tracefs, tmp_path_factory):
    """A recording of this machine while it is busy for a second."""
    path = tmp_path_factory.mktemp("observe") / "live.rec"
    pasidlab("record", "-o", path, "--", sys.executable, WORKLOAD, "1")
    return path
