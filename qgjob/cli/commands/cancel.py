"""`qgjob cancel`: end a job, or what is left of a run."""

from __future__ import annotations

from typing import Annotated

import typer

from qgjob.cli import options as opt
from qgjob.cli import values
from qgjob.cli.display.progress_note import progress_note
from qgjob.cli.session import Session, run, session_of

app = typer.Typer(add_completion=False)


@app.command(
    epilog="A large run takes a while. A cancel that the scheduler has accepted is carried out to the end, "
    "even if this command is stopped or another scheduler takes over."
)
def cancel(
    ctx: typer.Context,
    any_id: opt.AnyId,
    reason: Annotated[
        str | None, opt.option("--reason", metavar="TEXT", help="A reason, shown to others.")
    ] = None,
    as_json: opt.Json = False,
) -> None:
    """Cancel a job, or all jobs of a run that have not ended."""
    run(_main(session_of(ctx), any_id, values.one_line("--reason", reason), as_json=as_json))


async def _main(session: Session, any_id: str, reason: str | None, *, as_json: bool) -> None:
    async with session.client() as client:
        answer = await client.cancel(any_id, reason=reason, on_left=progress_note(session.out, "cancelled"))
    out = session.out
    if as_json:
        out.json({"id": any_id, "cancelled": list(answer.affected), "ended_before": list(answer.already)})
        return
    for job_id in answer.affected:
        out.line(f"cancelled {job_id}")
    if not answer.affected:
        out.note(f"Nothing was left to cancel: {any_id} had ended before.")
