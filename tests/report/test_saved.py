"""Saved checks: the published schema describes them, and damage anywhere is one error line, never a traceback."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

import pytest

from pasidlab import __version__, designs
from pasidlab.checking.api import check_each
from pasidlab.cli import main
from pasidlab.commands.replay import _replayed, opened_again
from pasidlab.commands.saved import read
from pasidlab.errors import PasidlabError
from pasidlab.model.scope import Scope
from pasidlab.report.account import Account, Checked
from pasidlab.report.json import results_json
from pasidlab.report.schema import VERSIONS, schema_text
from pasidlab.search.result import Budget
from schema_check import valid

ROOT = Path(__file__).parents[2]
SMALL = "--tasks 1 --mms 1 --events preempt,migrate,softirq --jobs 1"


def run(capsys, command: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        main(command.split())
    return (int(end.value.code or 0), *capsys.readouterr())


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    saved = tmp_path_factory.mktemp("saved") / "found.json"
    with pytest.raises(SystemExit):
        main(f"check late-either early examples/late_bare.c examples/late_either.c {SMALL} -q -o {saved}".split())
    return json.loads(saved.read_text())


def test_the_schema_describes_a_check(document) -> None:
    valid(document, "check")
    assert document["tool"] == {"name": "pasidlab", "version": __version__}
    assert document["command"][:3] == ["pasidlab", "check", "late-either"]
    assert [result["verdict"] for result in document["results"]] == ["violated", "holds", "violated", "violated"]
    assert document["results"][3]["opened"]["name"] == "examples/late_either.c"


def test_the_schema_describes_what_was_stopped() -> None:
    (result,) = check_each([designs.early_read], Scope(tasks=1, mms=1, pasids=1), jobs=1, budget=Budget(max_states=300))
    told = results_json(Account((Checked(designs.early_read, result),), ("early",), "interrupted"))
    valid(told, "check")
    assert all(p["why"].startswith("a larger --max-states explores more") for p in told["results"][0]["properties"])


def test_the_schema_describes_designs_and_zoo(capsys) -> None:
    status, out, _ = run(capsys, "designs --json")
    valid(json.loads(out), "designs")
    assert status == 0 and json.loads(out)["designs"][0]["file"] == "{pasidlab}/designs/eager_ipi.py"
    for bug in ("xfd-shadow", "valid-bit-missing"):
        valid(json.loads(run(capsys, f"zoo {bug} --json")[1]), "zoo")


def test_the_command_prints_the_schemas(capsys) -> None:
    for name in VERSIONS:
        assert run(capsys, f"schema {name}") == (0, schema_text(name), "")
    assert run(capsys, "schema")[1] == schema_text("check")
    assert run(capsys, "schema nothing")[0] == 2


def test_paths_are_relative(document) -> None:
    text = json.dumps(document["results"])
    assert str(ROOT) not in text and "{pasidlab}/model/linux/" in text
    assert [r["file"] for r in document["results"]] == [
        "{pasidlab}/designs/late_either.py", "{pasidlab}/designs/early.py", "examples/late_bare.c", "examples/late_either.c",
    ]  # fmt: skip


def test_a_saved_check_replays_from_another_folder(document, tmp_path, monkeypatch, capsys) -> None:
    (tmp_path / "found.json").write_text(json.dumps(document))
    moved = {**document, "directory": str(ROOT)}
    (tmp_path / "found.json").write_text(json.dumps(moved))
    monkeypatch.chdir(tmp_path)
    status, out, _ = run(capsys, "replay found.json")
    assert status == 1 and out.count("every step made again by the interpreter") == 6


def test_a_file_that_is_named_like_a_design_is_not_that_design(tmp_path, monkeypatch, capsys) -> None:
    (tmp_path / "early.py").write_text(designs.late_either.path.read_text())
    monkeypatch.chdir(tmp_path)
    assert run(capsys, f"check early.py early {SMALL} -q -o found.json")[0] == 1
    results = json.loads((tmp_path / "found.json").read_text())["results"]
    assert [(r["file"], r["verdict"]) for r in results] == [("early.py", "violated"), ("{pasidlab}/designs/early.py", "holds")]
    status, out, _ = run(capsys, "replay found.json --property coherent")
    assert status == 1 and "VIOLATED coherent" in out


@pytest.mark.parametrize(("text", "said"), [
    ("{}", "results is missing"), ("[]", "the document is not an object"), ("null", "the document is not an object"),
    ('{"results": {}}', "results is not a list"), ('{"results": [3]}', r"results\[0\] is not an object"),
    ('{"results": []}', "holds no counterexample"), ('{"results": [{"design": 1, "counterexamples": []}]}', "design is not a string"),
    ('{"results": [{"counterexamples": null}]}', "counterexamples is not a list"), ("\x00\x01", "not JSON"), ("", "1:1: not JSON"),
    ("[" * 100_000, "not JSON"), ('{"results": ' + "9" * 5000 + "}", "not JSON"), ('{"directory": 3}', "directory is not a string"),
])  # fmt: skip
def test_what_is_no_saved_check(tmp_path, capsys, text: str, said: str) -> None:
    (tmp_path / "found.json").write_text(text)
    status, _, err = run(capsys, f"replay {tmp_path}/found.json")
    assert status == 2 and err.startswith("error: ") and "Error" not in err and len(err.splitlines()) <= 2
    assert __import__("re").search(said, err), err


WRONG: tuple[Any, ...] = (None, True, -1, 3, 10**30, 0.5, "", "no such", [], {}, [[]], {"cpus": 9}, float("inf"))


READ = ("design", "file", "opened", "counterexamples")


def for_replay(document: Any, numbers: slice) -> Any:
    """The part of the document that replay reads, of some results."""
    results = [{key: r[key] for key in READ if key in r} for r in document["results"][numbers]]
    for result in results:
        result["counterexamples"] = [{k: v for k, v in c.items() if k not in ("trace", "initial")} for c in result["counterexamples"][:1]]
    return {"directory": document["directory"], "results": results}


def places(value: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [way, *(place for key, child in inner for place in places(child, (*way, key)))]


def damaged(document: Any, way: tuple[Any, ...], value: Any) -> Any:
    made = copy.deepcopy(document)
    if not way:
        return value
    inner = made
    for key in way[:-1]:
        inner = inner[key]
    if value is WRONG:
        del inner[way[-1]]
    else:
        inner[way[-1]] = value
    return made


def test_damage_anywhere_is_an_error_for_the_reader(document, tmp_path) -> None:
    """Any value replaced or gone: the document reads, or the error names its place. Nothing else is raised."""
    random.seed(5)
    small = for_replay(document, slice(2, 4))
    path = tmp_path / "found.json"
    told = 0
    for way in places(small):
        for value in random.sample([*WRONG, WRONG], 4):
            path.write_text(json.dumps(damaged(small, way, value)))
            try:
                read(path)
            except PasidlabError as error:
                told += 1
                assert "is not" in error.what or "is missing" in error.what or "is wrong" in error.what or "has a" in error.what, error.what
                assert error.what.count("not a saved check") == 1 or ": not JSON" in error.what, error.what
    assert told > 300


def test_damage_that_reads_does_not_replay(document, tmp_path) -> None:
    """A sample of it: what is read is replayed, and either shows the violation or is an error."""
    random.seed(7)
    small = for_replay(document, slice(2, 3))
    path = tmp_path / "found.json"
    shown = refused = 0
    for way in random.sample(places(small["results"][0]["counterexamples"], ("results", 0, "counterexamples")), 25):
        path.write_text(json.dumps(damaged(small, way, random.choice(WRONG))))
        try:
            loaded = read(path)
            for saved in loaded.results:
                for asked, scope in saved.recipes:
                    _replayed(path, opened_again(saved, loaded), asked, scope)
            shown += 1
        except PasidlabError:
            refused += 1
    assert refused > 10 and shown < 15
