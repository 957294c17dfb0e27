"""Proofs for any number of CPUs and tasks: what is proved, what is rightly not, and who confirms it."""

from __future__ import annotations

import time

import pytest

from harness import LONG, ROOT, pasidlab, some
from pasidlab.checking.agreement import whole_model
from pasidlab.designs import Opening
from pasidlab.errors import PasidlabError
from pasidlab.lang.back.native import compile_model
from pasidlab.search.breadth_first import search

z3 = pytest.importorskip("z3", reason="z3-solver is not installed")

from few import FEW  # noqa: E402
from random_rules import judged  # noqa: E402

from pasidlab.prove.general import generalised  # noqa: E402
from pasidlab.prove.proof import chunks, confirm, prove  # noqa: E402
from pasidlab.prove.smtlib import script  # noqa: E402
from pasidlab.prove.words import sentence  # noqa: E402

LAZYREG = ROOT / "src/pasidlab/examples/lazyreg.py"
TLS = ROOT / "examples/models/tls_register.py"

def opened(path, **asked):
    design = Opening(str(path)).design()
    return design, design.scope(**asked)


@pytest.fixture(scope="module")
def lazyreg():
    if not LONG:
        pytest.skip("10 seconds: with PASIDLAB_LONG=1")
    design, scope = opened(LAZYREG)
    return prove(design, scope, design.property_names)


@pytest.fixture(scope="module")
def tls():
    design, scope = opened(TLS)
    return prove(design, scope, design.property_names)


def test_lazyreg_is_proved(lazyreg):
    assert lazyreg.proved
    assert lazyreg.wanted == ("owner", "msrval", "coherent", "sound_kernel")
    first = lazyreg.instances[0]
    assert (str(first.scope), first.states, first.complete) == ("cpus=2, tasks=2; no events", 39886, True)
    assert 10 <= len(lazyreg.clauses) <= 60


def test_a_proof_without_its_clauses_is_none(tls):
    with pytest.raises(RuntimeError, match="does not hold when it is checked again"):
        confirm(tls.__class__(**{**tls.__dict__, "clauses": ()}))


@pytest.mark.parametrize("file, bug, broken", [(LAZYREG, "bug", "coherent"), (TLS, "one_sided", "preserved")])
def test_a_seeded_bug_is_not_proved(file, bug, broken):
    """Instances with one CPU do not show the bug: the proof must find out."""
    if not LONG:
        pytest.skip("a minute: with PASIDLAB_LONG=1")
    design, scope = opened(file, events=f"+{bug}", cpus=1, tasks=2)
    proof = prove(design, scope, (broken,), beside=(), deadline=time.monotonic() + 60)
    assert not proof.proved
    assert proof.broken is None
    assert proof.out_of_time or proof.stopped.goal.property == broken
    assert str(prove(design, design.scope(events=f"+{bug}"), (broken,)).broken).startswith("cpus=2, tasks=2")


def test_a_seeded_bug_that_a_small_instance_shows_is_told_as_ever():
    said = pasidlab("check", TLS, "--prove", "--events", "+one_sided")
    assert said.returncode == 1
    assert "VIOLATED preserved" in said.stdout


def test_what_no_instance_puts_to_the_test_is_not_proved(tmp_path):
    file = tmp_path / "idle.py"
    file.write_text(FEW.replace("LIMIT", "3").replace("require(not c.busy)", "require(t.mark)"))
    said = pasidlab("check", file, "--prove")
    assert (said.returncode, said.stderr) == (3, "")
    assert "idle: nothing is proved: nothing that is asked for is put to the test" in said.stdout
    assert "not put to the test: few: in no small instance does anything happen that it is about" in said.stdout


def test_what_fails_from_three_cpus_is_not_proved_by_two(tmp_path):
    file = tmp_path / "few.py"
    file.write_text(FEW.replace("LIMIT", "3"))
    design, scope = opened(file)
    assert not search(compile_model(whole_model(design, scope))).violations
    proof = prove(design, scope, ("few",), beside=())
    assert not proof.proved
    assert (proof.broken, proof.stopped.goal.property) == (None, "few")
    assert str(prove(design, scope, ("few",)).broken) == "cpus=3, tasks=1; no events"


def test_what_fails_beyond_every_instance_exits_with_3(tmp_path):
    (tmp_path / "few.py").write_text(FEW.replace("LIMIT", "4"))
    said = pasidlab("check", "few.py", "--prove", cwd=tmp_path)
    assert said.returncode == 3
    assert "not proved" in said.stdout
    assert "few: too many CPUs are busy" in said.stdout
    assert "remains possible by arrive (few.py:" in said.stdout


def test_a_property_no_number_breaks_is_proved(tmp_path):
    (tmp_path / "few.py").write_text(FEW.replace("LIMIT", "6"))
    said = pasidlab("check", "few.py", "--prove", cwd=tmp_path)
    assert said.returncode == 0
    assert "proved for any number of CPUs and tasks: few\n" in said.stdout


@pytest.mark.parametrize(
    "fixture, sizes, states", [("tls", {"cpus": 3, "tasks": 3}, 84_079), ("lazyreg", {"cpus": 3, "tasks": 2}, 396_604)]
)
def test_the_invariant_holds_in_all_states_of_a_larger_instance(fixture, sizes, states, request):
    proof = request.getfixturevalue(fixture)
    design, scope = opened(TLS if fixture == "tls" else LAZYREG, **sizes)
    model = whole_model(design, scope)
    found = search(compile_model(model, symmetric=False))
    assert found.reason == "complete"
    assert found.states == states
    looked_at = 0
    for seen in chunks(proof.views, model, found):
        for clause in proof.clauses:
            for at in proof.views.places(clause.kind, seen.counts):
                rows = proof.views.rows(clause.kind, at, seen)
                broken = True
                for column, values in clause.literals:
                    broken = broken & sum(rows[:, column] == value for value in values).astype(bool)
                assert not broken.any(), sentence(proof.views, clause)
                looked_at += len(rows)
    assert looked_at > states


@pytest.mark.parametrize("fixture", ["tls", "lazyreg"])
def test_cvc5_confirms_every_query(fixture, request, tmp_path):
    cvc5 = pytest.importorskip("cvc5", reason="cvc5 is not installed")
    proof = request.getfixturevalue(fixture)
    file = tmp_path / "proof.smt2"
    file.write_text(script(fixture, proof.views, proof.clauses, proof.obligations))
    answers = answers_of(cvc5, file)
    assert answers == ["unsat"] * len(proof.obligations)
    lines = file.read_text().splitlines()
    last = max(n for n, line in enumerate(lines) if line == "(check-sat)")
    nothing = max(n for n, line in enumerate(lines[:last]) if line == "(push 1)")
    file.write_text("\n".join([*lines[:nothing], "(push 1)", "(check-sat)", "(pop 1)"]))
    assert answers_of(cvc5, file)[-1] == "sat"  # a query without what is in it


def answers_of(cvc5, file):
    solver = cvc5.Solver()
    solver.setOption("incremental", "true")
    symbols = cvc5.SymbolManager(solver)
    parser = cvc5.InputParser(solver, symbols)
    parser.setFileInput(cvc5.InputLanguage.SMT_LIB_2_6, str(file))
    answers = []
    while not (command := parser.nextCommand()).isNull():
        if said := command.invoke(solver, symbols).strip():
            answers.append(said)
    return answers


def test_the_command_writes_the_queries_and_the_invariant(tmp_path):
    said = pasidlab("check", TLS, "--prove", "--smt", tmp_path / "tls.smt2")
    assert said.returncode == 0
    assert "for every CPU c and every task t: if " in said.stdout
    text = (tmp_path / "tls.smt2").read_text()
    assert text.count("\n(check-sat)\n") == text.count("\n(push 1)\n") > 5


REFUSED = [
    ("    for n in range(CPUS):\n        require(n < 9)", "20", "the number of elements of Cpu is used as a number here"),
    ("    for d in each(Cpu):\n        d.busy = False", "20", "stores something in each round"),
    (
        "    m = 0\n    for d in each(Cpu):\n        if d.busy:\n            m += 1\n    require(m < 2)",
        "21",
        "keeps 'm' from round to round",
    ),
    ("    require(index(c) == 0)", "20", "an element of Cpu is no number"),
    ("    c.runs = at(Task, 0)", "20", "a number stands for an element of Task"),
]


@pytest.mark.parametrize("lines, line, what", REFUSED)
def test_a_construct_without_a_meaning_for_any_number_is_refused_at_its_place(lines, line, what, tmp_path):
    text = FEW.replace("LIMIT", "3").replace("    reached(", f"{lines}\n    reached(")
    (tmp_path / "few.py").write_text(text)
    said = pasidlab("check", "few.py", "--prove", cwd=tmp_path)
    first = next(n for n, found in enumerate(text.splitlines(), start=1) if found == lines.splitlines()[0])
    assert said.returncode == 2
    assert what in said.stderr
    assert f"few.py:{first + (int(line) - 20)}:" in said.stderr


def test_a_domain_as_large_as_the_number_of_cpus_is_refused(tmp_path):
    file = tmp_path / "few.py"
    file.write_text(FEW.replace("LIMIT", "3").replace("Range(0, 7)", "Range(0, CPUS)"))
    design, scope = opened(file)
    with pytest.raises(PasidlabError, match=r"few\.py:20:32: the number of elements of Cpu is used as a number here"):
        generalised(design, scope)


@pytest.mark.parametrize(
    "old, new, what",
    [
        ("Range(0, 7)]", "Range(0, 7)] | 'CPUS // 16'", "the number of elements of Cpu is used"),
        ('size("tasks")', 'size("cpus")', "one size"),
        ("busy: bool = False", "busy: 'Annotated[int, Range(0, CPUS // 16)]' = 0", "the number of elements of Cpu is used"),
    ],
)
def test_a_size_in_disguise_is_refused(old, new, what, tmp_path):
    file = tmp_path / "few.py"
    file.write_text(FEW.replace("LIMIT", "3").replace(old, new).replace(', "tasks": 2', "" if "one" in what else ', "tasks": 2'))
    with pytest.raises(PasidlabError, match=what):
        generalised(*opened(file))


def test_a_count_that_is_more_than_a_size_is_refused(tmp_path):
    file = tmp_path / "few.py"
    file.write_text(FEW.replace("LIMIT", "3").replace("count=CPUS", "count=CPUS + 1"))
    design, scope = opened(file)
    with pytest.raises(PasidlabError, match="its count is not a plain size"):
        generalised(design, scope)


def test_an_option_without_a_meaning_in_a_proof_is_refused():
    said = pasidlab("check", TLS, "--prove", "--evidence")
    assert said.returncode == 2
    assert "--evidence says nothing about a proof" in said.stderr
    assert "--smt writes a proof" in pasidlab("check", TLS, "--smt", "x.smt2").stderr


def test_a_design_is_refused_where_its_initial_states_count():
    said = pasidlab("check", "early-read", "--prove")
    assert said.returncode == 2
    assert "model/linux/initial.py:26:" in said.stderr
    assert "the number of elements of Cpu is used as a number here" in said.stderr


@pytest.mark.parametrize("seed", some(range(40), 20))
def test_what_is_proved_of_random_rules_holds_in_larger_instances(seed, tmp_path):
    assert judged(seed, tmp_path) in ("proved", "violated", "open")
