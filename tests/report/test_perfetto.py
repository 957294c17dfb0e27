"""Counterexamples as Perfetto reads them: slices nest on each track, and every step is there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness import pasidlab

SMALL = ["--cpus", "2", "--tasks", "1", "--mms", "1", "--events", "preempt,migrate,softirq"]


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    path: Path = tmp_path_factory.mktemp("found") / "found.perfetto"
    assert pasidlab("check", "late-either", "early-read", *SMALL, "-q", "-o", path).returncode == 1
    return json.loads(path.read_text())


def tracks(document):
    found = {}
    for event in document["traceEvents"]:
        if event["ph"] != "M":
            found.setdefault((event["pid"], event["tid"]), []).append(event)
    return found


def test_slices_nest_and_time_goes_on(document):
    for events in tracks(document).values():
        depth, now = 0, 0
        for event in events:
            assert event["ts"] >= now
            now = event["ts"]
            depth += {"B": 1, "E": -1}.get(event["ph"], 0)
            assert depth >= 0
        assert depth == 0


def test_every_step_is_there_once(document):
    named = {event["pid"]: event["args"]["name"] for event in document["traceEvents"] if event.get("name") == "process_name"}
    assert sorted(named.values()) == ["late-either breaks coherent", "late-either breaks served"]
    for process, name in named.items():
        steps = sorted(e["args"]["step"] for e in document["traceEvents"] if e["ph"] == "X" and e["pid"] == process)
        assert steps == list(range(1, {"coherent": 13, "served": 21}[name.split()[-1]]))


def test_what_a_step_did_and_what_broke(document):
    told = [event["args"] for event in document["traceEvents"] if event["ph"] == "X"]
    assert any(args.get("CPU0.msr_pasid") == "0 -> V|1" and args["place"].startswith("{pasidlab}/designs/late_either.py:") for args in told)
    broken = [event for event in document["traceEvents"] if event["ph"] == "i"]
    assert [event["name"] for event in broken] == ["VIOLATED coherent", "VIOLATED served"]
    assert "TIF_NEED_FPU_LOAD" in broken[0]["args"]["sentence"]
    opened = {event["name"] for event in document["traceEvents"] if event["ph"] == "B"}
    assert {"T0", "kernel", "exc_general_protection"} <= opened


def test_a_design_that_holds_is_an_empty_trace(tmp_path):
    assert pasidlab("check", "early-read", *SMALL, "-q", "-o", tmp_path / "none.perfetto").returncode == 0
    assert json.loads((tmp_path / "none.perfetto").read_text())["traceEvents"] == []
