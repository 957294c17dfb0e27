"""What the commands print, as files in ``golden``."""

from __future__ import annotations

import pytest
from golden import ROOT, agrees, transcript

SMALL = "--tasks 1 --mms 1 --events preempt,migrate,softirq"
BOUND = "--tasks 2 --mms 1 --events softirq,ipi,bind"

COMMANDS = {
    "two_designs": [f"check early late-either {SMALL}"],
    "two_cpus": [f"check eager-ipi {BOUND} --property served"],
    "every_line": [f"check late-either {SMALL} --property coherent --verbose"],
    "kernel_c": [f"check examples/late_either.c {SMALL} --property coherent"],
    "for_ever": [f"check examples/mydesign.py {SMALL}"],
    "table": [f"check --quiet {SMALL}"],
    "budgets": [f"check early-read {SMALL} --max-states 100 --jobs 1", f"check early-read -q {SMALL} --max-memory 1K --jobs 1"],
    "designs": ["designs"],
    "zoo": ["zoo signal-zaps-supervisor"],
    "help": ["--help", "check --help", "replay --help"],
    "errors": [
        "chek",
        "check erly",
        "check early --events premept",
        "check early --property coherence",
        "check early --cpus 9",
        "check early --mms 2 --pasids 1",
        "check early --max-states many",
        "check early --timeout -1",
        "check early --jobs 0",
        "check nowhere.py",
        "check early -o found.txt",
        "check early --base late-either",
        "replay nowhere.json",
        "replay README.md",
        "zoo no-such-bug",
        "designs --jsn",
    ],
}


@pytest.fixture(autouse=True)
def in_the_project(monkeypatch, tmp_path_factory):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", "100")


@pytest.mark.parametrize("name", COMMANDS)
def test_what_is_printed(name, capsys):
    agrees(name, transcript(capsys, *COMMANDS[name]))


def test_replay(capsys, tmp_path):
    saved = tmp_path / "found.json"
    transcript(capsys, f"check late-either {SMALL} -q -o {saved}")
    agrees("replay", transcript(capsys, f"replay {saved} --property coherent").replace(str(saved), "found.json"))


MISTAKES = {
    "syntax": "def try_fixup_enqcmd_gp(:\n",
    "construct": "def try_fixup_enqcmd_gp() -> bool:\n    with current:\n        return True\n",
    "name": "def try_fixup_enqcmd_gp() -> bool:\n    return curent.pasid_activated\n",
    "field": "def try_fixup_enqcmd_gp() -> bool:\n    return current.pasid_actived\n",
    "event": "def try_fixup_enqcmd_gp() -> bool:\n    return event('premept')\n",
    "stranger": "def try_fixup_enqcmd() -> bool:\n    return True\n",
    "domain": "def try_fixup_enqcmd_gp() -> bool:\n    current.mm.pasid = 9\n    return True\n",
    "loop": "def try_fixup_enqcmd_gp() -> bool:\n    while True:\n        pass\n    return True\n",
    "recursion": "def try_fixup_enqcmd_gp() -> bool:\n    return try_fixup_enqcmd_gp()\n",
    "type": "def try_fixup_enqcmd_gp() -> bool:\n    return current.mm\n",
    "predicate": "@never('owned', 'x')\ndef f(cpu: Cpu) -> bool:\n    return cpu.fpregs_owner.need_fpu_load\n",
    "wide": "".join(
        f"@struct(count=50)\nclass B{n}:\n    x: bool = False\n\n\n@rule()\ndef g{n}(b: B{n}) -> None:\n    b.x = not b.x\n\n\n"
        for n in range(17)
    ),
}


def test_mistakes_in_a_design(capsys, tmp_path):
    for name, text in MISTAKES.items():
        (tmp_path / f"{name}.py").write_text(text)
    (tmp_path / "binary.py").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "folder.py").mkdir()
    commands = [f"check {tmp_path}/{name}.py {SMALL}" for name in [*MISTAKES, "binary", "folder"]]
    text = transcript(capsys, *commands).replace(f"{tmp_path}/", "")
    assert "Traceback" not in text and text.count("\n[2]\n") == len(commands)
    agrees("mistakes", text)
