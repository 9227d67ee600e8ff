"""What is typed behind `/`: words, and `field:value` with `*`, negated by `-` or `!`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import translate
from typing import Final

from qgjob.domain.lifecycle import HELD, NOT_STARTED, STATES, TERMINAL
from tui.store.job import FAILURES, Job

Matcher = Callable[[Job], bool]

_STATE_WORDS: Final = {
    "active": HELD,
    "waiting": NOT_STARTED,
    "ended": TERMINAL,
    "bad": FAILURES,
}
_PRIORITIES: Final = {"high": range(8, 11), "medium": range(4, 8), "low": range(1, 4)}
_FIELD = re.compile(r"^([-!]?)([a-z_]+):(.*)$", re.DOTALL)
_COMPARE = re.compile(r"^(>=|<=|>|<|=)?(\d+)$")

_TEXTS: Final[dict[str, Callable[[Job], str]]] = {
    "org": lambda job: job.org_id,
    "build": lambda job: job.app_version_id,
    "test": lambda job: job.test,
    "run": lambda job: job.run_id,
    "job": lambda job: job.job_id,
    "agent": lambda job: job.agent,
    "slot": lambda job: job.place,
    "reason": lambda job: job.reason,
    "needs": lambda job: "+".join(job.spec.requires) if job.spec else "",
    "runner": lambda job: job.spec.runner if job.spec else "",
}
_ALIASES: Final = {
    "s": "state",
    "app": "build",
    "version": "build",
    "b": "build",
    "o": "org",
    "t": "test",
    "id": "job",
    "r": "run",
    "a": "agent",
    "p": "priority",
    "prio": "priority",
    "cap": "needs",
    "label": "needs",
}
FIELDS: Final = ("state", *_TEXTS, "priority", "is")
_FLAGS: Final[dict[str, Callable[[Job], bool]]] = {
    "flaky": lambda job: job.flaky,
    "retried": lambda job: job.attempt > 1,
    "cancelling": lambda job: job.cancelling,
}


class FilterError(ValueError):
    """What was typed is no filter; the text says why."""


@dataclass(frozen=True)
class JobFilter:
    """A parsed filter; jobs must match every part."""

    text: str = ""
    parts: tuple[Matcher, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.parts)

    def matches(self, job: Job) -> bool:
        """Whether a job is to be shown."""
        return all(part(job) for part in self.parts)


def parse_filter(text: str) -> JobFilter:
    """Read a filter; raises `FilterError` for a field or a state that does not exist."""
    try:
        words = shlex.split(text, posix=True)
    except ValueError:  # an unbalanced quote, while it is being typed
        words = text.replace('"', " ").replace("'", " ").split()
    return JobFilter(" ".join(text.split()), tuple(_part(word) for word in words))


def _part(word: str) -> Matcher:
    found = _FIELD.match(word)
    if found is None:
        negated = len(word) > 1 and word[0] in "-!"
        return _negated(_words(word[1:] if negated else word), negated)
    sign, name, value = found.groups()
    field = _ALIASES.get(name, name)
    if field not in FIELDS:
        raise FilterError(f"no field {name!r}: {', '.join(FIELDS)}")
    if not value:
        return lambda _job: True  # still being typed
    return _negated(_field(field, value), bool(sign))


def _field(field: str, value: str) -> Matcher:
    if field == "state":
        return _states(value)
    if field == "priority":
        return _priority(value)
    if field == "is":
        if value not in _FLAGS:
            raise FilterError(f"is:{value} is unknown: {', '.join(_FLAGS)}")
        return _FLAGS[value]
    read = _TEXTS[field]
    wanted = value.casefold()
    if "*" not in wanted:
        if field in {"test", "reason", "needs"}:
            return lambda job: wanted in read(job).casefold()
        return lambda job: read(job).casefold() == wanted
    pattern = re.compile(translate(wanted))
    return lambda job: pattern.match(read(job).casefold()) is not None


def _states(value: str) -> Matcher:
    wanted: set[str] = set()
    for name in value.split(","):
        named = _STATE_WORDS.get(name) or {state for state in STATES if name and state.startswith(name)}
        if name and not named:
            raise FilterError(f"no state {name!r}: {', '.join(_STATE_WORDS)}, queued, running, passed, …")
        wanted |= named
    return lambda job: job.state in wanted


def _priority(value: str) -> Matcher:
    if value in _PRIORITIES:
        numbers = _PRIORITIES[value]
        return lambda job: job.priority in numbers
    found = _COMPARE.match(value)
    if found is None:
        if value in {">", "<", ">=", "<=", "="} or any(name.startswith(value) for name in _PRIORITIES):
            return lambda _job: True  # still being typed
        raise FilterError("priority is 1 to 10, >=8, or high, medium, low")
    number = int(found.group(2))
    match found.group(1):
        case ">=":
            return lambda job: job.priority >= number
        case "<=":
            return lambda job: job.priority <= number
        case ">":
            return lambda job: job.priority > number
        case "<":
            return lambda job: job.priority < number
        case _:
            return lambda job: job.priority == number


def _words(word: str) -> Matcher:
    wanted = word.casefold()
    return lambda job: (
        wanted in job.test.casefold()
        or wanted in job.app_version_id.casefold()
        or wanted in job.org_id.casefold()
        or wanted in job.job_id.casefold()
        or wanted in job.run_id.casefold()
        or wanted in job.place.casefold()
        or wanted == job.state
    )


def _negated(matcher: Matcher, negated: bool) -> Matcher:
    return (lambda job: not matcher(job)) if negated else matcher
