"""Lanes of a recording: who runs on each CPU, and whose registers it has; as a page and as tracks for Perfetto."""

import itertools
import json
import re
import shutil
from pathlib import Path

import pytest
from observing import pasidlab

from harness import complaints
from pasidlab.observe.lanes import lanes
from pasidlab.observe.source import opened_recording
from pasidlab.observe.text import Told

DATA = Path(__file__).parent / "data"
SAMPLE = DATA / "linux-6.18.rec"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture
def written(tmp_path):
    def write(*lines):
        path = tmp_path / "trace.txt"
        path.write_text("".join(f"{line}\n" for line in lines))
        return opened_recording(path, Told("6.18.1"))

    return write


def switch(prev, to):
    return f"sched_switch: prev_comm=a prev_pid={prev} prev_prio=120 prev_state=S ==> next_comm=b next_pid={to} next_prio=120"


def fpu(event, load):
    return f"x86_fpu_regs_{event}: x86/fpu: 0000000026124516 load: {load} xfeatures: a02 xcomp_bv: 8000000000000a07"


def test_who_runs_and_whose_registers_are_there(written):
    """The registers stay a task's while another runs without loading its own; a save at a switch gives nothing up."""
    source = written(
        f"  a-5 [000] d.... 1.000001: {fpu('activated', 1)}", f"  a-5 [000] d..2. 1.000002: {switch(5, 0)}",
        f"  a-5 [000] d..2. 1.000003: {fpu('deactivated', 1)}", f"  <idle>-0 [000] d..2. 1.000004: {switch(0, 6)}",
        f"  b-6 [000] d.... 1.000005: {fpu('activated', 1)}", "  b-6 [000] ..... 1.000006: sched_process_exit: comm=b pid=6 prio=120",
        f"  b-6 [000] ....1 1.000007: {fpu('deactivated', 0)}",
    )  # fmt: skip
    (lane,) = lanes(source, 0, None, 100).lanes
    begin = 1_000_001_000
    assert [(s.pid, s.begin - begin, s.end - begin) for s in lane.runs] == [(5, 0, 1000), (0, 1000, 3000), (6, 3000, 6000)]
    assert [(s.pid, s.begin - begin, s.end - begin) for s in lane.holds] == [(0, 0, 0), (5, 0, 4000), (6, 4000, 6000), (0, 6000, 6000)]
    assert [mark.pid for mark in lane.marks] == [5, 5, 6, 6, 6]


def test_tracks_for_perfetto(tmp_path):
    assert "1,788 events of 631.287 ms" in pasidlab("lanes", SAMPLE, "-o", tmp_path / "out.perfetto")
    document = json.loads((tmp_path / "out.perfetto").read_text())
    slices = [e for e in document["traceEvents"] if e["ph"] == "X"]
    named = {e["args"]["name"] for e in document["traceEvents"] if e["ph"] == "M"}
    assert named == {"CPU 0", "CPU 1", "runs", "registers of", "events"} and document["otherData"]["kernel"] == "6.18.44-fc-v782"
    assert all(e["dur"] >= 0 for e in slices)
    for cpu in (1, 2):  # one task at a time: the slices of a track do not overlap
        runs = sorted((e["ts"], e["dur"]) for e in slices if (e["pid"], e["tid"]) == (cpu, 1))
        assert len(runs) > 50 and all(a + b <= c + 1e-6 for (a, b), (c, _) in itertools.pairwise(runs))


def test_a_part_of_a_recording(tmp_path):
    assert "100 events" in pasidlab("lanes", SAMPLE, "-o", tmp_path / "out.html", "--most", "100")
    assert "More events follow" in (tmp_path / "out.html").read_text()
    said = pasidlab("lanes", SAMPLE, "-o", tmp_path / "part.html", "--from", "0.2", "--for", "0.1")
    assert "events of" in said and "More events follow" not in (tmp_path / "part.html").read_text()


def test_bad_input(tmp_path):
    assert "a name that ends with .html or .perfetto" in pasidlab("lanes", SAMPLE, "-o", tmp_path / "out.svg", code=2)
    assert "has no events there" in pasidlab("lanes", SAMPLE, "-o", tmp_path / "out.html", "--from", "100", code=2)
    assert "cannot write" in pasidlab("lanes", SAMPLE, "-o", tmp_path / "no" / "out.html", code=2)
    (tmp_path / "bad.gz").write_bytes((DATA / "ftrace.txt.gz").read_bytes()[:-400])
    assert "is packed by gzip, and damaged" in pasidlab("lanes", tmp_path / "bad.gz", "-o", tmp_path / "out.html", code=2)


def test_the_tasks_that_run_longest_have_a_colour_each_and_are_named(tmp_path):
    pasidlab("lanes", SAMPLE, "-o", tmp_path / "out.html")
    page = (tmp_path / "out.html").read_text()
    key = re.findall(r'<li><svg .*?<rect class="c(\d+)".*?</svg> (.+?)</li>', page)
    assert [int(colour) for colour, _ in key] == list(range(len(key))) and 3 < len(key) <= 12
    drawn = dict(re.findall(r'<rect class="(c\d+)"[^>]*><title>runs: (.+?), ', page))
    assert {f"c{colour}" for colour, _ in key} <= drawn.keys()
    colours = {}
    for colour, name in re.findall(r'<rect class="c(\d+)"[^>]*><title>(?:runs: |registers of )(.+?), ', page):
        colours.setdefault(name, set()).add(colour)
    assert all(colours[name] == {colour} for colour, name in key)


@pytest.mark.skipif(CHROMIUM is None, reason="no browser on this machine: apt-get install chromium")
def test_the_page_fits_and_axe_finds_nothing(tmp_path):
    from axe_playwright_python.sync_playwright import Axe
    from playwright.sync_api import sync_playwright

    pasidlab("lanes", SAMPLE, "-o", tmp_path / "out.html", "--for", "0.05")
    with sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], timeout=120_000)
        for width, scheme in ((390, "dark"), (1280, "light")):
            page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
            said = complaints(page)
            page.goto((tmp_path / "out.html").as_uri())
            assert page.evaluate("document.documentElement.scrollWidth") == width
            found = Axe().run(page).response
            assert [(v["id"], [n["target"] for n in v["nodes"]]) for v in found["violations"]] == [] and len(found["passes"]) > 8
            assert said == []
        browser.close()
