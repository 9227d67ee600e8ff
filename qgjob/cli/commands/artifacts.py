"""`qgjob artifacts`: what a job left, listed or downloaded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qgjob.cli import options as opt
from qgjob.cli.display.output import Output, clean
from qgjob.cli.session import Session, run, session_of
from qgjob.cli.values import unwritable
from qgjob.domain.wording import show_size
from qgjob.errors import ExitCode, NotFoundError, QgjobError, UsageError

if TYPE_CHECKING:
    from bus_schemas.queries import JobView
    from qgjob.client import Client
    from qgjob.client.requests.artifacts import JobArtifact

app = typer.Typer(add_completion=False)


@app.command()
def artifacts(
    ctx: typer.Context,
    any_id: opt.AnyId,
    download: Annotated[
        Path | None,
        opt.option("--download", metavar="DIR", help="Download them to DIR/JOB/ATTEMPT/NAME."),
    ] = None,
    as_json: opt.Json = False,
) -> None:
    """List or download what a job or a run left: screenshots, videos, traces, reports.

    They are kept for a day after the job's end.
    """
    if download is not None and download.exists() and not download.is_dir():
        raise UsageError(f"--download {download} is no folder.")
    raise typer.Exit(run(_main(session_of(ctx), any_id, download, as_json=as_json)))


async def _main(session: Session, any_id: str, folder: Path | None, *, as_json: bool) -> int:
    from bus_schemas.queries import RunView
    from qgjob.client.requests.artifacts import of_jobs
    from qgjob.client.shapes import artifact_json

    async with session.client() as client:
        view = await client.get(any_id)
        jobs = view.jobs if isinstance(view, RunView) else (view,)
        files = of_jobs(jobs)
        places: dict[str, Path] = {}
        failed: list[QgjobError] = []
        if folder is not None:
            places, failed = await _fetch(client, session.out, files, folder)
    if as_json:
        session.out.json({"artifacts": [_json(file, places, artifact_json(file.artifact)) for file in files]})
    elif not files:
        session.out.note("No artifacts.")
    elif folder is not None:
        for place in places.values():
            session.out.line(clean(str(place)))
    else:
        session.out.table(
            ["JOB", "ATTEMPT", "SIZE", "NAME"],
            ([f.job_id, str(f.attempt), show_size(f.artifact.blob.size), f.artifact.name] for f in files),
        )
    if left_out := left_out_text(jobs):
        session.out.note(left_out)
    if not failed:
        return int(ExitCode.OK)
    gone = all(isinstance(error, NotFoundError) for error in failed)
    return int(ExitCode.NOT_FOUND if gone else ExitCode.ERROR)


def left_out_text(jobs: Sequence[JobView]) -> str | None:
    """What to say of files that were not kept; None when all were."""
    counts = {job.job_id: sum(attempt.artifacts_left_out for attempt in job.attempts) for job in jobs}
    count = sum(counts.values())
    if not count:
        return None
    first = next(job_id for job_id, some in counts.items() if some)
    files = "1 more file was" if count == 1 else f"{count:,} more files were"
    return f"{files} not kept. Which, and why: qgjob logs {first}"


async def _fetch(
    client: Client, out: Output, files: Sequence[JobArtifact], folder: Path
) -> tuple[dict[str, Path], list[QgjobError]]:
    places: dict[str, Path] = {}
    failed: list[QgjobError] = []
    for file in files:
        try:
            places[file.path] = await client.download_artifact(file, folder)
        except QgjobError as error:
            failed.append(error)
            out.error(f"{file.path}: {error.message}", error.hint)
        except OSError as error:
            raise unwritable(str(folder), error) from None
    return places, failed


def _json(file: JobArtifact, places: dict[str, Path], artifact: dict[str, Any]) -> dict[str, Any]:
    place = places.get(file.path)
    return {
        "job_id": file.job_id,
        "attempt": file.attempt,
        **artifact,
        **({"path": str(place)} if place else {}),
    }
