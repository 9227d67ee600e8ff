"""Chooses the runner of a job that says `auto`, by the test's name and the files beside it."""

from __future__ import annotations

import re
from pathlib import Path

from agent.runners import appwright, playwright, wdio
from agent.runners.node import depends_on

_JS_TEST = re.compile(r".*\.(spec|test)\.[cm]?[jt]sx?")
_JS_FILE = re.compile(r".*\.[cm]?[jt]sx?")
_PYTEST_TEST = re.compile(r"(test_.*|.*_test)\.py")
# Within a line only, else a file of blank lines takes hours: each would be looked through from each.
_FLOW = re.compile(r"^(?:appId|url)\s*:.*?^---\s*$", re.MULTILINE | re.DOTALL)
_IMPORTS_APPIUM = re.compile(r"^[ \t]*(?:from|import)[ \t]+appium\b", re.MULTILINE)
_IMPORTS_PYTEST = re.compile(r"^(?:from|import)[ \t]+pytest\b", re.MULTILINE)
_DEFINES_TESTS = re.compile(r"^(?:async[ \t]+def|def)[ \t]+test|^class[ \t]+Test.*:", re.MULTILINE)
_APPIUM_CLIENT = re.compile(r"(?im)^[ \t\"']*appium[-_.]python[-_.]client\b")
_REQUIREMENTS = ("pyproject.toml", "Pipfile", "setup.cfg")
_MAX_TEXT = 1024 * 1024

_JS_RUNNERS = (
    ("appwright", appwright.CONFIG_NAMES, "appwright"),
    ("playwright", playwright.CONFIG_NAMES, "@playwright/test"),
    ("wdio", wdio.CONFIG_NAMES, None),  # it needs a configuration
)


def detect_runner(bundle: Path, test: str) -> str:
    """The name of the runner for `test`, a POSIX name relative to the bundle's root.

    "Beside" is in the test's folder or one above it, up to the root; the nearest folder decides.

    - `appwright`, `playwright`, `wdio`: named `*.spec.ts`, `*.test.js` and the like, and beside it there is
      an `appwright.config.*`, `playwright.config.*` or `wdio.conf.*`, or a `package.json` that depends on
      `appwright` or `@playwright/test` (in this order); with a `wdio.conf.*` any name will do;
    - `maestro`: a `.yaml` that begins with an `appId` and `---`;
    - `appium-pytest`: as `pytest`, and the test or a `conftest.py` beside it imports `appium`, or a
      requirements file, `pyproject.toml`, `Pipfile` or `setup.cfg` beside it names Appium-Python-Client;
    - `pytest`: named `test_*.py` or `*_test.py`, and beside it there is a `conftest.py`, a `pytest.ini`, a
      `pyproject.toml` with `[tool.pytest…]`, or a `tox.ini` or `setup.cfg` with a pytest section;
      or it imports `pytest` or defines tests without running them: as a program it would do nothing, and
      pass;
    - `command` otherwise.
    """
    name = test.rpartition("/")[2]
    folders = [bundle.joinpath(*test.split("/")[:depth]) for depth in range(test.count("/"), -1, -1)]
    if _JS_FILE.fullmatch(name):
        return _javascript(folders, named=_JS_TEST.fullmatch(name) is not None)
    if name.endswith((".yaml", ".yml")) and _FLOW.match(_without_comments(_text(folders[0] / name))):
        return "maestro"
    if _PYTEST_TEST.fullmatch(name):
        if _is_appiums(folders, name):
            return "appium-pytest"
        if any(_is_pytests(folder) for folder in folders) or _needs_pytest(_text(folders[0] / name)):
            return "pytest"
    return "command"


def _javascript(folders: list[Path], *, named: bool) -> str:
    for folder in folders:
        for runner, configs, _package in _JS_RUNNERS:
            has_config = any((folder / config).is_file() for config in configs)
            if has_config and (named or runner == "wdio"):
                return runner
        for runner, _configs, package in _JS_RUNNERS:
            if named and package is not None and depends_on(folder, package):
                return runner
    return "command"


def _is_appiums(folders: list[Path], name: str) -> bool:
    if _IMPORTS_APPIUM.search(_text(folders[0] / name)):
        return True
    for folder in folders:
        if _IMPORTS_APPIUM.search(_text(folder / "conftest.py")):
            return True
        lists = [*sorted(folder.glob("requirements*.txt"))[:20], *(folder / name for name in _REQUIREMENTS)]
        if any(_APPIUM_CLIENT.search(_text(path)) for path in lists):
            return True
    return False


def _is_pytests(folder: Path) -> bool:
    return (
        (folder / "conftest.py").is_file()
        or (folder / "pytest.ini").is_file()
        or "[tool.pytest" in _text(folder / "pyproject.toml")
        or "[pytest]" in _text(folder / "tox.ini")
        or "[tool:pytest]" in _text(folder / "setup.cfg")
    )


def _needs_pytest(text: str) -> bool:
    return bool(_IMPORTS_PYTEST.search(text)) or bool(_DEFINES_TESTS.search(text) and "__main__" not in text)


def _without_comments(text: str) -> str:
    return re.sub(r"(?m)^[ \t]*#.*\n", "", text).lstrip()


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_TEXT).decode("utf-8", "replace")
    except OSError:
        return ""
