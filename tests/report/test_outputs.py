"""What ``check -o`` writes: the page needs nothing but itself and says what the results say."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from markupsafe import escape

from pasidlab import __version__, designs
from pasidlab.checking.api import check_each
from pasidlab.cli import main
from pasidlab.commands.formats import FORMATS
from pasidlab.model.promises import PROPERTIES
from pasidlab.model.scope import Scope
from pasidlab.report.account import Account, Checked
from pasidlab.report.page import results_page

SMALL = Scope(cpus=2, tasks=1, mms=1, pasids=1, events=frozenset({"preempt", "migrate", "softirq"}))


def account_of(*chosen, **more):
    results = check_each(chosen, SMALL, jobs=1, **more)
    checked = tuple(Checked(design, result) for design, result in zip(chosen, results, strict=True))
    return Account(checked, command=("pasidlab", "check", "a b.c"))


@pytest.fixture(scope="module")
def account():
    return account_of(designs.late_either, designs.early)


@pytest.fixture(scope="module")
def results(account):
    return account.results


@pytest.fixture(scope="module")
def page(account):
    return results_page(account)


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
        if tag not in ("meta", "link", "wbr"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_whole_and_needs_nothing_else(page, results) -> None:
    parser = Balanced()
    parser.feed(page)
    assert parser.open == [] and parser.rows == sum(len(t["rows"]) for t in data_of(page)["traces"]) > 40
    assert not re.search(r'(src|href)="(?!#|data:)', page) and not re.search(r"url\((?!#)", page)
    assert str(designs.early.path.parent) not in page
    assert page.count('class="trace"') == sum(len(r.counterexamples) for r in results) == 2
    assert re.search(r"late-either: <span class=.violated.>VIOLATED", page) and "early: <span" in page


def test_the_page_says_what_made_it_and_what_properties_mean(page) -> None:
    assert f"Made by <code>pasidlab check &#39;a b.c&#39;</code>, pasidlab {__version__}" in page
    assert all(page.count(str(escape(p.sentence))) >= 2 for p in PROPERTIES)


def states_of(trace):
    states = [trace["initial"]]
    for step in trace["steps"]:
        assert all(states[-1][name] == old for name, old, _ in step["changes"])
        states.append(states[-1] | {name: now for name, _, now in step["changes"]})
    return states


def test_the_page_follows_the_state(page, results) -> None:
    found, trace = results[0].counterexample("coherent"), data_of(page)["traces"][0]
    states = states_of(trace)
    assert len(states) == len(found.steps) + 1
    assert dict(found.final).items() <= states[-1].items() and set(trace["looked"]) <= states[-1].keys()
    numbered = [steps for steps in trace["rows"] if steps]
    assert numbered[0][0] == 1 and numbered[-1][1] == len(found.steps)


def test_the_page_has_the_source_of_every_place(page) -> None:
    data = data_of(page)
    places = [place for trace in data["traces"] for place in trace["places"] if place]
    assert places and all(data["sources"][file][line - 1].strip() for file, line in places)
    assert data["unexecuted"] and all(data["sources"][file][line - 1] for file, line in data["unexecuted"] if file in data["sources"])


def test_names_for_links_are_unlike_each_other(account) -> None:
    entry = account.checked[0]
    odd = replace(entry, result=replace(entry.result, design='a<b>"&c'))
    page = results_page(replace(account, checked=(entry, entry, odd)))
    names = re.findall(r' id="([^"]+)"', page)
    assert len(names) == len(set(names)) and {"late-either-coherent", "late-either-2-coherent", "a-b-c-coherent"} <= set(names)
    Balanced().feed(page)


def test_text_from_a_design_cannot_leave_its_place(tmp_path) -> None:
    path = tmp_path / "a<b>&.py"
    text = '    """</script><script>alert(1)</script>"""\n    current.has_valid_pasid = True\n    return False\n'
    path.write_text(f"from pasidlab.kernel import current\n\n\ndef try_fixup_enqcmd_gp() -> bool:\n{text}")
    page = results_page(account_of(designs.Opening(str(path)).design()))
    assert "alert(1)" in page and "<script>alert" not in page and "a&lt;b&gt;&amp;.py" in page
    Balanced().feed(page)


def test_a_name_with_a_newline_is_one_line_in_every_format(tmp_path, capsys) -> None:
    path = tmp_path / "odd\nname.py"
    path.write_text(designs.late_either.path.read_text(encoding="utf-8"), encoding="utf-8")
    account = account_of(designs.Opening(str(path)).design())
    (result,) = account.results
    assert result.design == "odd\\nname" and "odd\\nname.py:49" in result.text()
    for suffix, written in FORMATS.items():
        lines = written(account).splitlines() if suffix != ".json" else []  # it names the file, so that others find it
        told = [line for line in lines if "name.py:" in line or line.strip().startswith("name")]
        assert [line for line in told if "odd" not in line] == [], suffix


def test_all_of_them_at_once(tmp_path, capsys) -> None:
    files = [tmp_path / f"found{suffix}" for suffix in FORMATS]
    options = [word for file in files for word in ("-o", str(file))]
    with pytest.raises(SystemExit) as end:
        main(["check", "early", "--tasks", "1", "--mms", "1", "--events", "preempt", "-q", *options])
    assert end.value.code == 0 and all(file.stat().st_size > 60 for file in files)
    with pytest.raises(SystemExit) as end:
        main(["check", "early", "-o", str(tmp_path / "found.pdf")])
    assert end.value.code == 2 and f"must end in {', '.join(FORMATS)}" in capsys.readouterr().err
