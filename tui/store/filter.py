"""What is typed behind `/`: words, and `field:value` with `*`, negated by `-` or `!`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import translate
from typing import Final

from qgjob.domain.lifecycle import BAD_ENDS, HELD, NOT_STARTED, STATES, TERMINAL
from tui.store.attempt import AttemptFacts
from tui.store.job import Job

Matcher = Callable[[Job], bool]
ByText = Callable[[Callable[[Job], str], Callable[[str], bool]], Matcher]

_STATE_WORDS: Final = {
    "active": HELD,
    "waiting": NOT_STARTED,
    "ended": TERMINAL,
    "bad": BAD_ENDS,
}
_PRIORITIES: Final = {"high": range(8, 11), "medium": range(4, 8), "low": range(1, 4)}
_PLAIN_WORDS = re.compile(r"^[a-zA-Z0-9_/.]+( [a-zA-Z0-9_/.]+)*$")
_FIELD = re.compile(r"^([-!]?)([a-z_]+):(.*)$", re.DOTALL)
_COMPARE = re.compile(r"^(>=|<=|>|<|=)?(\d+)$")

_TEXTS: Final[dict[str, Callable[[Job], str]]] = {
    "org": lambda job: job.org_id,
    "build": lambda job: job.app_version_id,
    "test": lambda job: job.test,
    "run": lambda job: job.run_id,
    "job": lambda job: job.job_id,
    "agent": lambda job: job.agent,
    "slot": lambda job: job.slot_name,
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
_FUZZY_FROM: Final = 3
MAX_VERDICTS: Final = 20_000
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

    @property
    def matcher(self) -> Matcher | None:
        """The same as one function, as quick as it can be; None lets everything through."""
        if not self.parts:
            return None
        return self.parts[0] if len(self.parts) == 1 else self.matches

    def narrows(self, other: JobFilter) -> bool:
        """Whether it lets through nothing that the other does not: one more word, or a longer one."""
        more = self.text.removeprefix(other.text)
        if not other or len(more) == len(self.text) or not _PLAIN_WORDS.match(self.text):
            return False
        last = other.text.rsplit(" ", 1)[-1]
        return more.startswith(" ") or len(last) >= _FUZZY_FROM


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
    by_text = _each if field == "job" else _PLACES.get(field, _by_text)
    if "*" in wanted:
        pattern = re.compile(translate(wanted))
        return by_text(read, lambda text: pattern.match(text) is not None)
    if field in {"test", "reason", "needs"}:
        return by_text(read, lambda text: wanted in text)
    return by_text(read, lambda text: text == wanted)


class _Verdicts(dict[str, bool]):
    """Whether a text passes, judged once: many jobs have the same test, build or agent.

    A filter may stay for days; of too many texts it forgets all.
    """

    def __init__(self, test: Callable[[str], bool]) -> None:
        super().__init__()
        self._test = test

    def __missing__(self, text: str) -> bool:
        if len(self) >= MAX_VERDICTS:
            self.clear()
        self[text] = verdict = self._test(text.casefold())
        return verdict


def _by_text(read: Callable[[Job], str], test: Callable[[str], bool]) -> Matcher:
    verdicts = _Verdicts(test)
    return lambda job: verdicts[read(job)]


def _by_place(of_attempt: Callable[[AttemptFacts], str]) -> ByText:
    """As `_by_text`; a job that is tried again passes by where it was before, too."""

    def by_place(read: Callable[[Job], str], test: Callable[[str], bool]) -> Matcher:
        verdicts = _Verdicts(test)
        return lambda job: (
            verdicts[read(job)]
            or (job.attempt > 1 and any(verdicts[of_attempt(facts)] for facts in job.attempts))
        )

    return by_place


_PLACES: Final = {
    "agent": _by_place(lambda facts: facts.agent),
    "slot": _by_place(lambda facts: f"{facts.agent}/{facts.slot}"),
}


def _each(read: Callable[[Job], str], test: Callable[[str], bool]) -> Matcher:
    """As `_by_text`, where no two jobs have the same text."""
    return lambda job: test(read(job).casefold())


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
    """A bare word: in any of a job's names; in its test also by the beginnings of words."""
    wanted = word.casefold()
    if wanted.startswith(("j_", "r_")):
        return lambda job: wanted in job.job_id.casefold() or wanted in job.run_id.casefold()
    tests = _Verdicts(fuzzy_pattern(wanted))
    names = _Verdicts(lambda text: wanted in text)
    place = "/" in wanted

    def matches(job: Job) -> bool:
        # One function without further calls for most jobs: it is asked a hundred thousand times a key.
        spec = job.spec
        return (
            (spec is not None and (tests[spec.title] or names[spec.app_version_id]))
            or names[job.org_id]
            or names[job.agent]
            or wanted == job.state
            or wanted in job.job_id
            or wanted in job.run_id
            or (place and wanted in job.slot_name.casefold())
        )

    return matches


def fuzzy_pattern(wanted: str) -> Callable[[str], bool]:
    """Whether the letters come in order, each beginning a word or following the one before it.

    So `chpay` finds `checkout/test_pay.py`. Letters strewn anywhere would let nearly every long path through.
    """
    if len(wanted) < _FUZZY_FROM or not wanted.isalnum():
        return lambda text: wanted in text
    begins = "".join(
        re.escape(c) if i == 0 else f"(?:{re.escape(c)}|.*?(?<![a-z0-9]){re.escape(c)})"
        for i, c in enumerate(wanted)
    )
    pattern = re.compile(f"(?<![a-z0-9]){begins}")
    return lambda text: wanted in text or pattern.search(text) is not None


def _negated(matcher: Matcher, negated: bool) -> Matcher:
    return (lambda job: not matcher(job)) if negated else matcher
