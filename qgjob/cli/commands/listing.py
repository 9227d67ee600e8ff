"""`qgjob list`: jobs, newest first."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from qgjob.cli import options as opt
from qgjob.cli import values
from qgjob.cli.choices import checked_choice
from qgjob.cli.help import completing
from qgjob.cli.session import Session, run, session_of
from qgjob.domain.lifecycle import STATES

app = typer.Typer(add_completion=False)


@app.command("list")
def list_jobs(
    ctx: typer.Context,
    state: Annotated[
        str | None,
        opt.option(
            "--state",
            metavar="S",
            help="Only those in this state, such as failed.",
            autocompletion=completing.one_of(*STATES),
        ),
    ] = None,
    org_id: opt.MaybeOrgId = None,
    app_version_id: opt.MaybeAppVersionId = None,
    run_id: Annotated[
        str | None,
        opt.option("--run-id", metavar="R", help="Only those of this run.", autocompletion=completing.runs),
    ] = None,
    limit: Annotated[int, opt.option("--limit", min=1, max=100_000, help="How many at most.")] = 50,
    as_json: opt.Json = False,
) -> None:
    """List jobs, newest first."""
    if state is not None:
        checked_choice("--state", state, STATES)
    filters = {"state": state, "org_id": org_id, "app_version_id": app_version_id, "run_id": run_id}
    for name, value in filters.items():
        if value is not None:
            values.identifier("--" + name.replace("_", "-"), value)
    run(_main(session_of(ctx), filters, limit, as_json=as_json))


async def _main(session: Session, filters: dict[str, Any], limit: int, *, as_json: bool) -> None:
    async with session.client() as client:
        jobs = await client.jobs(**filters, limit=limit)
    if as_json:
        from qgjob.client.shapes import job_json

        session.out.json({"jobs": [job_json(job) for job in jobs]})
        return
    if not jobs:
        session.out.note("No jobs.")
        return
    from qgjob.cli.display.render import jobs_table

    jobs_table(session.out, jobs, wide=True)
