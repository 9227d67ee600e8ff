"""What npm's errors mean: the bundle's fault, or the lab's. Pure."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_CODE: Final = re.compile(r"^npm (?:error|ERR!) code (\S+)", re.MULTILINE)
_LINE: Final = re.compile(
    r"^npm (?:error|ERR!) (?!code |errno |syscall |A complete log|Log files)(\S.*)$", re.MULTILINE
)

_BUNDLES: Final = frozenset(
    {
        "EUSAGE",  # lock file and package.json differ
        "EJSONPARSE",
        "EINTEGRITY",
        "E404",
        "ETARGET",
        "ERESOLVE",
        "EBADENGINE",
        "EBADPLATFORM",
        "EINVALIDPACKAGENAME",
        "EINVALIDTAGNAME",
        "EUNSUPPORTEDPROTOCOL",
        "EOVERRIDE",
    }
)


class NpmFault(NamedTuple):
    """`bundles`: another machine would meet the same. `sentence` is empty when npm said nothing."""

    bundles: bool
    sentence: str


def explain(output: str, *, offline: bool = False) -> NpmFault:
    """Read the end of npm's output."""
    found = _CODE.search(output)
    code = found[1] if found else ""
    lines = [" ".join(line.split()) for line in _LINE.findall(output)]
    words = lines[0][:300] if lines else ""
    sentence = f"{words} ({code})" if words and code else words or code
    if code == "ENOTCACHED" and offline:
        sentence = f"a package is not in the machine's npm cache, and the agent works offline ({code})"
    return NpmFault(code in _BUNDLES, sentence)
