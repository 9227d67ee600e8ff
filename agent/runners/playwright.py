"""Runner `playwright`: Playwright's test runner, started by Node itself and never by npx.

npx passes no signals on: a SIGTERM to it leaves the browsers running. Reports are asked for on the
command line, so that the user's configuration is left as it is.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any, ClassVar, cast

from agent.errors import RunnerError
from agent.launch import Exit, JobDirs, LaunchSpec
from agent.reports.junit import read_junit
from agent.runners.base import CaseCounts, Runner, RunnerJob, RunResult, Verdict
from agent.runners.environment import job_environment
from agent.runners.testfile import find_test
from agent.runners.toolchain import Toolchain

CONFIG_NAMES = tuple(f"playwright.config.{ending}" for ending in ("ts", "js", "mts", "mjs", "cts", "cjs"))
_CLI = Path("@playwright/test/cli.js")
_MAX_JSON = 16 * 1024 * 1024


class PlaywrightRunner(Runner):
    """Runs `playwright test FILE` where the nearest playwright.config is, else in the bundle's root.

    `node_modules` is the bundle's own when there is one above it, else the agent's
    (`QGJOB_AGENT_NODE_MODULES`), which is then linked into the working copy. Exit code 0 has passed; any
    other has failed when a report was written, and is infrastructure when not.
    """

    name: ClassVar[str] = "playwright"

    def __init__(self, tools: Toolchain) -> None:
        self._tools = tools

    def prepare(self, job: RunnerJob, dirs: JobDirs) -> LaunchSpec:
        """See `Runner.prepare`."""
        test = find_test(dirs.bundle, job.test)
        if self._tools.node is None:
            raise RunnerError("this machine has no Node.js", reason="tool_missing", retryable=True)
        cli = self._find_cli(dirs.bundle, test)
        # Playwright matches it as a regular expression against the file's real path.
        pattern = re.sub(r"([\\.^$|?*+()\[\]{}])", r"\\\1", os.path.realpath(test)) + "$"
        env = job_environment(job, dirs, self._tools)
        env |= {
            "PLAYWRIGHT_JUNIT_OUTPUT_FILE": str(dirs.junit),
            "PLAYWRIGHT_JUNIT_STRIP_ANSI": "1",
            "PLAYWRIGHT_JUNIT_INCLUDE_RETRIES": "1",
            "PLAYWRIGHT_JSON_OUTPUT_FILE": str(_json_report(dirs)),
            "PLAYWRIGHT_HTML_OPEN": "never",
        }
        return LaunchSpec(
            argv=(
                self._tools.node,
                str(cli),
                "test",
                pattern,
                "--reporter=line,junit,json",
                f"--output={dirs.artifacts / 'test-results'}",
                *job.argv,
            ),
            env=env,
            cwd=_nearest_config(dirs.bundle, test),
            reports=(dirs.junit, _json_report(dirs)),
        )

    def collect(self, exit_: Exit, dirs: JobDirs) -> RunResult:
        """See `Runner.collect`."""
        report = read_junit(dirs.junit)
        cases = report.cases if report else ()
        verdict, reason = Verdict.FAILED, None
        if exit_.exit_code == 0:
            verdict = Verdict.PASSED
        elif report is None:
            verdict = Verdict.INFRASTRUCTURE
            reason = f"playwright ended with {exit_.describe()} and wrote no report"
        elif not cases:
            reason = f"playwright ran no test: {_first_error(_json_report(dirs)) or exit_.describe()}"
        else:
            counts = CaseCounts.of(cases)
            reason = f"{counts.failed + counts.errors} failed, {counts.passed} passed"
        return RunResult(
            verdict=verdict,
            reason=reason,
            exit_code=exit_.exit_code,
            cases=cases,
            junit=dirs.junit if report else None,
        )

    def _find_cli(self, bundle: Path, test: Path) -> Path:
        for folder in test.parents:
            if (cli := folder / "node_modules" / _CLI).is_file():
                return cli.resolve()
        configured = self._tools.node_modules
        if configured is not None and (configured / _CLI).is_file():
            # The tests' own imports are looked for upward from them, not where the runner came from.
            link = bundle / "node_modules"
            if link.is_symlink():
                link.unlink()
            if not link.exists():
                link.symlink_to(configured)
            return (configured / _CLI).resolve()
        where = f", nor in {configured}" if configured is not None else ""
        raise RunnerError(
            f"@playwright/test is in no node_modules above the test bundle{where}",
            reason="tool_missing",
            retryable=True,
            hint="Install it on the lab machine, and set QGJOB_AGENT_NODE_MODULES there to its node_modules.",
        )


def _nearest_config(bundle: Path, test: Path) -> Path:
    for folder in test.parents:
        if folder == bundle or any((folder / name).is_file() for name in CONFIG_NAMES):
            return folder
    return bundle


def _json_report(dirs: JobDirs) -> Path:
    return dirs.reports / "playwright.json"


def _first_error(path: Path) -> str | None:
    """The first line of what kept Playwright from running anything, such as a syntax error."""
    try:
        with path.open("rb") as file:
            document: Any = json.loads(file.read(_MAX_JSON))
        errors = cast("list[dict[str, Any]]", document["errors"])
        message = str(errors[0]["message"]).strip()
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
    return re.sub(r"\x1b\[[0-9;]*m", "", message).splitlines()[0][:500] if message else None
