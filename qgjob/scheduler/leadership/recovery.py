"""Begins a reign: fences off earlier leaders, and learns which jobs are released already.

The fence is written first: from then on no release of an older leader is stored. Then its readers
are deleted, and the work stream and its claim chains tell what is released and who runs it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import secrets
from dataclasses import dataclass, field
from typing import Any

from bus_schemas import streams, subjects
from bus_schemas.events import Cancelling, ChainLink, Ended
from bus_schemas.jobs import JobMessage
from qgjob.bus import kv
from qgjob.bus.chain import chain_subject, read_chain
from qgjob.bus.connect import Bus
from qgjob.bus.deadletters import set_aside
from qgjob.bus.direct import read_all
from qgjob.bus.follow import StreamMessage
from qgjob.bus.publish import expect, lost_compare
from qgjob.bus.requester import JsError, RequestTimeoutError
from qgjob.bus.topology import (
    ask,
    consumer_info,
    consumer_names,
    create_own_consumer,
    delete_consumer,
    delete_message,
    stream_copies,
    stream_state,
)
from qgjob.bus.unreadable import UNREADABLE
from qgjob.domain.placement.events import JobWasReleased
from qgjob.errors import BadMessageError, NewerMessageError
from qgjob.scheduler.backlog.entries import Entry, placement_job
from qgjob.scheduler.leadership.election import DeposedError

log = logging.getLogger(__name__)

QUEUED_THROUGH_KEY = "queued_through"
_KEY_STREAM = f"KV_{streams.LEADER_BUCKET}"
_RELEASED = "qg.work.*.*.*.*"
_FENCE_WITHIN_S = 1.0
_NO_FENCE_S = 10.0
_HEARD = "heard"
_EPOCH = re.compile(r"(?:intake|chains)_(\d+)")


@dataclass(slots=True)
class Inheritance:
    """What a reign finds of the reigns before."""

    fence: int
    copies: int
    """How many servers keep the work stream."""
    jobs_horizon: int
    """The last sequence of `QG_JOBS` at the start; 0 when nothing waits."""
    chains_horizon: int
    intake: str
    chains: str
    chains_counted_through: int
    """Ends up to this sequence were heard by reigns before, though they may be read again."""
    queued_through: int
    released: list[JobWasReleased] = field(default_factory=list[JobWasReleased])
    entries: list[Entry] = field(default_factory=list[Entry])
    cancelling: list[str] = field(default_factory=list[str])


async def recover(bus: Bus, epoch: int) -> Inheritance:
    """Take over; raises `DeposedError` when a later epoch is active already."""
    fence = await _write_fence(bus, epoch)
    await _delete_older_intakes(bus, epoch)
    jobs = await stream_state(bus, streams.JOBS)
    events = await stream_state(bus, streams.EVENTS)
    chains, heard = await _begin_chains(bus, epoch, int(events["last_seq"]))
    found = Inheritance(
        fence=fence,
        copies=await stream_copies(bus, streams.WORK),
        jobs_horizon=int(jobs["last_seq"]) if jobs["messages"] else 0,
        chains_horizon=int(events["last_seq"]),
        intake="",
        chains=chains,
        chains_counted_through=heard,
        queued_through=await _queued_through(bus, int(jobs["last_seq"])),
    )
    await _read_released(bus, found)
    intake = await create_own_consumer(bus, streams.JOBS, streams.intake_consumer(epoch, 1))
    found.intake = str(intake["name"])
    if not intake.get("num_pending"):
        found.jobs_horizon = 0
    return found


async def _write_fence(bus: Bus, epoch: int) -> int:
    give_up = asyncio.get_running_loop().time() + _NO_FENCE_S
    ours = json.dumps({"v": 1, "epoch": epoch, "by": secrets.token_hex(8)}).encode()
    while True:
        stored = await kv.get_last(bus, streams.WORK, subjects.WORK_FENCE)
        if stored is not None and stored.data == ours:  # only the answer was lost
            return await _forget_fences(bus, stored.seq)
        if stored is not None and (later := _fence_epoch(stored.data)) >= epoch:
            # An equal epoch is of another reign: the bucket was created anew since.
            raise await _deposed(
                bus, later, "the fence says that a leader of this epoch or a later one was here"
            )
        try:
            ack = await bus.requests.publish(
                subjects.WORK_FENCE,
                ours,
                headers=expect(stored.seq if stored else 0),
                timeout=_FENCE_WITHIN_S,
            )
        except JsError as error:
            if lost_compare(error):
                continue
            raise
        except RequestTimeoutError:
            if asyncio.get_running_loop().time() > give_up:
                raise
            continue  # while the stream elects its leader, what is sent to it is lost
        return await _forget_fences(bus, ack.seq)


async def _forget_fences(bus: Bus, seq: int) -> int:
    """Keep the last one only."""
    await ask(bus, f"STREAM.PURGE.{streams.WORK}", {"filter": subjects.WORK_FENCE, "keep": 1})
    return seq


async def _deposed(bus: Bus, later: int, why: str) -> DeposedError:
    """What to raise where a later epoch has been; if the key knows nothing of it, the next one will be later.

    Epochs go back where the key's stream was lost, or put back from an older copy than the others.
    """
    if int((await stream_state(bus, _KEY_STREAM))["last_seq"]) < later:
        log.warning("the leader's key knows nothing of epoch %d: it goes on behind that", later)
        await ask(bus, f"STREAM.PURGE.{_KEY_STREAM}", {"seq": later + 1})
    return DeposedError(why)


def _fence_epoch(data: bytes) -> int:
    """The epoch that wrote a fence; 0 when no leader of ours did."""
    try:
        return int(json.loads(data)["epoch"])
    except UNREADABLE:
        return 0


async def _delete_older_intakes(bus: Bus, epoch: int) -> None:
    for name in await _named(bus, streams.JOBS, "intake_"):
        if (later := _epoch_of(name)) > epoch:
            raise await _deposed(bus, later, "a later leader reads the backlog already")
        await delete_consumer(bus, streams.JOBS, name)


async def _begin_chains(bus: Bus, epoch: int, horizon: int) -> tuple[str, int]:
    """Create this reign's consumer, from the first link that the reigns before did not settle.

    Says as well up to where they heard the links that are read again: all there are, without their place.
    The consumer keeps that for the next reign, which may begin before all is read.
    """
    older = sorted(await _named(bus, streams.EVENTS, "chains_"), key=_epoch_of)
    start, heard = 1, horizon
    for name in older:
        if (later := _epoch_of(name)) > epoch:
            raise await _deposed(bus, later, "a later leader reads the chains already")
        if (consumer := await consumer_info(bus, streams.EVENTS, name)) is None:
            heard = horizon
        else:
            start = max(start, _settled(consumer) + 1)
            heard = int(consumer["config"].get("metadata", {}).get(_HEARD, 0))
    config = {**streams.chain_consumer(epoch, start), "metadata": {_HEARD: str(heard)}}
    await create_own_consumer(bus, streams.EVENTS, config)
    for name in older:
        if name != config["name"]:
            await delete_consumer(bus, streams.EVENTS, name)
    return str(config["name"]), heard


def _settled(consumer: dict[str, Any]) -> int:
    """Up to where a consumer's messages are acknowledged; where it began, when none is."""
    floor = int(consumer["ack_floor"]["stream_seq"])
    return max(floor, int(consumer["config"].get("opt_start_seq", 1)) - 1)


async def _queued_through(bus: Bus, last_seq: int) -> int:
    stored = await kv.get(bus, streams.SETTINGS_BUCKET, QUEUED_THROUGH_KEY)
    if stored is None or stored.deleted:
        return 0
    try:
        return min(int(stored.data), last_seq)
    except ValueError:
        return 0


async def _read_released(bus: Bus, found: Inheritance) -> None:
    messages: list[JobMessage] = []
    places: list[StreamMessage] = []
    async for page in read_all(bus, streams.WORK, _RELEASED):
        for stored in page:
            try:
                messages.append(JobMessage.decode(stored.data))
                places.append(stored)
            except NewerMessageError as error:  # it stays, for slots and schedulers that can read it
                log.warning("%s is not looked after: %s", stored.subject, error)
            except BadMessageError as error:
                await set_aside(bus, streams.WORK, stored.subject, stored.data, str(error), seq=stored.seq)
                await delete_message(bus, streams.WORK, stored.seq)
    links = await asyncio.gather(*(read_chain(bus, chain_subject(message)) for message in messages))
    for order, (message, stored, (link, _)) in enumerate(zip(messages, places, links, strict=True)):
        if isinstance(link, Ended):
            # Its ack was lost. It must not stay until the end is forgotten: it would run once more.
            await delete_message(bus, streams.WORK, stored.seq)
            continue
        spec = message.spec
        entry = Entry(
            spec.job_id, spec.run_id, spec.org_id, message.attempt, stored.data, 0, None, released=True
        )
        if isinstance(link, Cancelling):
            entry.cancel = link.reason
            found.cancelling.append(spec.job_id)
        found.entries.append(entry)
        found.released.append(JobWasReleased(placement_job(message, spec.created_at, order), holder_of(link)))


def holder_of(link: ChainLink | None) -> str | None:
    """The `agent/slot` that holds a chain, if any."""
    if isinstance(link, Cancelling):
        link = link.holder
    if link is None or isinstance(link, Ended) or link.left:
        return None
    return f"{link.agent}/{link.slot}"


async def _named(bus: Bus, stream: str, prefix: str) -> list[str]:
    return [name for name in await consumer_names(bus, stream) if name.startswith(prefix)]


def _epoch_of(name: str) -> int:
    match = _EPOCH.match(name)
    return int(match.group(1)) if match else 0
