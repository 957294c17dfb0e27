"""``check --matrix``: every combination in one table, once more from a checkpoint, and what is wrong with a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness import LONG, pasidlab

MATRIX = """
designs = ["late-either", "early-read", "DESIGN"]

[scopes.one]
cpus = 1
tasks = 1
mms = 1
events = "preempt"

[scopes.two]
cpus = 2
tasks = 1
mms = 1
events = "preempt,migrate"
"""


@pytest.fixture
def matrix(tmp_path: Path) -> Path:
    design = tmp_path / "always.py"
    design.write_text("def try_fixup_enqcmd_gp() -> bool:\n    return True\n")
    path = tmp_path / "matrix.toml"
    path.write_text(MATRIX.replace("DESIGN", str(design)))
    return path


def test_every_combination_is_a_row(matrix: Path, tmp_path: Path) -> None:
    saved = tmp_path / "found.json"
    done = pasidlab("check", "--matrix", matrix, "--jobs", 1, "-o", saved)
    names = ("late-either", "early-read", "always")
    rows = [line.split()[:3] for line in done.stdout.splitlines() if line.startswith(names)]
    assert [tuple(row[:2]) for row in rows] == [(d, s) for d in names for s in ("one", "two")]
    assert {tuple(row[:2]): row[2] for row in rows}["early-read", "two"] == "holds" and done.returncode == 1
    scope = "--cpus 2 --tasks 1 --mms 1 --events preempt,migrate"
    alone = pasidlab("check", "late-either", "--jobs", 1, "--json", *scope.split())
    result, same = json.loads(alone.stdout)["results"][0], json.loads(saved.read_text())["results"][1]
    assert same["design"] == "late-either two"
    assert all(result[key] == same[key] for key in ("verdict", "states", "transitions", "depth", "counterexamples"))
    again = pasidlab("replay", saved, "--design", "late-either two")
    assert again.returncode == 1 and "every step made again by the interpreter" in again.stdout


@pytest.mark.skipif(not LONG, reason="PASIDLAB_LONG=1 runs it")
def test_a_checkpoint_keeps_every_row(matrix: Path, tmp_path: Path) -> None:
    first, again = (pasidlab("check", "--matrix", matrix, "--jobs", 1, "--json", "--checkpoint", tmp_path / "kept") for _ in range(2))
    for one, other in zip(*(json.loads(done.stdout)["results"] for done in (first, again)), strict=True):
        assert all(one[key] == other[key] for key in ("design", "verdict", "states", "transitions", "counterexamples"))
    assert len({path.name.rsplit("-", 1)[0] for path in (tmp_path / "kept").iterdir()}) == 6


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("designs = [", "not TOML"),
        ("", "'designs' is not a list of names"),
        ("designs = []", "'designs' is not a list of names"),
        ("designs = [3]", "'designs' is not a list of names"),
        ('designs = ["early"]\nscope = 3', "has 'scope', which means nothing"),
        ('designs = ["early"]\nscopes = 3', "'scopes' is not a table"),
        ('designs = ["early"]\n[scopes]\na = 3', "scopes.a is not a table"),
        ('designs = ["early"]\n[scopes.a]\ncpu = 3', "scopes.a has 'cpu'"),
        ('designs = ["early"]\n[scopes.a]\ncpus = "3"', "scopes.a.cpus is not a whole number"),
        ('designs = ["early"]\n[scopes.a]\ncpus = 7', "cpus=7 is outside 1..4"),
        ('designs = ["early"]\n[scopes.a]\nsize = 7', "'size' is not a table"),
        ('designs = ["early"]\n[scopes.a]\nevents = 7', "scopes.a.events is not text"),
        ('designs = ["early"]\n[configs]\na = "CONFIG_X=n"', "configs.a is not a list of options"),
        ('designs = ["early"]\n[trees]\na = 1', "trees.a is not text"),
        ('designs = ["erly"]', "erly"),
        (f"designs = [\n{'[' * 100_000}", "2: this is nested too deeply"),
        (f'designs = ["""\n[\\"""\n]"""]\nx = {"{a=" * 100_000}', "4: this is nested too deeply"),
        (f"designs = ['[']\n{'a.' * 100_000}b = 1", "2: this is nested too deeply"),
        (f"designs = []\nx = {'9' * 10_000}", "2: a number of 10000 digits"),
        (f"x = {'[' * 40}{'1.5, ' * 200}{']' * 40}", "has 'x', which means nothing"),
        ('x = "' + '\\"' * 100_000, "1: this is not TOML: Unterminated string"),
    ],
)
def test_what_is_wrong_with_a_file(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "matrix.toml"
    path.write_text(text)
    done = pasidlab("check", "--matrix", path)
    assert done.returncode == 2 and said in done.stderr and done.stderr.startswith("error: ")


@pytest.mark.parametrize("words", ["early", "--cpus 2", "--events preempt", "--kernel nowhere", "--config CONFIG_X=n"])
def test_what_a_matrix_says_is_not_said_twice(matrix: Path, words: str) -> None:
    done = pasidlab("check", "--matrix", matrix, *words.split())
    assert done.returncode == 2 and "--matrix says what is checked" in done.stderr
