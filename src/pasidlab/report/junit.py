"""A check as JUnit XML, which continuous integration shows: a suite for each design, a case for each property."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from pasidlab.check.findings import CheckResult, PropertyResult
from pasidlab.report.text import put_to_the_test
from pasidlab.report.trace import trace_text


def results_junit(results: Sequence[CheckResult]) -> str:
    """The document. A property that is not settled is skipped; a mistake of the model or design is an error."""
    root = Element("testsuites", name="pasidlab")
    for result in results:
        suite = SubElement(
            root, "testsuite", name=result.design, time=f"{result.seconds:.3f}", tests=str(len(result.properties)),
            failures=str(sum(p.holds is False for p in result.properties)), errors=str(int(result.error is not None)),
            skipped=str(sum(p.holds is None for p in result.properties)),
        )  # fmt: skip
        for p in result.properties:
            _case(suite, result, p)
        if result.error:
            SubElement(suite, "system-err").text = f"{result.error.site.position}: {result.error}"
    indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def _case(suite: Element, result: CheckResult, p: PropertyResult) -> None:
    case = SubElement(suite, "testcase", classname=result.design, name=p.name)
    if p.holds is None:
        SubElement(case, "skipped", message="not settled within what was explored")
    elif p.holds:
        SubElement(case, "system-out").text = put_to_the_test(p)
    for found in result.counterexamples:
        if found.property == p.name:
            failure = SubElement(case, "failure", type=p.name, message=f"{found.sentence}, after {len(found.steps)} steps")
            failure.text = trace_text(found, result.scope_of(found).cpus)
