"""The benchmark: SPIN's count of LazyReg is the engine's, and the report has the promised shape."""

import json

import pytest
from lazyreg_double import lazyreg

from pasidlab.checking.bench import bench, hash_inserts_per_second
from pasidlab.checking.lazyreg_promela import lazyreg_promela
from pasidlab.checking.spin import explored, spin_is_there, verifier
from pasidlab.search.breadth_first import search


@pytest.mark.skipif(not spin_is_there(), reason="spin or gcc is not installed")
def test_spin_counts_the_same_states(tmp_path):
    (run, _), result = explored(verifier(lazyreg_promela(2, 2), tmp_path, "-O1", "-DBFS")), search(lazyreg(2))
    assert (run.states, run.errors) == (result.states, 0)
    assert run.transitions == result.transitions + 1  # SPIN counts the start as one


def test_report_without_spin(monkeypatch):
    monkeypatch.setenv("PATH", "")
    report = json.loads(json.dumps(bench(lambda: lazyreg(2), tasks=2, jobs=(1, 2, 10_000), slots_bits=14).to_json()))
    assert report["lazyreg"]["states"] == 39_886
    assert set(report["lazyreg"]["states_per_second"]) == set(report["hash_inserts_per_second"]) <= {"1", "2"}
    assert report["spin_bfs"] is report["spin_dfs"] is report["times_spin_bfs"] is None
    for share in ("share_of_hash_limit", "share_of_limit_on_huge_pages"):
        assert all(value > 0 for value in report[share].values())


def test_the_limit_is_measured_with_any_number_of_threads():
    assert all(hash_inserts_per_second(jobs, slots_bits=12) > 0 for jobs in (1, 2, 3))
