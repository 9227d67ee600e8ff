"""`qgjob doctor`: what is wrong here and in the lab, and what to do about it."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from qgjob.cli import options as opt
from qgjob.cli import values
from qgjob.cli.help import completing
from qgjob.cli.session import Session, run, session_of
from qgjob.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bus_schemas.queries import ClockView, HealthAnswer
    from qgjob.cli.checkup.finding import Finding
    from qgjob.client import Client

app = typer.Typer(add_completion=False)

_MARKS: Final = {
    "ok": ("✓", "ok", "green"),
    "unknown": ("·", "unknown", "dim"),
    "warning": ("!", "warning", "yellow"),
    "wrong": ("✗", "wrong", "bold red"),
}
_NAME_WIDTH: Final = 12


@app.command(
    epilog="Exits with 0 when nothing is wrong (a warning is not wrong), 1 when something is, 5 when the "
    "server cannot be reached and 4 when it refuses these credentials. Nothing is changed or stored."
)
def doctor(
    ctx: typer.Context,
    http: Annotated[
        str | None,
        opt.option("--http", metavar="URL", help="The gateway to look at; else that of `qgjob up`."),
    ] = None,
    org_id: Annotated[
        str,
        opt.option(
            "--org-id",
            metavar="ORG",
            help="The organisation for which the right to submit is tested.",
            autocompletion=completing.organisations,
        ),
    ] = "doctor",
    as_json: opt.Json = False,
) -> None:
    """Check server, credentials, versions, clocks, disks, store, scheduler, agents; say what to do."""
    session = session_of(ctx)
    org_id = values.identifier("--org-id", org_id)
    findings, code = run(examine(session, http, org_id))
    if as_json:
        session.out.json(
            {"ok": code == ExitCode.OK, "exit_code": int(code), "findings": [_json(f) for f in findings]}
        )
    else:
        _tell(session, findings)
    raise typer.Exit(int(code))


async def examine(
    session: Session, http: str | None = None, org_id: str = "doctor"
) -> tuple[list[Finding], ExitCode]:
    """Look at everything; what was found, and what the command exits with."""
    from qgjob.cli.checkup import machine
    from qgjob.cli.checkup.finding import worst
    from qgjob.cli.checkup.rights import QUERY
    from qgjob.config import running_up
    from qgjob.errors import QgjobError, UsageError

    options = session.server_options("qgjob doctor")
    up = running_up(os.environ)
    findings = [machine.client(), machine.source(options.url, session.server, os.environ, up)]
    if up is not None and up.server != options.url:
        up = None  # another lab's server: the gateway and the disk of our own tell nothing of it
    asked = asyncio.to_thread(machine.http, http or (up.http if up else None))
    gateway = asyncio.create_task(asked)
    code = ExitCode.OK
    try:
        async with session.client(note_slow=False) as client:
            findings += await _of_the_lab(client, org_id)
    except UsageError:
        raise
    except QgjobError as error:
        findings.append(machine.unreachable(error))
        shown_codes = {ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE}
        code = error.exit_code if error.exit_code in shown_codes else ExitCode.ERROR
    findings += [await gateway, *machine.disks(up)]
    if any(finding.name == QUERY and finding.status == "wrong" for finding in findings):
        code = ExitCode.NOT_ALLOWED
    if code == ExitCode.OK and worst(findings) == "wrong":
        code = ExitCode.ERROR
    return findings, code


async def _of_the_lab(client: Client, org_id: str) -> list[Finding]:
    from qgjob.cli.checkup import lab, server
    from qgjob.cli.checkup.rights import rights
    from qgjob.errors import QgjobError

    findings = [await server.connection(client.bus)]
    store, allowed, (health, before, took) = await asyncio.gather(
        server.jetstream(client.bus), rights(client.bus, org_id), _health(client)
    )
    if store.status == "unknown" and health.storage is not None:
        store = server.storage(health.storage.used, health.storage.limit)
    findings += [store, *allowed, *lab.of_health(health)]
    if health.at is None:  # no scheduler: nothing would answer more
        return findings
    agents: Sequence[Any] = ()
    with contextlib.suppress(QgjobError):  # what keeps it from answering is among the findings
        agents = await client.agents()
        findings += lab.slots(agents)
    findings.append(lab.versions(health, agents))
    findings.append(lab.clocks(health.clocks, _here(before, took, health.at)))
    with contextlib.suppress(QgjobError):
        overview = await client.overview()
        findings += [*lab.rules(overview), *lab.labels(overview, agents)]
    return findings


async def _health(client: Client) -> tuple[HealthAnswer, float, float]:
    """The answer, when it was asked for by this machine's clock, and how long it took."""
    from bus_schemas.queries import HealthAnswer
    from qgjob.errors import NotAllowedError

    began, before = client.clock.monotonic(), client.clock.now()
    try:
        answer = await client.health()
    except NotAllowedError:  # which is a finding of its own
        answer = HealthAnswer(ok=False)
    return answer, before, client.clock.monotonic() - began


def _here(before: float, took: float, answered_at: float) -> ClockView:
    """This machine's clock as against the scheduler's, which answered somewhen in between."""
    from bus_schemas.queries import ClockView

    return ClockView(name="this machine", ahead_s=before + took / 2 - answered_at, bound_s=took / 2)


def _tell(session: Session, findings: Sequence[Finding]) -> None:
    out = session.out
    for finding in findings:
        mark, word, style = _MARKS[finding.status]
        if not out.on_terminal:
            out.line(_plain(f"{word:<8} {finding.name:<{_NAME_WIDTH}} {finding.detail}"))
        else:
            from rich.text import Text

            line = Text.assemble(
                (f" {mark} ", style), (f"{finding.name:<{_NAME_WIDTH}} ", "bold"), _plain(finding.detail)
            )
            out.console().print(line, soft_wrap=True)
        if finding.hint and finding.status != "ok":
            out.say(f"{'':<{9 if not out.on_terminal else 3}}{'':<{_NAME_WIDTH}} → {finding.hint}")
    out.line()
    out.say(_verdict(findings))


def _verdict(findings: Sequence[Finding]) -> str:
    wrong = [finding.name for finding in findings if finding.status == "wrong"]
    warnings = [finding.name for finding in findings if finding.status == "warning"]
    if not wrong and not warnings:
        return "All is well."
    parts = [f"wrong: {', '.join(wrong)}"] if wrong else []
    parts += [f"to look at: {', '.join(dict.fromkeys(warnings))}"] if warnings else []
    return "; ".join(parts) + "."


def _plain(text: str) -> str:
    from qgjob.cli.display.output import clean

    return clean(text)


def _json(finding: Finding) -> dict[str, Any]:
    return {
        "name": finding.name,
        "status": finding.status,
        "detail": finding.detail,
        "hint": finding.hint,
        **({"facts": finding.facts} if finding.facts else {}),
    }
