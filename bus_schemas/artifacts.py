"""Files that a job left: screenshots, videos, traces, reports. Their bytes are in the object store."""

from __future__ import annotations

import unicodedata
from pathlib import PurePosixPath
from typing import Annotated, Final

from pydantic import StringConstraints

from bus_schemas.base import Model
from bus_schemas.jobs import BlobRef

MAX_NAME_BYTES: Final = 240


class Artifact(Model):
    """A file that an attempt left. Check its name with `is_safe_name` before it is written to a disk."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME_BYTES)]
    """Relative, POSIX: `test-results/login/trace.zip`."""
    blob: BlobRef


def is_safe_name(name: str) -> bool:
    """Whether a name stays below the folder it is put in, and can be shown as it is, on any system."""
    parts = name.split("/")
    return (
        0 < len(name.encode("utf-8", "replace")) <= MAX_NAME_BYTES
        and not PurePosixPath(name).is_absolute()
        and all(part not in {"", ".", ".."} and not part.endswith((" ", ".")) for part in parts)
        and not any(char in '\\:*?"<>|' or unicodedata.category(char)[0] == "C" for char in name)
    )
