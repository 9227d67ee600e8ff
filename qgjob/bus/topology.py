"""Creates and updates streams, buckets and consumers, without touching those that are right already."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Set as AbstractSet
from typing import Any

from bus_schemas import streams
from qgjob.bus.connect import Bus
from qgjob.bus.requester import JsError, RequestTimeoutError
from qgjob.errors import RefusedError

log = logging.getLogger(__name__)

_STREAM_NOT_FOUND = 10059
_NAME_IN_USE = 10058
_CONSUMER_NOT_FOUND = 10014
_CONSUMER_OFFLINE = 10119
_NOT_NOW = 10008
"""The cluster has no leader now, or what is asked about has none, which may last until a server is back."""
TOO_MANY_CONSUMERS = 10026
"""Of one stream: the server allows a thousand unless told otherwise."""
_NO_STORAGE = 10047
_NO_MESSAGE = frozenset({10037, 10043, 10057})
_ALLOWED = frozenset({"max_bytes", "max_consumers"})
"""What operators may set for themselves, and an account may not allow."""
_LEAST_BYTES = 64 * 2**20
ASK_EVERY_S = 1.0
_LOOK_S = 0.25
"""The same for what changes nothing: so soon it is noticed that there is a leader again."""
_ASK_WITHIN_S = 19.0
"""A stream of a cluster that lost its leader has another one within these; what was asked before is lost."""
_SOON_S = 2.0
_ANEW = 3
_LED_WITHIN = 8
"""So often it is looked whether a consumer has a leader: at most for 20 s, usually for 4 to 9."""


async def ensure_topology(bus: Bus, *, replicas: int = 1, only: AbstractSet[str] | None = None) -> None:
    """Create what is missing and update what differs; any number of callers may do so at once.

    `replicas`: on how many servers streams are kept at least. Whoever was there first may have wanted fewer.
    `only`: of these streams.
    """
    wanted = [*streams.streams(replicas), *streams.buckets(replicas)]
    await asyncio.gather(
        *(_ensure(bus, config) for config in wanted if only is None or config["name"] in only)
    )


async def missing_streams(bus: Bus) -> list[str]:
    """Which of the streams and buckets are not there, as when somebody deleted them."""
    there = set(await _names(bus, "STREAM.NAMES", "streams"))
    wanted = (str(config["name"]) for config in (*streams.streams(), *streams.buckets()))
    return [name for name in wanted if name not in there]


async def _ensure(bus: Bus, config: dict[str, Any]) -> None:
    name = config["name"]
    try:
        info = await stream_info(bus, name)
    except JsError as error:
        if error.err_code != _STREAM_NOT_FOUND:
            raise
        await _create(bus, config)
        return
    have = info["config"]
    changed = {
        key: value
        for key, value in config.items()
        if key not in {"num_replicas", *_ALLOWED} and _differs(have.get(key), value)
    }
    if changed:
        try:
            await bus.requests.api(f"STREAM.UPDATE.{name}", {**have, **changed})
        except JsError as error:
            raise _explained(name, error) from error
    have = {**have, **changed}
    if have.get("max_consumers", -1) <= 0 < config.get("max_consumers", -1):
        have = await _with_consumers(bus, name, have, config["max_consumers"])
    if config["num_replicas"] > have["num_replicas"]:
        await _keep_on_more(bus, name, have, config["num_replicas"])


async def ask(
    bus: Bus, call: str, body: dict[str, Any] | None = None, *, within_s: float | None = None
) -> dict[str, Any]:
    """Call the API for what does no harm twice, again and again until there is an answer.

    That may be to an earlier question: a server may be slow without anything being lost.
    """
    time = asyncio.get_running_loop().time
    every_s = _LOOK_S if ".INFO." in call or ".NAMES" in call else ASK_EVERY_S
    give_up = time() + (within_s or _ASK_WITHIN_S)
    asked: set[asyncio.Task[dict[str, Any]]] = set()
    try:
        while True:
            question = asyncio.create_task(bus.requests.api(call, body, timeout=give_up - time()))
            question.add_done_callback(_read)  # one is heeded; others may fail with it
            asked.add(question)
            ask_again = time() + every_s
            while asked and time() < ask_again:
                done, asked = await asyncio.wait(
                    asked, timeout=ask_again - time(), return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    try:
                        return task.result()
                    except (JsError, RequestTimeoutError) as error:
                        denied = isinstance(error, JsError) and error.err_code != _NOT_NOW
                        if denied or ask_again >= give_up:
                            raise
            await asyncio.sleep(ask_again - time())
    finally:
        for task in asked:
            task.cancel()


def _read(question: asyncio.Task[dict[str, Any]]) -> None:
    if not question.cancelled():
        question.exception()


async def _keep_on_more(bus: Bus, name: str, have: dict[str, Any], copies: int) -> None:
    """Raise the number of replicas; if that fails it works with fewer, and each reign tries again."""
    try:
        await bus.requests.api(f"STREAM.UPDATE.{name}", {**have, "num_replicas": copies})
    except JsError as error:
        log.warning(
            "the stream %s is kept %d times, not %d: %s",
            name,
            have["num_replicas"],
            copies,
            error.description,
        )


async def _with_consumers(bus: Bus, name: str, have: dict[str, Any], most: int) -> dict[str, Any]:
    """More consumers than the server's default, for a stream that says nothing of it; it works without."""
    more = {**have, "max_consumers": most}
    try:
        await bus.requests.api(f"STREAM.UPDATE.{name}", more)
    except JsError as error:
        log.debug("the stream %s has as many consumers as the account may: %s", name, error.description)
        return have
    return more


async def _create(bus: Bus, config: dict[str, Any]) -> None:
    name = config["name"]
    while True:
        try:
            await bus.requests.api(f"STREAM.CREATE.{name}", config)
        except JsError as error:
            if error.err_code == _NAME_IN_USE:  # created by another process meanwhile
                return
            limit = int(config.get("max_bytes", 0))
            if error.err_code == _NO_STORAGE and limit > _LEAST_BYTES:
                config = {**config, "max_bytes": limit // 2}  # a small disk keeps less
                continue
            if error.err_code == TOO_MANY_CONSUMERS and "max_consumers" in config:  # the account's limit
                config = {key: value for key, value in config.items() if key != "max_consumers"}
                continue
            raise _explained(name, error) from error
        return


def _differs(have: Any, want: Any) -> bool:
    if not want and not have:
        return False
    if want == 0:  # "the server's default"
        return False
    return have != want


def _explained(name: str, error: JsError) -> RefusedError:
    if error.err_code == _NO_STORAGE:
        return RefusedError(
            f"There is no room for the stream {name}: {error.description}.",
            hint="Free some of the disk where the server stores, or allow it more (max_file_store).",
        )
    return RefusedError(
        f"The stream {name} cannot be made as qgjob needs it: {error.description}.",
        hint="A stream of that name or its subjects is used by something else; give qgjob its own account.",
    )


async def create_consumer(bus: Bus, stream: str, config: dict[str, Any]) -> dict[str, Any]:
    """Create a consumer, or find it there with the same configuration; returns its info."""
    name = config["name"]
    try:
        return await _create_consumer(bus, stream, config)
    except (RequestTimeoutError, JsError) as error:
        if isinstance(error, JsError) and error.err_code != _NOT_NOW:
            raise
        # On a cluster it may be there without a leader by now: who pulled would be told that it is gone.
        info = await ask(bus, *_creation(stream, config))
        for _ in range(_LED_WITHIN):
            if (led := await consumer_info(bus, stream, name)) is not None:
                return led
            await asyncio.sleep(_LOOK_S)
        return info


async def _create_consumer(
    bus: Bus, stream: str, config: dict[str, Any], within_s: float | None = None
) -> dict[str, Any]:
    """Ask for it once."""
    call, body = _creation(stream, config)
    return await bus.requests.api(call, body, timeout=within_s or ASK_EVERY_S)


def _creation(stream: str, config: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    filters = config.get("filter_subject")
    call = f"CONSUMER.CREATE.{stream}.{config['name']}" + (f".{filters}" if filters else "")
    return call, {"stream_name": stream, "config": config, "action": ""}


async def create_own_consumer(bus: Bus, stream: str, config: dict[str, Any]) -> dict[str, Any]:
    """Create a consumer that nobody has read from yet, and nobody else will; returns its info.

    Just after a cluster lost a server, that one may be chosen to lead it: the others elect one of themselves
    within 4 to 9 s, and never where there is one copy. Made anew it has another at once, more often than not.
    Each time it is waited for longer: over a million subjects it may be slow without being lost.
    """
    for tried in range(_ANEW):
        try:
            return await _create_consumer(bus, stream, config, ASK_EVERY_S * 2**tried)
        except (RequestTimeoutError, JsError) as error:
            if isinstance(error, JsError) and error.err_code != _NOT_NOW:
                raise
            if not bus.clustered:
                break  # it is on its way
            await delete_consumer(bus, stream, config["name"])
    return await create_consumer(bus, stream, config)


async def delete_consumer(bus: Bus, stream: str, name: str) -> None:
    """Delete a consumer; it is no error when it is gone already."""
    try:
        await ask(bus, f"CONSUMER.DELETE.{stream}.{name}")
    except JsError as error:
        if error.err_code not in {_CONSUMER_NOT_FOUND, _STREAM_NOT_FOUND}:
            raise


async def consumer_names(bus: Bus, stream: str) -> list[str]:
    """The names of all consumers of a stream; on a cluster also of those that have no leader just now."""
    return await _names(bus, f"CONSUMER.NAMES.{stream}", "consumers")


async def _names(bus: Bus, call: str, kind: str) -> list[str]:
    """All names that a call of the API lists page by page."""
    found: list[str] = []
    while True:
        page = await ask(bus, call, {"offset": len(found)})
        names: list[str] = page.get(kind) or []
        found.extend(names)
        if not names or len(found) >= int(page.get("total", 0)):
            return found


async def consumer_info(bus: Bus, stream: str, name: str) -> dict[str, Any] | None:
    """What a consumer is and how far it has come; None when it is gone, or nobody can tell for 2 s."""
    try:
        return await ask(bus, f"CONSUMER.INFO.{stream}.{name}", within_s=_SOON_S)
    except JsError as error:
        if error.err_code in {_CONSUMER_NOT_FOUND, _CONSUMER_OFFLINE, _NOT_NOW}:
            return None
        raise
    except RequestTimeoutError:
        return None


async def list_subjects(bus: Bus, stream: str, pattern: str) -> dict[str, int]:
    """The subjects of a stream that match, with how many messages each holds."""
    found: dict[str, int] = {}
    while True:
        info = await bus.requests.api(
            f"STREAM.INFO.{stream}", {"subjects_filter": pattern, "offset": len(found)}, timeout=30
        )
        subjects: dict[str, int] = info["state"].get("subjects") or {}
        found.update(subjects)
        if not subjects or len(found) >= int(info.get("total", len(found))):
            return found


async def delete_message(bus: Bus, stream: str, seq: int) -> None:
    """Delete a message from a stream; it is no error when it is gone already. Slow: for the rare case."""
    try:
        await ask(bus, f"STREAM.MSG.DELETE.{stream}", {"seq": seq, "no_erase": True})
    except JsError as error:
        if error.err_code not in _NO_MESSAGE:
            raise


async def stream_info(bus: Bus, stream: str) -> dict[str, Any]:
    """What a stream is, and what is in it."""
    return await ask(bus, f"STREAM.INFO.{stream}")


async def stream_copies(bus: Bus, stream: str) -> int:
    """How many servers of a cluster keep a stream."""
    return int((await stream_info(bus, stream))["config"]["num_replicas"])


async def stream_state(bus: Bus, stream: str) -> dict[str, Any]:
    """Counts and sequences of a stream."""
    state: dict[str, Any] = (await stream_info(bus, stream))["state"]
    return state
