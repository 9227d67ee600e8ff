"""`qgjob agents`: who pulls jobs, on what; and holding slots back from work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from qgjob.cli import options as opt
from qgjob.cli import values
from qgjob.cli.help import completing
from qgjob.cli.session import Session, run, session_of
from qgjob.errors import NotFoundError

if TYPE_CHECKING:
    from bus_schemas.agents import Heartbeat, SlotStatus
    from bus_schemas.holds import SlotHold
    from bus_schemas.lab import HoldVerb, SlotsAnswer

app = typer.Typer(add_completion=False, no_args_is_help=True)

Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME[/SLOT]",
        help="An agent, or one of its slots.",
        show_default=False,
        autocompletion=completing.agents_and_slots,
    ),
]
Note = Annotated[str | None, opt.option("--note", metavar="TEXT", help="A reason, shown to others.")]
ResumeNote = Annotated[
    str | None, opt.option("--note", metavar="TEXT", help="A reason, for the scheduler's log.")
]
For = Annotated[
    str | None,
    opt.option("--for", metavar="DURATION", help="For how long, such as 30m; else until it is resumed."),
]
_KEPT = "A running job is finished first. The hold survives restarts, also of the agent."


@app.callback()
def agents() -> None:
    """List agents and slots; drain, pause, resume, quarantine or reserve them."""


@app.command("list")
def list_agents(
    ctx: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME[/SLOT]",
            help="An agent, or one of its slots; else all.",
            show_default=False,
            autocompletion=completing.agents_and_slots,
        ),
    ] = None,
    as_json: opt.Json = False,
) -> None:
    """List agents, slot by slot."""
    run(_list(session_of(ctx), name, as_json=as_json))


@app.command("drain", epilog=_KEPT)
def drain(
    ctx: typer.Context, name: Name, note: Note = None, for_: For = None, as_json: opt.Json = False
) -> None:
    """Drain slots: they finish what they run and take nothing more."""
    _hold(ctx, "drain", name, note, for_, as_json=as_json)


@app.command("pause", epilog=_KEPT)
def pause(
    ctx: typer.Context, name: Name, note: Note = None, for_: For = None, as_json: opt.Json = False
) -> None:
    """Pause slots for a time, or until they are resumed."""
    _hold(ctx, "pause", name, note, for_, as_json=as_json)


@app.command("quarantine", epilog=_KEPT)
def quarantine(
    ctx: typer.Context, name: Name, note: Note = None, for_: For = None, as_json: opt.Json = False
) -> None:
    """Take slots out of service because something is wrong with them."""
    _hold(ctx, "quarantine", name, note, for_, as_json=as_json)


@app.command("resume")
def resume(ctx: typer.Context, name: Name, note: ResumeNote = None, as_json: opt.Json = False) -> None:
    """Put slots back to work, whoever held them; also ends a quarantine by the scheduler."""
    _hold(ctx, "resume", name, note, None, as_json=as_json)


@app.command("reserve", epilog=_KEPT)
def reserve(
    ctx: typer.Context,
    slot: Annotated[
        str,
        typer.Argument(
            metavar="SLOT",
            help="The slot to borrow, as agent/slot.",
            show_default=False,
            autocompletion=completing.slots,
        ),
    ],
    for_: Annotated[str, opt.option("--for", metavar="DURATION", help="For how long, such as 30m.")],
    note: Note = None,
    as_json: opt.Json = False,
) -> None:
    """Borrow a slot's device for a time; it goes back to work by itself."""
    _hold(ctx, "reserve", slot, note, for_, as_json=as_json)


def _hold(
    ctx: typer.Context, verb: HoldVerb, name: str, note: str | None, for_: str | None, *, as_json: bool
) -> None:
    note = values.one_line("--note", note)
    for_s = values.maybe_duration("--for", for_)
    run(_ask(session_of(ctx), verb, name, note, for_s, as_json=as_json))


async def _ask(
    session: Session, verb: HoldVerb, name: str, note: str | None, for_s: float | None, *, as_json: bool
) -> None:
    async with session.client() as client:
        answer = await client.hold(verb, name, note=note, for_s=for_s)
    out = session.out
    if as_json:
        from qgjob.client.shapes import hold_json

        out.json(
            {
                "name": name,
                "slots": list(answer.slots),
                "running": dict(answer.running),
                "hold": answer.hold and hold_json(answer.hold),
                "changed": answer.changed,
            }
        )
        return
    if not answer.changed:
        out.note(f"Nothing to do: {name} was not held.")
        return
    for line in _result_lines(name, answer):
        out.say(line)


def _result_lines(name: str, answer: SlotsAnswer) -> list[str]:
    """What became of the request, a line a slot."""
    if answer.hold is None:
        return [f"resumed {slot}" for slot in answer.slots] or [
            f"resumed {name}; of what is connected nothing was held"
        ]
    kind = answer.hold.kind
    until = _until(answer.hold)
    if not answer.slots:
        return [f"{name} is {kind}{until}; it is not connected"]
    return [
        f"{slot} is {kind}{until}"
        + (f"; {answer.running[slot]} is finished first" if slot in answer.running else "")
        for slot in answer.slots
    ]


async def _list(session: Session, name: str | None, *, as_json: bool) -> None:
    async with session.client() as client:
        agents, holds = await client.agents(), await client.holds()
    if name is not None:
        agents, holds = _filter_by_name(name.rstrip("/"), agents, holds)
    known = {agent.agent for agent in agents} | {f"{a.agent}/{slot.name}" for a in agents for slot in a.slots}
    absent = [hold for hold in holds if hold.name not in known]
    if as_json:
        from qgjob.client.shapes import agent_json, hold_json

        session.out.json(
            {
                "agents": [agent_json(agent) for agent in agents],
                "holds": [hold_json(hold) for hold in holds],
            }
        )
        return
    if agents:
        session.out.table(
            ["SLOT", "STATE", "DRIVER", "LABELS", "INSTALLED", "JOB", "INSTALLS", "DONE", "HEALTH", "NOTE"],
            (
                [
                    f"{agent.agent}/{slot.name}",
                    _state(agent, slot),
                    slot.driver,
                    ",".join(slot.labels),
                    ", ".join(build.app_version_id for build in slot.installed),
                    slot.job_id or "",
                    str(slot.installs),
                    str(slot.jobs_done),
                    _health(slot),
                    _note(slot),
                ]
                for agent in agents
                for slot in agent.slots
            ),
        )
    else:
        session.out.note("No agent is connected. Start one with `qgjob agent`, or a system with `qgjob up`.")
    for hold in absent:
        session.out.note(f"{hold.name} is not connected; it stays {_held(hold)}.")


def _filter_by_name(
    name: str, agents: Sequence[Heartbeat], holds: Sequence[SlotHold]
) -> tuple[Sequence[Heartbeat], Sequence[SlotHold]]:
    """What concerns an agent or one of its slots; raises `NotFoundError`."""
    agent, _, slot = name.partition("/")
    kept = [
        one.model_copy(update={"slots": tuple(s for s in one.slots if slot in {"", s.name})})
        for one in agents
        if one.agent == agent and (not slot or any(s.name == slot for s in one.slots))
    ]
    of_it = [hold for hold in holds if hold.name in {agent, name} or hold.name.startswith(f"{name}/")]
    if not kept and (not of_it or any(one.agent == agent for one in agents)):
        raise NotFoundError(
            f"There is no agent or slot {name!r}.", hint="`qgjob agents list` shows the slots there are."
        )
    return kept, of_it


def _state(agent: Heartbeat, slot: SlotStatus) -> str:
    if agent.state != "up":
        return agent.state
    return "drained" if slot.state == "draining" else slot.state  # a slot that still runs something is busy


def _health(slot: SlotStatus) -> str:
    """`88 % 27 °C 5.1 GiB`: battery, temperature and free storage at the last look, as far as it tells."""
    from qgjob.domain.wording import show_size

    seen = slot.health
    if seen is None:
        return ""
    parts = (
        None if seen.battery_percent is None else f"{seen.battery_percent} %",
        None if seen.temperature_c is None else f"{seen.temperature_c:g} °C",
        None if seen.free_mib is None else show_size(seen.free_mib * 1024**2),
    )
    return " ".join(part for part in parts if part)


def _note(slot: SlotStatus) -> str:
    hold = slot.hold
    if hold is None:
        return slot.note or ""
    others = [part for part in (slot.note or "").split("; ") if part not in {hold.note, ""}]
    others = [part for part in others if part != f"{hold.kind} by {hold.by}"]
    return "; ".join([_held(hold), *others])


def _held(hold: SlotHold) -> str:
    """`paused by ann until 2026-01-31T12:00:00Z: a new cable`."""
    return f"{hold.kind} by {hold.by}{_until(hold)}" + (f": {hold.note}" if hold.note else "")


def _until(hold: SlotHold) -> str:
    from qgjob.clock import rfc3339

    at = rfc3339(hold.until and float(int(hold.until)))
    return f" until {at.replace('.000', '')}" if at else ""
