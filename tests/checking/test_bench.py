"""The benchmark: contenders take turns, other engines count the same states, and the tables say what was measured."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness import pasidlab
from pasidlab.checking import bench_contests, bench_peers
from pasidlab.checking.bench import Contest, Lap, Ratio, measured
from pasidlab.checking.bench_limit import hash_inserts
from pasidlab.checking.engine_run import EngineRun
from pasidlab.checking.lazyreg_minicheck import minicheck_explored, minicheck_is_there
from pasidlab.checking.lazyreg_murphi import lazyreg_murphi
from pasidlab.checking.lazyreg_promela import lazyreg_promela
from pasidlab.checking.rumur import rumur_explored, rumur_is_there, rumur_verifier
from pasidlab.checking.spin import explored, spin_is_there, verifier
from pasidlab.commands.bench import lazyreg
from pasidlab.errors import PasidlabError
from pasidlab.report import benchmark
from pasidlab.report.benchmark_plot import plotting, save_picture
from pasidlab.search.breadth_first import search

PAGE = """\
| machine | |
|---|---|
| CPUs | 2 |

Not measured: SPIN is not installed (apt-get install spin gcc).

![Seconds and bytes a state over the states, both logarithmic](x.svg)

## As models grow

model:

| contender | states | seconds | a second | bytes a state | the first is faster by |
|---|---|---|---|---|---|
| 1 task | 1,000 | 1 | 1,000 | 40.0 | - |
| 2 tasks | 8,000 | 4 | 2,000 | 40.0 | - |

## The same model in other engines

model:

| contender | states | seconds | a second | bytes a state | the first is faster by |
|---|---|---|---|---|---|
| pasidlab | 8,000 | 1 | 8,000 | 40.0 | - |
| other | 8,000 | 4 | 2,000 | 40.0 | 4 (2 to 5) |
"""
STATES, STEPS = 39_886, 137_214  # of LazyReg with two tasks on two CPUs


def turns(told: list[str], name: str, *seconds: float, states: int = 10) -> Callable[[], Lap]:
    left = iter(seconds)

    def run() -> Lap:
        told.append(name)
        return Lap(states, next(left), memory=40 * states)

    return run


def test_contenders_take_turns_and_a_ratio_is_of_the_same_round() -> None:
    told: list[str] = []
    contest = Contest("engines", "work", {"a": turns(told, "a", 1, 2, 4), "b": turns(told, "b", 3, 4, 40)})
    first, second = measured([contest], 3)
    assert told == ["a", "b"] * 3
    assert (first.ratio, first.rate, first.bytes_per_state) == (None, 5, 40)
    assert second.ratio == Ratio(3, 2, 10) and second.seconds == (3, 4, 40)
    assert second.to_json()["slower_than_the_first"] == {"times": 3, "least": 2, "most": 10}


def test_what_is_counted_for_a_time_is_compared_by_the_rate() -> None:
    contest = Contest("limit", "work", {"a": turns([], "a", 1, states=100), "b": turns([], "b", 1, states=400)}, counted="inserts")
    assert [one.ratio for one in measured([contest], 1)] == [None, Ratio(0.25, 0.25, 0.25)]


def test_sizes_of_one_contender_are_not_compared() -> None:
    contest = Contest("growth", "work", {"a": turns([], "a", 1), "b": turns([], "b", 2)}, compared=False)
    assert [one.ratio for one in measured([contest], 1)] == [None, None]


def counted_by(tmp_path: Path) -> Iterator[tuple[str, bool, Callable[[], EngineRun]]]:
    yield "SPIN", spin_is_there(), lambda: explored(verifier(lazyreg_promela(2, 2), tmp_path, "-O1", "-DBFS"))[0]
    yield "Rumur", rumur_is_there(), lambda: rumur_explored(rumur_verifier(lazyreg_murphi(2, 2), tmp_path, 1))
    yield "minicheck", minicheck_is_there(), lambda: minicheck_explored(2, 2)


@pytest.mark.parametrize("engine", ["SPIN", "Rumur", "minicheck"])
def test_other_engines_count_the_same_states_and_steps(engine: str, tmp_path: Path) -> None:
    (there, run), = ((there, run) for name, there, run in counted_by(tmp_path) if name == engine)
    if not there:
        pytest.skip(f"{engine} is not installed")
    found, ours = run(), search(lazyreg(2, 2))
    assert (ours.states, ours.transitions, ours.violations) == (STATES, STEPS, {})
    steps = {"SPIN": STEPS + 1, "Rumur": STEPS, "minicheck": 0}  # SPIN counts the start as one; minicheck counts none
    assert (found.states, found.transitions, found.errors) == (STATES, steps[engine], 0)


def test_the_limit_is_measured_with_any_number_of_threads() -> None:
    for jobs in (1, 2, 3):
        count, seconds = hash_inserts(jobs, slots_bits=12)
        assert 1 << 9 <= count <= 1 << 11 and seconds > 0


def test_the_groups_cover_what_is_promised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    contests = list(bench_contests.contests(bench_contests.QUICK, lazyreg, tmp_path))
    twice = ["growth", "engines", "kernel model"]
    assert [contest.section for contest in contests[:7]] == [*sorted(twice * 2, key=twice.index), "reductions"]
    assert {contest.section for contest in contests[7:]} == {"limit"}
    assert [one.split(" (")[0] for one in bench_peers.missing()][:2] == ["SPIN is not installed", "Rumur is not installed"]
    states = {name: run().states for name, run in contests[6].contenders.items()}
    with_all = states.pop("with all")
    assert states.pop("without merging steps") >= with_all  # local steps first leave little to merge in so small a model
    assert len(states) == 3 and all(more > with_all for more in states.values())
    (whole,), (reduced,) = ([run().states for run in contests[n].contenders.values()] for n in (4, 5))
    assert whole == 3660 and reduced < whole


def test_the_tables() -> None:
    growth = Contest("growth", "model", {"1 task": turns([], "", 1, states=1000), "2 tasks": turns([], "", 4, states=8000)}, compared=False)
    engines = Contest("engines", "model", {"pasidlab": turns([], "", 1, 1, 2, states=8000), "other": turns([], "", 2, 4, 10, states=8000)})
    found = [*measured([growth], 1), *measured([engines], 3)]
    page = benchmark.markdown({"CPUs": "2"}, found, ["SPIN is not installed (apt-get install spin gcc)"], "x.svg")
    assert page.startswith("# How fast the search is\n") and page.endswith(PAGE)
    assert benchmark.line(found[-1]).split() == ["other", "8,000", "4", "2,000", "40.0", "4", "(2", "to", "5)"]


@pytest.mark.parametrize(("name", "said"), [("x.txt", "the name ends in .md, .svg, .png or .pdf"), ("no/x.md", "no such directory")])
def test_a_file_that_cannot_be_written_is_bad_input(name: str, said: str, tmp_path: Path) -> None:
    done = pasidlab("bench", "--quick", "-o", tmp_path / name)
    assert (done.returncode, done.stdout) == (2, "") and said in done.stderr


def test_a_picture_without_the_library_is_bad_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(PasidlabError) as told:
        plotting()
    assert "pasidlab[plot]" in str(told.value.hint)


def test_a_picture_has_every_contender(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    growth = Contest("growth", "LazyReg, 1 thread", {"1": turns([], "", 1), "2": turns([], "", 2, states=90)}, compared=False)
    engines = Contest("engines", "LazyReg, 2 tasks", {"pasidlab": turns([], "", 1), "SPIN": turns([], "", 2)})
    save_picture([*measured([growth, engines], 1)], str(tmp_path / "x.svg"))
    text = (tmp_path / "x.svg").read_text(encoding="utf-8")
    assert text.count("<!-- pasidlab, LazyReg -->") == 1 and "<!-- SPIN, LazyReg -->" in text


def test_the_command_with_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    done = pasidlab("bench", "--quick", "--json")
    document = json.loads(done.stdout)
    assert done.returncode == 0 and set(document) == {"machine", "missing", "measurements"}
    first = document["measurements"][0]
    assert first["section"] == "growth" and first["states"] == 399 and len(first["seconds"]) == 1
    assert any(one["contender"] == "without symmetry" and one["slower_than_the_first"]["times"] > 0 for one in document["measurements"])
