"""The registry of builds: what was uploaded as (organisation, app version, platform)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Annotated, Final, Literal

from pydantic import Field

from bus_schemas.base import Id, Message, Timestamp
from bus_schemas.jobs import BlobRef
from bus_schemas.tokens import encode_token

ArchiveFormat = Literal["zip", "tar", "tar.gz", "tar.bz2", "tar.xz", "file"]
"""How an uploaded build is to be unpacked; `file` (an APK, an IPA) is taken as it is."""

ANY_PLATFORM: Final = "any"


class BuildRecord(Message):
    """A build in the registry `qg_builds`; its bytes are in the builds' object store."""

    org_id: Id
    app_version_id: Id
    platform: Id | None = None
    """The label of the slots that it is for; None: one build serves all."""
    app_id: Id | None = None
    """The package or bundle id, as devices know the app."""
    blob: BlobRef
    file_name: Annotated[str, Field(min_length=1, max_length=255)]
    format: ArchiveFormat
    uploaded_at: Timestamp


def serving_keys(
    org_id: str, app_version_id: str, platform: str | None, labels: Iterable[str] = ()
) -> tuple[str, ...]:
    """Keys of the builds that a job may get, on a slot with these labels."""
    platforms = (platform,) if platform is not None else sorted(labels)
    return tuple(build_key(org_id, app_version_id, each) for each in (None, *platforms))


def serving_builds(
    found: Iterable[BuildRecord], platform: str | None, labels: Collection[str] = ()
) -> list[BuildRecord]:
    """Which of a version's builds a job gets: of its platform, or of the one that is a label of its slot.

    Else the one for all. Several when the slot has the labels of several, and there is none for all.
    """
    wanted = labels if platform is None else (platform,)
    records = list(found)
    fitting = [record for record in records if record.platform in wanted]
    if len(fitting) == 1:
        return fitting
    return [record for record in records if record.platform is None] or fitting


def build_key(org_id: str, app_version_id: str, platform: str | None = None) -> str:
    """The registry's key of a build."""
    tokens = (org_id, app_version_id, platform or ANY_PLATFORM)
    return ".".join(encode_token(token) for token in tokens)
