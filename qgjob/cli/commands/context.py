"""`qgjob context`: the labs a user works with."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from qgjob.cli import options as opt
from qgjob.cli.display.cells import padded, width_of
from qgjob.cli.help.completing import contexts
from qgjob.cli.session import session_of
from qgjob.config import shown_server
from qgjob.contexts import FIELDS, Contexts
from qgjob.errors import UsageError

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Store labs by name, and switch between them."
)

_NAME = typer.Argument(metavar="NAME", help="A name for the lab.", show_default=False)
_KNOWN = typer.Argument(
    metavar="NAME", help="The name of a lab.", show_default=False, autocompletion=contexts
)
_URL = typer.Argument(metavar="URL", help="Its server, such as nats://lab:4222.", show_default=False)


@app.command("add")
def add(
    ctx: typer.Context,
    name: Annotated[str, _NAME],
    server: Annotated[str, _URL],
) -> None:
    """Store a lab's server, with --creds, --tls-ca, --tls-cert and --tls-key if given.

    The first one becomes the one in use.
    """
    from pathlib import Path

    if not name.strip() or any(not character.isprintable() for character in name):
        raise UsageError(f"{name!r} is no name for a context.")
    labs = Contexts.load({**os.environ, "QGJOB_CONTEXT": ""})
    session = session_of(ctx)
    files = {name: getattr(session, name) for name in FIELDS if name != "server"}
    # Absolute: a context is used from any folder.
    given = {key: str(Path(path).expanduser().absolute()) for key, path in files.items() if path}
    for key, path in given.items():
        if not Path(path).exists():
            option = "--" + key.replace("_", "-")
            session.out.warn(f"{option}: there is no file {path} (yet).")
    labs.known[name] = {"server": server, **given}
    first = labs.current is None
    if first:
        labs.current = name
    labs.save()
    now = " and is used from now on" if first else f"; `qgjob context use {name}` switches to it"
    session.out.note(f"The context {name} is remembered{now}.")


@app.command("use")
def use(ctx: typer.Context, name: Annotated[str, _KNOWN]) -> None:
    """Make a lab the one that commands use."""
    labs = Contexts.load({**os.environ, "QGJOB_CONTEXT": ""})
    server = labs.get(name)["server"]
    labs.current = name
    labs.save()
    session_of(ctx).out.note(f"Commands speak to {name} ({shown_server(server)}) from now on.")


@app.command("remove")
def remove(ctx: typer.Context, name: Annotated[str, _KNOWN]) -> None:
    """Remove a lab."""
    labs = Contexts.load({**os.environ, "QGJOB_CONTEXT": ""})
    labs.get(name)
    del labs.known[name]
    if labs.current == name:
        labs.current = None
    labs.save()
    session_of(ctx).out.note(f"The context {name} is forgotten.")


@app.command("list")
def list_(ctx: typer.Context, as_json: opt.Json = False) -> None:
    """List the labs; the one in use has a star."""
    labs = Contexts.load(os.environ)
    out = session_of(ctx).out
    if as_json:
        out.json(
            {
                "current": labs.current,
                "contexts": [
                    {"name": name, **fields, "server": shown_server(fields["server"])}
                    for name, fields in sorted(labs.known.items())
                ],
            }
        )
        return
    if not labs.known:
        out.note("There are no contexts. Add one: qgjob context add lab nats://lab:4222")
        return
    width = max(map(width_of, labs.known))
    for name, fields in sorted(labs.known.items()):
        star = "*" if name == labs.current else " "
        out.write(f"{star} {padded(name, width)}  {shown_server(fields['server'])}\n")
