"""Upload builds and list them: (organisation, app version, platform) stands for fixed bytes."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shlex
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from bus_schemas.builds import BuildRecord, build_key, serving_builds, serving_keys
from bus_schemas.streams import BUILD_OBJECTS, BUILDS_BUCKET, BUILDS_KEPT_S
from bus_schemas.tokens import encode_token
from qgjob.backoff import Backoff
from qgjob.bus import kv, objects
from qgjob.bus.account import start_a_scheduler
from qgjob.bus.connect import Bus
from qgjob.bus.direct import read_all
from qgjob.bus.publish import lost_compare, try_publish
from qgjob.bus.requester import JsError, NoRespondersError
from qgjob.client.checks import checked_id, usage_error
from qgjob.client.models import TransferProgress
from qgjob.client.submitting import bundles
from qgjob.client.submitting.archives import format_of
from qgjob.clock import Clock, rfc3339
from qgjob.domain.wording import show_size
from qgjob.errors import (
    BadMessageError,
    NotAllowedError,
    NotFoundError,
    QgjobError,
    RefusedError,
    UnreachableError,
    UsageError,
)

MAX_BUILD_BYTES: Final = 2 * 2**30
_NOT_IN_VERSION: Final = re.compile(r"[^A-Za-z0-9._+-]+")
_MAX_NAME: Final = 40
_DIGITS: Final = 12
_TRIES: Final = 10


async def upload(
    bus: Bus,
    path: Path,
    *,
    org_id: str,
    app_version_id: str | None,
    version_name: str | None = None,
    platform: str | None,
    app_id: str | None,
    clock: Clock,
    progress: TransferProgress | None = None,
) -> BuildRecord:
    """See `Client.upload_app`."""
    checked_id("The organisation id", org_id)
    if app_version_id is not None:
        checked_id("The app version id", app_version_id)
    if not path.exists():
        raise UsageError(f"{path} does not exist.")
    with tempfile.TemporaryDirectory(prefix="qgjob-build-") as folder:
        file = await _packed(path, Path(folder))
        build_format = await asyncio.to_thread(format_of, file)
        blob = await asyncio.to_thread(bundles.blob_of, file)
        try:
            record = BuildRecord(
                org_id=org_id,
                app_version_id=app_version_id or version_of(blob.digest, version_name),
                platform=platform,
                app_id=app_id,
                blob=blob,
                file_name=file.name,
                format=build_format,
                uploaded_at=clock.now(),
            )
        except ValidationError as error:
            raise usage_error("The build", error) from None
        await _check_unchanged(bus, record)
        # The bytes go first, so that a record never names what is not there.
        await bundles.store(bus, BUILD_OBJECTS, file, blob, now=clock.now(), progress=progress)
    return await _register(bus, record)


async def _packed(path: Path, scratch: Path) -> Path:
    """The build as one file, a folder packed into `scratch`; refused when it is empty or too large."""
    from qgjob.bundle import pack_folder

    if path.is_dir():
        file = scratch / f"{path.resolve().name or 'build'}.tar.gz"
        if not (await asyncio.to_thread(pack_folder, path, file, MAX_BUILD_BYTES)).files:
            raise _empty(path)
    elif path.is_file():
        file = path
    else:
        raise UsageError(f"{path} is neither a file nor a folder.", hint="Of a pipe make a file first.")
    if (size := file.stat().st_size) > MAX_BUILD_BYTES:  # before it is read, which takes minutes
        raise RefusedError(
            f"The build has {show_size(size)}; at most {show_size(MAX_BUILD_BYTES)} are taken."
        )
    if not size:
        raise _empty(path)
    return file


def _empty(path: Path) -> UsageError:
    """What a build step left that failed: some tests would pass against it."""
    return UsageError(f"{path} is empty.", hint="Make it again; nothing was uploaded.")


def version_of(digest: str, version_name: str | None = None) -> str:
    """The id of a build that was given none: its version name and a hash of its bytes, `1.4.0-3f2a9c1b04de`.

    The same bytes have the same id, and other bytes another one, though they call themselves the same.
    """
    named = _NOT_IN_VERSION.sub("_", (version_name or "").strip())[:_MAX_NAME].strip("_")
    return f"{named}-{digest[:_DIGITS]}" if named else digest[:_DIGITS]


async def find(bus: Bus, org_id: str, app_version_id: str, platform: str | None) -> BuildRecord | None:
    """The build registered for exactly this platform (None: for all), or None."""
    return await _registered(bus, build_key(org_id, app_version_id, platform))


async def _registered(bus: Bus, key: str) -> BuildRecord | None:
    try:
        stored = await kv.get(bus, BUILDS_BUCKET, key)
    except NoRespondersError:
        raise await _no_registry(bus) from None
    return None if stored is None or stored.deleted else BuildRecord.decode(stored.data)


async def serving(
    bus: Bus, org_id: str, app_version_id: str, platform: str | None, labels: Collection[str] = ()
) -> list[BuildRecord]:
    """The build that a job gets, see `serving_builds`.

    Each is asked for by its name: not everybody may read all of them.
    """
    keys = serving_keys(org_id, app_version_id, platform, labels)
    found = await asyncio.gather(*(_registered(bus, key) for key in keys))
    return serving_builds((record for record in found if record is not None), platform, labels)


async def of_version(bus: Bus, org_id: str, app_version_id: str) -> list[BuildRecord]:
    """All builds of a version, whatever platform they are for; raises `BadMessageError`."""
    pattern = kv.key_subject(BUILDS_BUCKET, f"{encode_token(org_id)}.{encode_token(app_version_id)}.*")
    pages = [page async for page in read_all(bus, f"KV_{BUILDS_BUCKET}", pattern)]
    return [BuildRecord.decode(entry.data) for page in pages for entry in page if not entry.deleted]


async def check_kept(
    bus: Bus,
    org_id: str,
    app_version_id: str,
    platform: str | None,
    labels: Collection[str],
    *,
    now: float,
    until: float,
) -> None:
    """Raise `NotFoundError` when the bytes of an uploaded build are gone, or will be before `until`.

    `labels` are those that a job requires; its slot may have more, so of several builds one is enough. A
    version that nobody uploaded has none: whether it needs any, its slots know.
    """
    records = await serving(bus, org_id, app_version_id, platform, labels)
    whys = [await _why_not_kept(bus, record, now=now, until=until) for record in records]
    if not whys or None in whys:
        return
    record, what = records[0], whys[0]
    options = {"--org-id": org_id, "--app-version-id": app_version_id, "--platform": record.platform}
    said = " ".join(f"{name} {shlex.quote(value)}" for name, value in options.items() if value)
    raise NotFoundError(
        f"The bytes of build {app_version_id} of {org_id} {what}.",
        hint=f"Upload it again (it was {record.file_name}): qgjob app upload FILE {said}",
    )


async def _why_not_kept(bus: Bus, record: BuildRecord, *, now: float, until: float) -> str | None:
    there = await objects.stat(bus, BUILD_OBJECTS, record.blob.digest)
    if there is None:
        return f"are not stored any more: unused, they are kept for {BUILDS_KEPT_S // 86_400} days"
    if there.stored_at + BUILDS_KEPT_S < until and now - there.stored_at >= bundles.REUSE_FOR_S:
        return f"are kept until {rfc3339(there.stored_at + BUILDS_KEPT_S)} only, and its jobs may start later"
    return None


async def list_builds(bus: Bus, *, org_id: str | None = None) -> list[BuildRecord]:
    """See `Client.builds`; a record that cannot be read is left out."""
    keys = f"{encode_token(org_id)}.>" if org_id else ">"
    found: list[BuildRecord] = []
    try:
        async for page in read_all(bus, f"KV_{BUILDS_BUCKET}", kv.key_subject(BUILDS_BUCKET, keys)):
            for entry in page:
                if not entry.deleted:
                    with contextlib.suppress(BadMessageError):
                        found.append(BuildRecord.decode(entry.data))
    except NoRespondersError:
        raise await _no_registry(bus) from None
    return sorted(found, key=lambda record: record.uploaded_at, reverse=True)


async def _check_unchanged(bus: Bus, record: BuildRecord) -> None:
    """Raise when the version stands for other bytes already, or may not be registered at all."""
    try:
        before = await find(bus, record.org_id, record.app_version_id, record.platform)
    except UnreachableError:
        # By the roles of deploy/accounts.conf who only looks may not read there either.
        await _check_may_register(bus, record)
        raise
    if before is not None:
        _check_same(before, record)


async def _check_may_register(bus: Bus, record: BuildRecord) -> None:
    """Raise `NotAllowedError` where the server says that these credentials may not."""
    key = build_key(record.org_id, record.app_version_id, record.platform)
    try:
        await try_publish(bus, kv.key_subject(BUILDS_BUCKET, key))
    except NotAllowedError:
        raise
    except QgjobError:
        return


async def _register(bus: Bus, record: BuildRecord) -> BuildRecord:
    """Keep the record, or the one that is there of the same bytes, with the app's id where one is given."""
    key = build_key(record.org_id, record.app_version_id, record.platform)
    pause = Backoff(first_s=0.02, longest_s=0.5)
    for _ in range(_TRIES):
        stored = await kv.get(bus, BUILDS_BUCKET, key)
        if stored is not None and not stored.deleted:
            there = BuildRecord.decode(stored.data)
            _check_same(there, record)
            if record.app_id in {None, there.app_id}:
                return there
            record = there.model_copy(update={"app_id": record.app_id})
        try:
            await kv.put(bus, BUILDS_BUCKET, key, record.encode(), expected=stored.seq if stored else 0)
        except JsError as error:
            if not lost_compare(error):
                raise
            await pause.wait()  # a replica that was read may lag behind
        else:
            return record
    raise RefusedError("The build is uploaded by others at the same time.", hint="Try again.")


def _check_same(stored: BuildRecord, ours: BuildRecord) -> None:
    if stored.blob.digest != ours.blob.digest:
        platform = f" for {ours.platform}" if ours.platform else ""
        raise RefusedError(
            f"{ours.app_version_id} of {ours.org_id}{platform} has other bytes already "
            f"(SHA-256 {stored.blob.digest[:12]}…, {stored.file_name}).",
            hint="A version stands for one build for ever: give the new one another --app-version-id.",
        )


async def _no_registry(bus: Bus) -> UnreachableError:
    return UnreachableError(
        "The server has no registry of builds (yet).",
        hint=f"The first scheduler makes it. {await start_a_scheduler(bus)}",
    )
