"""Where the servers are: given, from the environment, of a running `qgjob up`, or by default.

A running `up` tells the other commands of its user where it listens through a small file in
that user's runtime folder. The file is believed only while the process that wrote it lives: it
holds a lock on the file, which the kernel releases however it ends.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

#: Where NATS is when nothing else is said.
DEFAULT_SERVER = "nats://127.0.0.1:4222"

#: The folder of the state files, when it is not to be found by the user's environment.
STATE_DIR_VARIABLE = "QGJOB_STATE_DIR"

_MAX_STATE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Where the server is and how to show who we are."""

    url: str = DEFAULT_SERVER
    creds: str | None = None
    token: str | None = None
    token_file: str | None = None
    """Where the token is read again whenever a service connects anew: it may have been changed."""
    tls_ca: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    name: str = "qgjob"
    connect_timeout_s: float = 5.0
    wait_for_server: bool = False
    """Keep trying while the server is not there (services do; commands fail at once)."""


@dataclass(frozen=True, slots=True)
class RunningUp:
    """The state file of a running `qgjob up`: its addresses."""

    server: str
    """The NATS address, such as `nats://127.0.0.1:4222`."""
    redis_url: str | None
    pid: int
    data_dir: str
    started_at: float
    """Seconds since the epoch."""
    token_file: str | None = None
    """Where the token of NATS is, if it asks for one."""
    http: str | None = None
    """The address of the HTTP gateway, if there is one."""

    def to_json(self) -> str:
        """Return the text of the state file."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> RunningUp:
        """Read the text of a state file; raises ValueError when it is not one of ours."""
        read = json.loads(text)
        match read:
            case {
                "server": str(server),
                "redis_url": str() | None as redis_url,
                "pid": int(pid),
                "data_dir": str(data_dir),
                "started_at": int() | float() as started_at,
            }:
                token_file = read.get("token_file")
                if token_file is not None and not isinstance(token_file, str):
                    raise ValueError("not the state of a qgjob up")
                http = read.get("http")
                if http is not None and not isinstance(http, str):
                    raise ValueError("not the state of a qgjob up")
                return cls(server, redis_url, pid, data_dir, float(started_at), token_file, http)
            case _:
                raise ValueError("not the state of a qgjob up")


def resolve_server(given: str | None, env: Mapping[str, str]) -> str:
    """Return the NATS address: given, else `QGJOB_SERVER`, else a running `up`'s, else the default."""
    if said := given or env.get("QGJOB_SERVER"):
        return said
    running = running_up(env)
    return running.server if running else DEFAULT_SERVER


def shown_server(addresses: str) -> str:
    """NATS addresses, several between commas, as they may be shown: without passwords and tokens."""
    return ",".join(map(_without_secret, addresses.split(",")))


def _without_secret(address: str) -> str:
    login, at, host = address.rpartition("@")
    scheme, slashes, who = login.rpartition("://")
    user, colon, _ = who.partition(":")
    # A name without a password is a token.
    return f"{scheme}{slashes}{f'{user}:' if colon else ''}…@{host}" if at else address


def resolve_redis_url(given: str | None, env: Mapping[str, str]) -> str | None:
    """Return the store's address: given, else `REDIS_URL`, else a running `up`'s, else None."""
    if said := given or env.get("REDIS_URL"):
        return said
    running = running_up(env)
    return running.redis_url if running else None


def token_source(given: str | None, server: str | None, env: Mapping[str, str]) -> str | None:
    """The source of the NATS token: given, else `QGJOB_TOKEN`, else a running `up`'s for its own server.

    Each is the token itself or the name of a file that holds it. `server` is what was given as the address.
    """
    if said := given or env.get("QGJOB_TOKEN"):
        return said
    running = running_up(env)
    if running is None or running.token_file is None:
        return None
    return running.token_file if resolve_server(server, env) == running.server else None


def running_up(env: Mapping[str, str]) -> RunningUp | None:
    """Return the latest started `qgjob up` of this user that still runs, or None."""
    found = [up for folder in state_dirs(env) for up in _living_in(folder)]
    return max(found, key=lambda up: up.started_at, default=None)


def state_dirs(env: Mapping[str, str]) -> list[Path]:
    """Return the folders where state files may be, the best one to write to first.

    A command may run in a poorer environment than `up` did (cron, ssh, su), so readers look at
    all of them.
    """
    if said := env.get(STATE_DIR_VARIABLE):
        return [Path(said)]
    user = os.getuid()
    runtime = [Path(env.get("XDG_RUNTIME_DIR") or f"/run/user/{user}"), Path(f"/run/user/{user}")]
    folders = [path / "qgjob" for path in runtime if path.is_absolute() and _is_ours(path)]
    if state := env.get("XDG_STATE_HOME"):
        folders.append(Path(state) / "qgjob")
    if home := env.get("HOME"):
        folders.append(Path(home) / ".local" / "state" / "qgjob")
    folders.append(Path(tempfile.gettempdir()) / f"qgjob-{user}")
    return list(dict.fromkeys(folders))


def config_dir(env: Mapping[str, str]) -> Path:
    """Return the folder of the user's own settings."""
    base = env.get("XDG_CONFIG_HOME")
    return (Path(base) if base else _home(env) / ".config") / "qgjob"


def contexts_file(env: Mapping[str, str]) -> Path:
    """Return the file with the labs that the user has given names to."""
    return config_dir(env) / "contexts.json"


def default_data_dir(env: Mapping[str, str]) -> Path:
    """Return the folder in which `qgjob up` keeps its streams when none is given."""
    data = env.get("XDG_DATA_HOME")
    return (Path(data) if data else _home(env) / ".local" / "share") / "qgjob" / "up"


def is_there(path: Path) -> bool:
    """Whether a path exists; one that we may not look at counts as missing.

    `sudo` may leave us the home of somebody else, and a service may have none that is open to it.
    """
    try:
        return path.exists()
    except OSError:
        return False


def _home(env: Mapping[str, str]) -> Path:
    if said := env.get("HOME"):
        return Path(said)
    try:
        return Path.home()
    except RuntimeError:  # a container's user may be none that the system knows
        return Path("/nonexistent")


def _living_in(folder: Path) -> list[RunningUp]:
    # Others may write to /tmp: a folder that is not ours says nothing we believe.
    if not _is_ours(folder):
        return []
    return [up for path in sorted(folder.glob("up-*.json")) if (up := _read_living(path)) is not None]


def _read_living(path: Path) -> RunningUp | None:
    import fcntl

    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with open(descriptor, encoding="utf-8") as file:  # noqa: PTH123  (opened without following links)
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            pass
        except OSError:
            return None
        else:
            return None  # nobody holds it: left over from one that was killed
        try:
            return RunningUp.from_json(file.read(_MAX_STATE_BYTES))
        except ValueError:
            return None


def _is_ours(folder: Path) -> bool:
    try:
        status = folder.lstat()
    except OSError:
        return False
    return folder.is_dir() and status.st_uid == os.getuid()
