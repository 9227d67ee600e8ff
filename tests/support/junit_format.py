"""What the schema that Jenkins checks JUnit files with (`junit-10`) allows, as far as we write any of it."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import NamedTuple

TIME = re.compile(r"[0-9,]*(\.[0-9]*)?")


class Rule(NamedTuple):
    """What an element may have; `once`: children that come in this order, each at most once."""

    required: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    children: frozenset[str] = frozenset()
    once: tuple[str, ...] = ()
    text: bool = False


def names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_PROBLEM = Rule(optional=names("type message"), text=True)
_TRY = Rule(names("type"), names("message"), once=("stackTrace", "system-out", "system-err"), text=True)
_TEXT = Rule(text=True)
RULES = {
    "testsuites": Rule(optional=names("name time tests failures errors"), children=names("testsuite")),
    "testsuite": Rule(
        names("name tests failures errors"),
        names("group time skipped timestamp hostname id package file log url version"),
        names("testsuite properties testcase system-out system-err"),
    ),
    "properties": Rule(children=names("property")),
    "property": Rule(names("name value")),
    "testcase": Rule(
        names("name"),
        names("time classname group"),
        names("skipped error failure rerunFailure rerunError flakyFailure flakyError system-out system-err"),
    ),
    **dict.fromkeys(("skipped", "error", "failure"), _PROBLEM),
    **dict.fromkeys(("rerunFailure", "rerunError", "flakyFailure", "flakyError"), _TRY),
    **dict.fromkeys(("stackTrace", "system-out", "system-err"), _TEXT),
}


def problems(document: bytes) -> list[str]:
    """What is wrong with a document, in words; empty when nothing is."""
    root = ET.fromstring(document)
    found = [] if root.tag in {"testsuites", "testsuite"} else [f"the root is {root.tag}"]
    for element in root.iter():
        rule = RULES.get(element.tag)
        if rule is None:
            found.append(f"there is no element {element.tag}")
            continue
        given = set(element.keys())
        found += [f"{element.tag} lacks {name}" for name in rule.required - given]
        found += [f"{element.tag} has {name}" for name in given - rule.required - rule.optional]
        tags = [child.tag for child in element]
        found += [f"{tag} stands in {element.tag}" for tag in tags if tag not in rule.children | {*rule.once}]
        if rule.once and tags != [tag for tag in rule.once if tag in tags]:
            found.append(f"{element.tag} has {tags}")
        if not rule.text and (element.text or "").strip():
            found.append(f"{element.tag} has text")
        if (time := element.get("time")) is not None and not TIME.fullmatch(time):
            found.append(f"{element.tag} has the time {time}")
    return found
