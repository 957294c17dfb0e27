"""The files ``check -o`` writes, by suffix."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pasidlab.errors import PasidlabError
from pasidlab.output import must_be_writable, write

if TYPE_CHECKING:
    from pasidlab.report.account import Account


def _json(account: Account) -> str:
    from pasidlab.report.json import results_json

    return json.dumps(results_json(account), indent=1) + "\n"


def _html(account: Account) -> str:
    from pasidlab.report.page import results_page

    return results_page(account)


def _sarif(account: Account) -> str:
    from pasidlab.report.sarif import results_sarif

    return json.dumps(results_sarif(account), indent=1) + "\n"


def _junit(account: Account) -> str:
    from pasidlab.report.junit import results_junit

    return results_junit(account)


def _mail(account: Account) -> str:
    from pasidlab.report.prose import results_mail

    return results_mail(account)


def _markdown(account: Account) -> str:
    from pasidlab.report.prose import results_markdown

    return results_markdown(account)


def _mermaid(account: Account) -> str:
    from pasidlab.report.prose import results_mermaid

    return results_mermaid(account)


def _perfetto(account: Account) -> str:
    from pasidlab.report.perfetto import results_perfetto

    return json.dumps(results_perfetto(account)) + "\n"


FORMATS: dict[str, Callable[[Account], str]] = {
    ".html": _html, ".json": _json, ".mail": _mail, ".md": _markdown, ".mmd": _mermaid, ".perfetto": _perfetto,
    ".sarif": _sarif, ".xml": _junit,
}  # fmt: skip
"""Suffix of a file to write -> its text."""


def must_be_known(files: Sequence[str]) -> None:
    """Raises PasidlabError for a file whose suffix is none of FORMATS, or that cannot be written."""
    for file in files:
        if Path(file).suffix not in FORMATS:
            raise PasidlabError(f"cannot write '{file}'", hint=f"the file name must end in {', '.join(FORMATS)}")
        must_be_writable(file)


def write_all(files: Sequence[str], account: Account) -> None:
    """Write each file. All texts are made before the first is written."""
    for file, text in [(file, FORMATS[Path(file).suffix](account)) for file in files]:
        write(file, text)
