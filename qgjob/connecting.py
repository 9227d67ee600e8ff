"""Resolves the server's address and the credentials, alike for commands, services and scripts."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any, Final

from qgjob.config import ServerOptions, contexts_file, is_there, resolve_server, token_source

FILES: Final = ("creds", "tls_ca", "tls_cert", "tls_key")
"""What may be shown to a server, or tells that it is the right one: names of files."""
_CONTEXT_VARIABLE: Final = "QGJOB_CONTEXT"


def server_options(
    said: Mapping[str, Any],
    env: Mapping[str, str],
    *,
    name: str,
    token: str | None = None,
    wait_for_server: bool = False,
) -> ServerOptions:
    """What was said, else `QGJOB_<NAME>`, else the context in use, else a running `up`, else the default.

    `said`: `server` and `FILES` as far as they were given; `token`: it or its file. Files of a context go
    with its own server alone. A variable that is there and empty says that there is no such file.

    Raises `UsageError` for a token or contexts that cannot be read, `NotFoundError` for a context that is
    not there.
    """
    server = said.get("server") or env.get("QGJOB_SERVER")
    files: dict[str, str | None] = {
        option: said.get(option) or env[_variable(option)] or None
        for option in FILES
        if said.get(option) or _variable(option) in env
    }
    if not server or len(files) < len(FILES):
        context = context_for(server, env)
        server = server or context.get("server")
        files = {**context, **files}
    read, file = _token(token_source(token, server, env))
    return ServerOptions(
        url=resolve_server(server, env),
        creds=files.get("creds"),
        token=read,
        token_file=file,
        tls_ca=files.get("tls_ca"),
        tls_cert=files.get("tls_cert"),
        tls_key=files.get("tls_key"),
        name=name,
        wait_for_server=wait_for_server,
    )


def context_for(server: str | None, env: Mapping[str, str]) -> dict[str, str]:
    """The options of the context in use that may go to `server`, or without one to its own.

    Raises as `server_options` does.
    """
    # Most users have none: they need not wait for the import.
    if not env.get(_CONTEXT_VARIABLE) and not is_there(contexts_file(env)):
        return {}
    from qgjob.contexts import Contexts

    return Contexts.load(env).active(server)


def no_files() -> dict[str, str]:
    """Variables that keep a service from showing our own server the credentials for another."""
    return dict.fromkeys(map(_variable, FILES), "")


def add_server_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that `server_options` takes to a service's parser."""
    say = parser.add_argument
    say("--server", metavar="URL", help="the NATS server, such as nats://lab:4222 (QGJOB_SERVER)")
    say("--creds", metavar="FILE", help="a NATS credentials file (QGJOB_CREDS)")
    say("--tls-ca", metavar="FILE", help="the CA that signed the server's certificate (QGJOB_TLS_CA)")
    say("--tls-cert", metavar="FILE", help="a certificate to show to the server (QGJOB_TLS_CERT)")
    say("--tls-key", metavar="FILE", help="its private key (QGJOB_TLS_KEY)")


def _token(said: str | None) -> tuple[str | None, str | None]:
    """The token that is set, and the file it is in."""
    if not said:
        return None, None
    from qgjob.tokenfile import file_of, read_token

    file = file_of(said)
    return read_token(said), str(file.absolute()) if file else None


def _variable(option: str) -> str:
    return f"QGJOB_{option.upper()}"
