"""`qgjob agents`: who pulls jobs, on what."""

from __future__ import annotations

import typer

from qgjob.cli import options as opt
from qgjob.cli.session import Session, run, session_of

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.callback()
def agents() -> None:
    """See the agents and their slots."""


@app.command("list")
def list_agents(ctx: typer.Context, as_json: opt.Json = False) -> None:
    """List the agents that are alive, slot by slot."""
    run(_main(session_of(ctx), as_json=as_json))


async def _main(session: Session, *, as_json: bool) -> None:
    async with session.client() as client:
        found = await client.agents()
    if as_json:
        from qgjob.client.shapes import agent_json

        session.out.json({"agents": [agent_json(agent) for agent in found]})
        return
    if not found:
        session.out.note("No agent is connected. Start one with `qgjob agent`, or a system with `qgjob up`.")
        return
    session.out.table(
        ["SLOT", "STATE", "DRIVER", "LABELS", "INSTALLED", "JOB", "INSTALLS", "DONE"],
        (
            [
                f"{agent.agent}/{slot.name}",
                slot.state if agent.state == "up" else agent.state,
                slot.driver,
                ",".join(slot.labels),
                ", ".join(build.app_version_id for build in slot.installed),
                slot.job_id or "",
                str(slot.installs),
                str(slot.jobs_done),
            ]
            for agent in found
            for slot in agent.slots
        ),
    )
