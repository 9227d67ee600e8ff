"""The programs of this machine that runners start: which Python, which Node, which modules."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from agent.errors import RunnerError

PASSED_ON = ("LANG", "LC_ALL", "TZ", "JAVA_HOME", "ANDROID_HOME", "ANDROID_SDK_ROOT", "DEVELOPER_DIR")
"""Variables of the agent that every job sees."""

_PROBE = (
    "import sys, importlib.util as u; print(sys.executable); "
    "print(*(name for name in ('pytest', 'appium') if u.find_spec(name)))"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AppiumTool:
    """An installed Appium: the program that Node runs, and the APPIUM_HOME its drivers are in."""

    main: Path
    home: Path


@dataclass(slots=True, kw_only=True)
class Toolchain:
    """What was found; None where there is nothing. `pytest_python` is a Python that has pytest.

    Read it anew for each job: what is installed or removed meanwhile is noticed.

    `appium_python` is one that has the Appium client too, if there is one. `npm` is the program that Node
    runs. `environment` is what every job's environment starts from, `PATH` included.
    """

    python: str
    pytest_python: str | None = None
    appium_python: str | None = None
    node: str | None = None
    npm: Path | None = None
    node_modules: Path | None = None
    appium: AppiumTool | None = None
    maestro: str | None = None
    environment: Mapping[str, str] = field(default_factory=lambda: {"PATH": os.defpath, "LANG": "C.UTF-8"})

    @classmethod
    def discover(cls, environ: Mapping[str, str]) -> Toolchain:
        """Look around this machine. Blocking, some 50 ms.

        - `QGJOB_AGENT_PYTHON`, else `python3` on PATH, else the agent's own; pytest is run with the first
          of these that has it (and for `appium-pytest` the Appium client too, if one has).
        - `QGJOB_AGENT_NODE`, else `node` on PATH, else beside the agent's Python; and the npm that comes
          with it, else the one on PATH.
        - `QGJOB_AGENT_NODE_MODULES`, else the first of `NODE_PATH`: for test bundles that have none
          above them.
        - `QGJOB_AGENT_APPIUM` (the folder of the npm package), else `appium` on PATH, else in the packages
          above; its drivers in `APPIUM_HOME`, else `~/.appium`, else beside it.
        - `QGJOB_AGENT_MAESTRO`, else `maestro` on PATH, else in `~/.maestro/bin`.
        - `QGJOB_AGENT_PASS_ENV`: names, separated by commas, of more variables to pass on to jobs.
        """
        path = environ.get("PATH", os.defpath)
        pythons = _pythons(environ, path)
        own_bin = str(Path(sys.executable).parent)
        named = environ.get("QGJOB_AGENT_NODE_MODULES") or environ.get("NODE_PATH", "").split(":")[0]
        node_modules = Path(named).resolve() if named else None
        node = (
            environ.get("QGJOB_AGENT_NODE")
            or shutil.which("node", path=path)
            or shutil.which("node", path=own_bin)
        )
        return cls(
            python=pythons[0][0],
            pytest_python=_first(pythons, "pytest"),
            appium_python=_first(pythons, "pytest", "appium"),
            node=node,
            npm=_npm(node, path),
            node_modules=node_modules,
            appium=_appium(environ, path, node_modules),
            maestro=environ.get("QGJOB_AGENT_MAESTRO")
            or shutil.which("maestro", path=path)
            or shutil.which(str(Path.home() / ".maestro/bin/maestro")),
            environment=_environment(environ, path),
        )

    def take(self, found: Toolchain) -> None:
        """Be what was found now, for all who hold this one."""
        for each in fields(self):
            setattr(self, each.name, getattr(found, each.name))


def _pythons(environ: Mapping[str, str], path: str) -> list[tuple[str, frozenset[str]]]:
    """(interpreter, which of the packages that matter it has), the preferred one first; never empty."""
    named = environ.get("QGJOB_AGENT_PYTHON") or shutil.which("python3", path=path)
    own = (
        sys.executable,
        frozenset(name for name in ("pytest", "appium") if importlib.util.find_spec(name) is not None),
    )
    # Not resolved: a virtual environment's python is a link, and would be its base when followed.
    if named is None or named == sys.executable:
        return [own]
    try:
        # -I: what holds in jobs, where HOME is another and PYTHON* variables are not passed on.
        output = subprocess.run(
            [named, "-I", "-c", _PROBE], capture_output=True, text=True, timeout=20, check=True
        )
        executable, packages = output.stdout.splitlines()
    except (OSError, subprocess.SubprocessError, ValueError):
        return [own]
    return [(executable, frozenset(packages.split())), own]


def _first(pythons: list[tuple[str, frozenset[str]]], *packages: str) -> str | None:
    return next((python for python, has in pythons if has.issuperset(packages)), None)


def _npm(node: str | None, path: str) -> Path | None:
    """The program of npm, never its shell script: that one would look for a Node of its own."""
    if node is None:
        return None
    beside = Path(node).resolve().parents[1] / "lib/node_modules/npm/bin/npm-cli.js"
    if beside.is_file():
        return beside
    found = shutil.which("npm", path=path)
    if found is None:
        return None
    program = Path(found).resolve()
    return program if program.name == "npm-cli.js" else None


def _appium(environ: Mapping[str, str], path: str, node_modules: Path | None) -> AppiumTool | None:
    program = shutil.which("appium", path=path)
    candidates = (
        Path(environ["QGJOB_AGENT_APPIUM"]) / "index.js" if environ.get("QGJOB_AGENT_APPIUM") else None,
        Path(program).resolve() if program else None,
        node_modules / "appium/index.js" if node_modules else None,
    )
    main = next((file.resolve() for file in candidates if file is not None and file.is_file()), None)
    if main is None:
        return None
    users = Path.home() / ".appium"
    if home := environ.get("APPIUM_HOME"):
        return AppiumTool(main=main, home=Path(home))
    # A package folder with Appium in it is a home too: that of the drivers installed beside it.
    beside = main.parents[2]
    local = (beside / "package.json").is_file() or not users.is_dir()
    return AppiumTool(main=main, home=beside if local else users)


def _caches(environ: Mapping[str, str]) -> Path:
    if sys.platform == "darwin":
        return Path.home() / "Library/Caches"
    return Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def _environment(environ: Mapping[str, str], path: str) -> dict[str, str]:
    names = [*PASSED_ON, *(name.strip() for name in environ.get("QGJOB_AGENT_PASS_ENV", "").split(","))]
    passed = {name: environ[name] for name in names if name in environ}
    browsers = environ.get("PLAYWRIGHT_BROWSERS_PATH")
    if browsers is None and (cache := _caches(environ) / "ms-playwright").is_dir():
        # Playwright looks for its browsers under HOME, which in a job is another.
        browsers = str(cache)
    if browsers is not None:
        passed["PLAYWRIGHT_BROWSERS_PATH"] = browsers
    return {"LANG": "C.UTF-8", **passed, "PATH": path}


def missing_tool(text: str, hint: str) -> RunnerError:
    """The error for a tool that this machine lacks; `ToolWatch` finds it once it is installed."""
    hint += " The agent finds it within half a minute."
    return RunnerError(text, reason="tool_missing", retryable=True, hint=hint)
