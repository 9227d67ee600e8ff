"""`qgjob config`: the settings in force, and where each was set."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import typer

from qgjob.cli import options as opt
from qgjob.cli.session import Session, session_of
from qgjob.errors import QgjobError

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Show the settings in effect, and their origin."
)


@app.callback()
def _config() -> None: ...


@app.command("show")
def show(ctx: typer.Context, as_json: opt.Json = False) -> None:
    """Show the settings of `qgjob submit` in this folder, and where each comes from.

    Precedence: command line, environment, qgjob.toml, your own config.toml.
    """
    session = session_of(ctx)
    rows = [*_server(session), *_submit()]
    if as_json:
        session.out.json({name: {"value": value, "from": source} for name, value, source in rows})
        return
    session.out.table(
        ("SETTING", "VALUE", "FROM"),
        [(name, _text(value), source) for name, value, source in rows],
    )


def _server(session: Session) -> list[tuple[str, Any, str]]:
    from qgjob.config import running_up, shown_server
    from qgjob.connecting import FILES

    options = session.server_options()
    rows: list[tuple[str, Any, str]] = []
    for name in ("server", *FILES):
        value = options.url if name == "server" else getattr(options, name)
        source = _source(name, session, value)
        if name == "server":
            source = source or ("a running qgjob up" if running_up(os.environ) else "default")
        if value and source:
            rows.append((name.replace("_", "-"), shown_server(value) if name == "server" else value, source))
    return rows


def _source(name: str, session: Session, value: str | None) -> str | None:
    """What said where to connect, or what to show there; None when nothing did."""
    if value_given := session.global_options().get(name):
        variable = f"QGJOB_{name.upper()}"
        return variable if os.environ.get(variable) == value_given else f"--{name.replace('_', '-')}"
    if value is None:
        return None
    from qgjob.contexts import Contexts

    contexts = Contexts.load(os.environ)
    return f"context {contexts.current}" if contexts.known.get(contexts.current or "", {}).get(name) else None


def _submit() -> list[tuple[str, Any, str]]:
    from typer.main import get_command

    from qgjob.cli.commands.submit import app as submit
    from qgjob.cli.settings.defaults import ARGV, defaults_of

    parameters = [p for p in get_command(submit).params if not getattr(p, "hidden", False)]
    defaults = defaults_of(parameters, Path.cwd(), os.environ)
    rows: list[tuple[str, Any, str]] = []
    for name in (*(parameter.name for parameter in parameters), ARGV):
        parameter = next((p for p in parameters if p.name == name), None)
        variable = next((v for v in _variables(parameter) if os.environ.get(v)), None)
        setting = defaults.settings.get(name or "")
        if variable:
            rows.append((_flag(name), os.environ[variable], variable))
        elif setting:
            rows.append((_flag(name), _value(setting.value), setting.where))
        elif parameter is not None and parameter.default not in (None, False, ()):
            rows.append((_flag(name), parameter.default, "default"))
    if defaults.ignore:
        rows.append(("bundle.ignore", list(defaults.ignore), "qgjob.toml"))
    return rows


def _value(value: Any) -> Any:
    if not callable(value):
        return list(value) if isinstance(value, tuple) else value  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    try:
        return value()
    except QgjobError as error:
        return f"? ({error.message})"


def _variables(parameter: Any) -> list[str]:
    variables: str | list[str] | None = getattr(parameter, "envvar", None)
    return [variables] if isinstance(variables, str) else variables or []


def _flag(name: str | None) -> str:
    return (name or "").replace("_", "-")


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
