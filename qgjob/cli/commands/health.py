"""`qgjob health`: whether everything works."""

from __future__ import annotations

import typer

from qgjob.cli import options as opt
from qgjob.cli.session import Session, run, session_of
from qgjob.errors import ExitCode, UnreachableError

app = typer.Typer(add_completion=False)


@app.command()
def health(ctx: typer.Context, as_json: opt.Json = False) -> None:
    """Check server, scheduler, store and agents; exits 1 when something is wrong."""
    if not run(_main(session_of(ctx), as_json=as_json)):
        raise typer.Exit(int(ExitCode.ERROR))


async def _main(session: Session, *, as_json: bool) -> bool:
    out = session.out
    try:
        async with session.client(note_slow=False) as client:
            answer = await client.health()
    except UnreachableError as error:
        if as_json:  # scripts need the document most when something is wrong
            check = {"name": "server", "ok": False, "detail": error.message}
            out.json({"ok": False, "checks": [check]})
        raise
    if as_json:
        out.json({"ok": answer.ok, "checks": [check.model_dump() for check in answer.checks]})
    else:
        out.table(
            ["CHECK", "OK", "DETAIL"],
            ([check.name, "yes" if check.ok else "NO", check.detail] for check in answer.checks),
        )
    return answer.ok
