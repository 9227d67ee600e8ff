"""What the projection holds, for comparing one with another."""

from __future__ import annotations

from typing import Any, cast

from qgjob.store.connect import Store


async def dump(store: Store) -> dict[str, Any]:
    """All keys made from the stream of events with what they hold, but for the build's own name."""
    found: dict[str, Any] = {}
    for key in await _keys(store):
        name = key.removeprefix(store.keys.prefix)
        if name.startswith("agent:"):
            continue
        if await store.client.type(key) == "hash":
            fields = cast("dict[str, str]", await store.client.hgetall(key))
            found[name] = {k: v for k, v in fields.items() if k not in {"build", "goal"}}
        else:
            members = await store.client.zrange(key, 0, -1, withscores=True)
            found[name] = dict(cast("list[tuple[str, float]]", members))
    return found


async def wipe(store: Store) -> None:
    """Remove all keys of a store that is shared with others."""
    if keys := await _keys(store):
        await store.client.unlink(*keys)


async def _keys(store: Store) -> list[str]:
    keys = cast("list[str]", await store.client.keys("*"))
    return sorted(key for key in keys if key.startswith(store.keys.prefix))
