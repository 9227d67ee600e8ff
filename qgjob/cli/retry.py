"""`qgjob retry`: a new attempt of what has ended."""

from __future__ import annotations

from typing import Annotated

import typer

from qgjob.cli import options as opt
from qgjob.cli.goingon import going_on
from qgjob.cli.session import Session, run, session_of

app = typer.Typer(add_completion=False)


@app.command(
    epilog="The new attempt has all of its --retries again; the earlier ones stay in the job's record. "
    "`qgjob wait ID` then waits for the new end. Jobs can be retried for a day after their submit."
)
def retry(
    ctx: typer.Context,
    any_id: opt.AnyId,
    failed: Annotated[
        bool, opt.option("--failed", help="Of a run only what failed, timed out or errored.")
    ] = False,
    as_json: opt.Json = False,
) -> None:
    """Try a job that has ended once more, or all jobs of a run that have."""
    run(_main(session_of(ctx), any_id, failed=failed, as_json=as_json))


async def _main(session: Session, any_id: str, *, failed: bool, as_json: bool) -> None:
    async with session.client() as client:
        answer = await client.retry(any_id, failed=failed, on_left=going_on(session.out, "retried"))
    out = session.out
    if as_json:
        out.json({"id": any_id, "retried": list(answer.affected), "not_ended": list(answer.already)})
        return
    for job_id in answer.affected:
        out.line(f"retried {job_id}")
    if answer.affected:
        return
    if answer.already:
        out.note(f"Nothing to retry: {any_id} has not ended.")
    else:
        out.note(f"Nothing to retry: nothing of {any_id} has failed.")
