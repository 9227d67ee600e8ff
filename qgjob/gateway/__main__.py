"""`python -m qgjob.gateway`: HTTP for those with nothing but curl."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path


def main(argv: list[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT; returns the exit code."""
    from qgjob.connecting import server_options
    from qgjob.errors import QgjobError
    from qgjob.gateway.limitoptions import http_limits, proxies_of
    from qgjob.gateway.service import GatewayOptions, run_gateway
    from qgjob.serve import refused, serve

    given = parser().parse_args(argv)
    try:
        options = GatewayOptions(
            server=server_options(vars(given), os.environ, name="qgjob gateway", wait_for_server=True),
            host=given.host,
            port=port_of(given.port, os.environ),
            token=read_token(Path(given.token)) if given.token else None,
            limits=http_limits(vars(given), os.environ),
            proxies=proxies_of(given.proxies),
        )
    except QgjobError as error:
        return refused(error)
    return serve(lambda stop, ready: run_gateway(options, stop=stop, ready=ready))


def parser() -> argparse.ArgumentParser:
    """The command-line parser of `python -m qgjob.gateway`."""
    from qgjob.connecting import add_server_options
    from qgjob.gateway.limitoptions import add_limit_options
    from qgjob.gateway.service import DEFAULT_PORT

    made = argparse.ArgumentParser(
        prog="qgjob gateway", description="Serve HTTP: submit, status, logs, cancel, health; see /docs."
    )
    add_server_options(made)
    made.add_argument(
        "--host",
        default=os.environ.get("QGJOB_HOST", "127.0.0.1"),
        help="the address to listen at; any but loopback needs a token (127.0.0.1)",
    )
    made.add_argument(
        "--port",
        metavar="N",
        help=f"the port (PORT, else {DEFAULT_PORT})",
    )
    made.add_argument(
        "--token",
        metavar="FILE",
        default=os.environ.get("QGJOB_GATEWAY_TOKEN"),
        help="a file with the token that callers must send",
    )
    add_limit_options(made)
    made.add_argument(
        "--proxies",
        metavar="A,B",
        default=os.environ.get("QGJOB_PROXIES"),
        help="addresses or networks whose X-Forwarded-For is believed, behind a proxy (none)",
    )
    return made


def port_of(given: str | None, env: Mapping[str, str]) -> int:
    """The port that was given, else that of `PORT`, else the usual one; raises `UsageError` naming which."""
    from qgjob.errors import UsageError
    from qgjob.gateway.service import DEFAULT_PORT

    name, text = ("--port", given) if given is not None else ("PORT", env.get("PORT") or str(DEFAULT_PORT))
    if not (text.isascii() and text.isdecimal() and int(text[:6]) < 65_536):
        raise UsageError(f"{name} {text!r} is no port: a whole number from 0 (any that is free) to 65535.")
    return int(text)


def read_token(path: Path) -> str:
    """The token in a file; raises `UsageError` when it cannot be read or is too short to be one."""
    from qgjob.errors import UsageError

    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The token in {path} cannot be read: {error}.") from None
    if len(token) < 16 or any(character.isspace() for character in token):
        raise UsageError(
            f"The file {path} holds no good token: it must have 16 characters or more, without spaces.",
            hint=f"Make one: python3 -c 'import secrets; print(secrets.token_urlsafe(32))' > {path}",
        )
    return token


if __name__ == "__main__":
    sys.exit(main())
