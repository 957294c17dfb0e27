"""A check as JUnit XML, which continuous integration shows: a suite for each design, a case for each property.

A property that is not settled is an ``<error>``: many servers show ``<skipped>`` as success.
"""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from pasidlab.check.findings import CheckResult, PropertyResult
from pasidlab.errors import counted
from pasidlab.report.account import Account
from pasidlab.report.text import put_to_the_test, unsettled, why_not_settled
from pasidlab.report.trace import trace_text

FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold (section 2.2)."""


def results_junit(account: Account) -> str:
    """The document. What is not settled, not explored or a mistake of the model is an error, a broken property a failure."""
    root = Element("testsuites", name="pasidlab")
    for result in account.results:
        _suite(root, result)
    for design in account.missing:
        suite = SubElement(root, "testsuite", name=_text(design), time="0.000")
        case = SubElement(suite, "testcase", classname=_text(design), name="explored")
        SubElement(case, "error", type="not explored", message=_text(account.ended or "the check was interrupted"))
    for element in (*root, root):
        element.attrib |= _counts(element)
    indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def _counts(element: Element) -> dict[str, str]:
    number = {"tests": "testcase", "failures": "failure", "errors": "error", "skipped": "skipped"}
    return {name: str(len(list(element.iter(tag)))) for name, tag in number.items()}


def _suite(root: Element, result: CheckResult) -> None:
    suite = SubElement(root, "testsuite", name=_text(result.design), time=f"{result.seconds:.3f}")
    for p in result.properties:
        _case(suite, result, p)
    if result.judged is not None:
        case = SubElement(suite, "testcase", classname=_text(result.design), name="judged")
        if result.judged.open:
            SubElement(case, "error", type="not judged", message=_text("; ".join(result.account)))
        else:
            SubElement(case, "system-out").text = _text("; ".join(result.account))
    if result.error:
        case = SubElement(suite, "testcase", classname=_text(result.design), name="the model")
        error = SubElement(case, "error", type="model error", message=_text(str(result.error)))
        error.text = _text(f"{result.error.site.position}: {result.error}")


def _case(suite: Element, result: CheckResult, p: PropertyResult) -> None:
    case = SubElement(suite, "testcase", classname=_text(result.design), name=p.name)
    if p in unsettled(result):
        SubElement(case, "error", type="not settled", message=_text(f"not settled: {why_not_settled(result, p.name)}"))
    elif p.holds:
        SubElement(case, "system-out").text = put_to_the_test(result, p)
    for found in result.counterexamples:
        if found.property == p.name:
            message = f"{found.sentence}, after {counted(len(found.steps), 'step')}"
            failure = SubElement(case, "failure", type=p.name, message=_text(message))
            failure.text = _text(trace_text(found, result.scope_of(found).cpus))


def _text(text: str) -> str:
    return FORBIDDEN.sub("\ufffd", text)
