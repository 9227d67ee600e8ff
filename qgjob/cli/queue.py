"""`qgjob queue`: what waits, and for what."""

from __future__ import annotations

import typer

from qgjob.cli import options as opt
from qgjob.cli.session import Session, run, session_of

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.callback()
def queue() -> None:
    """See what waits, and for what."""


@app.command("status")
def status(ctx: typer.Context, as_json: opt.Json = False) -> None:
    """Show the queues by priority, the groups, and what was set aside."""
    run(_main(session_of(ctx), as_json=as_json))


async def _main(session: Session, *, as_json: bool) -> None:
    async with session.client() as client:
        overview = await client.overview()
    out = session.out
    if as_json:
        from qgjob.client.shapes import overview_json

        out.json(overview_json(overview))
        return
    from qgjob.domain.durations import show_duration

    depths = ", ".join(f"{name} {overview.depths.get(name, 0)}" for name in ("high", "medium", "low"))
    out.line(f"waiting:   {overview.waiting} ({depths}); {overview.delayed} for their time")
    out.line(f"running:   {overview.running}; slots {overview.slots_busy} busy, {overview.slots_idle} idle")
    if overview.oldest_wait_s is not None:
        out.line(f"oldest:    {show_duration(overview.oldest_wait_s)}")
    out.line(f"installs:  {overview.installs} made, {overview.installs_avoided} avoided")
    if overview.leader:
        out.line(f"leader:    {overview.leader.replica} (epoch {overview.leader.epoch})")
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
                    ", ".join(group.slots),
                ]
                for group in overview.groups
            ),
        )
    if overview.groups_total > len(overview.groups):
        out.note(f"… and {overview.groups_total - len(overview.groups)} more groups.")
    if overview.dead_letters:
        out.warn(f"{overview.dead_letters} messages could not be read and were set aside in QG_DEAD.")
