"""`qgjob queue`: shows what waits, and for what; pauses, resumes and limits what may start."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qgjob.cli import options as opt
from qgjob.cli import values
from qgjob.cli.display.filtered_overview import filtered_overview
from qgjob.cli.session import Session, run, session_of
from qgjob.domain.commands import resume_build, resume_queue
from qgjob.domain.unfit import unfit
from qgjob.domain.wording import pluralize, waiting_jobs
from qgjob.errors import QgjobError, UsageError

if TYPE_CHECKING:
    from collections.abc import Collection

    from bus_schemas.queries import Overview
    from bus_schemas.rules import QueueRules
    from qgjob.cli.display.output import Output

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.callback()
def queue() -> None:
    """Show what waits, and for what; pause and resume it; limit organisations."""


Org = Annotated[str | None, opt.option("--org-id", metavar="ORG", help="Only jobs of this organisation.")]
Capability = Annotated[
    str | None,
    opt.option(
        "--capability",
        metavar="C",
        help="Only jobs that need these labels: emulator, or several as android-14+emulator; `any`: none.",
    ),
]


@app.command("status", epilog="The counts above the groups are always of the whole queue.")
def status(
    ctx: typer.Context, org_id: Org = None, capability: Capability = None, as_json: opt.Json = False
) -> None:
    """Show the queues by priority, the groups (all or those chosen), pauses and holds."""
    org_id = None if org_id is None else values.identifier("--org-id", org_id)
    run(_main(session_of(ctx), org_id, values.capability(capability), as_json=as_json))


@app.command(
    "pause",
    epilog="Jobs that a slot already has go on. A pause lasts until it is lifted, whoever leads.",
)
def pause(
    ctx: typer.Context,
    org_id: Org = None,
    capability: Capability = None,
    note: Annotated[
        str | None, opt.option("--note", metavar="TEXT", help="A reason, shown to others.")
    ] = None,
    as_json: opt.Json = False,
) -> None:
    """Stop starting jobs of an organisation, of a capability or, without either, all jobs."""
    org_id = None if org_id is None else values.identifier("--org-id", org_id)
    note = values.one_line("--note", note)
    run(_pause(session_of(ctx), org_id, values.capability(capability), note, as_json=as_json))


@app.command("resume")
def resume(
    ctx: typer.Context, org_id: Org = None, capability: Capability = None, as_json: opt.Json = False
) -> None:
    """Lift a pause: give the options it was made with; without any, that of the whole queue."""
    org_id = None if org_id is None else values.identifier("--org-id", org_id)
    run(_resume(session_of(ctx), org_id, values.capability(capability), as_json=as_json))


@app.command("limit")
def limit(
    ctx: typer.Context,
    org_id: opt.OrgId,
    max_running: Annotated[
        str | None,
        opt.option("--max-running", metavar="N", help="At most N jobs at once; `none`: no limit."),
    ] = None,
    weight: Annotated[
        float | None,
        opt.option("--weight", metavar="W", min=0.01, max=100, help="Its share of the slots; others have 1."),
    ] = None,
    as_json: opt.Json = False,
) -> None:
    """Limit how many jobs an organisation has running at once, or give it another weight."""
    if max_running is None and weight is None:
        raise UsageError("What shall hold for it? Name --max-running, --weight or both.")
    unlimited = max_running is not None and max_running.strip().lower() in {"none", "off"}
    most = None if max_running is None or unlimited else values.count("--max-running", max_running)
    org_id = values.identifier("--org-id", org_id)
    run(_limit(session_of(ctx), org_id, most, weight, unlimited=unlimited, as_json=as_json))


async def _pause(
    session: Session, org_id: str | None, capability: str | None, note: str | None, *, as_json: bool
) -> None:
    async with session.client() as client:
        rules = await client.pause_queue(org_id=org_id, capability=capability, note=note)
    if as_json:
        session.out.json(_rules_json(rules))
        return
    what = _what(org_id, capability)
    if rules.changed:
        lift = resume_queue(org_id, capability)
        session.out.say(f"Paused {what}: no more of it starts until `{lift}`.")
    else:
        session.out.note(f"Nothing to do: {what} was paused already.")


async def _resume(session: Session, org_id: str | None, capability: str | None, *, as_json: bool) -> None:
    async with session.client() as client:
        rules = await client.resume_queue(org_id=org_id, capability=capability)
    if as_json:
        session.out.json(_rules_json(rules))
        return
    what = _what(org_id, capability)
    left = ", ".join(_what(p.org_id, p.capability) for p in rules.pauses)
    still = f" Still paused: {left}." if left else ""
    if rules.changed:
        session.out.say(f"Resumed {what}.{still}")
    else:
        session.out.note(f"Nothing to do: {what} was not paused.{still}")


async def _limit(
    session: Session,
    org_id: str,
    most: int | None,
    weight: float | None,
    *,
    unlimited: bool,
    as_json: bool,
) -> None:
    async with session.client() as client:
        rules = await client.limit_org(org_id, max_running=most, unlimited=unlimited, weight=weight)
    if as_json:
        session.out.json(_rules_json(rules))
        return
    org = next((org for org in rules.orgs if org.org_id == org_id), None)
    jobs = (
        "any number of jobs" if org is None or org.max_running is None else pluralize(org.max_running, "job")
    )
    share = 1 if org is None or org.weight is None else org.weight
    session.out.say(f"{org_id} may have {jobs} running at once; its weight is {share:g}.")


def _rules_json(rules: QueueRules) -> dict[str, Any]:
    from qgjob.client.shapes import org_rule_json, pause_json

    return {
        "changed": rules.changed,
        "pauses": [pause_json(pause) for pause in rules.pauses],
        "orgs": [org_rule_json(org) for org in rules.orgs],
    }


def _what(org_id: str | None, capability: str | None) -> str:
    if org_id is None and capability is None:
        return "the whole queue"
    what = [f"organisation {org_id}"] if org_id is not None else []
    what += [f"capability {capability}"] if capability is not None else []
    return " with ".join(what)


async def _main(session: Session, org_id: str | None, capability: str | None, *, as_json: bool) -> None:
    labels: tuple[tuple[str, ...], ...] = ()
    async with session.client() as client:
        overview = filtered_overview(await client.overview(), org_id, capability)
        if overview.groups and not as_json:
            with contextlib.suppress(QgjobError):  # they only tell more of the groups
                labels = tuple(slot.labels for agent in await client.agents() for slot in agent.slots)
    out = session.out
    if as_json:
        from qgjob.client.shapes import overview_json

        out.json(overview_json(overview))
        return
    _show_counts(out, overview)
    _show_rules(out, overview)
    _show_groups(out, overview, unfit(overview.groups, labels))
    if overview.dead_letters:
        out.warn(
            f"{pluralize(overview.dead_letters, 'message')} could not be read: see `qgjob deadletters list`."
        )


def _show_counts(out: Output, overview: Overview) -> None:
    from qgjob.clock import rfc3339
    from qgjob.domain.durations import show_duration

    out.line(f"waiting:   {waiting_jobs(overview.depths, overview.delayed)}")
    out_of_play = f", {overview.slots_held} held or not in order" if overview.slots_held else ""
    slots = f"slots {overview.slots_busy} busy, {overview.slots_idle} idle{out_of_play}"
    out.line(f"running:   {overview.running}; {slots}")
    if overview.oldest_wait_s is not None:
        out.line(f"oldest:    {show_duration(overview.oldest_wait_s)}")
    if overview.held:
        out.line(f"held:      {overview.held} by a pause, a limit, or because their build is held")
    since = f" since {rfc3339(overview.leader.since)}" if overview.leader else ""
    out.line(f"installs:  {overview.installs} made, {overview.installs_avoided} avoided{since}")
    if overview.leader:
        out.line(f"leader:    {overview.leader.replica} (epoch {overview.leader.epoch})")


def _show_rules(out: Output, overview: Overview) -> None:
    from qgjob.clock import rfc3339

    for pause in overview.pauses:
        note = f": {pause.note}" if pause.note else ""
        at = rfc3339(pause.at)
        out.say(f"paused:    {_what(pause.org_id, pause.capability)}, by {pause.by} at {at}{note}")
    for build in overview.builds_held:
        lift = resume_build(build.org_id, build.app_version_id)
        out.say(f"build:     {build.why}: held until {rfc3339(build.until)}, or `{lift}`")
    for org in overview.orgs:
        most = "any number" if org.max_running is None else f"at most {org.max_running}"
        weight = f"; weight {org.weight:g}" if org.weight is not None else ""
        out.say(f"limit:     {org.org_id}: {org.running} running, {most}{weight}")


def _show_groups(out: Output, overview: Overview, lacking: Collection[str]) -> None:
    if overview.groups:
        out.table(
            ["CAPABILITY", "ORG", "VERSION", "WAITING", "RELEASED", "RUNNING", "SLOTS"],
            (
                [
                    group.group.capability,
                    group.group.org_id,
                    group.group.app_version_id,
                    str(group.waiting),
                    str(max(0, group.released - group.running)),  # those that run are released too
                    str(group.running),
                    "no slot has these" if group.group.capability in lacking else ", ".join(group.slots),
                ]
                for group in overview.groups
            ),
        )
    if overview.groups_total > len(overview.groups):
        out.note(f"… and {overview.groups_total - len(overview.groups)} more groups.")
