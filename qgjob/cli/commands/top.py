"""`qgjob top`: the lab on one screen, drawn anew as it changes; without a terminal once."""

from __future__ import annotations

import contextlib
import shutil
from typing import TYPE_CHECKING, Any, Final

import typer

from qgjob.cli import options as opt
from qgjob.cli.session import Session, run, session_of

if TYPE_CHECKING:
    from qgjob.cli.display.top_view import Line
    from qgjob.client.watching.labfeed import LabFeed

app = typer.Typer(add_completion=False)

_REDRAW_S: Final = 1.0
_AT_LEAST_S: Final = 0.2


@app.command(epilog="It listens, and never polls. To act, use `qgjob tui`.")
def top(ctx: typer.Context, as_json: opt.Json = False) -> None:
    """Show queues, groups, slots and running jobs on one screen, until Ctrl-C; without a terminal once."""
    session = session_of(ctx)
    with contextlib.suppress(KeyboardInterrupt):
        run(_main(session, as_json=as_json))


async def _main(session: Session, *, as_json: bool) -> None:
    out = session.out
    async with session.client(note_slow=False) as client, client.lab_feed() as lab:
        if as_json or not out.on_terminal:
            if lab.overview is None:
                from qgjob.errors import UnreachableError

                raise UnreachableError(lab.problem or "Nothing is known.")
            if as_json:
                out.json(_document(lab))
            else:
                columns = shutil.get_terminal_size((100, 24)).columns
                for line in _lines(lab, client.clock.now(), columns, None):
                    out.line("".join(text for text, _ in line).rstrip())
            return
        await _draw(session, lab, client.clock)


async def _draw(session: Session, lab: LabFeed, clock: Any) -> None:
    import asyncio

    from rich.live import Live
    from rich.text import Text

    console = session.out.console()

    def drawn() -> Text:
        width, height = console.size
        lines = _lines(lab, clock.now(), width, height - 1)
        return Text("\n").join(Text.assemble(*line) for line in lines)

    with Live(drawn(), console=console, screen=True, auto_refresh=False) as live:
        while True:
            await lab.changes(_REDRAW_S)
            live.update(drawn(), refresh=True)
            await asyncio.sleep(_AT_LEAST_S)


def _lines(lab: LabFeed, now: float, columns: int, rows: int | None) -> list[Line]:
    from qgjob.cli.display.top_view import Seen, screen

    agents = sorted(lab.agents.values(), key=lambda agent: agent.agent)
    return screen(Seen(lab.overview, agents, lab.at_work, lab.ends, lab.problem, now), columns, rows)


def _document(lab: LabFeed) -> dict[str, Any]:
    from qgjob.client.shapes import agent_json, job_json, overview_json

    assert lab.overview is not None  # noqa: S101  (the caller has looked)
    return {
        "overview": overview_json(lab.overview),
        "agents": [agent_json(agent) for agent in lab.agents.values()],
        "running": [job_json(job) for job in lab.at_work],
    }
