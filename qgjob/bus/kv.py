"""Key-value buckets by plain publishes: compare-and-set and per-key TTL (ADR-8, ADR-48).

A client library's `update` drops the TTL of the key; these do not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from qgjob.bus.connect import Bus
from qgjob.bus.publish import EXPECTED_LAST_SUBJECT_SEQ, TTL
from qgjob.bus.requester import refusal_of

if TYPE_CHECKING:
    from nats.aio.msg import Msg


@dataclass(frozen=True, slots=True)
class Stored:
    """A message in a stream: its place and what it says; `deleted` for a tombstone or an expiry."""

    subject: str
    seq: int
    data: bytes
    deleted: bool = False


def key_subject(bucket: str, key: str) -> str:
    """The subject behind a key."""
    return f"$KV.{bucket}.{key}"


async def put(
    bus: Bus,
    bucket: str,
    key: str,
    value: bytes,
    *,
    ttl_s: int = 0,
    expected: int | None = None,
    timeout: float = 5.0,
) -> int:
    """Write a key and return its revision.

    `expected`: the revision that must be the last one (0: no such key); `JsError` when it is not.
    """
    headers: dict[str, str] = {}
    if ttl_s:
        headers[TTL] = f"{ttl_s}s"
    if expected is not None:
        headers[EXPECTED_LAST_SUBJECT_SEQ] = str(expected)
    ack = await bus.requests.publish(key_subject(bucket, key), value, headers=headers, timeout=timeout)
    return ack.seq


async def delete(bus: Bus, bucket: str, key: str, *, expected: int | None = None) -> None:
    """Remove a key, leaving a tombstone that watchers see."""
    headers = {"KV-Operation": "DEL"}
    if expected is not None:
        headers[EXPECTED_LAST_SUBJECT_SEQ] = str(expected)
    await bus.requests.publish(key_subject(bucket, key), b"", headers=headers)


async def get(bus: Bus, bucket: str, key: str, *, timeout: float = 5.0) -> Stored | None:
    """The last revision of a key, a tombstone included, or None when there is none."""
    return await get_last(bus, f"KV_{bucket}", key_subject(bucket, key), timeout=timeout)


async def get_last(bus: Bus, stream: str, subject: str, *, timeout: float = 5.0) -> Stored | None:
    """The last message of a subject in a stream, or None."""
    # The key is a part of the request's subject, so that permissions can be given for some keys alone.
    answer = await bus.requests.request(f"$JS.API.DIRECT.GET.{stream}.{subject}", timeout=timeout)
    return read_stored(answer)


def read_stored(msg: Msg) -> Stored | None:
    """The answer of a direct get; None for "no message"; raises what refuses anything else."""
    headers = msg.headers or {}
    if headers.get("Status") == "404":
        return None
    if "Nats-Sequence" not in headers:
        raise refusal_of(msg)
    return Stored(
        subject=headers["Nats-Subject"],
        seq=int(headers["Nats-Sequence"]),
        data=msg.data,
        deleted=is_tombstone(headers),
    )


def is_tombstone(headers: dict[str, str] | None) -> bool:
    """Whether a message says that its key is gone: deleted, purged or expired."""
    return bool(headers) and (
        headers.get("KV-Operation") in {"DEL", "PURGE"} or "Nats-Marker-Reason" in headers
    )
