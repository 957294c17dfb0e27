"""A check as JUnit XML, which continuous integration shows: a suite for each design, a case for each property.

A property that is not settled is an ``<error>``: many servers show ``<skipped>`` as success.
"""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from pasidlab.checking.compare import NO_DIFFERENCE, Comparison, Effect, state_of
from pasidlab.checking.findings import PropertyResult
from pasidlab.checking.result import CheckResult
from pasidlab.errors import counted
from pasidlab.report.account import Account
from pasidlab.trace.columns import trace_text

FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold (section 2.2)."""


def results_junit(account: Account) -> str:
    """The document. What is not settled, not explored or a mistake of the model is an error, a broken property a failure."""
    root = Element("testsuites", name="pasidlab")
    if account.comparison:
        _comparison(root, account.comparison)
    for result in account.results if account.comparison is None else ():
        _suite(root, result)
    for design in account.missing:
        suite = SubElement(root, "testsuite", name=_text(design), time="0.000")
        case = SubElement(suite, "testcase", classname=_text(design), name="explored")
        SubElement(case, "error", type="not explored", message=_text(account.ended or "the check was interrupted"))
    for element in (*root, root):
        element.attrib |= _counts(element)
    indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def _comparison(root: Element, comparison: Comparison) -> None:
    """A case for each property: a failure if the patch broke it, an error if it is not settled; what was broken before is no failure."""
    after = comparison.after
    suite = SubElement(root, "testsuite", name=_text(after.design), time=f"{after.seconds:.3f}")
    for one in comparison.properties:
        case = SubElement(suite, "testcase", classname=_text(after.design), name=_text(one.name))
        said = f"{one.change.value}: {state_of(one.before)} before, {state_of(one.after)} after"
        if one.change is Effect.WORSE:
            failure = SubElement(case, "failure", type=_text(one.name), message=_text(said))
            found = after.counterexample(one.name)
            failure.text = _text(trace_text(found, after.scope_of(found).cpus))
        elif one.change is Effect.OPEN:
            SubElement(case, "error", type="not settled", message=_text(f"{said}: {after.why_not_settled(one.name)}"))
        else:
            SubElement(case, "system-out").text = said
    if comparison.is_same and comparison.exit_code == 3:
        case = SubElement(suite, "testcase", classname=_text(after.design), name="difference")
        SubElement(case, "error", type="no difference", message=NO_DIFFERENCE)
    _judged(suite, after)


def _judged(suite: Element, result: CheckResult) -> None:
    if result.judged is not None:
        case = SubElement(suite, "testcase", classname=_text(result.design), name="judged")
        if result.judged.open:
            SubElement(case, "error", type="not judged", message=_text("; ".join(result.account)))
        else:
            SubElement(case, "system-out").text = _text("; ".join(result.account))


def _counts(element: Element) -> dict[str, str]:
    number = {"tests": "testcase", "failures": "failure", "errors": "error", "skipped": "skipped"}
    return {name: str(len(list(element.iter(tag)))) for name, tag in number.items()}


def _suite(root: Element, result: CheckResult) -> None:
    suite = SubElement(root, "testsuite", name=_text(result.design), time=f"{result.seconds:.3f}")
    for p in result.properties:
        _case(suite, result, p)
    _judged(suite, result)
    if result.error:
        case = SubElement(suite, "testcase", classname=_text(result.design), name="the model")
        error = SubElement(case, "error", type="model error", message=_text(str(result.error)))
        error.text = _text(f"{result.error.site.position}: {result.error}")


def _case(suite: Element, result: CheckResult, p: PropertyResult) -> None:
    case = SubElement(suite, "testcase", classname=_text(result.design), name=_text(p.name))
    if p in result.unsettled:
        SubElement(case, "error", type="not settled", message=_text(f"not settled: {result.why_not_settled(p.name)}"))
    elif p.holds:
        SubElement(case, "system-out").text = result.put_to_the_test(p)
    for found in result.counterexamples:
        if found.property == p.name:
            message = f"{found.sentence}, after {counted(len(found.steps), 'step')}"
            failure = SubElement(case, "failure", type=_text(p.name), message=_text(message))
            failure.text = _text(trace_text(found, result.scope_of(found).cpus))


def _text(text: str) -> str:
    return FORBIDDEN.sub("\ufffd", text)
