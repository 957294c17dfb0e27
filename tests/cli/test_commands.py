"""The command line: exit codes, errors without tracebacks, JSON, replay, and the README's commands."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SMALL = ["--tasks", "1", "--mms", "1", "--events", "preempt,migrate,softirq"]


def pasidlab(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "pasidlab.cli", *arguments], capture_output=True, text=True, cwd=ROOT, timeout=120)


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["check", "early", *SMALL], 0),
        (["check", "late-either", *SMALL], 1),
        (["check", "early-read", *SMALL, "--max-states", "100"], 3),
        (["designs"], 0),
        (["--help"], 0),
    ],
)
def test_exit_codes(arguments: list[str], status: int) -> None:
    assert pasidlab(*arguments).returncode == status


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check", "erly"], "error: unknown design 'erly'\n  hint: did you mean 'early'?"),
        (["check", "early", "--events", "premept"], "error: unknown event 'premept'\n  hint: did you mean 'preempt'?"),
        (["check", "early", "--property", "coherence"], "error: unknown property 'coherence'\n  hint: did you mean 'coherent'?"),
        (["check", "early", "--cpus", "9"], "error: cpus=9 is outside 1..3"),
        (["check", "early", "--max-states", "many"], "error: --max-states many is not a positive number"),
        (["check", "nowhere.py"], "error: no such file: nowhere.py"),
        (["check", "early", "-o", "found.txt"], "error: cannot write 'found.txt'"),
        (["replay", "nowhere.json"], "error: no such file: nowhere.json"),
        (["replay", "README.md"], "not JSON"),
        (["chek"], "unknown command 'chek': did you mean 'check'?"),
        (["check", "--timeout", "-1"], "Invalid value for '--timeout'"),
    ],
)
def test_bad_input_is_one_clear_error(arguments: list[str], message: str) -> None:
    done = pasidlab(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr and done.stdout == ""


def test_json_has_the_documented_shape() -> None:
    done = pasidlab("check", "early", "late-either", *SMALL, "--json")
    results = json.loads(done.stdout)["results"]
    assert [(r["design"], r["verdict"]) for r in results] == [("early", "holds"), ("late-either", "violated")]
    for result in results:
        assert {"design", "scope", "verdict", "states", "transitions", "depth", "seconds", "properties", "counterexamples"} <= result.keys()
        assert [sorted(p) for p in result["properties"]] == [["holds", "name", "reached", "steps"]] * 9
    trace = results[1]["counterexamples"][0]["trace"]
    assert len(trace) == 11
    assert {"cpu", "context", "task", "function", "file", "line", "source", "changes"} <= trace[0].keys()


def test_replay_makes_every_step_again(tmp_path: Path) -> None:
    saved = tmp_path / "found.json"
    assert pasidlab("check", "late-either", *SMALL, "-o", str(saved)).returncode == 1
    done = pasidlab("replay", str(saved), "--property", "coherent")
    assert done.returncode == 1
    assert "every step made again by the interpreter" in done.stdout and "VIOLATED coherent" in done.stdout
    document = json.loads(saved.read_text())
    document["results"][0]["counterexamples"][0]["moves"][3][0] = "no_such_rule"
    saved.write_text(json.dumps(document))
    broken = pasidlab("replay", str(saved))
    assert broken.returncode == 2 and "cannot be made again" in broken.stderr and "Traceback" not in broken.stderr


@pytest.mark.parametrize("text", ["{}", "[]", '{"results": [{"design": 1}]}', '{"results": []}', "\x00\x01"])
def test_corrupt_traces(tmp_path: Path, text: str) -> None:
    path = tmp_path / "trace.json"
    path.write_text(text)
    done = pasidlab("replay", str(path))
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and "Traceback" not in done.stderr


def test_traces_fit_in_80_columns() -> None:
    done = pasidlab("check", "late-either", *SMALL)
    trace = done.stdout[done.stdout.index("coherent: shortest") : done.stdout.index("design  ")]
    assert max(len(line) for line in trace.splitlines()) <= 80
    assert "VIOLATED coherent: TIF_NEED_FPU_LOAD is set" in trace


def test_help_is_quick() -> None:
    pasidlab("--help")
    start = time.perf_counter()
    pasidlab("--help")
    assert time.perf_counter() - start < 1.5, "0.3 s on an idle machine; this only catches a compiler being imported"


def test_the_readme_shows_what_the_tool_prints() -> None:
    readme = (ROOT / "README.md").read_text()
    block = readme[readme.index("    coherent: shortest counterexample") : readme.index("## A design of your own")]
    shown = "\n".join(line.removeprefix("    ").rstrip() for line in block.strip("\n").splitlines())
    done = pasidlab("check", "late-either", "--events", "preempt,migrate,softirq")
    assert shown.strip() in done.stdout
    code = re.search(r"```python\n(.*?)```", readme, re.DOTALL)
    assert code and code[1].strip() in (ROOT / "examples" / "mydesign.py").read_text()


def test_python_api() -> None:
    code = (
        "from pasidlab import check, Scope, designs\n"
        "print(check(designs.early, Scope(cpus=2, mms=1, pasids=1, events=frozenset({'preempt'}))).holds)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "True\n", done.stderr
