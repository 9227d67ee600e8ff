"""Labs to simulate: so many equal slots, what a labels file lists, and either with some slots more."""

from __future__ import annotations

import math
import re
import tomllib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from bus_schemas.base import LABEL_RULE, is_label
from qgjob.domain.wording import pluralize
from qgjob.errors import UsageError
from qgjob.simulate.engine import ANY_TARGET, Lab

MAX_SLOTS: Final = 5000
_KEYS: Final = frozenset({"labels", "count", "install_seconds"})
_ADDED: Final = re.compile(r"(\d{1,4})(?::(.+))?\Z")


@dataclass(frozen=True, slots=True)
class NamedLab:
    """A lab, and what tells it from those that it is compared with."""

    name: str
    lab: Lab


def read_labels(path: Path, install_s: float) -> Lab:
    """The lab of a labels file; `install_s` holds where the file does not say it.

    A file that ends in `.toml` has a `[[slots]]` table for each kind of slot, with `labels`, `count` (1)
    and `install_seconds`. Any other has a line for each slot: its labels, separated by commas; empty lines
    and what follows a `#` do not count. Raises `UsageError` naming what is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"The labels file {path} is not text in UTF-8.") from None
    except OSError as error:
        raise UsageError(f"The labels file {path} cannot be read: {error.strerror}.") from None
    kinds = _from_toml(text, path.name) if path.suffix.lower() == ".toml" else _from_lines(text, path.name)
    labels: list[frozenset[str]] = []
    installs: list[float] = []
    for count, names, seconds in kinds:
        labels += [names] * count
        installs += [install_s if seconds is None else seconds] * count
        if len(labels) > MAX_SLOTS:
            raise UsageError(f"{path.name} has more than {MAX_SLOTS:,} slots.")
    if not labels:
        raise UsageError(f"The labels file {path} names no slot.")
    same = all(seconds == install_s for seconds in installs)
    return Lab(tuple(labels), install_s, () if same else tuple(installs))


def add_slots(lab: Lab, added: str) -> NamedLab:
    """The lab with further slots, as `4` (that run everything) or `4:emulator,android-14` says.

    Raises `UsageError`. What an install takes on the new slots: what it takes on slots with the same
    labels, else what it takes by default.
    """
    match = _ADDED.match(added.strip())
    count = int(match.group(1)) if match else 0
    if match is None or not count:
        raise UsageError(
            f"--add {added!r} is not understood.", hint="Write 4, or 4:emulator for slots with those labels."
        )
    given = [part.strip() for part in (match.group(2) or "").split(",") if part.strip()]
    labels = _labels(given, "--add") if given else ANY_TARGET
    if len(lab.slots) + count > MAX_SLOTS:
        raise UsageError(f"--add {added!r} makes more than {MAX_SLOTS:,} slots.")
    alike = [lab.install_on(number) for number, has in enumerate(lab.slots) if has == labels]
    seconds = sum(alike) / len(alike) if alike else lab.install_s
    installs = tuple(lab.install_on(number) for number in range(len(lab.slots)))
    extended = Lab(
        (*lab.slots, *(labels,) * count),
        lab.install_s,
        (*installs, *(seconds,) * count) if lab.installs else (),
    )
    kind = f" {', '.join(sorted(labels))}" if given else ""
    return NamedLab(f"{len(extended.slots)} slots, {count} more{kind and f' with{kind}'}", extended)


def describe(lab: Lab) -> str:
    """`24 slots`, or `24 slots: 16 emulator, 8 device`."""
    total = pluralize(len(lab.slots), "slot")
    kinds = Counter(lab.slots)
    if set(kinds) == {ANY_TARGET}:
        return total
    shown = [f"{count} {'+'.join(sorted(labels)) or '(no labels)'}" for labels, count in kinds.most_common(4)]
    return f"{total}: {', '.join(shown)}{', …' if len(kinds) > 4 else ''}"


_Kind = tuple[int, frozenset[str], float | None]


def _from_lines(text: str, name: str) -> list[_Kind]:
    kinds: list[_Kind] = []
    for number, line in enumerate(text.splitlines(), 1):
        content = line.partition("#")[0].strip()
        if content:
            given = [part.strip() for part in content.split(",") if part.strip()]
            kinds.append((1, _labels(given, f"{name}, line {number}"), None))
    return kinds


def _from_toml(text: str, name: str) -> list[_Kind]:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{name} is not TOML: {error}.") from None
    entries = document.get("slots")
    if not isinstance(entries, list) or set(document) != {"slots"}:
        raise UsageError(f"{name} needs tables [[slots]], and nothing else.")
    return [
        _kind(entry, f"{name}, the {number}. [[slots]]")
        for number, entry in enumerate(cast("list[Any]", entries), 1)
    ]


def _kind(entry: Any, where: str) -> _Kind:
    if not isinstance(entry, dict):
        raise UsageError(f"{where} is no table.")
    table = cast("dict[str, Any]", entry)
    if unknown := sorted(set(table) - _KEYS):
        raise UsageError(
            f"{where}: {unknown[0]} is unknown.", hint=f"It may have {', '.join(sorted(_KEYS))}."
        )
    labels, count, seconds = table.get("labels"), table.get("count", 1), table.get("install_seconds")
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in cast("list[Any]", labels)):
        raise UsageError(f'{where}: labels must be a list, such as ["emulator"].')
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MAX_SLOTS:
        raise UsageError(f"{where}: count is {count!r}, not a number from 1 to {MAX_SLOTS}.")
    if seconds is not None and (
        isinstance(seconds, bool)
        or not isinstance(seconds, int | float)
        or not (math.isfinite(seconds) and seconds >= 0)
    ):
        raise UsageError(f"{where}: install_seconds is {seconds!r}, not a number of seconds.")
    return count, _labels(cast("list[str]", labels), where), None if seconds is None else float(seconds)


def _labels(given: Sequence[str], where: str) -> frozenset[str]:
    for label in given:
        if not is_label(label):
            raise UsageError(f"{where}: {label!r} is not a label.", hint=LABEL_RULE)
    return frozenset(given)
