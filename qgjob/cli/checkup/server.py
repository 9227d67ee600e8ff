"""The server as this connection sees it."""

from __future__ import annotations

import time
from typing import Any

from qgjob.bus.connect import MIN_SERVER, Bus
from qgjob.cli.checkup.finding import Finding
from qgjob.domain.wording import show_size
from qgjob.errors import NotAllowedError, QgjobError

_SLOW_S = 0.25


async def connection(bus: Bus) -> Finding:
    """The server's version and round-trip time; a server that is too old was refused before."""
    took: list[float] = []
    for _ in range(3):
        began = time.monotonic()
        await bus.requests.round_trip(timeout=3)
        took.append(time.monotonic() - began)
    rtt = min(took)
    where = bus.nc.connected_url.netloc.rpartition("@")[2] if bus.nc.connected_url else "?"
    needed = f"{MIN_SERVER[0]}.{MIN_SERVER[1]}"
    detail = f"nats-server {bus.server_version} at {where} (needed: {needed}), {1000 * rtt:.1f} ms away"
    facts = {"version": bus.server_version, "round_trip_s": rtt}
    if rtt > _SLOW_S:
        return Finding("server", "warning", detail, "The network is slow: run commands nearer to it.", facts)
    return Finding("server", "ok", detail, facts=facts)


async def jetstream(bus: Bus) -> Finding:
    """Whether JetStream answers, and what it holds for this account."""
    try:
        account = await bus.requests.api("INFO", timeout=3)
    except NotAllowedError:  # also where the account has none
        return Finding("jetstream", "unknown", "these credentials may not ask for it; the scheduler does")
    except QgjobError as error:
        return Finding("jetstream", "wrong", error.message.rstrip("."), error.hint)
    return storage(int(account["storage"]), _limit(account), int(account["streams"]))


def storage(used: int, limit: int | None, streams: int | None = None) -> Finding:
    """How near the store is to its limit."""
    held = f"{show_size(used)} stored" + (f" in {streams} streams" if streams is not None else "")
    facts = {"used": used, "limit": limit}
    if limit is None:
        return Finding("jetstream", "ok", f"{held}; no limit but the server's disk", facts=facts)
    share = used / limit if limit else 1.0
    detail = f"{held} of {show_size(limit)} ({100 * share:.0f} %)"
    hint = "Raise max_file_store or the account's limit; docs/troubleshooting.md says what may go."
    if share > 0.95:
        return Finding("jetstream", "wrong", detail, hint, facts)
    return Finding(
        "jetstream", "warning" if share > 0.8 else "ok", detail, hint if share > 0.8 else None, facts
    )


def _limit(account: dict[str, Any]) -> int | None:
    limit = int(account.get("limits", {}).get("max_storage", -1))
    return limit if limit >= 0 else None
