"""`qgjob retry`: a new attempt of what has ended."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Final

import typer

from qgjob.cli import options as opt
from qgjob.cli.display.progress_note import progress_note
from qgjob.cli.session import Session, run, session_of
from qgjob.domain.wording import first_of

if TYPE_CHECKING:
    from bus_schemas.control import CtlAnswer

app = typer.Typer(add_completion=False)

_NAMED: Final = 5
"""So many jobs that were left out are named; all of them with `--json`."""


@app.command(
    epilog="The new attempt has all of its --retries again; earlier attempts stay in the job's record. "
    "`qgjob wait ID` then waits for the new end. Jobs can be retried for a day after their submit; jobs of a "
    "run that are older are listed and left out."
)
def retry(
    ctx: typer.Context,
    any_id: opt.AnyId,
    failed: Annotated[
        bool, opt.option("--failed", help="Only jobs that failed, timed out or errored.")
    ] = False,
    as_json: opt.Json = False,
) -> None:
    """Retry a job that has ended, or all such jobs of a run."""
    run(_main(session_of(ctx), any_id, failed=failed, as_json=as_json))


async def _main(session: Session, any_id: str, *, failed: bool, as_json: bool) -> None:
    async with session.client() as client:
        answer = await client.retry(any_id, failed=failed, on_left=progress_note(session.out, "retried"))
    out = session.out
    if as_json:
        out.json(
            {
                "id": any_id,
                "retried": list(answer.affected),
                "not_ended": list(answer.already),
                "left_out": list(answer.gone),
                "forgotten": answer.forgotten,
            }
        )
        return
    for job_id in answer.affected:
        out.line(f"retried {job_id}")
    for text in left_out(any_id, answer):
        out.warn(text)
    if answer.affected:
        return
    if answer.already:
        out.note(f"Nothing to retry: {any_id} has not ended.")
    else:
        out.note(f"Nothing to retry: nothing of {any_id} has failed.")


def left_out(any_id: str, answer: CtlAnswer) -> Iterator[str]:
    """How many jobs a retry left out, and which, as they are not kept any more."""
    if gone := answer.gone:
        yield (
            f"{_of(len(gone), any_id)} left out, as what they were made of is not kept any more: "
            f"{first_of(gone, _NAMED)}."
        )
    if answer.forgotten:
        yield f"{_of(answer.forgotten, any_id)} left out, as nothing of them is kept any more."


def _of(count: int, any_id: str) -> str:
    return f"{count:,} job of {any_id} was" if count == 1 else f"{count:,} jobs of {any_id} were"
