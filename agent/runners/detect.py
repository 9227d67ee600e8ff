"""Which runner a test wants when the job says `auto`: its name, and what lies beside it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, cast

from agent.runners.playwright import CONFIG_NAMES

_PLAYWRIGHT_TEST = re.compile(r".*\.(spec|test)\.[cm]?[jt]sx?")
_PYTEST_TEST = re.compile(r"(test_.*|.*_test)\.py")
_MAX_CONFIG = 1024 * 1024


def detect_runner(bundle: Path, test: str) -> str:
    """The name of the runner for `test`, a POSIX name relative to the bundle's root.

    - `playwright`: named `*.spec.ts`, `*.test.js` and the like, and in its folder or one above it, up to the
      root, there is a `playwright.config.*` or a `package.json` that depends on `@playwright/test`;
    - `pytest`: named `test_*.py` or `*_test.py`, and there is a `conftest.py`, a `pytest.ini`, a
      `pyproject.toml` with `[tool.pytest…]`, or a `tox.ini` or `setup.cfg` with a pytest section;
    - `command` otherwise.
    """
    name = test.rpartition("/")[2]
    folders = [bundle.joinpath(*test.split("/")[:depth]) for depth in range(test.count("/"), -1, -1)]
    if _PLAYWRIGHT_TEST.fullmatch(name) and any(_is_playwrights(folder) for folder in folders):
        return "playwright"
    if _PYTEST_TEST.fullmatch(name) and any(_is_pytests(folder) for folder in folders):
        return "pytest"
    return "command"


def _is_playwrights(folder: Path) -> bool:
    if any((folder / name).is_file() for name in CONFIG_NAMES):
        return True
    try:
        package: Any = json.loads(_text(folder / "package.json"))
    except (ValueError, RecursionError):
        return False
    if not isinstance(package, dict):
        return False
    package = cast("dict[str, Any]", package)
    wanted = (package.get(key) for key in ("dependencies", "devDependencies"))
    return any(isinstance(names, dict) and "@playwright/test" in names for names in wanted)


def _is_pytests(folder: Path) -> bool:
    return (
        (folder / "conftest.py").is_file()
        or (folder / "pytest.ini").is_file()
        or "[tool.pytest" in _text(folder / "pyproject.toml")
        or "[pytest]" in _text(folder / "tox.ini")
        or "[tool:pytest]" in _text(folder / "setup.cfg")
    )


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_CONFIG).decode("utf-8", "replace")
    except OSError:
        return ""
