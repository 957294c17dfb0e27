"""``check --prove --json``: the published schema describes it, and it says what the text says."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from few import FEW

from schema_check import valid

pytest.importorskip("z3", reason="z3-solver is not installed")


def told(*words: object) -> tuple[int, dict]:
    """In a process of its own: which of several proofs the solver finds depends on what it has been asked before."""
    command = [sys.executable, "-m", "pasidlab", "check", *map(str, words), "--prove", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, json.loads(done.stdout)


def test_a_proof_and_its_queries(tmp_path):
    text = FEW.replace("many() -> bool:\n    return count.n >= LIMIT", "idle_ones(c: Cpu) -> bool:\n    return c.busy and c.runs is None")
    (tmp_path / "few.py").write_text(text)
    code, document = told(tmp_path / "few.py", "--smt", tmp_path / "proof.smt2")
    valid(document, "proof")
    assert (code, document["verdict"], document["stopped"], document["out_of_time"]) == (0, "proved", None, False)
    assert document["properties"] == [{"name": "few", "verdict": "proved"}, {"name": "sound_kernel", "verdict": "not tested"}]
    assert [(i["scope"]["sizes"], i["complete"]) for i in document["instances"]] == [
        ({"cpus": 2, "tasks": 2}, True), ({"cpus": 1, "tasks": 3}, True), ({"cpus": 3, "tasks": 1}, True),
    ]  # fmt: skip
    assert document["invariant"] == ["for every CPU c: if c.busy is set then c.runs is not none"]
    assert (tmp_path / "proof.smt2").read_text().count("(check-sat)\n") == len(document["obligations"])
    assert {o["step"] for o in document["obligations"]} == {"idle", "arrive"}
    assert {claim["property"] for o in document["obligations"] for claim in o["impossible"]} >= {"few"}
    assert any(o["keeps_invariant"] for o in document["obligations"])


def test_what_stops_a_proof(tmp_path):
    (tmp_path / "few.py").write_text(FEW.replace("LIMIT", "4"))
    code, document = told(tmp_path / "few.py")
    valid(document, "proof")
    assert (code, document["verdict"], document["invariant"]) == (3, "not proved", None)
    assert {p["verdict"] for p in document["properties"]} == {"not proved"}
    stopped = document["stopped"]
    assert (stopped["property"], stopped["sentence"], stopped["step"]) == ("few", "too many CPUs are busy", "arrive")
    assert "Count: n=3" in stopped["state"]


def test_a_proof_without_time(tmp_path):
    (tmp_path / "few.py").write_text(FEW.replace("LIMIT", "6"))
    code, document = told(tmp_path / "few.py", "--timeout", "0.001")
    valid(document, "proof")
    assert (code, document["verdict"], document["out_of_time"], document["stopped"]) == (3, "not proved", True, None)


def test_what_a_small_instance_violates_is_told_as_by_check(tmp_path):
    (tmp_path / "few.py").write_text(FEW.replace("LIMIT", "3"))
    code, document = told(tmp_path / "few.py")
    valid(document, "check")
    (result,) = document["results"]
    assert code == 1 and result["scope"]["scope"]["sizes"] == {"cpus": 3, "tasks": 1}
    assert [found["property"] for found in result["counterexamples"]] == ["few"]
