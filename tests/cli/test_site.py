"""The documents as a whole: links lead somewhere, pictures are there, mails have their Message-ID; the site builds without a warning."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest
from golden import ROOT

from harness import LONG, complaints

PAGES = sorted([*(ROOT / "docs").glob("*.md"), *ROOT.glob("*.md")])
LINK = re.compile(r"\[[^]]*\]\(([^)\s]+)\)")
MAIL = re.compile(r"lore\.kernel\.org/r/([^)\s]+)")


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page):
    local = [target.split("#")[0] for target in LINK.findall(prose(page)) if "://" not in target and not target.startswith("#")]
    missing = [target for target in local if not (page.parent / target).exists()]
    assert not missing
    if page.name in ("README.md", "index.md"):
        assert len(local) > 5


def test_every_picture_is_shown_and_described():
    shown = {}
    for page in PAGES:
        for words, target in re.findall(r"!\[([^]]*)\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
            shown[(page.parent / target).resolve().name] = words
    assert all(len(words) > 30 for words in shown.values())
    assert set(shown) == {picture.name for picture in (ROOT / "docs" / "images").iterdir()}


def test_every_mail_has_its_message_id():
    debate = prose(ROOT / "docs" / "debate.md")
    told = debate[debate.index("## The mails") :]
    quoted = {mail for page in PAGES for mail in MAIL.findall(prose(page))}
    assert len(quoted) > 5
    assert not [mail for mail in quoted if f"[{mail}]" not in told]


def test_every_page_is_in_the_menu():
    menu = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^(?:\.\./)?([\w-]+)$", menu, re.MULTILINE))
    assert {page.stem for page in PAGES} - {"README", "index"} == listed


@pytest.mark.skipif(not LONG, reason="PASIDLAB_LONG=1 runs it")
def test_the_site_builds_without_a_warning(tmp_path):
    pytest.importorskip("sphinx", reason="make docs installs it")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "-c", "docs", ".", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert 'href="data:image/svg+xml,' in (tmp_path / "docs" / "index.html").read_text()
    assert 'class="sig' in (tmp_path / "docs" / "api.html").read_text()


@pytest.mark.skipif(not LONG, reason="PASIDLAB_LONG=1 runs it")
def test_axe_finds_nothing_on_the_site(tmp_path):
    pytest.importorskip("sphinx", reason="make docs installs it")
    chromium = shutil.which("chromium") or pytest.skip("no browser on this machine: apt-get install chromium")
    from axe_playwright_python.sync_playwright import Axe
    from playwright.sync_api import sync_playwright

    subprocess.run([sys.executable, "-m", "sphinx", "-q", "-b", "html", "-c", "docs", ".", str(tmp_path)], cwd=ROOT, check=True)
    with sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=chromium, args=["--no-sandbox"], timeout=120_000)
        for width, scheme in product((390, 1280), ("light", "dark")):
            page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
            said = complaints(page)
            for file in sorted([*(tmp_path / "docs").glob("*.html"), *tmp_path.glob("*.html")]):
                page.goto(file.as_uri())
                assert said == []
                assert [v["id"] for v in Axe().run(page).response["violations"]] == [], (file.name, width, scheme)
                assert page.evaluate("document.documentElement.scrollWidth") == width
                said.clear()  # axe-core itself asks for the style sheets once more, which a browser forbids between files
        browser.close()
