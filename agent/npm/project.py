"""Which npm project a test belongs to, and whether its lock file can be installed by itself."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from agent.errors import JobError
from qgjob.domain.wording import show_size

LOCKS: Final = ("npm-shrinkwrap.json", "package-lock.json")

_MAX_LOCK_BYTES: Final = 32 * 1024**2


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A folder with a lock file. `lock` is its name for people, `files` what an installation is made from."""

    folder: Path
    lock: str
    files: tuple[str, ...]


def find_project(bundle: Path, test: str) -> Project | None:
    """The nearest folder above the test, within the bundle, with a lock file and no `node_modules`.

    Raises `JobError` (`deps_broken`) for a lock file that cannot be installed apart from its bundle.
    """
    parts = test.split("/")[:-1]
    if ".." in parts or test.startswith("/"):
        return None  # the runner will say what is wrong with that name
    for depth in range(len(parts), -1, -1):
        folder = bundle.joinpath(*parts[:depth])
        if (folder / "node_modules").exists():
            return None
        lock = next((name for name in LOCKS if (folder / name).is_file()), None)
        if lock is None or not (folder / "package.json").is_file():
            continue
        shown = "/".join((*parts[:depth], lock))
        _refuse_local(folder / lock, shown)
        names = ("package.json", lock, ".npmrc")
        return Project(
            folder=folder, lock=shown, files=tuple(name for name in names if (folder / name).is_file())
        )
    return None


def _refuse_local(lock: Path, shown: str) -> None:
    def broken(what: str) -> JobError:
        return JobError(
            f"the packages of {shown} cannot be installed: {what}", reason="deps_broken", retryable=False
        )

    try:
        if lock.stat().st_size > _MAX_LOCK_BYTES:
            raise broken(f"it is larger than {show_size(_MAX_LOCK_BYTES)}")
        document: Any = json.loads(lock.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise broken("it is no JSON document") from error
    packages = cast("dict[str, Any]", document).get("packages") if isinstance(document, dict) else None
    for name, entry in cast("dict[str, Any]", packages if isinstance(packages, dict) else {}).items():
        package = cast("dict[str, Any]", entry if isinstance(entry, dict) else {})
        resolved = package.get("resolved")
        if package.get("link") is True or (isinstance(resolved, str) and resolved.startswith("file:")):
            text = (
                f"{name} is a folder of the bundle (a workspace, or file:); put node_modules into the bundle "
                "(!node_modules in .qgjobignore)"
            )
            raise broken(text)
