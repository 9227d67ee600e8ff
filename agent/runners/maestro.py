"""Runner `maestro`: one flow on the slot's device, its cases from the JUnit report that is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from agent.errors import RunnerError
from agent.launch import Exit, JobDirs, LaunchSpec
from agent.reports.junit import read_junit
from agent.runners.base import CaseCounts, Runner, RunnerJob, RunResult, Verdict
from agent.runners.environment import job_environment
from agent.runners.testfile import find_test, find_tests
from agent.runners.toolchain import Toolchain, missing_tool


class MaestroRunner(Runner):
    """Runs `maestro test FLOW…` on the device that the driver names (`QGJOB_UDID`), ARGV appended.

    The job's `-e` variables become the flow's, and `APP_ID` is the installed app's package, unless `-e` sets
    it. Exit code 0 has passed; any other has failed when the report has cases, and is infrastructure when
    not, also after a crash: no flow brings the JVM down.
    """

    name: ClassVar[str] = "maestro"

    def __init__(self, tools: Toolchain) -> None:
        self._tools = tools

    def check(self, bundle: Path, test: str) -> None:
        """See `Runner.check`."""
        find_test(bundle, test)
        self._program()

    def prepare(self, job: RunnerJob, dirs: JobDirs) -> LaunchSpec:
        """See `Runner.prepare`."""
        find_tests(dirs.bundle, job.files)
        udid = job.device_env.get("QGJOB_UDID")
        if not udid:
            raise RunnerError(
                "maestro needs a device, and this slot has none",
                reason="no_device",
                retryable=True,
                hint="Ask for one with --target or --require.",
            )
        variables = {"APP_ID": job.app_package or "", **job.env}
        env = job_environment(job, dirs, self._tools)
        # It would ask for its version, and tell of its use, at every start.
        env |= {"MAESTRO_CLI_NO_ANALYTICS": "true", "MAESTRO_CLI_ANALYSIS_NOTIFICATION_DISABLED": "true"}
        return LaunchSpec(
            argv=(
                self._program(),
                "--device",
                udid,
                "test",
                "--format",
                "junit",
                "--output",
                str(dirs.junit),
                "--debug-output",
                str(dirs.artifacts / "maestro"),
                "--flatten-debug-output",
                *(word for name, value in variables.items() for word in ("-e", f"{name}={value}")),
                *job.argv,
                *(f"./{test}" for test in job.files),
            ),
            env=env,
            cwd=dirs.bundle,
            reports=(dirs.junit,),
        )

    def collect(self, exit_: Exit, dirs: JobDirs) -> RunResult:
        """See `Runner.collect`."""
        report = read_junit(dirs.junit, root=dirs.bundle)
        cases = report.cases if report else ()
        verdict, reason = Verdict.FAILED, None
        if exit_.exit_code == 0:
            verdict = Verdict.PASSED
        elif cases:
            reason = str(CaseCounts.of(cases))
        else:
            verdict = Verdict.INFRASTRUCTURE
            reason = f"{exit_.tell('maestro')} and reported no flow"
        return RunResult(
            verdict=verdict,
            reason=reason,
            exit_code=exit_.exit_code,
            cases=cases,
            junit=dirs.junit if report else None,
            problem=report.problem if report else None,
        )

    def _program(self) -> str:
        if self._tools.maestro is None:
            raise missing_tool(
                "this machine has no Maestro",
                "Install it on the lab machine, or name its program in QGJOB_AGENT_MAESTRO.",
            )
        return self._tools.maestro
