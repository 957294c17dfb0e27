"""The files ``check -o`` writes, by suffix."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pasidlab.check.findings import CheckResult


def _json(_results: list[CheckResult], document: object) -> str:
    return json.dumps(document, indent=1) + "\n"


def _html(results: list[CheckResult], _document: object) -> str:
    from pasidlab.report.page import results_page

    return results_page(results)


def _sarif(results: list[CheckResult], _document: object) -> str:
    from pasidlab.report.sarif import results_sarif

    return json.dumps(results_sarif(results), indent=1) + "\n"


def _junit(results: list[CheckResult], _document: object) -> str:
    from pasidlab.report.junit import results_junit

    return results_junit(results)


FORMATS = {".html": _html, ".json": _json, ".sarif": _sarif, ".xml": _junit}
"""Suffix of a file to write -> its text."""
