"""This machine: the version of the command, which server it uses, and its disks."""

from __future__ import annotations

import platform
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from qgjob import __version__
from qgjob.cli.checkup.finding import Finding, Status
from qgjob.config import RunningUp, shown_server
from qgjob.connecting import context_for
from qgjob.domain.wording import show_size
from qgjob.errors import QgjobError

LOW_BYTES: Final = 5 * 2**30
"""Less than that is soon gone where builds, bundles and artifacts of 100 MiB come in."""
FULL_BYTES: Final = 2**29
_HTTP_S: Final = 4.0


def client() -> Finding:
    """This client's version and platform."""
    detail = f"qgjob {__version__}, Python {platform.python_version()} on {platform.system()}"
    return Finding(
        "client", "ok", detail, facts={"version": __version__, "python": platform.python_version()}
    )


def source(server: str, given: str | None, env: Mapping[str, str], up: RunningUp | None) -> Finding:
    """Which server is used, and where its address was set."""
    if env.get("QGJOB_SERVER") and given == env["QGJOB_SERVER"]:
        where = "QGJOB_SERVER"
    elif given:
        where = "--server"
    elif context_for(None, env):
        where = "the context in use"
    else:
        where = "a `qgjob up` of yours" if up and up.server == server else "nothing was said: the default"
    return Finding(
        "address", "ok", f"{shown_server(server)} ({where})", facts={"server": shown_server(server)}
    )


def disks(up: RunningUp | None) -> list[Finding]:
    """The disks on which this machine packs bundles, and keeps what a `qgjob up` of this user stores."""
    findings = [disk("disk", Path(tempfile.gettempdir()), "bundles are packed", "Free some of it.")]
    if up is not None:
        what = "`qgjob up` keeps its streams"
        more = "Free some: a full disk stops submits and results (docs/troubleshooting.md: what may go)."
        findings.append(disk("store disk", Path(up.data_dir), what, more))
    return findings


def disk(name: str, path: Path, what: str, hint: str) -> Finding:
    """How much is free where `path` lies."""
    try:
        usage = shutil.disk_usage(path)
    except OSError as error:
        return Finding(name, "wrong", f"{path}, where {what}, cannot be read: {error.strerror}.", hint)
    facts = {"path": str(path), "free": usage.free, "total": usage.total}
    status = disk_status(usage.free)
    detail = f"{show_size(usage.free)} of {show_size(usage.total)} free where {what} ({path})"
    return Finding(name, status, detail, None if status == "ok" else hint, facts)


def disk_status(free: int) -> Status:
    """Whether so many free bytes are enough."""
    return "wrong" if free < FULL_BYTES else "warning" if free < LOW_BYTES else "ok"


def http(url: str | None) -> Finding:
    """Whether the gateway answers."""
    import json
    from urllib.error import HTTPError, URLError
    from urllib.request import urlopen

    if url is None:
        return Finding("http", "unknown", "where it is served is not known here", "Name it with --http URL.")
    url = url.rstrip("/")
    if urlsplit(url).scheme not in {"http", "https"}:
        return Finding("http", "wrong", f"{url} is no address of HTTP", "It begins with http:// or https://.")
    facts = {"url": url}
    try:
        with urlopen(f"{url}/api/health", timeout=_HTTP_S) as answer:  # noqa: S310  (the scheme was checked)
            json.loads(answer.read(65_536))
    except HTTPError as error:
        if error.code == 503:
            return Finding("http", "ok", f"{url} answers, and says that not all is well", facts=facts)
        return Finding(
            "http", "wrong", f"{url}/api/health answers {error.code}", "Is it a qgjob gateway?", facts
        )
    except (URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        hint = "See the gateway's log; `qgjob up` starts one, or `qgjob gateway`."
        return Finding("http", "wrong", f"{url} does not answer: {reason}", hint, facts)
    return Finding("http", "ok", f"{url} answers", facts=facts)


def unreachable(error: QgjobError) -> Finding:
    """There is no connection: why, and what to do."""
    return Finding("server", "wrong", error.message.rstrip("."), error.hint)
