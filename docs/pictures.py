"""The pictures of the documents, made by the tool itself: `make pictures`. Needs playwright and a chromium.

An SVG is the picture of the two copies as the page draws it. Its colours for light and dark are written into it; a PNG is what a browser
shows.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page, sync_playwright

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
IMAGES = HERE / "images"
COMMAND = Path(sys.executable).with_name("pasidlab")
DEBATE = ("--tasks", "1", "--events", "preempt,migrate,softirq")


@dataclass(frozen=True)
class Copies:
    """The two copies after a step of a counterexample."""

    name: str
    check: tuple[str, ...]
    property: str
    step: int  # 0: the last one


COPIES = (
    Copies("eager-ipi", ("eager-ipi", "--tasks", "1", "--events", "preempt,softirq,ipi,bind,unbind"), "coherent", 0),
    Copies("late-either-before", ("late-either", *DEBATE), "coherent", 11),
    Copies("late-either", ("late-either", *DEBATE), "coherent", 0),
    Copies("late-bare", ("late-bare", *DEBATE), "coherent", 0),
    Copies("tls-register", ("examples/models/tls_register.py", "--events", "+one_sided"), "preserved", 0),
    Copies("early", ("early", "--cpus", "1", "--tasks", "1", "--events", "exec,bind"), "served", 0),
)
_NARROW = 520
"""Pixels of the window an SVG is drawn in: its text can still be read where a phone shrinks it."""
_STYLES = """svg => [svg, ...svg.querySelectorAll('*')].map(one => {
    const style = getComputedStyle(one);
    const names = ['fill', 'stroke', 'stroke-width', 'stroke-dasharray', 'stroke-linejoin', 'paint-order', 'font-family',
        'font-size', 'font-weight'];
    return names.map(name => `${name}:${style.getPropertyValue(name)}`).join(';');
})"""
_BACKGROUND = "() => getComputedStyle(document.body).backgroundColor"
_DRAWN = """([selector, classes]) => {
    const svg = document.querySelector(selector).cloneNode(true);
    [svg, ...svg.querySelectorAll('*')].forEach((one, n) => { one.removeAttribute('style'); one.setAttribute('class', classes[n]); });
    svg.setAttribute('xmlns', 'http://www.w3.org/2000/svg');
    svg.setAttribute('width', svg.viewBox.baseVal.width);
    return svg.outerHTML;
}"""


def main() -> None:
    """Make them all. The benchmark, which comes with its page, takes six minutes of a quiet machine."""
    IMAGES.mkdir(exist_ok=True)
    subprocess.run([COMMAND, "bench", "-o", HERE / "benchmark.md", "-o", (IMAGES / "benchmark").with_suffix(".svg")], check=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for copies in COPIES:
            page = made_page(Path(folder), copies.check)
            (IMAGES / f"{copies.name}.svg").write_text(drawing(browser, page, copies), encoding="utf-8")
        page = made_page(Path(folder), COPIES[2].check)
        last = f"{page.as_uri()}#trace=late-either-coherent&step=12"
        photographed(browser, last, "page-light", 1280, 940, ".trace")
        photographed(browser, last, "page-phone-dark", 390, 760, ".trace")
        with explorer() as address:
            photographed(browser, address, "explore-dark", 1280, 900, "body")
        browser.close()


def made_page(folder: Path, check: tuple[str, ...]) -> Path:
    """The page of a check, in which something is broken."""
    page = folder / f"{Path(check[0]).stem}.html"
    if not page.exists():
        done = subprocess.run([COMMAND, "check", *check, "-q", "-o", page], cwd=ROOT, check=False)
        assert done.returncode == 1, done
    return page


def drawing(browser: Browser, page: Path, copies: Copies) -> str:
    """The picture as a file of its own, in the colours that the reader's system asks for."""
    styles: dict[str, list[str]] = {}
    backs: dict[str, str] = {}
    for scheme in ("light", "dark"):
        shown = browser.new_page(viewport={"width": _NARROW, "height": 900}, color_scheme=scheme, reduced_motion="reduce")
        shown.goto(page.as_uri())
        article = f"[data-name='{Path(copies.check[0]).stem}-{copies.property}']"
        stepped(shown, article, copies.step)
        picture = shown.locator(f"{article} .picture svg")
        styles[scheme], backs[scheme] = picture.evaluate(_STYLES), shown.evaluate(_BACKGROUND)
    kinds = list(dict.fromkeys(zip(styles["light"], styles["dark"], strict=True)))
    classes = [f"k{kinds.index(pair)}" for pair in zip(styles["light"], styles["dark"], strict=True)]
    svg = str(shown.evaluate(_DRAWN, [f"{article} .picture svg", classes]))
    sheet = "".join(f".k{n}{{{light}}}" for n, (light, _) in enumerate(kinds)) + f".back{{fill:{backs['light']}}}"
    dark = "".join(f".k{n}{{{dark}}}" for n, (_, dark) in enumerate(kinds)) + f".back{{fill:{backs['dark']}}}"
    head = f'<style>{sheet}@media (prefers-color-scheme:dark){{{dark}}}</style><rect class="back" width="100%" height="100%"/>'
    return svg.replace(">", f">{head}", 1) + "\n"


def stepped(page: Page, article: str, step: int) -> None:
    """Go to a step; 0 is the last one."""
    page.locator(article).focus()
    page.keyboard.press("Home" if step else "End")
    for _ in range(step - 1):
        page.keyboard.press("ArrowRight")


def photographed(browser: Browser, address: str, name: str, width: int, height: int, element: str) -> None:
    """What a browser shows from an element on; the name ends with the colour scheme."""
    scheme: Literal["dark", "light"] = "dark" if name.endswith("dark") else "light"
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce")
    page.goto(address)
    page.locator(element).first.scroll_into_view_if_needed()
    page.wait_for_timeout(300)
    page.screenshot(path=IMAGES / f"{name}.png")
    page.close()


@contextmanager
def explorer() -> Iterator[str]:
    """The explorer at a state where registers and image differ; its address."""
    goal = "task.need_fpu_load and cpu.fpregs_owner is task and task.last_cpu is cpu"
    command = [str(COMMAND), "explore", "late-either", "--tasks", "1", "--find", goal]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield next(word for line in process.stdout for word in line.split() if word.startswith("http://"))
        finally:
            process.terminate()


if __name__ == "__main__":
    main()
    print(json.dumps(sorted(path.name for path in IMAGES.iterdir())))
