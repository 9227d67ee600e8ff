"""The rule by which a project names its builds: a text, the commit, a file's content, a variable."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any, Final, cast

from qgjob.errors import UsageError

RULES: Final = (
    'app_version is a text, or one of {git = "sha"}, {git = "describe"}, {file = "build/app.apk"}, '
    '{env = "BUILD_ID"}.'
)
_DIGITS: Final = 12
_GIT: Final = {
    "sha": ("rev-parse", f"--short={_DIGITS}", "HEAD"),
    "describe": ("describe", "--tags", "--always", "--dirty"),
}


def is_rule(value: Any) -> bool:
    """Whether a value is one of the rules."""
    if not isinstance(value, dict):
        return False
    rule = cast("dict[str, Any]", value)
    if len(rule) != 1:
        return False
    ((name, what),) = rule.items()
    if not isinstance(what, str) or not what:
        return False
    return name in {"file", "env"} or (name == "git" and what in _GIT)


def app_version(rule: dict[str, str], folder: Path) -> str:
    """The app version that a rule gives in a project's folder; raises `UsageError` when it gives none."""
    ((name, what),) = rule.items()
    if name == "env":
        value = os.environ.get(what, "")
        if not value:
            raise UsageError(
                f"The app version is the variable {what}, which is not set.",
                hint="Set it, or say --app-version-id.",
            )
        return value
    if name == "file":
        return _digest(folder / what)
    return _git(_GIT[what], folder)


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:_DIGITS]
    except OSError as error:
        raise UsageError(
            f"The app version is made from {path}, which cannot be read: {error.strerror}.",
            hint="Build it first, or say --app-version-id.",
        ) from None


def _git(arguments: tuple[str, ...], folder: Path) -> str:
    import subprocess

    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10, check=True
        )
    except FileNotFoundError:
        problem = "git is not installed"
    except subprocess.TimeoutExpired:
        problem = "git did not answer"
    except subprocess.CalledProcessError as error:
        problem = (error.stderr or "git failed").strip().splitlines()[-1]
    else:
        return done.stdout.strip()
    raise UsageError(
        f"The app version is the commit, but that is not known: {problem}.", hint="Say --app-version-id."
    )
