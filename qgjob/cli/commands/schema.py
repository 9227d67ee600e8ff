"""`qgjob schema`: the messages of the bus, for those who speak it themselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from qgjob.cli.session import session_of
from qgjob.errors import UsageError

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.callback()
def schema() -> None:
    """Export the JSON Schemas of all messages."""


@app.command("export")
def export(
    ctx: typer.Context,
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="The folder to write to; created if missing.", show_default=False),
    ],
) -> None:
    """Write one JSON Schema file for each message of the bus."""
    from bus_schemas.messages import MESSAGES

    try:
        folder.mkdir(parents=True, exist_ok=True)
        for message in MESSAGES:
            text = json.dumps(message.model_json_schema(), indent=2, sort_keys=True)
            (folder / f"{message.__name__}.json").write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{error.filename} cannot be written: {error.strerror}.") from None
    session_of(ctx).out.note(f"{len(MESSAGES)} schemas are in {folder}.")
