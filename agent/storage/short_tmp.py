"""A short name for a job's temporary folder, which lies deep in the agent's data.

Programs make Unix sockets in TMPDIR, and the path of such a socket has room for 104 to 108 bytes. Chromium,
whose own part is 46 long, does not start when it gets more.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path
from typing import Final

MAX_BYTES: Final = 56
_BASE: Final = Path("/tmp")  # noqa: S108 - gettempdir is long itself on macOS; the link's owner is checked


def short_tmp(tmp: Path) -> Path:
    """`tmp`, or a link to it when its name is too long: one for each slot, moved from job to job."""
    if len(os.fsencode(tmp)) <= MAX_BYTES:
        return tmp
    link = _link_of(tmp.parent.parent)
    fresh = link.with_name(f"{link.name}.{os.getpid()}")
    try:
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(tmp)
        fresh.rename(link)  # not over what another user has put there: /tmp is sticky
    except OSError:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)
        return tmp
    return link


def forget_short_tmp(work_dir: Path) -> None:
    """Remove the link of the slot whose jobs work below `work_dir`, if there is one."""
    link = _link_of(work_dir)
    with contextlib.suppress(OSError):
        if link.is_symlink() and link.lstat().st_uid == os.geteuid():
            link.unlink()


def _link_of(work_dir: Path) -> Path:
    digest = hashlib.sha256(os.fsencode(work_dir)).hexdigest()
    return _BASE / f"qgjob-{digest[:12]}"


def sweep_short_tmps() -> None:
    """Remove the links of agents that were killed: those that lead nowhere any more. Blocking."""
    for link in _BASE.glob("qgjob-" + "[0-9a-f]" * 12):
        with contextlib.suppress(OSError):
            if link.is_symlink() and not link.exists() and link.lstat().st_uid == os.geteuid():
                link.unlink()
