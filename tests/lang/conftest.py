"""Compiled models of these tests are kept apart from the user's, and thrown away."""

import pytest


@pytest.fixture(scope="module", autouse=True)
def cache_of_their_own(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    yield
    patch.undo()
