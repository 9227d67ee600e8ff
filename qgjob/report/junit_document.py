"""Writes suites of test cases as JUnit XML; well-formed whatever they say.

Of the several dialects this is the one of Surefire that Jenkins checks and GitLab reads: properties stand
at the suite, attachments in a case's output.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal

from bus_schemas.cases import CaseOutcome

_NOT_IN_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

Kind = Literal["failure", "error", "skipped"]
KINDS: Final[dict[CaseOutcome, Kind | None]] = {
    "passed": None,
    "failed": "failure",
    "errored": "error",
    "skipped": "skipped",
}


@dataclass(frozen=True, slots=True)
class Try:
    """An earlier attempt that did not pass."""

    failed: bool
    """By the test itself, and not by the lab."""
    message: str
    type: str
    text: str


@dataclass(frozen=True, slots=True)
class Case:
    """A test case as it is written."""

    classname: str
    name: str
    seconds: float
    kind: Kind | None = None
    """What it is beside passed."""
    message: str = ""
    type: str = ""
    text: str = ""
    earlier: Sequence[Try] = ()
    lines: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Suite:
    """A suite as it is written."""

    name: str
    cases: Sequence[Case]
    started_at: float | None = None
    id: str | None = None
    lines: Sequence[str] = field(default=())


def document(suites: Sequence[Suite], *, name: str, properties: Mapping[str, str], url: str | None) -> bytes:
    """The suites as a UTF-8 document; each has the properties, which are the run's."""
    total = _counts([case for suite in suites for case in suite.cases])
    root = ET.Element("testsuites", {"name": xml_text(name)} | total)
    for suite in suites:
        kinds = [case.kind for case in suite.cases]
        element = ET.SubElement(root, "testsuite", {"name": xml_text(suite.name)} | _counts(suite.cases))
        element.set("skipped", str(kinds.count("skipped")))
        if suite.started_at is not None:
            at = datetime.fromtimestamp(suite.started_at, UTC)
            element.set("timestamp", at.isoformat(timespec="seconds"))
        for attribute, value in (("id", suite.id), ("url", url)):
            if value:
                element.set(attribute, xml_text(value))
        element_properties = ET.SubElement(element, "properties")
        for key, value in properties.items():
            if value:
                ET.SubElement(
                    element_properties, "property", {"name": xml_text(key), "value": xml_text(value)}
                )
        for case in suite.cases:
            _write(element, case)
        if suite.lines:
            ET.SubElement(element, "system-out").text = xml_text("\n".join(suite.lines))
    ET.indent(root)
    return ET.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"


def _counts(cases: Sequence[Case]) -> dict[str, str]:
    kinds = [case.kind for case in cases]
    return {
        "tests": str(len(cases)),
        "failures": str(kinds.count("failure")),
        "errors": str(kinds.count("error")),
        "time": f"{sum(case.seconds for case in cases):.3f}",
    }


def _write(suite: ET.Element, case: Case) -> None:
    element = ET.SubElement(
        suite,
        "testcase",
        {"classname": case.classname, "name": case.name, "time": f"{case.seconds:.3f}"},
    )
    if case.kind is not None:
        attributes = {"message": xml_text(case.message)} | ({"type": case.type} if case.type else {})
        problem = ET.SubElement(element, case.kind, attributes)
        problem.text = xml_text(case.text) or None
    for one in case.earlier:
        tag = ("flaky" if case.kind is None else "rerun") + ("Failure" if one.failed else "Error")
        earlier = ET.SubElement(element, tag, {"message": one.message, "type": one.type})
        ET.SubElement(earlier, "stackTrace").text = one.text
    if case.lines:
        ET.SubElement(element, "system-out").text = xml_text("\n".join(case.lines))


def xml_text(text: str) -> str:
    """The text with U+FFFD for every character that XML 1.0 has not, escaped or otherwise."""
    return _NOT_IN_XML.sub("\ufffd", text)
