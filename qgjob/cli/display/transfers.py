"""Uploads with a progress bar on a terminal, and how a build without a version is named."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from qgjob.cli.display.output import Output
from qgjob.domain.wording import show_size
from qgjob.errors import QgjobError

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from bus_schemas.builds import BuildRecord
    from qgjob.client import Client


@dataclass(slots=True)
class Transfer:
    """Called as bytes are sent; draws a bar where there is a terminal to draw on."""

    name: str
    sent: int = 0
    _progress: Progress | None = None
    _task: TaskID | None = field(default=None)

    def __call__(self, done: int, total: int) -> None:
        """Show that `sent` of `total` bytes are sent."""
        self.sent = done
        if self._progress is None:
            return
        if self._task is None:
            self._task = self._progress.add_task(self.name, total=total)
        self._progress.update(self._task, completed=done)


@contextlib.contextmanager
def transfer(out: Output, name: str) -> Generator[Transfer]:
    """A transfer that shows how far it is while the block lasts; nothing but on a terminal."""
    if not out.err_on_terminal:
        yield Transfer(name)
        return
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=out.console(err=True), transient=True) as progress:
        yield Transfer(name, _progress=progress)


async def bring_build(
    client: Client, out: Output, path: Path, *, org_id: str, app_version_id: str | None, platform: str | None
) -> BuildRecord:
    """Upload the build of a submit, unless it is there; says on stderr which version it is."""
    with transfer(out, path.name) as progress:
        record = await client.upload_app(
            path,
            org_id=org_id,
            app_version_id=app_version_id,
            platform=platform,
            version_name=None if app_version_id else version_name_of(path),
            progress=progress,
        )
    size = show_size(record.blob.size)
    text = f"{size} uploaded" if progress.sent else f"{size}, there already"
    out.note(f"Build {record.app_version_id}: {path.name}, {text}.")
    return record


def version_name_of(path: Path) -> str | None:
    """The version that an Android package says it is; None for anything else."""
    if path.suffix.lower() != ".apk" or not path.is_file():
        return None
    from agent.drivers.apk.reader import read_apk

    try:
        return read_apk(path).version_name
    except QgjobError:  # a device will report what is wrong with it, if anything
        return None
