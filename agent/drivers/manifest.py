"""`qgjob-app.json` in a build: how to start it as a server, and when it is ready.

    {"start": ["python3", "server.py"], "port_env": "PORT",
     "ready": {"http": "/healthz"} or {"tcp": true}, "ready_timeout_s": 30}

`start` is a program and its arguments, never a shell; `{port}` in an argument becomes the port. Without
`ready` it is ready when it accepts connections. Unknown fields are passed over.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from agent.errors import JobError

MANIFEST = "qgjob-app.json"
DEFAULT_READY_S = 30.0
_MAX_BYTES = 64 * 1024
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_HTTP_PATH = re.compile(r"/[!-~]{0,1000}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AppManifest:
    """How a build is started. `http_path` None means that an accepted connection is enough."""

    start: tuple[str, ...]
    port_env: str = "PORT"
    http_path: str | None = None
    ready_timeout_s: float = DEFAULT_READY_S


def find_app(folder: Path) -> tuple[Path, AppManifest | None]:
    """The build's own folder within what was unpacked, and its manifest when it has one.

    An archive that holds nothing but one folder is taken for that folder, if the manifest is in there.
    Raises `JobError` (`build_manifest`, not retryable) for a manifest that is wrong.
    """
    if (folder / MANIFEST).is_file():
        return folder, read_manifest(folder / MANIFEST)
    inside = list(folder.iterdir())
    if len(inside) == 1 and (inside[0] / MANIFEST).is_file():
        return inside[0], read_manifest(inside[0] / MANIFEST)
    return folder, None


def read_manifest(path: Path) -> AppManifest:
    """Read and check a manifest. Raises as `find_app` does."""
    with path.open("rb") as file:
        data = file.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise _wrong("it is larger than 64 KiB")
    try:
        document: Any = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _wrong(f"it is no JSON: {error}") from None
    if not isinstance(document, dict):
        raise _wrong("it is no object")
    fields = cast("dict[str, Any]", document)
    return AppManifest(
        start=_start(fields.get("start")),
        port_env=_port_env(fields.get("port_env", "PORT")),
        http_path=_http_path(fields.get("ready", {"tcp": True})),
        ready_timeout_s=_timeout(fields.get("ready_timeout_s", DEFAULT_READY_S)),
    )


def _start(value: Any) -> tuple[str, ...]:
    if isinstance(value, list) and value:
        words = cast("list[Any]", value)
        if all(isinstance(word, str) and "\0" not in word for word in words) and words[0]:
            return tuple(words)
    raise _wrong('"start" must be a list of strings, the program first')


def _port_env(value: Any) -> str:
    if isinstance(value, str) and _VARIABLE.fullmatch(value):
        return value
    raise _wrong('"port_env" must be the name of an environment variable')


def _http_path(value: Any) -> str | None:
    if value == {"tcp": True}:
        return None
    if isinstance(value, dict):
        path = cast("dict[str, Any]", value).get("http")
        if isinstance(path, str) and _HTTP_PATH.fullmatch(path):
            return path
    raise _wrong('"ready" must be {"http": "/path"} or {"tcp": true}')


def _timeout(value: Any) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 3600:
        return float(value)
    raise _wrong('"ready_timeout_s" must be a number of seconds, above 0 and up to 3600')


def _wrong(what: str) -> JobError:
    return JobError(f"the build's {MANIFEST} is wrong: {what}", reason="build_manifest", retryable=False)
