"""A search over the ranks of mpirun finds what one process finds, and a rank that is lost ends it unsettled."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from lazyreg_double import lazyreg
from ranks_program import told

from harness import ROOT, some
from pasidlab.errors import PasidlabError
from pasidlab.search import breadth_first
from pasidlab.search import kernels as k
from pasidlab.search.breadth_first import search
from pasidlab.search.checkpoint import BEFORE, TABLE, Checkpoint
from pasidlab.search.exchange import ALONE, Alone, together
from pasidlab.search.lost_rank import launched

MPIRUN = Path(sys.executable).parent / "mpirun"
with_mpi = pytest.mark.skipif(find_spec("mpi4py") is None or not MPIRUN.exists(), reason="mpi4py and mpich are not installed")
PROGRAM = Path(__file__).with_name("ranks_program.py")
CHECK = ("--mms", "1", "--pasids", "1", "--events", "preempt,migrate")


def ranks(number: int, *command: object, **more) -> subprocess.CompletedProcess[str]:
    words = [str(word) for word in (MPIRUN, "-n", number, sys.executable, *command)]
    return subprocess.run(words, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT, **more)


@with_mpi
@pytest.mark.parametrize(("number", "bug", "words"), some([(4, "bug", 3), (2, "bug", 1), (1, "bug", 1), (3, "", 3)], 4))
def test_the_same_answers_for_every_number_of_ranks(number: int, bug: str, words: int) -> None:
    found = ranks(number, PROGRAM, bug, words, 0, "")
    assert found.returncode == 0, found.stderr
    assert found.stdout == told(search(lazyreg(2, bug=bool(bug), words=words), jobs=1)) + "\n"


def _judged(text: str) -> dict:
    """What a check found, without times and what is said of the ranks."""
    told = json.loads(text)
    for result in told["results"]:
        del result["seconds"]
        for part in result["parts"]:
            for key in ("seconds", "bytes_per_state", "notes"):
                del part[key]
    return told


@with_mpi
@pytest.mark.parametrize("number", some([2, 4], 2))
def test_three_designs_are_judged_as_by_one_process(number: int, tmp_path: Path) -> None:
    command = ("-m", "pasidlab", "check", "early-read", "late-either", "task-work", *CHECK, "--json")
    one = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False, cwd=ROOT)
    several = ranks(number, *command)
    assert several.returncode == one.returncode == 1, several.stderr
    assert _judged(several.stdout) == _judged(one.stdout)
    assert f"{number} ranks, " in several.stdout


MATRIX = """
designs = ["early-read", "late-either"{more}]

[scopes.one]
cpus = 1
tasks = 1
mms = 1
events = "preempt"
"""


@with_mpi
def test_a_matrix_is_shared_out_and_goes_on_with_another_number_of_ranks(tmp_path: Path) -> None:
    (tmp_path / "matrix.toml").write_text(MATRIX.format(more=""))
    command = ("-m", "pasidlab", "check", "--matrix", tmp_path / "matrix.toml", "--json", "--checkpoint", tmp_path / "kept")
    several = ranks(3, *command)
    assert several.returncode == 1, several.stderr
    told = _judged(several.stdout)
    assert [result["design"] for result in told["results"]] == ["early-read one", "late-either one"]
    assert [note for result in json.loads(several.stdout)["results"] for part in result["parts"] for note in part["notes"]] == []
    assert len(list((tmp_path / "kept").iterdir())) == 2  # a folder each: of searches by one process
    alone = subprocess.run([sys.executable, *map(str, command)], capture_output=True, text=True, check=False, cwd=ROOT)
    assert _judged(alone.stdout) == told, alone.stderr


@with_mpi
def test_a_check_of_a_matrix_that_fails_ends_all(tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text("def try_fixup_enqcmd_gp() -> bool:\n    current.mm.pasid = 9\n    return True\n")
    (tmp_path / "matrix.toml").write_text(MATRIX.format(more=f', "{bad}"'))
    found = ranks(2, "-m", "pasidlab", "check", "--matrix", tmp_path / "matrix.toml", "-q")
    assert found.returncode == 2 and "not explored: bad one" in found.stderr
    assert found.stderr.count("bad.py:2:5: 9 stored to Mm.pasid") == 1
    assert [line.split()[:3:2] for line in found.stdout.splitlines()[-2:]] == [["early-read", "holds"], ["late-either", "VIOLATED"]]


def _of_rank(rank: int, folder: Path) -> int | None:
    """The process of a rank that searches in this folder."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words, places = (path / "cmdline").read_text(), (path / "environ").read_text()
            watcher = os.getsid(int(path.name)) == int(path.name) and "python" in Path(f"/proc/{_parent(path)}/exe").readlink().name
        except OSError:
            continue
        if str(folder) in words and f"PMI_RANK={rank}\0" in places and not watcher:
            return int(path.name)
    return None


def _parent(path: Path) -> int:
    return int((path / "stat").read_text().rsplit(")", 1)[1].split()[1])


def _killed(command: list[str], rank: int, folder: Path, begun: str) -> None:
    """A check whose rank is killed once the file ``begun`` is in its checkpoint: not settled, and said so."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        until = time.monotonic() + 60
        while not list((folder / "kept").glob(begun)) and time.monotonic() < until:
            time.sleep(0.02)
        lost = _of_rank(rank, folder)
        assert lost, process.communicate()
        os.kill(lost, signal.SIGKILL)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 3, (out, err)
    assert f"error: rank {rank} was lost: not settled" in err and "the same command goes on" in err and "holds" not in out


@with_mpi
@pytest.mark.parametrize("rank", some([1, 0], 1))
def test_a_rank_lost_from_a_matrix_ends_unsettled_and_the_matrix_goes_on(rank: int, tmp_path: Path) -> None:
    kept, text = tmp_path / "kept", MATRIX.format(more="").replace("tasks = 1", "tasks = 2").replace("preempt", "preempt,migrate")
    (tmp_path / "matrix.toml").write_text(text)
    command = [sys.executable, "-m", "pasidlab", "check", "--matrix", str(tmp_path / "matrix.toml"), "--json"]
    whole = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    command += ["--checkpoint", str(kept)]
    several = [str(MPIRUN), "-n", "3", *command]
    _killed(several, rank, tmp_path, "*/lock")
    again = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert again.returncode == whole.returncode == 1, again.stderr
    assert _judged(again.stdout)["results"] == _judged(whole.stdout)["results"]


@with_mpi
@pytest.mark.parametrize("rank", some([1, 0], 2))
def test_a_lost_rank_ends_unsettled_and_the_search_goes_on_from_the_last_level(rank: int, tmp_path: Path) -> None:
    scope = ("early-read", "--cpus", "2", "--tasks", "2", "--mms", "2", "--events", "preempt,migrate,softirq", "--no-local-first")
    command = [str(word) for word in (MPIRUN, "-n", 2, sys.executable, "-m", "pasidlab", "check", *scope, "--jobs", 1)]
    command += ["--checkpoint", str(tmp_path / "kept")]
    _killed(command, rank, tmp_path, "*/rank-1-of-2/lock")
    until = time.monotonic() + 20
    while (left := [_of_rank(0, tmp_path), _of_rank(1, tmp_path)]) != [None, None] and time.monotonic() < until:
        time.sleep(0.1)
    assert left == [None, None]


@with_mpi
def test_a_search_that_was_cut_goes_on_from_what_all_ranks_have(tmp_path: Path) -> None:
    assert "'max_states'" in ranks(2, PROGRAM, "bug", 1, 20_000, tmp_path / "kept").stdout
    mine = tmp_path / "kept" / "rank-1-of-2"
    assert (mine / TABLE).read_text() != (mine / BEFORE).read_text()
    (mine / TABLE).write_bytes((mine / BEFORE).read_bytes())  # as if it had been killed before its last save
    found = ranks(2, PROGRAM, "bug", 1, 0, tmp_path / "kept")
    assert found.stdout == told(search(lazyreg(2, bug=True), jobs=1)) + "\n", found.stderr
    with pytest.raises(PasidlabError, match="is of a search by 2 processes, and this is one by 1") as error:
        search(lazyreg(2, bug=True), jobs=1, checkpoint=Checkpoint(tmp_path / "kept", "x"))
    assert "mpirun -n 2" in error.value.hint


@with_mpi
def test_bad_input_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "mpi4py.py").write_text("raise ImportError('No module named mpi4py')")
    for command, message, more in (
        (("check", "no-such"), "error: unknown design 'no-such'", {}),
        (("check", "early-read", "--simulate", 5), "error: --simulate makes its walks in one process", {}),
        (("check", "early-read"), "pip install 'pasidlab[cluster]'", {"env": {**os.environ, "PYTHONPATH": str(tmp_path)}}),
    ):
        found = ranks(2, "-m", "pasidlab", *command, **more)
        assert found.returncode == 2 and found.stderr.count(message) == 1 == found.stderr.count("error:"), found.stderr


ALONE_IN_ERROR = """
from types import SimpleNamespace
from pasidlab.commands.ranks import ranks
from pasidlab.errors import PasidlabError
from pasidlab.search import cluster
cluster._LEAVING = 0.3
with ranks(SimpleNamespace(checkpoint=None, simulate=None, prove=False, names=())) as together:
    if together.peers.rank == 1:
        raise {}
    together.peers.total([1])
"""


@with_mpi
@pytest.mark.parametrize(
    ("error", "message", "code"),
    [("PasidlabError('no disk')", "rank 1: no disk", 2), ("MemoryError", "rank 1: memory ran out: not settled", 3)],
)
def test_a_rank_that_fails_alone_ends_all(error: str, message: str, code: int) -> None:
    found = ranks(3, "-c", ALONE_IN_ERROR.format(error))
    assert found.returncode == code and f"error: {message}" in found.stderr, found.stderr


def test_every_state_has_one_owner_and_all_own_about_as_many() -> None:
    model, ranks_ = lazyreg(2, words=3), 5
    found = search(model, jobs=1)
    states = np.concatenate(list(found.store.level(found.depth // 2)))
    ends, sorted_ = np.zeros(ranks_ + 1, dtype=np.int64), np.empty_like(states)
    k.share_out(3, states.ctypes.data, len(states), ranks_, ends, sorted_.ctypes.data)
    assert ends[0] == 0 and ends[-1] == len(states)
    assert sorted(map(tuple, sorted_.tolist())) == sorted(map(tuple, states.tolist()))
    for rank in range(ranks_):
        mine = sorted_[ends[rank] : ends[rank + 1]]
        assert {k.rank_of(state.ctypes.data, 3, ranks_) for state in mine} == {rank}
        assert abs(len(mine) - len(states) / ranks_) < 6 * (len(states) / ranks_) ** 0.5


def test_an_error_of_one_process_is_told_by_all() -> None:
    class Two(Alone):
        def gather(self, mine):
            return [mine, PasidlabError("of the other")]

    with pytest.raises(PasidlabError, match="of the other"):
        together(Two(), lambda: 1)
    assert together(ALONE, lambda: 1) == 1


def test_what_a_launcher_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PMI_RANK", "PMI_SIZE", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "PMIX_RANK"):
        monkeypatch.delenv(name, raising=False)
    assert launched() is None
    monkeypatch.setenv("PMIX_RANK", "3")
    assert launched() == (3, 0)
    monkeypatch.setenv("PMI_RANK", "0")
    monkeypatch.setenv("PMI_SIZE", "1")
    assert launched() is None
    monkeypatch.setenv("PMI_SIZE", "4")
    assert launched() == (0, 4)


def test_the_time_of_a_search_is_looked_at_by_all(monkeypatch: pytest.MonkeyPatch) -> None:
    from pasidlab.search.result import Budget

    monkeypatch.setattr(breadth_first, "_LEAST_QUOTA", 1)
    assert search(lazyreg(2), jobs=1, budget=Budget(timeout=0.0)).reason == "timeout"
