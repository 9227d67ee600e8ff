"""What the parts of a local system are, as child processes: nats-server, Valkey, scheduler, agent."""

from __future__ import annotations

import secrets
import sys
from functools import partial
from pathlib import Path

from qgjob.local.binaries import nats_config_file, nats_server_binary, valkey_server_binary
from qgjob.local.child import ChildSpec
from qgjob.local.listen import Listen
from qgjob.local.probes import nats_ready, valkey_ready

HOST = "127.0.0.1"

#: Time for an agent to finish or hand back what it runs; what is left is ended by its own
#: supervisors, and the next `up` takes it over.
AGENT_GRACE_S = 10.0


def nats(
    port: int,
    store: Path,
    *,
    lock_fd: int | None = None,
    listen: Listen | None = None,
    config: Path | None = None,
) -> ChildSpec:
    """Return nats-server with the project's nats.conf and its streams in `store`; on loopback by default.

    With a token `config` is the configuration that has it in it.
    """
    listen = listen or Listen()
    name = f"qgjob-{secrets.token_hex(8)}"  # tells the probe our server from another one
    return ChildSpec(
        name="nats",
        argv=(
            str(nats_server_binary()),
            *("-c", str(config or nats_config_file())),
            *("-n", name),
            *("-a", listen.host),
            *("-p", str(port)),
            *("-sd", str(store)),
        ),
        cwd=str(store),
        probe=partial(nats_ready, listen.reached_at, port, name=name, token=listen.token),
        # A large store takes its time to be read.
        ready_timeout_s=60.0,
        stop_grace_s=10.0,
        keep_fds=() if lock_fd is None else (lock_fd,),
    )


def valkey(port: int, folder: Path) -> ChildSpec:
    """Return a Valkey on loopback that writes nothing to disk.

    What it holds is a projection of the streams: after a restart it is rebuilt, so persistence
    would buy nothing and could bring back what is no longer true.
    """
    return ChildSpec(
        name="valkey",
        argv=(
            str(valkey_server_binary()),
            *("--port", str(port)),
            *("--bind", HOST),
            *("--dir", str(folder)),
            *("--save", ""),
            *("--appendonly", "no"),
        ),
        cwd=str(folder),
        probe=partial(valkey_ready, HOST, port, folder=folder),
        ready_timeout_s=15.0,
    )


def scheduler(
    name: str,
    server: str,
    redis_url: str | None,
    *,
    cwd: Path,
    log_level: str,
    extra: tuple[str, ...] = (),
) -> ChildSpec:
    """Return a scheduler; several of them elect a leader."""
    store = ("--redis-url", redis_url) if redis_url else ()
    return ChildSpec(
        name=name,
        argv=(*_module("qgjob.scheduler"), "--server", server, *store, *extra),
        env={"LOG_LEVEL": log_level},
        cwd=str(cwd),
    )


def agent(
    name: str,
    server: str,
    *,
    slots: int,
    labels: tuple[str, ...],
    folder: Path,
    log_level: str,
    extra: tuple[str, ...] = (),
) -> ChildSpec:
    """Return an agent with `slots` slots that all carry these labels."""
    return ChildSpec(
        name=f"agent-{name}",
        argv=(
            *_module("agent"),
            *("--server", server),
            *("--name", name),
            *("--slots", str(slots)),
            *("--labels", ",".join(labels)),
            *("--data-dir", str(folder)),
            *("--grace", f"{AGENT_GRACE_S - 2:g}s"),
            *extra,
        ),
        env={"LOG_LEVEL": log_level},
        cwd=str(folder),
        stop_grace_s=AGENT_GRACE_S,
    )


def gateway(server: str, port: int, *, cwd: Path, log_level: str, extra: tuple[str, ...] = ()) -> ChildSpec:
    """Return the HTTP gateway on loopback."""
    return ChildSpec(
        name="gateway",
        argv=(
            *_module("qgjob.gateway"),
            *("--server", server),
            *("--host", HOST),
            *("--port", str(port)),
            *extra,
        ),
        env={"LOG_LEVEL": log_level},
        cwd=str(cwd),
    )


def _module(name: str) -> tuple[str, ...]:
    # -P: a folder named `agent` where `up` was called must not be taken for ours. Unbuffered, so
    # that a log ends with what was said last.
    return (sys.executable, "-P", "-u", "-m", name)
