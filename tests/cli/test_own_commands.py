"""Commands on a model of one's own: exit codes, every format, replay from the saved text, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from golden import ROOT, transcript

from pasidlab.checking.spin import spin_is_there
from pasidlab.checking.tlc import tlc_is_there
from pasidlab.cli import main
from pasidlab.commands.saved import read
from pasidlab.errors import PasidlabError
from pasidlab.explore.goal import shortest_way
from pasidlab.explore.walk import Walker
from pasidlab.report.schema import schema_text

MODEL = ROOT / "examples" / "models" / "tls_register.py"
SUFFIXES = ("json", "html", "sarif", "xml", "md", "mmd", "mail", "perfetto")


def code_of(*arguments: str | Path) -> int:
    """How the command ends."""
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return int(end.value.code or 0)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what a check of a copy of the model wrote; the copy is gone."""
    folder = tmp_path_factory.mktemp("own")
    copy = folder / "mine.py"
    copy.write_text(MODEL.read_text())
    outputs = [word for suffix in SUFFIXES for word in ("-o", str(folder / f"found.{suffix}"))]
    assert code_of("check", copy, "--events", "+one_sided", "-q", "--jobs", "1", *outputs) == 1
    copy.unlink()
    return folder


@pytest.mark.parametrize(("more", "code"), [([], 0), (["--events", "+one_sided"], 1), (["--max-states", "9"], 3), (["--size", "cpu=2"], 2)])
def test_exit_codes(more, code, capsys):
    assert code_of("check", MODEL, "-q", "--jobs", "1", *more) == code
    if code == 2:
        assert "unknown size 'cpu'" in capsys.readouterr().err


def test_the_json_has_its_schema(saved):
    document = json.loads((saved / "found.json").read_text())
    jsonschema.validate(document, json.loads(schema_text("check")))
    (result,) = document["results"]
    assert [p["name"] for p in result["properties"]] == ["preserved", "sound_kernel"]
    assert result["scope"] == {"scope": {"sizes": {"cpus": 2, "tasks": 2}, "events": ["one_sided"], "bounds": {}}}
    (found,) = result["counterexamples"]
    assert [step["action"] for step in found["trace"]][:2] == ["switch_in", "switch_out"] and found["trace"][2]["cpu"] == 1
    assert found["trace"][3]["changes"] == {"CPU1.register": ["0", "1"], "T0.expected": ["0", "1"]}


def test_replay_needs_nothing_but_the_file(saved, capsys):
    text = transcript(capsys, f"replay {saved / 'found.json'}")
    assert text.endswith("[1]\n") and "VIOLATED preserved: a program finds another value than it wrote." in text


def test_the_other_formats(saved):
    page = (saved / "found.html").read_text()
    assert "<h1>mine</h1>" in page and "it never happens that a program finds another value" in page
    assert '"owner": "owner", "parts": [{"cpu": "register"' in page
    sarif = json.loads((saved / "found.sarif").read_text())["runs"][0]
    assert [rule["id"] for rule in sarif["tool"]["driver"]["rules"]] == ["preserved", "sound_kernel", "not_judged"]
    assert [(r["ruleId"], r["ruleIndex"]) for r in sarif["results"]] == [("preserved", 0)]
    assert 'failures="1"' in (saved / "found.xml").read_text()
    assert all(len(line) <= 72 for line in (saved / "found.mail").read_text().splitlines() if "mine.py" not in line)
    assert "C1->>C1: 4 write(CPU1)" in (saved / "found.mmd").read_text()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"cpus": 2', '"cpus": "2"', "results[0].counterexamples[0].scope.sizes.cpus is not a whole number"),
        ('"cpus": 2', '"cpu": 2', "unknown size 'cpu'"),
        ('"one_sided"\n', '"two_sided"\n', "unknown event 'two_sided'"),
    ],
)
def test_a_damaged_document_is_told(saved, tmp_path, capsys, old, new, said):
    damaged = tmp_path / "damaged.json"
    damaged.write_text((saved / "found.json").read_text().replace(old, new))
    assert code_of("replay", damaged) == 2
    out, err = capsys.readouterr()
    assert said in err and "Traceback" not in out + err


def test_explore_walks_through_it(saved):
    (document,) = read(saved / "found.json").results
    assert document.opened is not None
    design = document.opened.design()
    walker = Walker(design, design.scope(events="+one_sided"))
    (recipe, scope), *_ = document.recipes
    assert scope == walker.scope and walker.walk(recipe.moves).path.property == "preserved"
    way = shortest_way(walker, "cpu.register and not task.saved and task.last_cpu is cpu")
    assert [step.words for step in way.path.steps] == ["switch_in(CPU0, T0)", "write(CPU0)"]


def test_where_only_a_design_will_do(tmp_path, capsys):
    from pasidlab.live.fixup import DesignFixup

    with pytest.raises(PasidlabError, match="is a model of its own, and no design"):
        DesignFixup(str(MODEL))
    fix = tmp_path / "fix.c"
    fix.write_text("bool try_fixup_enqcmd_gp(void)\n{\n\treturn false;\n}\n")
    assert code_of("check", fix, "--base", MODEL) == 2
    assert f"--base {MODEL} is no design" in capsys.readouterr().err.replace("\n", " ")


def test_a_model_beside_a_design(capsys):
    text = transcript(capsys, f"check {MODEL} early -q --events +softirq --jobs 1")
    assert "unknown event 'softirq'" in text and text.endswith("[2]\n")
    text = transcript(capsys, f"check {MODEL} early -q --size cpus=1 --size tasks=1 --jobs 1 --max-states 100")
    lines = text.splitlines()
    assert lines[1] == "scope of tls_register: cpus=1, tasks=1; no events" and lines[2].startswith("scope: 1 CPU, 1 task")


def test_a_model_without_cpus(tmp_path, capsys):
    """Steps that no CPU takes are told across the page, in every format."""
    text = (
        "from pasidlab.declare import *\nmodel()\n@struct(count=1)\nclass Lamp:\n    on: bool = False\nlamp = singleton(Lamp)\n"
        "@initial\ndef begin() -> None:\n    pass\n@rule()\ndef press() -> None:\n    reached('dark')\n    lamp.on = not lamp.on\n"
        "@never('dark', 'the lamp is on')\ndef lit() -> bool:\n    return lamp.on\n"
    )
    (tmp_path / "lamp.py").write_text(text)
    outputs = [word for suffix in SUFFIXES for word in ("-o", str(tmp_path / f"found.{suffix}"))]
    assert code_of("check", tmp_path / "lamp.py", "--jobs", "1", *outputs) == 1
    out = capsys.readouterr().out
    assert "1 press()" in out and "-> Lamp.on=1" in out
    assert "press()" in (tmp_path / "found.mmd").read_text()
    assert '"copies": false' in (tmp_path / "found.html").read_text()


def test_a_module_for_tlc_has_its_configuration_beside_it(tmp_path, capsys):
    assert code_of("export", MODEL, "--to", "tla", "-o", tmp_path / "Register.tla") == 0
    assert (tmp_path / "Register.tla").read_text().startswith("---- MODULE Register ----\n")
    assert (tmp_path / "Register.cfg").read_text().splitlines()[:3] == ["SPECIFICATION Spec", "INVARIANTS", "    TypeOK"]
    assert code_of("export", MODEL, "--to", "tla") == 0
    assert capsys.readouterr().out.startswith("---- MODULE tls_register ----\n")
    for name in ("model.txt", "two words.tla"):
        assert code_of("export", MODEL, "--to", "tla", "-o", tmp_path / name) == 2
        assert not (tmp_path / name).exists()
    assert "ends in .tla" in capsys.readouterr().err


@pytest.mark.skipif(not tlc_is_there(), reason="a JVM and tla2tools.jar are needed")
def test_tlc_agrees(capsys):
    assert code_of("export", MODEL, "--events", "+one_sided", "--to", "tla", "--compare", "--json") == 0
    (told,) = json.loads(capsys.readouterr().out)["comparisons"]
    assert (told["equal"], told["states"], told["tlc_states"], told["tlc_transitions"]) == (True, 1_449, 1_449, 4_932)
    assert [p["name"] for p in told["properties"] if not p["tlc_holds"]] == ["preserved"]


@pytest.mark.skipif(not spin_is_there(), reason="SPIN and a C compiler are needed")
def test_spin_agrees(capsys):
    assert code_of("export", MODEL, "--events", "+one_sided", "--compare", "--json") == 0
    (told,) = json.loads(capsys.readouterr().out)["comparisons"]
    assert (told["equal"], told["states"], told["spin_states"], told["spin_transitions"]) == (True, 1_449, 1_449, 4_932)
    assert [p["name"] for p in told["properties"] if not p["spin_holds"]] == ["preserved"]
