"""The command line: exit codes, JSON, replay, budgets, Ctrl-C, pipes, results in notebooks and assertions."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

from harness import LONG, pasidlab
from pasidlab.designs import BUILT_IN

ROOT = Path(__file__).parents[2]
SMALL = ["--tasks", "1", "--mms", "1", "--events", "preempt,migrate,softirq"]


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


def test_a_design_under_several_names_is_explored_once_and_that_is_told(tmp_path: Path) -> None:
    early = BUILT_IN["early"].path
    (tmp_path / "copy.py").write_bytes(early.read_bytes())
    (tmp_path / "link.py").symlink_to("copy.py")
    names = ["early", early.parent / ".." / "designs" / "early.py", "copy.py", tmp_path / "link.py"]
    done = pasidlab("check", *names, *SMALL, "--json", cwd=tmp_path)
    assert [result["design"] for result in json.loads(done.stdout)["results"]] == ["early"]
    assert done.stderr.splitlines() == [f"{name} is the same as early: explored once" for name in names[1:]]


def test_json_has_the_documented_shape() -> None:
    done = pasidlab("check", "early", "late-either", *SMALL, "--json")
    results = json.loads(done.stdout)["results"]
    assert [(r["design"], r["verdict"]) for r in results] == [("early", "holds"), ("late-either", "violated")]
    for result in results:
        assert {"design", "scope", "verdict", "states", "transitions", "depth", "seconds", "properties", "counterexamples"} <= result.keys()
        assert [sorted(p) for p in result["properties"]] == [["holds", "name", "reached", "steps", "why"]] * 9
    trace = results[1]["counterexamples"][0]["trace"]
    assert len(trace) == 12
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
    words = [sys.executable, "-X", "importtime", "-m", "pasidlab", "--help"]
    done = subprocess.run(words, capture_output=True, check=True, text=True)
    packages = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "click" in packages and not packages & {"llvmlite", "numba", "numpy", "pycparser", "z3", "jinja2"}


def test_python_api() -> None:
    code = (
        "from pasidlab import check, Scope, designs\n"
        "print(check(designs.early, Scope(cpus=2, mms=1, pasids=1, events=frozenset({'preempt'}))).holds)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "True\n", done.stderr


def interrupted(command: list[str], said: str, first: int = 3) -> str:
    """What a check prints that is interrupted in the middle of its search, its errors being ``said``.

    How long it takes to get there depends on the machine: ``first`` seconds are given, and more until it does.
    """
    for seconds in (first, 2 * first, 4 * first, 8 * first, 16 * first):
        running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        time.sleep(seconds)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
        if (running.returncode, err) == (3, said):
            return out
        assert running.returncode in (3, -signal.SIGINT), err  # where Python itself had not begun yet
    raise AssertionError(err)


def test_ctrl_c_keeps_what_was_found() -> None:
    events = "preempt,migrate,fork,clone,exit"
    large = [sys.executable, "-m", "pasidlab", "check", "early-read", "--tasks", "3", "--mms", "3", "--events", events]
    out = interrupted(large, "")
    assert re.search(r"^early-read: inconclusive$", out, re.MULTILINE)
    assert re.search(r"stopped \(interrupted\); complete to level \d+ of local steps first$", out, re.MULTILINE)


def test_ctrl_c_between_designs_keeps_the_first(capsys, monkeypatch) -> None:
    from pasidlab.checking import api
    from pasidlab.cli import main

    explore, seen = api.explored_part, []

    def once(run, built):
        seen.append(built.design.name)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return explore(run, built)

    monkeypatch.setattr(api, "explored_part", once)
    with pytest.raises(SystemExit) as end:
        main(["check", "early", "early-read", "task-work", "-q", "--jobs", "1", *SMALL])
    out, err = capsys.readouterr()
    assert end.value.code == 3 and "\nearly             holds " in out
    assert err == "not explored: early-read, task-work\n"


def test_ctrl_c_side_by_side_keeps_what_each_found() -> None:
    large = [sys.executable, "-m", "pasidlab", "check", "early-read", "task-work", "early", "--jobs", "2", "--tasks", "3"]
    large += ["--mms", "3", "--events", "preempt,migrate,fork,clone,exit"]
    out = interrupted([*large, "-q"], "not explored: early\n", 5)
    assert re.findall(r"^(\S+) +inconclusive", out, re.MULTILINE) == ["early-read", "task-work"]


def test_a_mistake_in_the_second_design_loses_nothing(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text("def try_fixup_enqcmd_gp() -> bool:\n    current.mm.pasid = 9\n    return True\n")
    done = pasidlab("check", "late-either", str(wrong), "-q", *SMALL)
    assert done.returncode == 2 and "coherent (12), served (20)" in done.stdout
    assert "9 stored to Mm.pasid" in done.stderr


@pytest.mark.parametrize(("option", "value", "reason"), [
    ("--timeout", "0.2", "timeout"), ("--max-states", "20K", "max_states"), ("--max-memory", "12M", "max_memory"),
])  # fmt: skip
def test_budgets_end_inconclusive(option: str, value: str, reason: str) -> None:
    done = pasidlab("check", "early-read", "--tasks", "2", "--jobs", "1", option, value)
    assert done.returncode == 3
    assert re.search(rf"stopped \({reason}\); (complete to level \d+ of local steps first|before the first step)\n", done.stdout)


@pytest.mark.parametrize("command", ["designs", "check late-either --tasks 1 --mms 1 --events preempt,softirq", "zoo --help"])
def test_a_reader_that_goes_away(command: str) -> None:
    words = " ".join(["exec", sys.executable, "-u", "-m", "pasidlab", command])
    done = subprocess.run(["bash", "-c", f"({words}) | head -n 1"], capture_output=True, text=True, cwd=ROOT, timeout=100)
    assert done.stderr == "" and len(done.stdout.splitlines()) == 1


@pytest.mark.parametrize("command", ["designs", "check early --tasks 1 --mms 1 --events preempt", "--help"])
def test_without_a_reader_there_is_no_verdict(command: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    words = [sys.executable, "-m", "pasidlab", *command.split()]
    done = subprocess.run(words, stdout=writer, stderr=subprocess.PIPE, text=True, cwd=ROOT, timeout=100)
    os.close(writer)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")


LONG_WORK = ["check early-read --cpus 3 -o {}/x.json", "run --json {}/x.json -- sleep 60", "run --trace {}/x -- sleep 60"]


@pytest.mark.parametrize("command", LONG_WORK)
def test_files_that_cannot_be_written_are_told_before_the_work(tmp_path: Path, command: str) -> None:
    start = time.perf_counter()
    done = pasidlab(*command.format(tmp_path / "none").split())
    assert time.perf_counter() - start < 60 and (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: cannot write {tmp_path}/none/x") and len(done.stderr.splitlines()) <= 2


def test_no_colours_and_no_progress_but_on_a_terminal() -> None:
    done = pasidlab("check", "early-read", "--timeout", "3", "-q")
    assert "\x1b" not in done.stdout + done.stderr and done.stderr == ""


def test_results_in_notebooks_and_assertions() -> None:
    from pasidlab import Scope, check, designs

    result = check(designs.late_either, Scope(tasks=1, mms=1, pasids=1, events=frozenset({"preempt", "softirq"})))
    html = result._repr_html_()
    ElementTree.fromstring(html.replace("<details open>", "<details>"))
    assert "VIOLATED</b>" in html and "coherent: 12 steps" in html and "T0 ENQCMD -&gt; #GP" in html
    assert str(result).startswith("late-either: VIOLATED") and "coherent: shortest counterexample, 12 steps" in str(result)


def test_every_line_is_in_the_json(tmp_path: Path) -> None:
    saved = tmp_path / "found.json"
    pasidlab("check", "late-either", *SMALL, "-q", "-o", str(saved))
    trace = json.loads(saved.read_text())["results"][0]["counterexamples"][0]["trace"]
    shown = pasidlab("replay", str(saved), "--property", "coherent", "--verbose").stdout
    for step in trace:
        for line in step["lines"]:
            assert {"function", "file", "line", "source"} == line.keys()
    assert "prev = current" in shown and "that only look at" not in shown
    assert any(line["source"] == "prev = current" for step in trace for line in step["lines"])


def test_every_counterexample_replays(tmp_path: Path) -> None:
    """Of all designs, the one for ever and one in C among them."""
    saved = tmp_path / "found.json"
    names = BUILT_IN if LONG else ("late-either", "late-bare", "early-read")
    found = pasidlab("check", *names, "examples/mydesign.py", "-q", "-o", str(saved), *SMALL)
    assert found.returncode == 1
    count = sum(len(r["counterexamples"]) for r in json.loads(saved.read_text())["results"])
    done = pasidlab("replay", str(saved))
    assert done.returncode == 1 and done.stdout.count("every step made again by the interpreter") == count == (7 if LONG else 5)
