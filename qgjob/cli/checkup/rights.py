"""What these credentials may do, tried without any effect.

What would be stored is refused by the stream, if the server lets it come that far; an empty control request
is answered that it cannot be read.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Final

from bus_schemas import subjects
from bus_schemas.control import CtlAnswer
from bus_schemas.queries import Query
from bus_schemas.streams import BUILD_OBJECTS, BUNDLE_OBJECTS
from qgjob.bus.connect import Bus
from qgjob.bus.denial import Denial
from qgjob.bus.publish import try_publish
from qgjob.bus.requester import NoRespondersError, RequestTimeoutError
from qgjob.cli.checkup.finding import Finding, Status
from qgjob.errors import NotAllowedError, QgjobError

_TIMEOUT_S: Final = 3.0
QUERY: Final = "query"

Attempt = Callable[[Bus], Awaitable[None]]


async def rights(bus: Bus, org_id: str) -> list[Finding]:
    """A finding for each kind of use that permissions may forbid; submits are tried for that organisation."""
    attempts: dict[str, tuple[str, Attempt]] = {
        "submit": ("submit runs", lambda bus: _submit(bus, org_id)),
        "upload": ("upload builds", _upload),
        QUERY: ("look at jobs and runs", _query),
        "control": ("cancel, retry, pause", _control),
        "follow": ("follow what happens", _follow),
    }
    return list(await asyncio.gather(*(_tried(bus, n, *attempt) for n, attempt in attempts.items())))


async def _tried(bus: Bus, name: str, what: str, attempt: Attempt) -> Finding:
    try:
        await attempt(bus)
    except NotAllowedError as error:
        hint = "If they should: ask for credentials with that right (deploy/accounts.conf has those of CI)."
        # Without this one nothing can be said about the lab; not everybody needs the others.
        status: Status = "wrong" if name == QUERY else "warning"
        return Finding(name, status, error.message.rstrip("."), hint)
    except (RequestTimeoutError, NoRespondersError):
        return Finding(name, "unknown", f"whether these credentials may {what} cannot be told now")
    except QgjobError as error:
        return Finding(name, "wrong", f"cannot {what}: {error.message.rstrip('.')}", error.hint)
    return Finding(name, "ok", f"may {what}")


async def _submit(bus: Bus, org_id: str) -> None:
    token = secrets.token_hex(8)
    await try_publish(bus, subjects.run_marker(org_id, f"r_{token}"), timeout=_TIMEOUT_S)
    await try_publish(bus, f"$O.{BUNDLE_OBJECTS}.M.doctor-{token}", timeout=_TIMEOUT_S)


async def _upload(bus: Bus) -> None:
    await try_publish(bus, f"$O.{BUILD_OBJECTS}.M.doctor-{secrets.token_hex(8)}", timeout=_TIMEOUT_S)


async def _query(bus: Bus) -> None:
    await bus.requests.request(subjects.query("overview"), Query().encode(), timeout=_TIMEOUT_S)


async def _control(bus: Bus) -> None:
    # Whoever may only look may send some requests, but not this one.
    reply = await bus.requests.request(subjects.ctl("cancel"), b"", timeout=_TIMEOUT_S)
    CtlAnswer.decode(reply.data)


async def _follow(bus: Bus) -> None:
    subject = subjects.LIVE_EVENTS

    async def ignore(_: object) -> None: ...

    async with bus.subscribed(subject, ignore):
        await bus.requests.round_trip(timeout=_TIMEOUT_S)
        if any(Denial(text).names(subject) for text in bus.denied):
            raise NotAllowedError(f"These credentials may not subscribe to {subject}.")
