"""What the dashboard can change in the system: what is asked first, and which command does the same."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from qgjob.domain.lifecycle import BAD_ENDS
from qgjob.domain.priorities import PRIORITY_WORDS
from tui.draw.spans import short
from tui.draw.states import JOB_GLYPH, word
from tui.store.job import Job

Verb = Literal[
    "cancel",
    "retry",
    "reprioritise",
    "queue pause",
    "queue resume",
    "app resume",
    "agents drain",
    "agents pause",
    "agents resume",
    "agents quarantine",
]
SLOT_VERBS: Final[tuple[Verb, ...]] = ("agents drain", "agents pause", "agents resume", "agents quarantine")
AsksFor = Literal["", "note", "priority"]

_TITLE: Final = 48
"""Cells for the name of a job, which with its state fits into a line of the question."""
MANY: Final = 100
"""From so many on, the number has to be typed."""


@dataclass(frozen=True, slots=True)
class Operation:
    """Something to be done to jobs, slots or agents, once the user has said yes."""

    verb: Verb
    targets: tuple[str, ...]
    title: str
    confirm_label: str
    lines: tuple[str, ...] = ()
    """What it is done to, as people know it; still foreign text."""
    asks_for: AsksFor = ""
    """What else the user may say."""
    argument: str = ""
    """What the user said."""

    @property
    def needs_count(self) -> bool:
        """Whether so much is changed that a single key should not do."""
        return len(self.targets) >= MANY

    @property
    def about_jobs(self) -> bool:
        """Whether its targets are jobs."""
        return self.verb in {"cancel", "retry", "reprioritise"}

    @property
    def about_slots(self) -> bool:
        """Whether its targets are slots or agents."""
        return self.verb in SLOT_VERBS

    def with_argument(self, argument: str) -> Operation:
        """With what the user said."""
        return replace(self, argument=argument.strip())

    def problem(self) -> str:
        """What is wrong with what the user said, in a sentence; nothing if it will do."""
        if self.asks_for == "priority" and self.priority is None:
            return "A priority is 1 to 10, or high, medium, low."
        return ""

    @property
    def priority(self) -> int | None:
        """The priority that was typed, if it is one."""
        said = self.argument.casefold()
        if said in PRIORITY_WORDS:
            return PRIORITY_WORDS[said]
        return int(said) if len(said) <= 2 and said.isdecimal() and 1 <= int(said) <= 10 else None

    def command(self, target: str) -> str:
        """The command line that does the same to one of the targets."""
        words = ["qgjob", *self.verb.split()]
        if self.verb.startswith("queue"):
            capability, org = target.split("\x00")
            words += ["--org-id", org] if org else []
            words += ["--capability", capability] if capability else []
        elif self.verb == "app resume":
            version, org = target.split("\x00")
            words += [version, "--org-id", org]
        else:
            words.append(target)
        if self.asks_for == "priority":
            words.append(self.argument or "N")
        if self.asks_for == "note" and self.argument:
            words += ["--note", self.argument]
        return shlex.join(words)


def queue_target(org: str = "", capability: str = "") -> str:
    """What of the queue is paused: an organisation, a capability, both, or without either everything."""
    return f"{capability}\x00{org}"


def cancel(jobs: Sequence[Job]) -> Operation:
    """End jobs that have not ended."""
    return _on_jobs("cancel", jobs, "Cancel", "Cancel it", "Cancel them")


def retry(jobs: Sequence[Job]) -> Operation:
    """Try jobs that ended once more; of several, where some failed, those."""
    failed = [job for job in jobs if job.state in BAD_ENDS]
    operation = _on_jobs("retry", failed or jobs, "Try again", "Try it again", "Try them again")
    if 0 < len(failed) < len(jobs):
        what = "the one that failed" if len(failed) == 1 else f"the {len(failed):,} that failed"
        return replace(operation, title=f"Try again {what} of {len(jobs):,}?")
    return operation


def reprioritise(jobs: Sequence[Job]) -> Operation:
    """Give jobs another priority."""
    operation = _on_jobs("reprioritise", jobs, "Another priority for", "Change it", "Change them")
    return replace(operation, asks_for="priority", title=operation.title.rstrip("?"))


def queue(verb: Literal["pause", "resume"], org: str = "", capability: str = "") -> Operation:
    """Start no more jobs of an organisation or capability, or do so again."""
    what = " of ".join(part for part in (f"work that needs {capability}" if capability else "", org) if part)
    if verb == "pause":
        return Operation(
            "queue pause",
            (queue_target(org, capability),),
            f"Pause {what or 'the whole queue'}?",
            "Pause",
            ("What runs is finished; nothing more of it starts.",),
            "note",
        )
    return Operation(
        "queue resume", (queue_target(org, capability),), f"Resume {what or 'the whole queue'}?", "Resume"
    )


def build(app_version_id: str, org_id: str) -> Operation:
    """Start jobs again of a build that is held back."""
    return Operation(
        "app resume",
        (f"{app_version_id}\x00{org_id}",),
        f"Let jobs of {app_version_id} start again?",
        "Let them start",
        (f"{app_version_id} of {org_id}",),
    )


def slot_verb(name: str) -> Verb:
    """`drain`, `pause`, `resume` or `quarantine` as a verb; raises `ValueError` for anything else."""
    for verb in SLOT_VERBS:
        if verb == f"agents {name}":
            return verb
    raise ValueError(name)


def slots(verb: Verb, names: Sequence[str]) -> Operation:
    """Hold slots or whole agents, or let them work again."""
    doing = verb.rpartition(" ")[2]
    what = names[0] if len(names) == 1 else f"{len(names):,} slots"
    return Operation(
        verb,
        tuple(names),
        f"{doing.capitalize()} {what}?",
        doing.capitalize(),
        tuple(names),
        "" if doing == "resume" else "note",
    )


def _on_jobs(verb: Verb, jobs: Sequence[Job], word_for: str, one: str, several: str) -> Operation:
    single = len(jobs) == 1
    return Operation(
        verb=verb,
        targets=tuple(job.job_id for job in jobs),
        title=f"{word_for} this job?" if single else f"{word_for} {len(jobs):,} jobs?",
        confirm_label=one if single else several,
        lines=tuple(
            f"{JOB_GLYPH[j.state]} {short(j.title, _TITLE, keep_end=True)}  ({word(j.state)})" for j in jobs
        ),
    )
