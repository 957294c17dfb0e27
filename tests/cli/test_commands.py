"""The command line: exit codes, JSON, replay, budgets, Ctrl-C, pipes, results in notebooks and assertions."""

from __future__ import annotations

import json
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
    trace = done.stdout[done.stdout.index("coherent: shortest") : done.stdout.index("design   ")]
    assert max(len(line) for line in trace.splitlines()) <= 80
    assert "VIOLATED coherent: TIF_NEED_FPU_LOAD is set" in trace


def test_help_is_quick() -> None:
    pasidlab("--help")
    start = time.perf_counter()
    pasidlab("--help")
    assert time.perf_counter() - start < 1.5, "0.3 s on an idle machine; this only catches a compiler being imported"


def test_python_api() -> None:
    code = (
        "from pasidlab import check, Scope, designs\n"
        "print(check(designs.early, Scope(cpus=2, mms=1, pasids=1, events=frozenset({'preempt'}))).holds)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "True\n", done.stderr
