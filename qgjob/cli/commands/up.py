"""`qgjob up`: the whole system on this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from qgjob.cli import values
from qgjob.cli.options import option
from qgjob.cli.session import run, session_of
from qgjob.gateway import limitoptions as limits

app = typer.Typer(add_completion=False)


def _limit(name: str) -> Any:
    text = limits.HELP[name]
    return option(limits.option_of(name), metavar="N", help=f"{text[0].upper()}{text[1:]}.")


@app.command()
def up(
    ctx: typer.Context,
    agents: Annotated[
        int | None,
        option("--agents", min=1, max=64, help="Agent processes of one slot each; else one of four slots."),
    ] = None,
    slots: Annotated[
        int | None, option("--slots", min=1, max=64, help="Slots of each agent.", show_default=False)
    ] = None,
    labels: Annotated[
        str | None,
        option("--labels", metavar="A,B", help="Labels of every slot; else process and all targets."),
    ] = None,
    port: Annotated[
        int | None,
        option("--port", min=1, max=65_535, help="The port of NATS; else 4222, or any that is free."),
    ] = None,
    listen: Annotated[
        str | None,
        option("--listen", metavar="ADDR", help="Let other machines join: HOST or HOST:PORT; needs --token."),
    ] = None,
    token: Annotated[
        Path | None, option("--token", metavar="FILE", help="A file with the token that clients then need.")
    ] = None,
    http_port: Annotated[
        int | None,
        option(
            "--http-port",
            min=1,
            max=65_535,
            envvar=["QGJOB_HTTP_PORT", "PORT"],
            help="The port of HTTP; else 3000, or any that is free.",
        ),
    ] = None,
    http_rate: Annotated[str | None, _limit(limits.RATE)] = None,
    http_burst: Annotated[str | None, _limit(limits.BURST)] = None,
    http_jobs: Annotated[str | None, _limit(limits.JOBS)] = None,
    data_dir: Annotated[
        Path | None, option("--data-dir", metavar="DIR", help="Where data is kept between runs.")
    ] = None,
) -> None:
    """Run NATS, Valkey, scheduler, agents and HTTP on this machine, until Ctrl-C stops them all."""
    from qgjob.local.up import UpOptions, run_up

    defaults = UpOptions()
    out = session_of(ctx).out
    http_options = {limits.RATE: http_rate, limits.BURST: http_burst, limits.JOBS: http_jobs}
    limits.http_limits(http_options, os.environ)  # report an error here rather than in the gateway's log
    options = UpOptions(
        slots=slots or (defaults.slots if agents is None else 1),
        agents=agents or defaults.agents,
        labels=defaults.labels if labels is None else values.label_list("--labels", labels),
        port=port,
        listen=listen,
        token_file=token,
        http=True,
        http_port=http_port,
        data_dir=data_dir,
        gateway_args=tuple(
            f"{limits.option_of(name)}={value}" for name, value in http_options.items() if value
        ),
    )
    raise typer.Exit(run(run_up(options, announce=out.say)))
