"""Shared by the JavaScript runners: which Node, and where packages are found."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from agent.errors import RunnerError
from agent.runners.toolchain import Toolchain, missing_tool

_MAX_JSON = 1024 * 1024
_FOREIGN_LOCKS = ("yarn.lock", "pnpm-lock.yaml", "bun.lock", "bun.lockb")


def node_of(tools: Toolchain) -> str:
    """The Node.js to run with; raises `RunnerError` when there is none."""
    if tools.node is None:
        raise missing_tool(
            "this machine has no Node.js",
            "Install Node.js 20 or later on the lab machine, or name it in QGJOB_AGENT_NODE.",
        )
    return tools.node


def find_in_packages(bundle: Path, test: Path, tools: Toolchain, file: str) -> Path:
    """A file of an npm package (`@playwright/test/cli.js`), real path, for a test in the bundle.

    It is looked for as Node does, upward from the test; then in the agent's own packages
    (`QGJOB_AGENT_NODE_MODULES`), which are linked into the working copy: the test's imports have to find
    the same ones. Raises `RunnerError` when it is nowhere.
    """
    for folder in test.parents:
        if (found := folder / "node_modules" / file).is_file():
            return found.resolve()
    configured = tools.node_modules
    if configured is not None and (configured / file).is_file():
        link = bundle / "node_modules"
        if link.is_symlink():
            link.unlink()
        if not link.exists():
            link.symlink_to(configured)
        return (configured / file).resolve()
    package = _package_of(file)
    where = f", nor in {configured}" if configured is not None else ""
    raise RunnerError(
        f"{package} is in no node_modules above the test{where}",
        reason="tool_missing",
        retryable=True,
        hint=_how_to_install(bundle, test, package),
    )


def _package_of(file: str) -> str:
    parts = file.split("/")
    return "/".join(parts[:2] if file.startswith("@") else parts[:1])


def _how_to_install(bundle: Path, test: Path, package: str) -> str:
    lab = "or install it on the lab machine, and set QGJOB_AGENT_NODE_MODULES there to its node_modules."
    for folder in test.parents:
        for name in _FOREIGN_LOCKS:
            if (folder / name).is_file():
                return (
                    f"Packages are installed from npm's package-lock.json alone, not {name}: "
                    f"add one (npm install --package-lock-only), {lab}"
                )
        if folder == bundle:
            break
    return f"Commit a package-lock.json that has {package}, {lab}"


def nearest(bundle: Path, test: Path, names: tuple[str, ...]) -> Path | None:
    """The first of these files in the test's folder, or else in the next one above, up to the bundle's."""
    for folder in test.parents:
        for name in names:
            if (folder / name).is_file():
                return folder / name
        if folder == bundle:
            break
    return None


def common_nearest(bundle: Path, tests: Sequence[Path], names: tuple[str, ...]) -> Path | None:
    """The `nearest` one, which has to be the same for all files of a shard: one run has one configuration.

    Raises `RunnerError` when it is not: with the first one's the others would be left out in silence.
    """
    first = nearest(bundle, tests[0], names)
    for test in tests[1:]:
        if (other := nearest(bundle, test, names)) != first:
            shown = [f"{path.relative_to(bundle)}" if path else f"no {names[0]}" for path in (first, other)]
            raise RunnerError(
                f"the files of this shard have different configurations: {tests[0].relative_to(bundle)} has "
                f"{shown[0]}, {test.relative_to(bundle)} has {shown[1]}",
                reason="not_runnable",
                retryable=False,
                hint="Submit the files of each configuration by themselves, or without --shards.",
            )
    return first


def depends_on(folder: Path, package: str) -> bool:
    """Whether the package.json in a folder names `package` among what it needs."""
    return package in _dependencies(folder)


def _dependencies(folder: Path) -> frozenset[str]:
    try:
        with (folder / "package.json").open("rb") as file:
            document: Any = json.loads(file.read(_MAX_JSON))
    except (OSError, ValueError, RecursionError):
        return frozenset()
    if not isinstance(document, dict):
        return frozenset()
    package = cast("dict[str, Any]", document)
    named: set[str] = set()
    for key in ("dependencies", "devDependencies", "optionalDependencies"):
        if isinstance(names := package.get(key), dict):
            named |= {str(name) for name in cast("dict[Any, Any]", names)}
    return frozenset(named)


def pattern_of(path: str) -> str:
    """What Playwright takes for exactly this path.

    Its arguments are regular expressions. One that stands between slashes is read as it is; any other would
    be looked for in whatever case, and `Login.spec.ts` be run with `login.spec.ts`.
    """
    return "/^" + re.sub(r"([\\.^$|?*+()\[\]{}])", r"\\\1", path) + "$/"
