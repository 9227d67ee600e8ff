"""`qgjob status`: a job or a run."""

from __future__ import annotations

from typing import Annotated

import typer

from qgjob.cli import options as opt
from qgjob.cli.display.output import Output, clean
from qgjob.cli.help import completing
from qgjob.cli.session import Session, run, session_of
from qgjob.clock import rfc3339
from qgjob.errors import UsageError

app = typer.Typer(add_completion=False)


@app.command()
def status(
    ctx: typer.Context,
    any_id: Annotated[
        str | None,
        typer.Argument(
            metavar="ID",
            help="A job (j_…) or a run (r_…).",
            show_default=False,
            autocompletion=completing.jobs_and_runs,
        ),
    ] = None,
    job_id: Annotated[
        str | None, opt.option("--job-id", metavar="ID", help="The same, as an option.")
    ] = None,
    as_json: opt.Json = False,
) -> None:
    """Show a job with its attempts, or a run with its jobs."""
    wanted = any_id or job_id
    if not wanted:
        raise UsageError("Which one? Give the id of a job or of a run.", hint="`qgjob list` shows jobs.")
    run(_main(session_of(ctx), wanted, as_json=as_json))


async def _main(session: Session, wanted: str, *, as_json: bool) -> None:
    from bus_schemas.queries import RunView
    from qgjob.client.shapes import job_json, run_json

    async with session.client() as client:
        view = await client.get(wanted)
    if as_json:
        session.out.json(run_json(view) if isinstance(view, RunView) else job_json(view))
        return
    from qgjob.cli.display.render import attempts_table, counts_text, files_table, jobs_table, why

    out = session.out
    if isinstance(view, RunView):
        _lines(
            out,
            run=view.run_id,
            name=view.name,
            state=f"{view.state}: {counts_text(view.counts)}",
            org=view.org_id,
            created=rfc3339(view.created_at),
            meta="  ".join(f"{key}={value}" for key, value in view.meta.items()),
        )
        jobs_table(out, view.jobs)
        return
    _lines(
        out,
        job=view.job_id,
        run=view.run_id,
        state=view.state + (f" ({why(view)})" if why(view) else ""),
        test=view.title,
        org=view.org_id,
        version=view.app_version_id,
        priority=str(view.priority),
        requires=", ".join(view.requires),
        created=rfc3339(view.created_at),
        ended=rfc3339(view.ended_at),
    )
    if view.attempts:
        attempts_table(out, view.attempts)
    if view.tests:
        out.line()
        files_table(out, view)


def _lines(out: Output, **values: str | None) -> None:
    for name, value in values.items():
        if value:
            out.line(f"{name + ':':<10}{clean(value)}")
