"""Publish into streams: compare-and-set, and atomic batches (ADR-50)."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from bus_schemas.events import AnyEvent, subject_of
from qgjob.bus.connect import Bus
from qgjob.bus.requester import JsError, PubAck, read_ack
from qgjob.errors import RefusedError

EXPECTED_LAST_SUBJECT_SEQ: Final = "Nats-Expected-Last-Subject-Sequence"
EXPECTED_LAST_SUBJECT: Final = "Nats-Expected-Last-Subject-Sequence-Subject"
TTL: Final = "Nats-TTL"
ROLLUP: Final = "Nats-Rollup"

MAX_BATCH_MESSAGES: Final = 500
"""The server takes 1,000; half of it leaves it room and keeps the answer near."""
MAX_BATCH_BYTES: Final = 8 * 2**20

# Reasons of nats-server's errors.json that callers tell apart.
WRONG_LAST_SEQUENCE: Final = frozenset({10071, 10164, 10201})
TOO_MANY_BATCHES: Final = frozenset({10176, 10210, 10211})
_NOT_THAT_STREAM: Final = 10060
_OTHER_STREAM: Final = {"Nats-Expected-Stream": "QG_STORES_NOTHING"}


@dataclass(frozen=True, slots=True)
class OutMsg:
    """A message to be published."""

    subject: str
    payload: bytes
    headers: dict[str, str] = field(default_factory=dict[str, str])


def event_message(event: AnyEvent) -> OutMsg:
    """An event as a message on the subject where it is stored."""
    return OutMsg(subject_of(event), event.encode())


def expect(seq: int, subject: str | None = None) -> dict[str, str]:
    """Headers that let a publish succeed only if the subject's last sequence is `seq`."""
    headers = {EXPECTED_LAST_SUBJECT_SEQ: str(seq)}
    if subject is not None:
        headers[EXPECTED_LAST_SUBJECT] = subject
    return headers


def lost_compare(error: JsError) -> bool:
    """Whether a publish was refused because somebody else wrote first."""
    return error.err_code in WRONG_LAST_SEQUENCE


async def publish_batch(bus: Bus, messages: Sequence[OutMsg], *, timeout: float = 10.0) -> PubAck:
    """Store all messages or none, in one stream. One alone needs no batch, which waits for the disk.

    Raises `JsError` when the server refuses the batch, `RequestTimeoutError` when its answer was
    lost (the batch may be stored), `RefusedError` when it is larger than a batch may be.
    """
    if not messages:
        raise ValueError("a batch needs at least one message")
    size = sum(len(m.payload) for m in messages)
    if len(messages) > 1000 or size > 2 * MAX_BATCH_BYTES:
        raise RefusedError(f"A batch of {len(messages)} messages and {size} bytes is too large.")
    if len(messages) == 1:
        only = messages[0]
        return await bus.requests.publish(only.subject, only.payload, headers=only.headers, timeout=timeout)
    batch = secrets.token_hex(11)
    last = len(messages)
    publish = bus.nc.publish
    for number, message in enumerate(messages, 1):
        headers = {**message.headers, "Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(number)}
        if number < last:
            await publish(message.subject, message.payload, headers=headers)
            continue
        headers["Nats-Batch-Commit"] = "1"
        answer = await bus.requests.request(
            message.subject, message.payload, headers=headers, timeout=timeout
        )
        return read_ack(answer)
    raise AssertionError("unreachable")


async def try_publish(bus: Bus, subject: str, *, timeout: float = 3.0) -> None:
    """Raise what keeps us from storing a message there; the stream refuses this one, so nothing is stored."""
    try:
        await bus.requests.publish(subject, b"", headers=_OTHER_STREAM, timeout=timeout)
    except JsError as error:
        if error.err_code != _NOT_THAT_STREAM:
            raise


def split(messages: Sequence[OutMsg]) -> list[list[OutMsg]]:
    """Cut a sequence into batches of at most 500 messages and 8 MB."""
    parts: list[list[OutMsg]] = []
    size = 0
    for message in messages:
        if not parts or len(parts[-1]) >= MAX_BATCH_MESSAGES or size + len(message.payload) > MAX_BATCH_BYTES:
            parts.append([])
            size = 0
        parts[-1].append(message)
        size += len(message.payload)
    return parts
