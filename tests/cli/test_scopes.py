"""The scope that options ask for, and that a check tells first."""

from __future__ import annotations

from dataclasses import fields

import pytest

from harness import pasidlab
from pasidlab import designs
from pasidlab.cli import main
from pasidlab.commands.asked import Asked
from pasidlab.commands.scopes import scope_from, scope_lines
from pasidlab.model.scope import DEFAULT_PARTS, EVENTS, THOROUGH_PARTS, Scope


def test_events_alone_keep_the_sizes_of_part_race():
    race = DEFAULT_PARTS["race"]
    found = scope_from({}, "preempt,softirq")
    assert found == Scope(race.cpus, race.tasks, race.mms, race.pasids, frozenset({"preempt", "softirq"}))
    assert (found.cpus, found.tasks, found.mms) == (2, 2, 2)


def test_a_size_beside_the_events_and_no_option_at_all():
    assert scope_from({"tasks": 1, "mms": 1}, "preempt") == Scope(2, 1, 1, 1, frozenset({"preempt"}))
    assert scope_from({"cpus": 1}, None) == Scope(cpus=1)
    assert scope_from({}, None) is None
    (line,) = scope_lines([(designs.early, None), (designs.early_read, None)])
    assert line.startswith("scope: the default parts")


def test_thorough_parts_come_after_the_default_ones():
    assert THOROUGH_PARTS["everything"].events == frozenset(EVENTS)
    parts = designs.early_read.thorough_parts
    assert list(parts) == [*DEFAULT_PARTS, *THOROUGH_PARTS]
    (line,) = scope_lines([(designs.early_read, parts)])
    assert line == "scope: the default parts and those of --thorough (pasidlab designs lists them)"
    options = dict.fromkeys(field.name for field in fields(Asked)) | {"thorough": True, "size": ()}
    assert Asked(**options).scopes(designs.early_read) == parts
    assert Asked(**options | {"thorough": False}).scopes(designs.early_read) is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("early-read --cpus 2", "--thorough explores parts of its own"),
        ("early-read --events all", "--thorough explores parts of its own"),
        ("src/pasidlab/examples/lazyreg.py", "lazyreg is a whole model, with one scope"),
        ("--matrix none.toml", "--matrix says what is checked, and so does --thorough"),
        ("early-read --prove", "--thorough says nothing about a proof"),
    ],
)
def test_what_is_not_thorough(words, said):
    done = pasidlab("check", "--thorough", *words.split())
    assert done.returncode == 2 and f"error: {said}" in done.stderr


@pytest.mark.parametrize("more", [[], ["-q"]])
def test_the_scope_is_the_first_line(more, capsys):
    with pytest.raises(SystemExit):
        main(["check", "early-read", "--events", "preempt", "--jobs", "1", "--max-states", "50", *more])
    assert capsys.readouterr().out.splitlines()[0] == "scope: 2 CPUs, 2 tasks, 2 mms, 2 PASIDs; preempt"
