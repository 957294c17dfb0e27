"""The page `files.md`: every file of the source in one line, which is the first line of the file itself.

`python docs/files.py` writes the page; `tests/test_contributing.py` fails where it is not up to date.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCES = HERE.parent / "src" / "pasidlab"
PAGE = HERE / "files.md"

FOLDERS = (
    "", "lang", "lang/python", "lang/c", "lang/lowering", "lang/back", "accelerator", "model", "model/x86", "model/linux", "designs",
    "designs/intake", "examples", "zoo", "zoo/bugs", "search", "trace", "checking", "live", "observe", "observe/machine", "prove", "report",
    "report/schemas", "report/templates", "explore", "commands",
)  # fmt: skip
"""In the order of the pipeline."""
TITLES = {
    "": "The package itself.",
    "zoo/bugs": "The bugs in the modelling language and in C; `catalogue` tells each.",
    "report/schemas": "The JSON Schemas of documents.",
    "report/templates": "The pages: templates for jinja2, styles and scripts.",
}
LINES = {
    "py.typed": "Says that the package has types (PEP 561).",
    "check-1.json": "What `check --json` prints.",
    "designs-1.json": "What `designs --json` prints.",
    "path-1.json": "A way through a model that `explore` saves, for `replay`.",
    "proof-1.json": "What `check --prove --json` prints.",
    "zoo-1.json": "What `zoo --json` prints.",
    "explore.html": "The page of `explore`.",
    "page.css": "The style of every page.",
    "page.html": "The page of `check -o FILE.html`.",
    "recorded.html": "The page of `observe lanes`.",
    "trace.html": "One counterexample on a page.",
}
"""Files that cannot say themselves what they are."""
_HEAD = """\
# Every file in a line

Search this page for a word of your question. The folders stand in the order in which a design passes through them;
[ARCHITECTURE](../ARCHITECTURE.md) tells how they work together. `python docs/files.py` writes this page from the first line of each file.
"""


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


def page() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *("\n".join(_folder(folder)) for folder in FOLDERS)])


def _folder(folder: str) -> Iterator[str]:
    yield f"## {folder + '/' if folder else 'pasidlab'}\n"
    yield f"{TITLES.get(folder) or _first_line(SOURCES / folder / '__init__.py')}\n"
    yield "| file | what it is |"
    yield "|---|---|"
    for path in sorted((SOURCES / folder).iterdir()):
        if path.is_file() and path.suffix not in (".pyc", ".nbi", ".nbc") and (path.name != "__init__.py" or not folder):
            yield f"| `{path.name}` | {_first_line(path)} |"
    yield ""


def _first_line(path: Path) -> str:
    """What a file says of itself: the first line of its docstring or of its first comment."""
    text = LINES.get(path.name) or (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) if path.suffix == ".py" else "")
    text = text or next(line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith(("#", "//", "/*")))
    line = text.splitlines()[0].lstrip("#/* ").removesuffix("*/").strip()
    pieces = line.replace("``", "`").replace("|", "\\|").split("`")
    return "`".join(piece if n % 2 else piece.replace("_", "\\_") for n, piece in enumerate(pieces))


if __name__ == "__main__":
    main()
