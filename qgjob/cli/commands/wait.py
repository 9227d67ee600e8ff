"""`qgjob wait`: until it has ended, exiting with the verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from qgjob.cli import options as opt
from qgjob.cli import values
from qgjob.cli.session import Session, run, session_of

if TYPE_CHECKING:
    from qgjob.cli.waiting.waiting import WaitArguments

app = typer.Typer(add_completion=False)


@app.command(
    epilog="Exits with 0 when everything passed, 10 when a test failed or took too long, 20 when the lab "
    "failed, 18 when no slot could run a job, 19 when jobs were cancelled or expired, 16 when --timeout was "
    "over, 130 when Ctrl-C ended the wait."
)
def wait(
    ctx: typer.Context,
    any_id: opt.AnyId,
    timeout: Annotated[
        str | None,
        opt.option(
            "--timeout",
            metavar="DURATION",
            help="Give up waiting (exit 16); the jobs go on.",
            panel=opt.WAITING,
        ),
    ] = None,
    fail_fast: opt.FailFast = False,
    fail_on_flaky: opt.FailOnFlaky = False,
    allow_failures: opt.AllowFailures = 0,
    no_slot_grace: opt.NoSlotGrace = opt.NO_SLOT_GRACE,
    junit: opt.JUnit = None,
    junit_cases: opt.JUnitCases = False,
    as_json: opt.Json = False,
) -> None:
    """Wait for a job or a run; the exit code is the verdict. Ctrl-C asks whether to cancel."""
    from qgjob.cli.waiting.detaching import detachable
    from qgjob.cli.waiting.waiting import WaitArguments, WaitState
    from qgjob.client.models import WaitOptions
    from qgjob.domain.verdict import VerdictRules

    opt.refuse_alone(ctx, junit)
    values.fresh("--junit", junit)
    waiting = WaitArguments(
        options=WaitOptions(
            timeout_s=values.maybe_duration("--timeout", timeout),
            no_slot_grace_s=values.grace(no_slot_grace),
            rules=VerdictRules(fail_on_flaky=fail_on_flaky, allow_failures=allow_failures),
            fail_fast=fail_fast,
        ),
        junit=junit,
        junit_cases=junit_cases,
        as_json=as_json,
        state=WaitState(any_id, is_stored=True),
    )
    session = session_of(ctx)
    code = detachable(session, waiting, lambda: run(_main(session, any_id, waiting)))
    raise typer.Exit(code)


async def _main(session: Session, any_id: str, waiting: WaitArguments) -> int:
    from qgjob.cli.waiting.waiting import wait_and_print

    async with session.client(note_slow=False) as client:
        return await wait_and_print(client, session.out, any_id, waiting)
