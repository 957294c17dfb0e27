"""The scope that options ask for, and that a check tells first."""

from __future__ import annotations

import pytest

from pasidlab import designs
from pasidlab.cli import main
from pasidlab.commands.scopes import scope_from, scope_lines
from pasidlab.model.scope import DEFAULT_PARTS, Scope


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


@pytest.mark.parametrize("more", [[], ["-q"]])
def test_the_scope_is_the_first_line(more, capsys):
    with pytest.raises(SystemExit):
        main(["check", "early-read", "--events", "preempt", "--jobs", "1", "--max-states", "50", *more])
    assert capsys.readouterr().out.splitlines()[0] == "scope: 2 CPUs, 2 tasks, 2 mms, 2 PASIDs; preempt"
