"""The interface of runners: from a job to a command line, from its exit and reports to a result."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar

from agent.launch import Exit, JobDirs, LaunchSpec, OutputSink


class Verdict(StrEnum):
    """The verdict on an attempt: the test passed, it failed, or the lab could not run it."""

    PASSED = "passed"
    FAILED = "failed"
    INFRASTRUCTURE = "infrastructure"


class CaseStatus(StrEnum):
    """The outcome of one test case in a report."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    SKIPPED = "skipped"


class Need(StrEnum):
    """How much a runner wants an Appium server for the slot's device."""

    NO = "no"
    OFFERED = "offered"
    """It gets one when Appium can reach the device, and does without where it cannot."""
    REQUIRED = "required"


@dataclass(frozen=True, slots=True, kw_only=True)
class AppiumSession:
    """The running Appium server of the slot's device, and what a test asks a session of it with.

    `capabilities` are in the W3C's form, vendor prefixes included; they name the device and the app.
    """

    url: str
    capabilities: Mapping[str, Any]

    @property
    def platform(self) -> str:
        """`android` or `ios`, in lower case."""
        return str(self.capabilities.get("platformName", "")).lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerJob:
    """What a runner may know of a job: one attempt, on one slot, with the build in place.

    `test` is relative to the bundle, POSIX; of a shard it is only a name, and `tests` are its files. `argv`
    and `env` are the user's own. `app_dir` and `app_url` say where the installed build is, when the driver
    has such a place; `app_package` is its package or bundle id. `device_env` is how tests address the
    device, as its driver says. `appium` is there when the runner wants it and Appium can reach the device.
    """

    job_id: str
    run_id: str
    org_id: str
    app_version_id: str
    attempt: int
    test: str
    slot: str
    device: str
    argv: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    app_dir: Path | None = None
    app_url: str | None = None
    app_package: str | None = None
    device_env: Mapping[str, str] = field(default_factory=dict[str, str])
    appium: AppiumSession | None = None
    tests: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[str, ...]:
        """The files to be run: one, or those of the shard."""
        return self.tests or (self.test,)


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseTry:
    """One attempt at a test case."""

    status: CaseStatus
    duration_s: float = 0.0
    message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """One test case: its last attempt, and how many there were.

    `flaky` is set when it passed in the end but not at first. `file` is as the report has it, relative to
    the bundle where that is known; `line` counts from 1. `tries` are all attempts, the last included, where
    the report tells of each; empty otherwise.
    """

    class_name: str
    name: str
    status: CaseStatus
    duration_s: float
    message: str | None = None
    attempts: int = 1
    flaky: bool = False
    file: str | None = None
    line: int | None = None
    tries: tuple[CaseTry, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseCounts:
    """How many cases there were of each kind; `passed` includes the flaky ones."""

    total: int = 0
    passed: int = 0
    failed: int = 0
    errors: int = 0
    skipped: int = 0
    flaky: int = 0

    @classmethod
    def of(cls, cases: Sequence[CaseResult]) -> CaseCounts:
        """Count cases anew: what a report says of its own totals is not trusted."""
        return cls(
            total=len(cases),
            passed=sum(case.status is CaseStatus.PASSED for case in cases),
            failed=sum(case.status is CaseStatus.FAILED for case in cases),
            errors=sum(case.status is CaseStatus.ERROR for case in cases),
            skipped=sum(case.status is CaseStatus.SKIPPED for case in cases),
            flaky=sum(case.flaky for case in cases),
        )

    @property
    def wrong(self) -> int:
        """Those that failed or were in error: which of the two is of no matter to a verdict."""
        return self.failed + self.errors

    def __str__(self) -> str:
        """Why a test failed, in a few words."""
        return f"{self.wrong} failed, {self.passed} passed"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """The result of running the test.

    `reason` is a sentence for people; None when it passed. `exit_code` is as shells report it, None for
    runners without a process. `cases` are empty when there was no readable report; `junit` is the raw
    JUnit file when there is one, readable or not; `problem` says why a report could not be read, or not to
    its end, which is written into the job's log. When the agent itself ended the process (timeout,
    cancel, lost lease) the caller's reason goes before `verdict`; the cases read so far are kept.
    `retryable` and `word` matter for `infrastructure` alone: False when another slot would meet the same,
    and the stable word for machines when `runner_failed` does not say it (`tool_missing`).
    """

    verdict: Verdict
    reason: str | None = None
    exit_code: int | None = None
    cases: tuple[CaseResult, ...] = ()
    junit: Path | None = None
    problem: str | None = None
    retryable: bool = True
    word: str | None = None

    @property
    def counts(self) -> CaseCounts:
        """The cases, counted."""
        return CaseCounts.of(self.cases)


class Runner(ABC):
    """Runs a test in processes of its own. Stateless: one instance serves all slots.

    A lab adds its own as a subclass; docs/runners.md shows one.

    All methods are quick and blocking; `collect` may read a report of some megabytes, so call it in a
    thread when `LaunchSpec.reports` is not empty.
    """

    name: ClassVar[str]
    npm: ClassVar[bool] = False
    """Whether packages are installed from the test's package-lock.json, when the bundle brings none."""
    appium: ClassVar[Need] = Need.NO
    """Whether the slot's Appium server is started before `prepare`."""

    def check(self, bundle: Path, test: str) -> None:  # noqa: B027
        """Raise `RunnerError` when this test cannot be run here, in a sentence that says what to install.

        Called with the bundle and its packages in place, before the build is installed.
        """

    @abstractmethod
    def prepare(self, job: RunnerJob, dirs: JobDirs) -> LaunchSpec:
        """The process to launch for this job; the bundle is in place at `dirs.bundle`.

        Raises `RunnerError` when this job cannot be run here, with a sentence saying why.
        """

    @abstractmethod
    def collect(self, exit_: Exit, dirs: JobDirs) -> RunResult:
        """The result of the ended process. Never raises on what the process wrote."""


class InProcessRunner(ABC):
    """Runs a test inside the agent, on its event loop: for benchmarks and simulations.

    `needs_bundle` False says that neither bundle nor folders have to be prepared: then `dirs` are only
    names. `run` must honour cancellation.
    """

    name: ClassVar[str]
    needs_bundle: ClassVar[bool] = False
    slow: ClassVar[bool] = True
    """Whether `run` may take longer than a moment; others then hear of the slot meanwhile."""

    @abstractmethod
    async def run(self, job: RunnerJob, dirs: JobDirs, emit_log: OutputSink) -> RunResult:
        """Run the job to its verdict; output goes to `emit_log` (await what it returns, if anything)."""


AnyRunner = Runner | InProcessRunner
