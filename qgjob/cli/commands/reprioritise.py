"""`qgjob reprioritise`: another priority for what was submitted already."""

from __future__ import annotations

from typing import Annotated

import typer

from qgjob.cli import options as opt
from qgjob.cli import values
from qgjob.cli.display.progress_note import progress_note
from qgjob.cli.session import Session, run, session_of
from qgjob.domain.wording import pluralize

app = typer.Typer(add_completion=False)


@app.command(
    epilog="Waiting jobs move at once. A job that a slot already has goes on as it is: the new priority "
    "counts if it is retried."
)
def reprioritise(
    ctx: typer.Context,
    any_id: opt.AnyId,
    priority: Annotated[
        str,
        typer.Argument(
            metavar="N", help="1 (least) to 10 (most urgent), or low, medium, high.", show_default=False
        ),
    ],
    as_json: opt.Json = False,
) -> None:
    """Give a job, or all jobs of a run, another priority."""
    run(_main(session_of(ctx), any_id, values.priority(priority, "N"), as_json=as_json))


async def _main(session: Session, any_id: str, priority: int, *, as_json: bool) -> None:
    async with session.client() as client:
        answer = await client.reprioritise(any_id, priority, on_left=progress_note(session.out, "changed"))
    out = session.out
    if as_json:
        out.json(
            {
                "id": any_id,
                "priority": priority,
                "waiting": list(answer.affected),
                "later": list(answer.later),
                "ended_before": list(answer.already),
            }
        )
        return
    parts: list[str] = []
    if answer.affected:
        parts.append(f"{pluralize(len(answer.affected), 'job')} waiting")
    if answer.later:
        parts.append(f"{pluralize(len(answer.later), 'job')} started already, where it counts if tried again")
    if parts:
        out.say(f"{any_id} has priority {priority} now: {'; '.join(parts)}.")
    else:
        out.note(f"Nothing was left to change: {any_id} had ended before.")
