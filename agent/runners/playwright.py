"""Runner `playwright`: Playwright's test runner, started by Node itself and never by npx.

npx passes no signals on: a SIGTERM to it leaves the browsers running. Reports are asked for on the
command line, so that the user's configuration is left as it is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from agent.launch import Exit, JobDirs, LaunchSpec
from agent.reports.junit import read_junit
from agent.reports.playwright_json import PlaywrightReport, read_playwright
from agent.reports.text import folders_of, within
from agent.runners.base import CaseCounts, CaseResult, CaseStatus, Runner, RunnerJob, RunResult, Verdict
from agent.runners.environment import job_environment
from agent.runners.node import common_nearest, find_in_packages, node_of, pattern_of
from agent.runners.testfile import find_test, find_tests
from agent.runners.toolchain import Toolchain

CONFIG_NAMES = tuple(f"playwright.config.{ending}" for ending in ("ts", "js", "mts", "mjs", "cts", "cjs"))
_CLI = "@playwright/test/cli.js"
_COULD_NOT_START = 1
"""Playwright's exit code for all that is wrong; without a report that was before it looked for tests."""
_NO_BROWSER = re.compile(r"Error: browserType\.\w+: Executable doesn't exist at ([^\n]+)")
_BROWSER = re.compile(r"[a-z_]+-\d+")


class PlaywrightRunner(Runner):
    """Runs `playwright test FILE…` where the nearest playwright.config is, else in the bundle's root.

    `node_modules` is the bundle's own when there is one above it or a lock file to install it from, else the
    agent's (`QGJOB_AGENT_NODE_MODULES`), which is then linked into the working copy. Exit code 0 has passed
    with a report and failed without one; any other has failed when a report was written, also one without a
    case, or when the process crashed, and is infrastructure when not, or when no case could run because the
    machine has not the browser.
    """

    name: ClassVar[str] = "playwright"
    npm: ClassVar[bool] = True

    def __init__(self, tools: Toolchain) -> None:
        self._tools = tools

    def check(self, bundle: Path, test: str) -> None:
        """See `Runner.check`."""
        node_of(self._tools)
        find_in_packages(bundle, find_test(bundle, test), self._tools, _CLI)

    def prepare(self, job: RunnerJob, dirs: JobDirs) -> LaunchSpec:
        """See `Runner.prepare`."""
        node_of(self._tools)
        tests = find_tests(dirs.bundle, job.files)
        config = common_nearest(dirs.bundle, tests, CONFIG_NAMES)
        cli = find_in_packages(dirs.bundle, tests[0], self._tools, _CLI)
        return playwright_launch(
            job, dirs, self._tools, cli=cli, tests=tests, cwd=config.parent if config else dirs.bundle
        )

    def collect(self, exit_: Exit, dirs: JobDirs) -> RunResult:
        """See `Runner.collect`."""
        return playwright_result(exit_, dirs, self.name)


def playwright_launch(
    job: RunnerJob,
    dirs: JobDirs,
    tools: Toolchain,
    *,
    cli: Path,
    tests: Sequence[Path],
    cwd: Path,
    options: tuple[str, ...] = (),
) -> LaunchSpec:
    """How Playwright's test runner is started for test files, its reports written where we look."""
    reporters, argv = _reporters(job.argv)
    env = job_environment(job, dirs, tools)
    # Written when the user asks for it; in the working copy it would go with it.
    page = str(dirs.artifacts / "playwright-report")
    env |= {
        "PLAYWRIGHT_JUNIT_OUTPUT_FILE": str(dirs.junit),
        "PLAYWRIGHT_JUNIT_STRIP_ANSI": "1",
        "PLAYWRIGHT_JUNIT_INCLUDE_RETRIES": "1",
        "PLAYWRIGHT_JSON_OUTPUT_FILE": str(_json_report(dirs)),
        "PLAYWRIGHT_HTML_OPEN": "never",
        "PLAYWRIGHT_HTML_OUTPUT_DIR": page,
        # What older versions call them; newer ones prefer the names above.
        "PLAYWRIGHT_JUNIT_OUTPUT_NAME": str(dirs.junit),
        "PLAYWRIGHT_JSON_OUTPUT_NAME": str(_json_report(dirs)),
        "PW_TEST_HTML_REPORT_OPEN": "never",
        "PLAYWRIGHT_HTML_REPORT": page,
    }
    return LaunchSpec(
        argv=(
            node_of(tools),
            str(cli),
            "test",
            # Playwright matches them against the files' real paths.
            *(pattern_of(os.path.realpath(test)) for test in tests),
            f"--reporter={','.join(reporters)}",
            f"--output={dirs.artifacts / 'test-results'}",
            *options,
            *argv,
        ),
        env=env,
        cwd=cwd,
        reports=(dirs.junit, _json_report(dirs)),
    )


def _reporters(argv: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """The user's reporters (the last `--reporter` counts) with those that we read, and the other words."""
    shown, others, words = "list", list[str](), iter(argv)
    for word in words:
        if word == "--reporter":
            shown = next(words, shown)
        elif word.startswith("--reporter="):
            shown = word.removeprefix("--reporter=")
        else:
            others.append(word)
    return list(dict.fromkeys([*shown.split(","), "junit", "json"])), others


def playwright_result(exit_: Exit, dirs: JobDirs, name: str) -> RunResult:
    """The result of a run of Playwright's, from its JSON; from its JUnit when that was cut off."""
    report = read_playwright(_json_report(dirs), root=dirs.bundle)
    if report is None or (report.problem and not report.cases):
        junit = read_junit(dirs.junit)
        if junit is not None:
            report = PlaywrightReport(junit.cases, report.error if report else None, junit.problem)
    cases = report.cases if report else ()
    verdict, reason, word = Verdict.FAILED, None, None
    if exit_.exit_code == 0 and report is not None:
        verdict = Verdict.PASSED
    elif exit_.exit_code == 0:
        reason = f"{name} ended with exit code 0 before it had run its tests: it wrote no report"
    elif report is None:
        verdict = Verdict.FAILED if exit_.crashed else Verdict.INFRASTRUCTURE
        reason = f"{exit_.tell(name)} and wrote no report"
        if exit_.exit_code == _COULD_NOT_START:
            reason = f"{name} could not start: its configuration cannot be loaded, or an option is wrong"
    elif browser := _missing_browser(cases):
        verdict, word = Verdict.INFRASTRUCTURE, "tool_missing"
        reason = (
            f"this machine has no {browser}, the browser that this Playwright wants: run `npx playwright "
            "install` there as the agent's user"
        )
    elif not cases:
        reason = f"{name} ran no test: {within(report.error or exit_.describe(), folders_of(dirs.bundle))}"
    else:
        reason = str(CaseCounts.of(cases))
    return RunResult(
        verdict=verdict,
        reason=reason,
        exit_code=exit_.exit_code,
        cases=cases,
        junit=dirs.junit if dirs.junit.is_file() else None,
        problem=report.problem if report else None,
        retryable=report is not None or exit_.exit_code != _COULD_NOT_START,
        word=word,
    )


def _missing_browser(cases: Sequence[CaseResult]) -> str | None:
    """The browser for want of which no case could run; None when that is not why."""
    missing = None
    for case in cases:
        if case.status is CaseStatus.SKIPPED:
            continue
        if (found := _NO_BROWSER.match(case.message or "")) is None:
            return None
        folders = found[1].split("/")
        missing = next((name for name in folders if _BROWSER.fullmatch(name)), found[1])
    return missing


def _json_report(dirs: JobDirs) -> Path:
    return dirs.reports / "playwright.json"
