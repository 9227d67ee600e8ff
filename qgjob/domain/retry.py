"""Whether an attempt that ended is tried again, and as what.

Failures are the test's and count against `--retries`; infrastructure errors are the lab's, are
tried on another slot and are not charged to the test. A build that cannot be installed anywhere,
a cancel and an expiry are never tried again.
"""

from __future__ import annotations

from typing import Final

from bus_schemas.events import EndState
from bus_schemas.jobs import JobMessage

CHARGED: Final[frozenset[EndState]] = frozenset({"failed", "timed_out"})
MAX_AVOID: Final = 8


def next_attempt(
    message: JobMessage, state: EndState, where: str | None, *, retryable: bool = True
) -> JobMessage | None:
    """The message of the next attempt, or None when this result is the last.

    `where`: the `agent/slot` of this attempt; after an infrastructure error the next one avoids it.
    `retryable`: False for an infrastructure error that another slot would meet as well.
    """
    spec = message.spec
    if state in CHARGED:
        if message.failures >= spec.retries:
            return None
        return message.model_copy(
            update={"attempt": message.attempt + 1, "failures": message.failures + 1, "not_before": None}
        )
    if state != "errored" or not retryable or message.infra_errors >= spec.infra_retries:
        return None
    avoid = message.avoid if where is None or where in message.avoid else (*message.avoid, where)[-MAX_AVOID:]
    return message.model_copy(
        update={
            "attempt": message.attempt + 1,
            "infra_errors": message.infra_errors + 1,
            "avoid": avoid,
            "not_before": None,
        }
    )
