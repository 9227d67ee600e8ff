"""Whether an attempt that ended is tried again, when, and as what. Pure.

Failures are the test's and count against `--retries`; infrastructure errors are the lab's, are
tried on another slot and are not charged to the test. A build that cannot be installed anywhere,
a cancel and an expiry are never tried again, nor is a job under which one device after the other
went down: it would take the whole lab with it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

from bus_schemas.events import EndState
from bus_schemas.jobs import JobMessage
from qgjob.domain.lifecycle import FAILURES

MAX_AVOID: Final = 8
POISON_SLOTS: Final = 3
"""So many slots that went down under a job make it poisonous."""
POISONOUS: Final = "poisonous"
DOWN: Final = frozenset({"device_lost", "supervisor_lost"})
"""Reasons of infrastructure errors that say that the device, or what drives it, went down in the attempt."""
BACK_OFF_S: Final = 2.0
"""About how long the second retry after an infrastructure error waits; the first does not wait."""
LONGEST_BACK_OFF_S: Final = 300.0


def next_attempt(
    message: JobMessage,
    state: EndState,
    where: str | None,
    *,
    retryable: bool = True,
    downed: Iterable[str] = (),
) -> JobMessage | None:
    """The message of the next attempt, or None when this result is the last.

    `where`: the `agent/slot` of this attempt; after an infrastructure error the next one avoids it.
    `retryable`: False for an infrastructure error that another slot would meet as well.
    `downed`: slots that went down in this attempt.
    """
    spec = message.spec
    down = all_downed(message, downed)
    if state in FAILURES:
        if message.failures >= spec.retries:
            return None
        return message.model_copy(
            update={
                "attempt": message.attempt + 1,
                "failures": message.failures + 1,
                "downed": down,
                "not_before": None,
            }
        )
    if state != "errored" or not retryable or message.infra_errors >= spec.infra_retries:
        return None
    if is_poisonous(down):
        return None
    avoid = message.avoid if where is None or where in message.avoid else (*message.avoid, where)[-MAX_AVOID:]
    return message.model_copy(
        update={
            "attempt": message.attempt + 1,
            "infra_errors": message.infra_errors + 1,
            "avoid": avoid,
            "downed": down,
            "not_before": None,
        }
    )


def all_downed(message: JobMessage, downed: Iterable[str]) -> tuple[str, ...]:
    """All slots that went down under a job, in this attempt and before; each once."""
    return tuple(dict.fromkeys((*message.downed, *downed)))[-MAX_AVOID:]


def is_poisonous(downed: Iterable[str]) -> bool:
    """Whether a job is to be stopped, as these slots went down under it."""
    return len(set(downed)) >= POISON_SLOTS


def poison_text(downed: Iterable[str]) -> str:
    """Why a job is stopped as poisonous."""
    names = sorted(set(downed))
    return f"{len(names)} slots went down under it ({', '.join(names)}): it is not tried again"


def may_start_at(message: JobMessage, state: EndState, ended_at: float) -> float | None:
    """When a next attempt may start, the one before having ended with `state`; None: at once.

    Failures and first infrastructure errors are tried again at once; after further ones the wait
    doubles each time. The jitter depends on job and attempt alone, so that everybody finds the same.
    """
    repeats = message.infra_errors - 1
    if state != "errored" or repeats < 1:
        return None
    wait = min(LONGEST_BACK_OFF_S, BACK_OFF_S * 2.0 ** min(repeats - 1, 30))
    digest = hashlib.sha256(f"{message.spec.job_id}\0{message.attempt}".encode()).digest()
    jitter = int.from_bytes(digest[:4], "big") / 2**32
    return ended_at + wait * (0.5 + jitter / 2)
