"""Writes the file that an option names in one step: an interruption or a full disk leaves no half of it."""

from __future__ import annotations

import codecs
import contextlib
import errno
import os
import secrets
import shutil
from pathlib import Path
from typing import Final

_IN_PLACE: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY, errno.ENAMETOOLONG})
"""What a file may be written in spite of: of its folder's rights, or as a container's mount."""
_LOOK_BYTES: Final = 256


def remove_old(path: Path) -> None:
    """Remove a file that an earlier call wrote, and that would be taken for this one's if this one fails.

    What is no file of its own, and what nobody would take for a report, stays; what cannot be removed, as a
    container's mount, is emptied. Raises `OSError`.
    """
    if path.is_symlink() or not path.is_file() or not _may_be_xml(path):
        return
    try:
        path.unlink(missing_ok=True)  # another command may do the same
    except OSError as error:
        if error.errno not in _IN_PLACE:
            raise
        path.write_bytes(b"")


def _may_be_xml(path: Path) -> bool:
    """Whether a file begins as XML does: any other was named by mistake, and its owner needs it."""
    try:
        with path.open("rb") as file:
            beginning = file.read(_LOOK_BYTES)
    except OSError:
        return True
    return beginning.removeprefix(codecs.BOM_UTF8).lstrip()[:1] in {b"", b"<"}


def write_whole(path: Path, data: bytes) -> None:
    """Replace the file by one with this content, or leave it as it was; raises `OSError`.

    What is no file of its own (a pipe, a link as /dev/stdout is), and what cannot be replaced, is written
    in place.
    """
    if path.is_symlink() or (path.exists() and not path.is_file()):
        path.write_bytes(data)
        return
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with draft.open("xb") as file:
            file.write(data)
        if path.exists():
            shutil.copymode(path, draft)
        os.replace(draft, path)  # noqa: PTH105  (Path.replace would do the same)
    except OSError as error:
        if error.errno not in _IN_PLACE:
            raise
        path.write_bytes(data)
    finally:
        with contextlib.suppress(OSError):
            draft.unlink()
