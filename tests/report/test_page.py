"""The page in a real browser: it steps, by buttons and keys; it fits a phone; axe-core finds no fault; a wrong copy lights up."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import replace

import pytest

from harness import ROOT, complaints
from pasidlab import designs
from pasidlab.checking.api import check
from pasidlab.model.scope import Scope
from pasidlab.report.account import Account, Checked
from pasidlab.report.page import results_page
from pasidlab.trace.steps import Change, Move

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no browser on this machine: apt-get install chromium")
SMALL = Scope(cpus=2, tasks=1, mms=1, pasids=1, events=frozenset({"preempt", "migrate", "softirq"}))
SIGHTS = [(scheme, width) for scheme in ("light", "dark") for width in (390, 1280)]
COMMAND = ("pasidlab", "check", "late-either", "-o", "found.html")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """``one.html`` has one trace; ``many.html`` those of two designs, of one as if it happened on two CPUs; ``own.html`` is a model's.

    ``crossed.html`` has two CPUs that own one task's registers: arrows cross.
    """
    made = tmp_path_factory.mktemp("page")
    result = check("late-either", SMALL, jobs=1)
    (part,) = result.parts
    one = replace(result, parts=(replace(part, counterexamples=part.counterexamples[:1]),))
    spread = [replace(c, steps=tuple(replace(s, cpu=n // 3 % 2) for n, s in enumerate(c.steps))) for c in part.counterexamples]
    two = replace(result, design="two-cpus", parts=(replace(part, counterexamples=tuple(spread)),))
    entries = [Checked(designs.late_either, r) for r in (result, two)]
    sent = replace(result, parts=(replace(part, counterexamples=(with_interrupt(part.counterexamples[0]),)),))
    text = (ROOT / "examples" / "models" / "tls_register.py").read_text(encoding="utf-8")
    (made / "mine.py").write_text(text.replace("cpu.current.saved = cpu.register", "pass"), encoding="utf-8")
    own = designs.Opening(str(made / "mine.py")).design()
    named = text.replace("cpu.current.saved = cpu.register", "pass").replace("Cpu", "C" * 120).replace("preserved", "p" * 120)
    (made / f"{'m' * 120}.py").write_text(re.sub(r"\n    copies=.*", "", named), encoding="utf-8")
    long = designs.Opening(str(made / f"{'m' * 120}.py")).design()
    (made / "long.html").write_text(results_page(Account((Checked(long, check(long, jobs=1)),))), encoding="utf-8")
    stock = designs.Opening(str(ROOT / "examples" / "models" / "tls_register.py")).design()
    crossed = Checked(stock, check(stock, stock.scope(events="+one_sided"), jobs=1))
    (made / "crossed.html").write_text(results_page(Account((crossed,))), encoding="utf-8")
    (made / "models.html").write_text(results_page(Account(tuple(with_mistakes()))), encoding="utf-8")
    (made / "own.html").write_text(results_page(Account((Checked(own, check(own, jobs=1)),))), encoding="utf-8")
    (made / "sent.html").write_text(results_page(Account((Checked(designs.late_either, sent),))), encoding="utf-8")
    (made / "one.html").write_text(results_page(Account((Checked(designs.late_either, one),), command=COMMAND)), encoding="utf-8")
    (made / "many.html").write_text(results_page(Account(tuple(entries), ("early",), "interrupted", COMMAND)), encoding="utf-8")
    return made


MISTAKES = (
    ("tls_register", {"events": "+one_sided", "cpus": 3, "tasks": 3}), ("fpsimd", {"events": "preempt,one_sided"}),
    ("fpsimd", {"events": "preempt,sve,stale_copy"}), ("fpsimd", {"events": "preempt,exec,keeps_cpu"}),
    ("amx_xfd", {"events": "+no_update", "tasks": 1}), ("ticket_lock", {"events": "+no_cmpxchg"}),
)  # fmt: skip


def with_mistakes():
    """Models of examples/models, each with a mistake."""
    for name, asked in MISTAKES:
        design = designs.Opening(str(ROOT / "examples" / "models" / f"{name}.py")).design()
        yield Checked(design, check(design, design.scope(**asked), jobs=1))


def with_interrupt(found):
    """The counterexample as if CPU 0 sent an IPI in step 2 that arrives on CPU 1 in step 5, and T0 went on there from step 11."""
    steps = list(found.steps)
    steps[1] = replace(steps[1], changes=(*steps[1].changes, Change("CPU1.ipi_pending", "0", "1")))
    steps[4] = replace(steps[4], cpu=1, context="event", move=Move("arrive_ipi", (2,)), stacks=(steps[4].stacks[0], ("hardirq",)))
    moved = tuple(replace(c, name=c.name.replace("CPU0.current", "CPU1.current")) for c in steps[10].changes)
    steps[10] = replace(steps[10], changes=moved)
    return replace(found, steps=tuple(steps))


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as tools:
        started = tools.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], timeout=120_000)
        yield started
        started.close()


@pytest.fixture
def opened(browser, folder):
    """Opens a page; no script of it may fail, and the console stays empty."""
    contexts, errors = [], []

    def open_page(name, width=1280, scheme="light"):
        context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme, reduced_motion="reduce")
        context.set_default_timeout(60_000)
        contexts.append(context)
        page = context.new_page()
        errors.append(complaints(page))
        page.goto(f"file://{folder}/{name}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [said for said in errors if said] == []


def where(page, number=0):
    return page.locator(".trace output").nth(number).inner_text()


def test_it_opens_at_the_first_step_and_says_how_to_go_on(opened) -> None:
    page = opened("one.html")
    assert where(page) == "Step 1 of 12" and page.locator(".now").inner_text().startswith("1. CPU 0: T0 ENQCMD -> #GP")
    assert [b.get_attribute("aria-label") for b in page.locator(".controls button").all()] == [
        "First step", "Step back", "Next step", "Last step",
    ]  # fmt: skip
    assert page.locator(".controls kbd").all_inner_texts() == ["←", "→", "PageUp", "PageDown", "Home", "End"]
    assert page.locator(".controls kbd").first.is_visible() and page.get_by_label("Step back").is_disabled()
    assert page.locator("tr.here").count() == 1


def test_buttons_keys_and_the_slider_go_by_steps(opened) -> None:
    page = opened("one.html")
    page.get_by_label("Next step").click()
    assert where(page) == "Step 2 of 12" and page.url.endswith("#step=2")
    seen = []
    for key in ("End", "ArrowLeft", "PageUp", "PageDown", "Home", "ArrowLeft", "ArrowRight", "ArrowDown", "ArrowUp", "j", "k"):
        page.keyboard.press(key)
        seen.append(int(where(page).split()[1]))
    assert seen == [12, 11, 1, 11, 1, 1, 2, 3, 2, 3, 2]
    page.locator("input[type=range]").fill("7")
    assert where(page) == "Step 7 of 12" and "7" in page.locator("tr.here .number").first.inner_text()
    page.locator("tr[data-row]").last.click()
    assert where(page) == "Step 12 of 12"


def test_left_and_right_reach_the_trace_in_view(opened) -> None:
    page = opened("many.html")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("End")
    assert [where(page, n) for n in range(2)] == ["Step 12 of 12", "Step 1 of 20"]


def test_a_link_leads_to_a_step(opened) -> None:
    page = opened("one.html#step=6")
    assert where(page) == "Step 6 of 12"
    page.evaluate("location.hash = 'step=99'")
    page.wait_for_function("document.querySelector('output').textContent === 'Step 12 of 12'")
    many = opened("many.html#trace=two-cpus-served&step=5")
    assert [where(many, n) for n in range(4)] == ["Step 1 of 12", "Step 1 of 20", "Step 1 of 12", "Step 5 of 20"]
    assert many.locator(".trace a", has_text="link").last.get_attribute("href") == "#trace=two-cpus-served&step=5"


def test_the_picture_lights_up_where_a_copy_passes_for_valid_but_differs(opened) -> None:
    page = opened("one.html")
    lit = []
    for step in range(1, 13):
        page.locator("input[type=range]").fill(str(step))
        lit.append(page.locator(".picture .wrong").count())
    assert lit == [0] * 11 + [2]
    label = page.locator(".picture svg").get_attribute("aria-label")
    assert "CPU0's registers pass for a valid copy of T0's image, but differ: PASID V|1 in the registers, 0 in the image." in label
    assert page.locator(".picture text", has_text="PASID 0 → V|1").count() == 1
    assert page.locator(".state .changed", has_text="msr_pasid=0→V|1").count() == 1
    assert page.locator(".state .looked").count() > 3
    assert "current.has_valid_pasid = True" in page.locator(".source").inner_text()


def test_the_picture_of_a_model_of_ones_own_shows_the_fields_it_declares(opened) -> None:
    page = opened("own.html")
    last = page.locator("input[type=range]").get_attribute("max")
    lit = []
    for step in range(1, int(last) + 1):
        page.locator("input[type=range]").fill(str(step))
        lit.append((page.locator(".picture .wrong").count(), page.locator(".picture svg").get_attribute("aria-label")))
    assert lit[0] == (0, "CPU0's registers are T0's: its image may be out of date.")
    differ = "CPU0's registers pass for a valid copy of T0's image, but differ: value 1 in the registers, 0 in the image. "
    assert (2, f"{differ}T0's image counts, but is wrong: value is 0, must be 1.") in lit
    assert page.locator(".picture .title").all_text_contents()[0] == "CPU0 registers"
    assert [told.split(":")[0] for told in page.locator(".picture .entry").all_text_contents()] == ["owner", "last_cpu"]


AT_THE_END = [
    ("preserved", 1, "CPU0's registers pass for T0's own, but are wrong: value is 0, must be 1. Broken: preserved. It looked at"),
    ("preserved", 1, "CPU1's registers pass for T0's own, but are wrong: v is 1, must be 0. Broken: preserved."),
    ("sve", 0, "Broken: sve. This promise is not about what the two copies hold. It looked at CPU0.current = T0, T0.tif_sve = 1."),
    ("preserved", 1, "Before this step: CPU0's registers pass for T0's own, but are wrong: v is 1, must be 0. Broken: preserved."),
    ("armed", 1, "CPU0's registers pass for T0's own, but are wrong: xfd is 1, must be 0. Broken: armed."),
    ("mutex", 0, "Broken: mutex. It looked at Lock.holder = CPU0. (This model declares no two copies to draw.)"),
    ("progress", 0, "Broken: progress. (This model declares no two copies to draw.)"),
]


def test_the_last_step_of_a_model_of_ones_own_shows_what_is_wrong(opened) -> None:
    page = opened("models.html")
    page.evaluate("steppers.forEach((one) => one.show(one.trace.steps.length))")
    found = []
    for trace in page.locator(".trace").all():
        said = " ".join(trace.locator(".says b").all_inner_texts())
        found.append((trace.get_attribute("data-name").split("-")[-1], trace.locator(".picture .wrong").count(), said))
    assert [(name, lit) for name, lit, _ in found] == [(name, lit) for name, lit, _ in AT_THE_END]
    assert [said[: len(wanted)] for (_, _, said), (_, _, wanted) in zip(found, AT_THE_END, strict=True)] == [w for *_, w in AT_THE_END]


@pytest.mark.parametrize("name", ["models.html", "many.html"])
def test_no_label_of_a_picture_covers_another_on_a_phone(opened, name: str) -> None:
    page = opened(name, 390)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert page.evaluate(COVERED) == []


@pytest.mark.parametrize("width", [390, 1280])
def test_no_arrow_runs_through_the_label_of_another_kind(opened, width: int) -> None:
    assert opened("crossed.html", width).evaluate(RUN_THROUGH) == {"arrows": 16, "through": []}


@pytest.mark.parametrize("width", [390, 1280])
def test_names_of_120_letters_do_not_make_it_wider(opened, width: int) -> None:
    page = opened("long.html#step=4", width)
    assert where(page) == "Step 4 of 4" and page.evaluate("document.documentElement.scrollWidth") == width


RUN_THROUGH = """() => {
  const through = [];
  let arrows = 0;
  for (const stepper of steppers) {
    for (let step = 1; step <= stepper.trace.steps.length; step++) {
      stepper.show(step, false);
      const labels = [...stepper.box.querySelectorAll(".picture text.halo")];
      for (const path of stepper.box.querySelectorAll(".picture path.arrow")) {
        arrows += 1;
        const kind = path.classList.contains("last") ? "last_cpu" : "owner";
        const points = Array.from({ length: 200 }, (_, n) => path.getPointAtLength(path.getTotalLength() * n / 199));
        for (const label of labels.filter((one) => one.textContent !== kind)) {
          const { x, y, width, height } = label.getBBox();
          const meets = ({ x: px, y: py }) => x < px && px < x + width && y < py && py < y + height;
          if (points.some(meets)) through.push(`${stepper.trace.name} ${step}: ${kind} through ${label.textContent}`);
        }
      }
    }
  }
  return { arrows, through };
}"""


COVERED = """() => {
  const wrong = [];
  const label = (text) => [text.textContent, text.getBoundingClientRect()];
  const look = (where, svg) => {
    const room = svg.getBoundingClientRect();
    const labels = [...svg.querySelectorAll("text")].filter((text) => text.textContent.trim()).map(label);
    if (!labels.length) wrong.push(`${where}: no label`);
    labels.forEach(([one, a], n) => {
      if (a.left < room.left - 1 || a.right > room.right + 1) wrong.push(`${where}: ${one} is outside`);
      for (const [other, b] of labels.slice(n + 1)) {
        const meet = a.left < b.right - 0.5 && b.left < a.right - 0.5 && a.top < b.bottom - 3 && b.top < a.bottom - 3;
        if (meet) wrong.push(`${where}: ${one} / ${other}`);
      }
    });
    for (const group of svg.querySelectorAll("g:has(.box)")) {
      const box = group.querySelector(".box").getBoundingClientRect();
      for (const [text, a] of [...group.querySelectorAll("text")].map(label)) {
        if (text.trim() && (a.right > box.right || a.bottom > box.bottom)) wrong.push(`${where}: ${text} leaves its box`);
      }
    }
  };
  for (const stepper of steppers) {
    for (let step = 1; step <= stepper.trace.steps.length; step++) {
      stepper.show(step, false);
      for (const svg of stepper.box.querySelectorAll(".picture svg, .lanes svg")) look(`${stepper.trace.name} ${step}`, svg);
    }
  }
  return wrong.slice(0, 9);
}"""


def test_the_source_marks_calls_and_tests_that_were_passed_and_lines_of_other_paths(opened) -> None:
    page = opened("one.html#step=12")
    lines = {kind: page.locator(f".source .line.{kind}").all_inner_texts() for kind in ("ran", "elsewhere")}
    marked = {kind: [line.split(maxsplit=1)[1] for line in found] for kind, found in lines.items()}
    assert marked["ran"][:4] == ["pasid = current.mm.pasid", "if pasid == 0:", "if current.has_valid_pasid:", "fpu__pasid_write(pasid)"]
    assert marked["elsewhere"] == ["return False", "return True"]


def test_lanes_show_contexts_interrupts_and_migration(opened) -> None:
    page = opened("sent.html#step=7")
    label = page.locator(".lanes svg").get_attribute("aria-label")
    assert "CPU 0 sends an IPI to CPU 1 in step 2, it arrives in step 5." in label and "T0 goes from CPU 0 to CPU 1 by step 11." in label
    assert page.locator(".lanes .between.ipi").count() == 1 and page.locator(".lanes .between.moved").count() == 1
    assert page.locator(".lanes .moves").count() == 12 and page.locator(".lanes .bar.schedule.moves").count() == 5
    assert page.locator(".lanes .bar.kernel.moves").count() == 3 and page.locator(".lanes .bar.hardirq").count() == 2
    box = page.locator(".lanes svg").bounding_box()
    page.mouse.click(box["x"] + box["width"] - 12, box["y"] + 8)
    assert where(page) == "Step 12 of 12"


def test_it_tells_what_else_could_be_done_and_who_wrote_a_field(opened) -> None:
    page = opened("one.html#step=2")
    assert page.locator(".others h4").inner_text() == "Instead of step 2"
    assert page.locator(".others li").all_inner_texts() == ["CPU 1: <softirq>"]
    page.get_by_label("Last step").click()
    page.get_by_label("T0.need_fpu_load: written in step 11").click()
    page.wait_for_function("document.querySelector('output').textContent === 'Step 11 of 12'")
    assert page.locator(".steps .change", has_text="T0.need_fpu_load 0 → 1").count() == 1
    assert page.locator(".source .ran").count() > 0 and page.locator(".source .never").count() == 0
    again = page.locator(".trace .command code").inner_text()
    assert again == (
        "pasidlab check late-either -o found.html -o found.json; pasidlab replay found.json --design late-either --property coherent"
    )


@pytest.mark.parametrize(("scheme", "width"), SIGHTS if os.environ.get("PASIDLAB_LONG") else [("dark", 390), ("light", 1280)])
def test_it_fits_and_axe_finds_nothing(opened, width: int, scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = opened("many.html#trace=late-either-coherent&step=12", width, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate(OVERLAPPING) == []
    found = Axe().run(page).response
    assert [(v["id"], [n["target"] for n in v["nodes"]]) for v in found["violations"]] == [] and len(found["passes"]) > 15


OVERLAPPING = """() => [...document.querySelectorAll(".steps .told")].filter((cell) => {
  const [place, code] = [cell.querySelector(".place"), cell.querySelector("code")];
  if (!place.textContent) return false;
  const range = document.createRange();
  range.selectNodeContents(code);
  const box = place.getBoundingClientRect();
  const meets = (r) => r.left < box.right - 1 && box.left + 1 < r.right && r.top < box.bottom - 3 && box.top + 3 < r.bottom;
  return [...range.getClientRects()].some(meets);
}).map((cell) => cell.textContent)"""


def test_it_brings_its_icon(opened) -> None:
    assert opened("one.html").locator("link[rel=icon]").get_attribute("href").startswith("data:image/svg+xml,%3Csvg")


def test_without_scripts_the_traces_can_be_read(browser, folder) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"file://{folder}/one.html")
    assert "wrmsr_pasid(pasid | MSR_IA32_PASID_VALID)" in page.locator(".steps").inner_text() and page.locator("button").count() == 0
    context.close()
