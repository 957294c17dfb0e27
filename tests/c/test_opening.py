"""The one door for designs: what opens one goes to JSON and back, to another process, and to where its files are not."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mails import forms
from test_trees import tree

from pasidlab import PasidlabError, Scope, designs
from pasidlab.checking.model import design_model
from pasidlab.cli import main
from pasidlab.designs import Opening
from pasidlab.lang.c import link
from pasidlab.lang.text import model_text

ROOT = Path(__file__).parents[2]
SMALL = Scope(cpus=1, tasks=1, mms=1, pasids=1, events=frozenset({"preempt"}))
ELSEWHERE = """
import hashlib, json, sys
from pasidlab import Scope
from pasidlab.checking.model import design_model
from pasidlab.designs import Opening
from pasidlab.lang.text import model_text

small = Scope(cpus=1, tasks=1, mms=1, pasids=1, events=frozenset({"preempt"}))
made = {}
for name, document in json.load(sys.stdin).items():
    design = Opening.from_json(document).design()
    text = model_text(design_model(design, small))
    made[name] = [design.name, list(design.sources), hashlib.sha256(text.encode()).hexdigest()]
json.dump(made, sys.stdout)
"""
PYTHON = """from pasidlab.kernel import current


def try_fixup_enqcmd_gp() -> bool:
    return current.pasid_activated
"""


def openings(folder: Path) -> dict[str, Opening]:
    """One of each kind, with its files in a folder."""
    for name, data in forms((ROOT / "examples" / "late_either.c").read_text()).items():
        (folder / name).write_bytes(data)
    shutil.copy(ROOT / "examples" / "early.c", folder / "early.c")
    (folder / "mine.py").write_text(PYTHON)
    kernel = tree(folder)
    return {
        "built in": Opening("late-exclusive"),
        "python": Opening(str(folder / "mine.py")),
        "c": Opening(str(folder / "early.c"), config=("CONFIG_IOMMU_SVA=y",)),
        "c around python": Opening(str(folder / "early.c"), base=str(folder / "mine.py")),
        "patch": Opening(str(folder / "plain.patch")),
        "mail": Opening(str(folder / "encoded.eml")),
        "mailbox": Opening(str(folder / "series.mbox")),
        "tree": Opening("", kernel=kernel),
        "c over a tree": Opening(str(folder / "early.c"), kernel=kernel, stubs=("new_way_of_doing_it=noop",)),
    }


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    here = tmp_path / "here"
    here.mkdir()
    yield here


def test_what_opens_a_design_is_a_value(folder: Path) -> None:
    for opening in openings(folder).values():
        carried = opening.carrying(opening.design())
        for one in (opening, carried):
            again = Opening.from_json(json.loads(json.dumps(one.to_json())))
            assert again == one and hash(again) == hash(one)
        assert (carried == opening) is (opening.name == "late-exclusive")
    assert Opening("early") != Opening("early-read")


def test_another_process_opens_the_same_model_without_the_files(folder: Path, tmp_path: Path) -> None:
    import hashlib

    expected, documents = {}, {}
    kinds = openings(folder)
    for name in ("python", "mailbox", "c over a tree"):
        opening = kinds[name]
        design = opening.design()
        text = model_text(design_model(design, SMALL))
        expected[name] = [design.name, list(design.sources), hashlib.sha256(text.encode()).hexdigest()]
        documents[name] = opening.carrying(design).to_json()
    assert len({digest for _, _, digest in expected.values()}) == 3
    shutil.rmtree(folder)
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE], input=json.dumps(documents), capture_output=True, text=True, cwd=tmp_path, timeout=600
    )
    assert done.stderr == "" and json.loads(done.stdout) == expected


def test_without_texts_the_files_are_looked_for(folder: Path) -> None:
    opening = openings(folder)["python"]
    design = opening.design()
    shutil.rmtree(folder)
    with pytest.raises(PasidlabError, match="no such file"):
        opening.design()
    assert opening.carrying(design).design().text == PYTHON


def test_a_saved_counterexample_replays_where_its_files_are_not(folder: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    files = [folder / "mine.py", folder / "wrapped.eml"]
    openings(folder)
    files[0].write_text(PYTHON.replace("current.pasid_activated", "False"))
    saved = tmp_path / "found.json"
    arguments = ["--tasks", "1", "--mms", "1", "--events", "preempt,migrate,softirq", "--jobs", "1", "-q", "-o", str(saved)]
    with pytest.raises(SystemExit):
        main(["check", *map(str, files), *arguments])
    shutil.rmtree(folder)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    document = json.loads(saved.read_text())
    document["directory"] = "/nowhere"
    saved.write_text(json.dumps(document))
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        main(["replay", str(saved)])
    out = capsys.readouterr().out
    assert end.value.code == 1 and out.count("every step made again by the interpreter") == 3
    assert "VIOLATED coherent" in out and "wrmsrl(MSR_IA32_PASID, pasid_state)" in out


def test_options_are_for_c_alone(folder: Path) -> None:
    shutil.copy(ROOT / "src" / "pasidlab" / "designs" / "early.py", folder / "mine.py")
    for wrong in (Opening("early", base="early-read"), Opening(str(folder / "mine.py"), kernel="/usr")):
        with pytest.raises(PasidlabError, match="are for C files, patches and trees"):
            wrong.design()
    with pytest.raises(PasidlabError, match="unknown design 'erly'"):
        Opening("erly").design()
    assert Opening("early").design() == designs.early


def test_a_text_is_parsed_once_and_compiled_once_for_each_scope(monkeypatch) -> None:
    """And once at the opening, for the smallest scope: mistakes come before anything is explored."""
    passed: list[str] = []

    def noted(room: str, work: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *arguments: (passed.append(room), work(*arguments))[1]

    layouts = link.kernel_layouts()  # the vocabulary's own C is read once in a process
    monkeypatch.setattr(link, "parse", noted("parsed", link.parse))
    monkeypatch.setattr(link.Linker, "link", noted("compiled", link.Linker.link))
    design = Opening(str(ROOT / "examples" / "late_either.c")).design()
    assert layouts and passed == ["parsed", "compiled"]
    for tasks in (1, 2):
        design_model(design, Scope(cpus=1, tasks=tasks, mms=1, pasids=1, events=frozenset({"preempt"})))
    assert passed == ["parsed", "compiled", "compiled", "compiled"]
