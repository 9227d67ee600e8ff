"""Files in the object store, each named by its SHA-256 (ADR-20, readable by any client of it).

Chunks go out pipelined and come in by batches of direct gets. A file counts as stored when its
metadata is, so that a put that breaks off leaves nothing that could be read; what it has sent is
dropped, and it starts over with chunks of a new name.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import logging
import os
import re
import secrets
from collections import deque
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from nats.errors import Error as NatsError

from qgjob.bus.account import start_a_scheduler
from qgjob.bus.connect import Bus
from qgjob.bus.direct import read_last, read_page
from qgjob.bus.follow import StreamMessage
from qgjob.bus.publish import ROLLUP
from qgjob.bus.requester import JsError, NoRespondersError, RequestTimeoutError, read_ack
from qgjob.bus.transfer_window import TransferWindow
from qgjob.bus.unreadable import UNREADABLE
from qgjob.errors import NotFoundError, QgjobError, RefusedError, UnreachableError

if TYPE_CHECKING:
    from nats.aio.msg import Msg

log = logging.getLogger(__name__)

CHUNK_BYTES: Final = 128 * 1024
_FEW_BYTES: Final = 2 * CHUNK_BYTES
_MANY_BYTES: Final = 48 * CHUNK_BYTES
_TRIES: Final = 4
_PAUSE_S: Final = 0.5
_ANSWER_TIMEOUT_S: Final = 15.0
"""For two chunks, at worst: links of 20 KiB/s and more are fast enough."""
_MAX_BYTES: Final = 2**50
_DIGEST: Final = re.compile(r"[0-9a-f]{64}\Z")
_NUID: Final = re.compile(r"[A-Za-z0-9]{1,64}\Z")

Progress = Callable[[int, int], None]
"""Called with the bytes done and the bytes in all; a try that is repeated starts at 0 again."""

_LOST: Final = (RequestTimeoutError, NoRespondersError, JsError)


class CorruptObjectError(QgjobError):
    """The bytes that came are not those that the name promises."""


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What the store says of a file."""

    digest: str
    size: int
    chunks: int
    nuid: str
    stored_at: float
    """By the server's clock, seconds since 1970."""


async def stat(bus: Bus, bucket: str, digest: str) -> ObjectInfo | None:
    """What is stored under a digest, or None.

    Raises `UnreachableError` when there is no such bucket, `CorruptObjectError` when its metadata
    makes no sense.
    """
    last: QgjobError | None = None
    for attempt in range(_TRIES):
        if attempt:
            await asyncio.sleep(_PAUSE_S)
        try:
            found = await read_last(bus, f"OBJ_{bucket}", [_meta_subject(bucket, _checked(digest))])
        except _LOST as error:
            last = error
        else:
            return _read_info(found[-1], digest) if found else None
    raise await _no_bucket(bus, bucket, last)


async def put_file(
    bus: Bus, bucket: str, path: Path, digest: str, *, progress: Progress | None = None
) -> None:
    """Store a file under its SHA-256 (lower-case hex), over lost answers and reconnects.

    Raises `CorruptObjectError` when the file has another digest (it was changed meanwhile),
    `RefusedError` when the store is full, `UnreachableError` when it does not take it in time.
    """
    _checked(digest)
    last: QgjobError | None = None
    for attempt in range(_TRIES):
        if attempt:
            await asyncio.sleep(_PAUSE_S)
        try:
            with path.open("rb") as file:
                await _put(bus, bucket, file, digest, progress)
        except JsError as error:
            if error.code != 503:
                raise RefusedError(f"The store refused {path.name}: {error.description}.") from error
            last = error
        except (RequestTimeoutError, NoRespondersError) as error:
            last = error
        else:
            return
        log.debug("storing %s again: %s", digest, last)
    raise await _no_bucket(bus, bucket, last)


async def get_file(
    bus: Bus,
    bucket: str,
    digest: str,
    dest: Path,
    *,
    limit: int | None = None,
    progress: Progress | None = None,
    on_size: Callable[[int], None] | None = None,
) -> int:
    """Write a stored file to `dest`, which appears complete and verified or not at all.

    `on_size` hears how large it is before any of it is fetched; what it raises ends that. Returns its size in
    bytes. Raises `NotFoundError`, `CorruptObjectError`, `UnreachableError`, and `RefusedError` for a file of
    over `limit` bytes, of which nothing is fetched.
    """
    draft = dest.with_name(f".{dest.name}.{secrets.token_hex(4)}.part")
    last: QgjobError | None = None
    try:
        for attempt in range(_TRIES):
            if attempt:
                await asyncio.sleep(_PAUSE_S)
            info = await stat(bus, bucket, digest)
            if info is None:
                raise NotFoundError(f"There is no file {digest[:12]}… in {bucket} (any more).")
            if limit is not None and info.size > limit:
                raise RefusedError(f"The file has {info.size} bytes; at most {limit} are read here.")
            if on_size is not None:
                on_size(info.size)
            try:
                with draft.open("wb") as file:
                    await _get(bus, bucket, info, file, progress)
            except (*_LOST, CorruptObjectError) as error:
                last = error  # a put at the same time, or a replica that lags
                continue
            os.replace(draft, dest)  # noqa: PTH105  (Path.replace would do the same)
            return info.size
    finally:
        with contextlib.suppress(FileNotFoundError):
            draft.unlink()
    if isinstance(last, CorruptObjectError):
        raise last
    raise await _no_bucket(bus, bucket, last)


async def _put(bus: Bus, bucket: str, file: BinaryIO, digest: str, progress: Progress | None) -> None:
    total = os.fstat(file.fileno()).st_size
    size = min(CHUNK_BYTES, bus.max_payload - 1024)
    nuid = secrets.token_hex(11)
    subject = f"$O.{bucket}.C.{nuid}"
    hashed = hashlib.sha256()
    waiting: deque[tuple[asyncio.Future[Msg], int]] = deque()
    pace, clock = TransferWindow(_FEW_BYTES, _MANY_BYTES), asyncio.get_running_loop().time
    done = sent = chunks = measured = 0
    since = clock()

    async def settle() -> int:
        nonlocal measured, since
        future, length = waiting.popleft()
        read_ack(await future)
        if done + length - measured >= pace.window:
            now = clock()
            pace.on_transferred(done + length - measured, now - since)
            measured, since = done + length, now
        return length

    try:
        while chunk := file.read(size):
            hashed.update(chunk)
            chunks += 1
            waiting.append((await bus.requests.send(subject, chunk, timeout=_ANSWER_TIMEOUT_S), len(chunk)))
            sent += len(chunk)
            while sent - done >= pace.window:
                done += await settle()
                if progress:
                    progress(done, total)
        while waiting:
            done += await settle()
        if hashed.hexdigest() != digest:
            raise CorruptObjectError("The file was changed while it was sent.", hint="Try again.")
    except BaseException:  # also when who waits for it is cancelled, by Ctrl-C for one
        await _drop_chunks(bus, subject)
        raise
    finally:
        for future, _ in waiting:
            future.cancel()
    meta = {
        "name": digest,
        "bucket": bucket,
        "nuid": nuid,
        "size": done,
        "chunks": chunks,
        "digest": _adr_digest(digest),
        "options": {"max_chunk_size": size},
    }
    try:
        await bus.requests.publish(
            _meta_subject(bucket, digest), json.dumps(meta).encode(), headers={ROLLUP: "sub"}
        )
    except JsError:
        await _drop_chunks(bus, subject)
        raise  # after a lost answer the file may be stored, and keeps its chunks
    if progress:
        progress(done, total)


async def _drop_chunks(bus: Bus, subject: str) -> None:
    """Drop the chunks of a put that broke off: they would fill the bucket for as long as it keeps files.

    An empty message takes their place, which whoever may store files may do.
    """
    with contextlib.suppress(NatsError):  # the connection is closed
        await bus.nc.publish(subject, b"", headers={ROLLUP: "sub"})


async def _get(bus: Bus, bucket: str, info: ObjectInfo, file: BinaryIO, progress: Progress | None) -> None:
    hashed = hashlib.sha256()
    done = 0
    async for chunk in _chunks(bus, bucket, info):
        done += len(chunk)
        if done > info.size:
            break
        hashed.update(chunk)
        file.write(chunk)
        if progress:
            progress(done, info.size)
    if done != info.size or hashed.hexdigest() != info.digest:
        raise CorruptObjectError(
            f"The file {info.digest[:12]}… in {bucket} is damaged: {done} of {info.size} bytes came, "
            "or others than were stored.",
            hint="Upload it again.",
        )


async def _chunks(bus: Bus, bucket: str, info: ObjectInfo) -> AsyncGenerator[bytes]:
    """The chunks of a file in order; after a lost answer it goes on behind the last one."""
    start, left, silent = 1, info.chunks, 0
    pace, clock = TransferWindow(_FEW_BYTES, _MANY_BYTES), asyncio.get_running_loop().time
    while left > 0:
        since = clock()
        try:
            page = await read_page(
                bus,
                f"OBJ_{bucket}",
                f"$O.{bucket}.C.{info.nuid}",
                start_seq=start,
                limit=left,
                max_bytes=pace.window,
                timeout=_ANSWER_TIMEOUT_S,
            )
        except RequestTimeoutError:
            pace.on_stalled()
            silent += 1
            if silent >= _TRIES:
                raise
            continue
        if not page.messages:
            return
        pace.on_transferred(sum(len(message.data) for message in page.messages), clock() - since)
        for message in page.messages:
            yield message.data
        start, left, silent = page.messages[-1].seq + 1, left - len(page.messages), 0


def _read_info(stored: StreamMessage, digest: str) -> ObjectInfo | None:
    if stored.deleted or not stored.data:
        return None
    try:
        meta: dict[str, Any] = json.loads(stored.data)
        if meta.get("deleted"):
            return None
        info = ObjectInfo(
            digest=digest,
            size=int(meta["size"]),
            chunks=int(meta["chunks"]),
            nuid=str(meta["nuid"]),
            stored_at=stored.at,
        )
        promised = str(meta["digest"])
    except UNREADABLE as error:
        raise CorruptObjectError(f"The metadata of {digest[:12]}… cannot be read: {error}.") from None
    if promised != _adr_digest(digest) or not _NUID.match(info.nuid) or not 0 <= info.size <= _MAX_BYTES:
        raise CorruptObjectError(f"The metadata of {digest[:12]}… are those of another file.")
    return info


def _checked(digest: str) -> str:
    if not _DIGEST.match(digest):
        raise ValueError(f"{digest!r} is not a SHA-256 in lower-case hex")
    return digest


def _adr_digest(digest: str) -> str:
    return "SHA-256=" + base64.urlsafe_b64encode(bytes.fromhex(digest)).decode("ascii")


def _meta_subject(bucket: str, digest: str) -> str:
    return f"$O.{bucket}.M.{base64.urlsafe_b64encode(digest.encode('ascii')).decode('ascii')}"


async def _no_bucket(bus: Bus, bucket: str, error: QgjobError | None) -> UnreachableError:
    if isinstance(error, JsError):
        return UnreachableError(
            f"The object store {bucket} does not take it: {error.description}.",
            hint="Is the server's disk full, max_file_store reached, or its cluster without a leader? "
            "`qgjob doctor` says more.",
        )
    if isinstance(error, NoRespondersError) or error is None:
        return UnreachableError(
            f"The server has no object store {bucket} (yet).",
            hint=f"The first scheduler makes it. {await start_a_scheduler(bus)}",
        )
    return UnreachableError(f"The object store does not answer: {error.message}")
