"""`qgjob cron`: the schedules that `qgjob submit --cron` made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from qgjob.cli import options as opt
from qgjob.cli import values
from qgjob.cli.session import Session, run, session_of
from qgjob.domain.wording import pluralize

if TYPE_CHECKING:
    from bus_schemas.crons import CronView
    from qgjob.cli.display.output import Output

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.callback()
def cron() -> None:
    """List and delete schedules; `qgjob submit --cron EXPR` makes one."""


@app.command("list")
def list_schedules(ctx: typer.Context, org_id: opt.MaybeOrgId = None, as_json: opt.Json = False) -> None:
    """List schedules, with their last and next due time."""
    run(_list(session_of(ctx), org_id, as_json=as_json))


@app.command("delete")
def delete(
    ctx: typer.Context,
    schedule_id: Annotated[str, typer.Argument(metavar="ID", help="A schedule (c_…).", show_default=False)],
    as_json: opt.Json = False,
) -> None:
    """Delete a schedule; runs that it submitted go on."""
    run(_delete(session_of(ctx), values.identifier("ID", schedule_id), as_json=as_json))


async def _list(session: Session, org_id: str | None, *, as_json: bool) -> None:
    async with session.client() as client:
        schedules = await client.schedules(org_id=org_id)
    out = session.out
    if as_json:
        out.json({"schedules": [schedule_json(schedule) for schedule in schedules]})
        return
    if not schedules:
        out.note("There are no schedules. `qgjob submit --cron EXPR …` makes one.")
        return
    from qgjob.clock import rfc3339

    out.table(
        ["ID", "SCHEDULE", "ORG", "VERSION", "TESTS", "LAST", "NEXT", "NAME"],
        (
            [
                schedule.schedule_id,
                when(schedule),
                schedule.org_id,
                schedule.app_version_id,
                str(schedule.tests),
                rfc3339(schedule.last_at) or "-",
                rfc3339(schedule.next_at) or "-",
                schedule.name or "",
            ]
            for schedule in schedules
        ),
    )


async def _delete(session: Session, schedule_id: str, *, as_json: bool) -> None:
    async with session.client() as client:
        schedule = await client.delete_schedule(schedule_id)
    if as_json:
        session.out.json({"deleted": schedule_json(schedule)})
    else:
        session.out.say(f"Deleted {schedule_id} ({when(schedule)}): it submits nothing any more.")


def when(schedule: CronView) -> str:
    """Its times, in one piece of text."""
    return f"{schedule.expression} {schedule.zone or 'UTC'}"


def schedule_json(schedule: CronView) -> dict[str, Any]:
    """A schedule as one JSON object."""
    from qgjob.clock import rfc3339

    document = schedule.model_dump(mode="json", exclude={"v"})
    for name in ("created_at", "last_at", "next_at"):
        document[name] = rfc3339(getattr(schedule, name))
    return document


def print_added(out: Output, schedule: CronView, *, replaced: bool, as_json: bool) -> None:
    """Say what `submit --cron` made."""
    from qgjob.clock import rfc3339

    if as_json:
        out.json({"schedule": schedule_json(schedule), "replaced": replaced})
        return
    did = "replaces the schedule of that run key" if replaced else "is a new schedule"
    out.say(f"{schedule.schedule_id} {did}: {pluralize(schedule.tests, 'test')} at {when(schedule)}.")
    if (due := rfc3339(schedule.next_at)) is not None:
        out.note(f"It is due next at {due}.")
