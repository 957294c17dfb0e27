"""``check --simulate``: exit codes, every format, replay, and what is refused."""

from __future__ import annotations

import json

import jsonschema
import pytest

from harness import pasidlab
from pasidlab.report.schema import schema_text

SMALL = ["--tasks", "1", "--mms", "1", "--events", "preempt,migrate,softirq", "--jobs", "1"]


def test_what_is_broken_is_found_told_and_made_again(tmp_path) -> None:
    files = [tmp_path / f"found.{suffix}" for suffix in ("json", "html", "sarif", "xml", "md", "mail")]
    done = pasidlab("check", "late-either", *SMALL, "--simulate", 60, "--seed", 3, *(word for file in files for word in ("-o", file)))
    assert done.returncode == 1, done.stderr
    assert "coherent: counterexample, 12 steps; there may be shorter ones" in done.stdout
    assert "random walks from seed 3" in done.stdout and "shortest counterexample" not in done.stdout
    assert "broken (steps of the counterexample found)" in done.stdout
    document = json.loads(files[0].read_text())
    jsonschema.validate(document, json.loads(schema_text("check")))
    (result,) = document["results"]
    assert (result["verdict"], result["states"], result["parts"][0]["reason"]) == ("violated", 0, "simulated")
    assert result["parts"][0]["walks"]["seed"] == 3 and not any(c["shortest"] for c in result["counterexamples"])
    for file in files[1:]:
        assert "VIOLATED" in file.read_text(), file
    again = pasidlab("replay", files[0])
    assert again.returncode == 1 and "counterexample, 20 steps; there may be shorter ones" in again.stdout


def test_what_holds_is_inconclusive() -> None:
    done = pasidlab("check", "early-read", *SMALL, "--simulate", 0.3)
    assert done.returncode == 3
    assert "early-read: inconclusive" in done.stdout and "random walks prove nothing" in done.stdout
    assert "holds" not in done.stdout.replace("holds_pasid", "")


def test_the_same_command_prints_the_same() -> None:
    first, again = (pasidlab("check", "late-either", *SMALL, "--simulate", 60, "--seed", 4, "--json") for _ in range(2))
    documents = [json.loads(done.stdout)["results"][0] for done in (first, again)]
    for document in documents:
        del document["seconds"], document["parts"][0]["seconds"]
    assert documents[0] == documents[1] and documents[0]["counterexamples"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--seed 3", "--seed is for random walks"),
        ("--simulate nan", "--simulate nan is not a number of seconds"),
        ("--simulate 0", "0 is not in the range"),
        ("--simulate many", "many"),
        ("--simulate 1 --seed -1", "-1 is not in the range"),
        ("--simulate 1 --max-states 5", "--max-states is for a search"),
        ("--simulate 1 --max-memory 5M", "--max-memory is for a search"),
        ("--simulate 1 --evidence", "--evidence is for a search"),
    ],
)
def test_what_is_refused(words: str, said: str) -> None:
    done = pasidlab("check", "early", *words.split())
    assert done.returncode == 2 and said in done.stderr and not done.stdout
