"""The documents say what the tool says: commands and their output, the verdicts, the code, the options."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from golden import ROOT, transcript, without_times

from harness import pasidlab
from pasidlab import designs

README = ROOT / "README.md"
OWN = ROOT / "docs" / "own-model.md"
COMMAND = "    $ pasidlab "


def blocks(document: Path = README) -> dict[str, list[str]]:
    """Commands of a document that show output: command -> the lines shown."""
    found: dict[str, list[str]] = {}
    for block in re.split(r"\n(?! {4}|\n)", document.read_text(encoding="utf-8")):
        lines = block[block.index(COMMAND) :].splitlines() if COMMAND in block else []
        if len(lines) > 1:
            found[lines[0].removeprefix(COMMAND)] = [line.removeprefix("    ") for line in lines[1:]]
    return found


def printed_now(shown: list[str], printed: str) -> list[str]:
    """From the line that begins like the first one shown to the line that begins like the last one shown."""
    lines = [line.rstrip() for line in printed.splitlines()]
    first = next(n for n, line in enumerate(lines) if line.split()[:1] == shown[0].split()[:1])
    last = next(n for n, line in enumerate(lines[first:], first) if line.split()[:1] == shown[-1].split()[:1])
    return lines[first : last + 1]


def agree(command: str, printed: str, document: Path = README) -> None:
    """The document shows what the command prints, but for how long it took; a first line "..." stands for what comes before."""
    shown = [line for line in blocks(document)[command] if line != "..."]
    while not shown[-1]:
        shown.pop()
    now = printed_now(shown, printed)
    if os.environ.get("PASIDLAB_PROMOTE"):
        old, new = ("".join(f"    {line}".rstrip() + "\n" for line in lines) for lines in (shown, now))
        document.write_text(document.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    else:
        assert [without_times(line) for line in shown] == [without_times(line) for line in now]


@pytest.fixture(scope="module")
def table() -> str:
    """What `pasidlab check` prints at the end. The whole table takes minutes: asked for by PASIDLAB_WHOLE_TABLE=1."""
    if not os.environ.get("PASIDLAB_WHOLE_TABLE"):
        pytest.skip("the whole table takes minutes: PASIDLAB_WHOLE_TABLE=1")
    done = subprocess.run([sys.executable, "-m", "pasidlab", "check"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1, done.stderr
    return done.stdout[done.stdout.rindex("design   ") :]


def test_the_table_of_the_readme(table):
    agree("check", table)


@pytest.mark.parametrize("command", [command for command in blocks() if command != "check"])
def test_commands_of_the_readme(command, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    text = transcript(capsys, command)
    agree(command, text[text.index("\n") + 1 :])


@pytest.mark.parametrize("command", list(blocks(OWN)))
def test_commands_of_the_tutorial(command, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    text = transcript(capsys, command)
    agree(command, text[text.index("\n") + 1 :], OWN)


def test_the_tutorial_builds_the_model_that_is_there():
    *pieces, test = re.findall(r"```python\n(.*?)```", OWN.read_text(encoding="utf-8"), re.DOTALL)
    model = (ROOT / "examples" / "models" / "tls_register.py").read_text(encoding="utf-8")
    built = "\n\n".join(piece.rstrip("\n") + "\n" for piece in pieces)
    assert model.endswith(built) and len([line for line in built.splitlines() if line.strip()]) <= 45
    exec(compile(test, str(OWN), "exec"), namespace := {})  # what stands there for a test passes
    namespace["test_my_model"]()


def test_the_design_of_ones_own():
    code = re.search(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert code and code[1].strip() in (ROOT / "examples" / "mydesign.py").read_text()
    assert len(code[1].strip().splitlines()) <= 12


def test_the_test_of_the_readme(tmp_path):
    """The example for pytest passes, and fails where it should, with the trace."""
    code = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)[1]
    (tmp_path / "test_mine.py").write_text(code)
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", str(tmp_path)], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout
    (tmp_path / "test_mine.py").write_text(code.replace("early_read", "late_either").replace("examples/mydesign.py", "late-either"))
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", str(tmp_path)], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1 and "coherent: shortest counterexample, 12 steps" in done.stdout


def test_the_story_has_the_verdicts(table):
    """docs/debate.md: each design's verdict, in these words."""
    story = re.sub(r"\s+", " ", (ROOT / "docs" / "debate.md").read_text(encoding="utf-8"))
    rows = {line.split()[0]: re.split(r" \d+\.\d  ", line)[1] for line in table.splitlines()[1:]}
    assert list(rows) == list(designs.BUILT_IN)
    missing = [f"{name}: {broken}" for name, broken in rows.items() if _verdict(name, broken) not in story]
    assert missing == []


def _verdict(name: str, broken: str) -> str:
    return f"**`{name}` holds.**" if broken == "-" else f"**`{name}` is violated: {broken}.**"


LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")


DOCUMENTS = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "docs/debate.md", "docs/dsa-programmers.md", "docs/own-model.md"]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document):
    path = ROOT / document
    for target in LINK.findall(path.read_text(encoding="utf-8")):
        assert target.startswith("http") or (path.parent / target).exists(), target


def test_every_folder_is_on_the_map():
    text = (ROOT / "ARCHITECTURE.md").read_text()
    folders = {p.name for p in (ROOT / "src" / "pasidlab").iterdir() if (p / "__init__.py").exists()} - {"examples"}
    assert {name for name in folders if f"{name}/" not in text} == set()


def test_the_json_of_a_check_is_what_the_documents_say(tmp_path):
    done = pasidlab("check", "early", "late-either", "--json", "--events", "preempt,softirq", "--tasks", "1", cwd=tmp_path)
    assert {r["design"]: r["verdict"] for r in json.loads(done.stdout)["results"]} == {"early": "holds", "late-either": "violated"}
    assert Path(json.loads(done.stdout)["results"][0]["file"]).name == "early.py"
