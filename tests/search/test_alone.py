"""The engine with a successor function of one's own: the example of docs/search.md."""

import runpy
from pathlib import Path

from pasidlab.search.breadth_first import search
from pasidlab.search.graph import path_to

EXAMPLE = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "search_alone.py"))


def explored(swapped: bool):
    return search(EXAMPLE["Peterson"](EXAMPLE["peterson"](swapped)), jobs=1)


def test_peterson_excludes():
    found = explored(swapped=False)
    assert (found.reason, found.states, found.transitions, found.depth, found.violations) == ("complete", 20, 34, 6, {})
    assert found.reached == 1


def test_peterson_with_two_lines_swapped_does_not():
    found = explored(swapped=True)
    broken = found.violations[EXAMPLE["TOGETHER"]]
    path = path_to(found, broken.state, broken.depth)
    assert (found.states, broken.steps, len(path)) == (32, 6, 7)
    first = ["idle", "asked", "asked", "asked", "asked", "waits", "critical"]
    assert [EXAMPLE["in_words"](state)[:11] for state in path] == [f"P0 {pc:8}" for pc in first]
