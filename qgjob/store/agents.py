"""The agents as the store shows them: their last heartbeat, forgotten after five minutes."""

from __future__ import annotations

import json
from collections.abc import Iterable

from bus_schemas.agents import Heartbeat
from qgjob.store.connect import Store
from qgjob.store.keys import AGENT_KEPT_S


async def write_agents(store: Store, heartbeats: Iterable[Heartbeat]) -> None:
    """Write `agent:{id}` for each heartbeat; raises `QgjobError` when the store does not answer."""
    async with store.asking():
        pipe = store.client.pipeline(transaction=False)
        for heartbeat in heartbeats:
            key = store.keys.agent(heartbeat.agent)
            pipe.hset(key, items=agent_fields(heartbeat))
            pipe.expire(key, AGENT_KEPT_S)
        await pipe.execute()


def agent_fields(heartbeat: Heartbeat) -> list[str]:
    """A heartbeat as the fields and values of a hash, in turn."""
    slots = [slot.model_dump(mode="json", exclude_none=True) for slot in heartbeat.slots]
    return [
        *("agent", heartbeat.agent),
        *("host", heartbeat.host),
        *("pid", str(heartbeat.pid)),
        *("version", heartbeat.version),
        *("state", heartbeat.state),
        *("started_at", repr(heartbeat.started_at)),
        *("at", repr(heartbeat.at)),
        *("slots", json.dumps(slots)),
    ]
