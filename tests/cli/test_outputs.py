"""What ``check -o`` writes: a page that needs nothing but itself, SARIF, JUnit. They say what the results say."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from pasidlab import designs
from pasidlab.check.api import check_each
from pasidlab.check.scope import Scope
from pasidlab.cli import main
from pasidlab.report.junit import results_junit
from pasidlab.report.page import results_page
from pasidlab.report.sarif import results_sarif

SMALL = Scope(cpus=2, tasks=1, mms=1, pasids=1, events=frozenset({"preempt", "migrate", "softirq"}))
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
CALM = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-component-update --disable-sync"


@pytest.fixture(scope="module")
def results():
    return list(check_each([designs.late_either, designs.early], SMALL, jobs=1))


@pytest.fixture(scope="module")
def page(results):
    return results_page(results)


def data_of(page: str):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])


class Balanced(HTMLParser):
    """Every element is closed by its own end tag."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.rows = 0

    def handle_starttag(self, tag, attrs):
        self.rows += "data-row" in dict(attrs)
        if tag not in ("meta", "wbr"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_whole_and_needs_nothing_else(page, results) -> None:
    parser = Balanced()
    parser.feed(page)
    assert parser.open == [] and parser.rows == sum(len(t["rows"]) for t in data_of(page)["traces"]) > 40
    assert not re.search(r'(src|href)="(?!#)', page) and "url(" not in page
    assert page.count('class="trace"') == sum(len(r.counterexamples) for r in results) == 2
    assert re.search(r"late-either: <span class=.violated.>VIOLATED", page) and "early: <span" in page


def test_the_page_follows_the_state(page, results) -> None:
    found, trace = results[0].counterexample("coherent"), data_of(page)["traces"][0]
    assert len(trace["states"]) == len(found.steps) + 1
    for n, step in enumerate(found.steps):
        assert {c.name: (trace["states"][n][c.name], trace["states"][n + 1][c.name]) for c in step.changes} == {
            c.name: (c.old, c.new) for c in step.changes
        }
    assert dict(found.final).items() <= trace["states"][-1].items()
    assert set(trace["looked"]) <= trace["states"][-1].keys()
    numbered = [steps for steps in trace["rows"] if steps]
    assert numbered[0][0] == 1 and numbered[-1][1] == len(found.steps)


def test_the_page_has_the_source_of_every_place(page) -> None:
    data = data_of(page)
    places = [place for trace in data["places"] for place in trace if place]
    assert places and all(data["sources"][file][line - 1].strip() for file, line in places)


def test_text_from_a_design_cannot_leave_its_place(tmp_path) -> None:
    path = tmp_path / "a<b>&.py"
    text = '    """</script><script>alert(1)</script>"""\n    current.has_valid_pasid = True\n    return False\n'
    path.write_text(f"from pasidlab.machine.ambient import current\n\n\ndef try_fixup_enqcmd_gp() -> bool:\n{text}")
    page = results_page(list(check_each([designs.find(str(path))], SMALL, jobs=1)))
    assert "alert(1)" in page and "<script>alert" not in page and "a&lt;b&gt;&amp;.py" in page
    Balanced().feed(page)


@pytest.mark.skipif(CHROMIUM is None, reason="no browser on this machine")
def test_the_page_in_a_browser(page, tmp_path) -> None:
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    words = [CHROMIUM, *CALM.split(), f"--user-data-dir={tmp_path}/profile", "--dump-dom", f"file://{tmp_path}/page.html"]
    shown = subprocess.run(words, capture_output=True, text=True, timeout=120).stdout
    assert "State after step 11" in shown and "State after step 17" in shown
    assert re.search(r'<span class="changed looked"[^>]*>msr_pasid=V\|1</span>', shown)
    assert re.search(r'<span class="here"><span class="number"> +34  </span> *current\.has_valid_pasid = True</span>', shown)


def test_sarif(results) -> None:
    (run,) = results_sarif(results)["runs"]
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == [p.name for p in results[0].properties]
    assert [(r["ruleId"], r["locations"][0]["physicalLocation"]["region"]["startLine"]) for r in run["results"]] == [
        ("coherent", 34), ("served", 31),
    ]  # fmt: skip
    assert all(r["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].endswith("designs/late_either.py") for r in run["results"])
    flow = run["results"][0]["codeFlows"][0]["threadFlows"][0]["locations"]
    assert [step["executionOrder"] for step in flow] == list(range(1, 12))
    assert flow[0]["location"]["message"]["text"].startswith("CPU 0: T0 ENQCMD -> #GP")
    assert run["invocations"] == [{"executionSuccessful": True}]


def test_junit(results) -> None:
    broken, holds = ElementTree.fromstring(results_junit(results))
    assert (broken.get("name"), broken.get("tests"), broken.get("failures"), broken.get("skipped")) == ("late-either", "9", "2", "0")
    assert (holds.get("name"), holds.get("failures"), holds.get("skipped")) == ("early", "0", "0")
    failures = {case.get("name"): case.find("failure") for case in broken if case.find("failure") is not None}
    assert failures.keys() == {"coherent", "served"}
    assert "wrmsr_pasid(pasid | MSR_IA32_PASID_VALID)" in failures["coherent"].text
    assert [case.findtext("system-out") for case in holds if case.get("name") == "refused"] == ["never put to the test in this scope"]


def test_all_of_them_at_once(tmp_path, capsys) -> None:
    files = [tmp_path / f"found{suffix}" for suffix in (".html", ".json", ".sarif", ".xml")]
    options = [word for file in files for word in ("-o", str(file))]
    with pytest.raises(SystemExit) as end:
        main(["check", "early", "--tasks", "1", "--mms", "1", "--events", "preempt", "-q", *options])
    assert end.value.code == 0 and all(file.stat().st_size > 100 for file in files)
    with pytest.raises(SystemExit) as end:
        main(["check", "early", "-o", str(tmp_path / "found.pdf")])
    assert end.value.code == 2 and "must end in .html, .json, .sarif, .xml" in capsys.readouterr().err
