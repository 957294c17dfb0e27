"""Results for people elsewhere: a mail of 72 columns, Markdown, a Mermaid diagram. They say what the results say."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from harness import ROOT
from pasidlab import __version__, designs
from pasidlab.checking.api import check
from pasidlab.model.scope import Scope
from pasidlab.report.account import Account, Checked
from pasidlab.report.prose import results_mail, results_markdown, results_mermaid
from pasidlab.search.result import Budget

SMALL = Scope(cpus=2, tasks=1, mms=1, pasids=1, events=frozenset({"preempt", "migrate", "softirq"}))


@pytest.fixture(scope="module")
def broken():
    return check("late-either", SMALL, jobs=1)


@pytest.fixture(scope="module")
def account(broken):
    stopped = check("early-read", SMALL, jobs=1, budget=Budget(max_states=100))
    entries = (Checked(designs.late_either, broken), Checked(designs.early_read, stopped))
    return Account(entries, ("early",), "interrupted", ("pasidlab", "check", "late-either", "early-read", "early"))


def spread(result):
    """The counterexamples as if they happened on two CPUs."""
    (part,) = result.parts
    made = [replace(c, steps=tuple(replace(s, cpu=n // 3 % 2) for n, s in enumerate(c.steps))) for c in part.counterexamples]
    return replace(result, design="two-cpus", parts=(replace(part, counterexamples=tuple(made)),))


def test_a_mail_has_72_columns_and_all_of_it(account, broken) -> None:
    for result in (broken, spread(broken)):
        text = results_mail(replace(account, checked=(Checked(designs.late_either, result), account.checked[1])))
        assert max(map(len, text.splitlines())) <= 72 and "\x1b" not in text
        assert "coherent: shortest counterexample, 12 steps" in text and "served: shortest counterexample, 20 steps" in text
        assert "VIOLATED coherent: TIF_NEED_FPU_LOAD is set" in text and "Not explored: early. interrupted" in text
        assert text.rstrip().endswith(f"early (pasidlab {__version__})") and "\n-- \n" in text


def test_markdown_shows_verdicts_reasons_and_traces(account) -> None:
    text = results_markdown(account)
    assert "| late-either | VIOLATED |" in text and "| coherent (12), served (20) |" in text and "| early-read | inconclusive |" in text
    assert text.count("not settled | ") == 9 and "a larger --max-states explores more" in text and "Not explored: early." in text
    assert "## late-either: VIOLATED" in text and "### coherent: 12 steps" in text
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({line.count("|") - line.count("\\|") for line in table.splitlines()}) == 1
    assert text.count("```text\n") == 4 and text.count("```") == 8


def test_markdown_of_a_design_with_an_odd_name_stays_a_table(account, broken) -> None:
    odd = replace(broken, design="a|b`c``` <i>*d*_e_\n# f")
    text = results_markdown(replace(account, checked=(Checked(designs.late_either, odd),)))
    row = next(line for line in text.splitlines() if "VIOLATED" in line)
    assert row.startswith(r"| a\|b\`c\`\`\` \<i\>\*d\*\_e\_ \# f | VIOLATED |") and "\n# f" not in text


ODD = "end; %%{init: {}}%% #35; <b>&amp; $$x$$ style: a:#b; " + "p" * 120


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """A model of one's own whose names mean something elsewhere, and are longer than a line."""
    text = (ROOT / "examples" / "models" / "tls_register.py").read_text(encoding="utf-8")
    text = text.replace("cpu.current.saved = cpu.register", "pass").replace("a program finds", "wrap: \\n%% end a program finds")
    file = tmp_path_factory.mktemp("odd") / f"{'m' * 120}.py"
    file.write_text(text.replace('"preserved"', repr(ODD)), encoding="utf-8")
    design = designs.Opening(str(file)).design()
    return Account((Checked(design, check(design, jobs=1)),))


def test_long_and_odd_names_keep_a_mail_narrow_and_a_diagram_whole(odd) -> None:
    assert max(map(len, results_mail(odd).splitlines())) <= 72
    *_, last = results_mermaid(odd).splitlines()
    said = re.fullmatch(r"    Note over C0,C1: ([\w .,()=/+'#;-]*)", last).group(1)
    told = re.sub(r"#(\d+);", lambda found: chr(int(found[1])), said)
    assert told == f"VIOLATED {ODD}: wrap: %% end a program finds another value than it wrote"
    row = next(line for line in results_markdown(odd).splitlines() if line.startswith("| end"))
    assert r"\#35; \<b\>\&amp; \$\$x\$\$ style" in row and row.endswith("| VIOLATED in 4 steps | put to the test |")


def test_a_diagram_has_a_participant_for_each_cpu_and_every_step(broken) -> None:
    result = spread(broken)
    found = result.counterexamples[0]
    lines = results_mermaid(Account((Checked(designs.late_either, result),))).splitlines()
    assert lines[0] == "sequenceDiagram" and lines[1] == "    title two-cpus breaks coherent in 12 steps"
    assert lines[2:4] == ["    participant C0 as CPU 0", "    participant C1 as CPU 1"]
    steps = [n for a, b in (re.search(r": (\d+)(?:-(\d+))? ", line + " : 0 ").groups() for line in lines if re.search(r"->>C\d: \d", line))
             for n in range(int(a), int(b or a) + 1)]  # fmt: skip
    assert steps == list(range(1, len(found.steps) + 1))
    assert lines[-1].startswith("    Note over C0,C1: VIOLATED coherent#58; TIF_NEED_FPU_LOAD is set")
    assert all(re.fullmatch(r"    (C\d->>C\d|Note (right of C\d|over C\d(,C\d)?)): [^;#<>]*(#\w+;[^;#<>]*)*", line) for line in lines[4:])


def test_a_diagram_of_what_goes_on_for_ever_has_a_loop(broken) -> None:
    (part,) = broken.parts
    endless = replace(part.counterexamples[0], loop=5)
    result = replace(broken, parts=(replace(part, counterexamples=(endless,)),))
    lines = [line.strip() for line in results_mermaid(Account((Checked(designs.late_either, result),))).splitlines()]
    assert lines.count("loop for ever") == 1 and lines.count("end") == 1 and lines.index("end") == len(lines) - 2


def test_a_diagram_of_nothing_broken_says_so() -> None:
    holds = check("early", Scope(tasks=1, mms=1, pasids=1, events=frozenset({"preempt"})), jobs=1)
    lines = results_mermaid(Account((Checked(designs.early, holds),))).splitlines()
    assert lines[-1] == "    Note over C0: no counterexample#58; early holds"
