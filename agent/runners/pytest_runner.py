"""Runners `pytest` and `appium-pytest`: one test file, its cases from the JUnit report that is asked for."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Final

from agent.launch import Exit, JobDirs, LaunchSpec
from agent.reports.junit import read_junit
from agent.runners.base import CaseCounts, CaseResult, CaseStatus, Need, Runner, RunnerJob, RunResult, Verdict
from agent.runners.environment import job_environment
from agent.runners.testfile import find_test, find_tests
from agent.runners.toolchain import Toolchain, missing_tool

_LAST_CODE: Final = 5
"""The highest exit code that pytest itself has."""
_WRAPPERS_CODES: Final = frozenset({125, 126, 127, 128 + signal.SIGKILL, 128 + signal.SIGTERM})
"""Where Python is a script that starts it: it could not, or Python was killed."""


class PytestRunner(Runner):
    """Runs `python -m pytest TEST…` in the bundle's root, ARGV appended.

    Exit codes: 0 passed with a report and failed without one; 1, and 2 (interrupted, which an error while
    collecting is too), failed when there are cases and infrastructure when not; 3 (internal)
    infrastructure; 4 (usage, a conftest that cannot be imported) failed, as a test file that cannot be
    imported is; 5 (nothing collected) failed: a test file without tests is no pass, and no other device
    would find more. Other codes (`os._exit`) and a crash of the interpreter are the test's doing: failed,
    but for those of a wrapper that could not start Python or whose child was killed: infrastructure.
    """

    name: ClassVar[str] = "pytest"

    def __init__(self, tools: Toolchain) -> None:
        self._tools = tools

    def check(self, bundle: Path, test: str) -> None:
        """See `Runner.check`."""
        find_test(bundle, test)
        self._python()

    def prepare(self, job: RunnerJob, dirs: JobDirs) -> LaunchSpec:
        """See `Runner.prepare`."""
        find_tests(dirs.bundle, job.files)
        options, names = _parted(job.argv)
        argv = (
            self._python(),
            "-m",
            "pytest",
            *(f"./{test}" for test in job.files),
            # The family that says which file and line a case is from.
            "-o",
            "junit_family=xunit1",
            "-p",
            "no:cacheprovider",
            # Of a shard the others are run all the same, as they would be in jobs of their own.
            *(("--continue-on-collection-errors",) if job.tests else ()),
            *options,
            # Behind the user's own: the last one counts, and without it nothing says what was run.
            f"--junitxml={dirs.junit}",
            *names,
        )
        return LaunchSpec(
            argv=argv, env=job_environment(job, dirs, self._tools), cwd=dirs.bundle, reports=(dirs.junit,)
        )

    def collect(self, exit_: Exit, dirs: JobDirs) -> RunResult:
        """See `Runner.collect`."""
        report = read_junit(dirs.junit, repeats_are_reruns=True, first_line=0, root=dirs.bundle)
        cases = report.cases if report else ()
        broken = [case for case in cases if _is_not_collected(case)]
        code = exit_.exit_code
        verdict, reason = Verdict.FAILED, None
        if code == 0 and report is not None:
            verdict = Verdict.PASSED
        elif code == 0:
            reason = "pytest ended with exit code 0 before it had run its tests: it wrote no report"
        elif code == 1 and cases:
            reason = _failures(CaseCounts.of(cases)) + (f"; {self._not_collected(broken)}" if broken else "")
        elif code == 2 and broken:
            reason = self._not_collected(broken)
        elif code == 2 and cases:
            reason = f"pytest was interrupted: {_failures(CaseCounts.of(cases))}"
        elif code == 5:
            reason = "pytest collected no tests"
        elif code == 4:
            reason = (
                "pytest could not start: wrong usage, or a conftest.py that cannot be imported (exit code 4)"
            )
        else:
            theirs = exit_.crashed or ((exit_.code or 0) > _LAST_CODE and code not in _WRAPPERS_CODES)
            verdict = Verdict.FAILED if theirs else Verdict.INFRASTRUCTURE
            reason = exit_.tell("pytest") + ("" if report else " and wrote no report")
        return RunResult(
            verdict=verdict,
            reason=reason,
            exit_code=code,
            cases=cases,
            junit=dirs.junit if report else None,
            problem=report.problem if report else None,
        )

    def _not_collected(self, broken: Sequence[CaseResult]) -> str:
        why = (broken[0].message or "an error").split("\n", 1)[0]
        more = f"; and {len(broken) - 1} more" if len(broken) > 1 else ""
        if why.startswith("ModuleNotFoundError"):
            more += f". Nothing is installed for Python tests: they run with what {self._python()} has"
        return f"{broken[0].name} could not be collected: {why}{more}"

    def _python(self) -> str:
        if self._tools.pytest_python is None:
            raise missing_tool(
                "no Python on this machine has pytest",
                "Install it, or name a Python that has it in the agent's QGJOB_AGENT_PYTHON.",
            )
        return self._tools.pytest_python


class AppiumPytestRunner(PytestRunner):
    """Runs a test file with pytest on the slot's Appium server.

    The test opens its session at `QGJOB_APPIUM_URL`, with the capabilities in `QGJOB_APPIUM_CAPS` (JSON).
    All else is as with `pytest`.
    """

    name: ClassVar[str] = "appium-pytest"
    appium: ClassVar[Need] = Need.REQUIRED

    def _python(self) -> str:
        # Without the client: a test may speak to the server by other means.
        return self._tools.appium_python or super()._python()


def _parted(argv: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """The user's words up to a `--`, behind which there are no options any more; and the rest."""
    cut = argv.index("--") if "--" in argv else len(argv)
    return argv[:cut], argv[cut:]


def _is_not_collected(case: CaseResult) -> bool:
    """Whether it is a file that could not be imported, and no test: those have a class."""
    return case.status is CaseStatus.ERROR and not case.class_name


def _failures(counts: CaseCounts) -> str:
    parts = [
        f"{number} {word}"
        for number, word in (
            (counts.failed, "failed"),
            (counts.errors, "in error"),
            (counts.passed, "passed"),
        )
        if number
    ]
    return ", ".join(parts) or "no test failed"
