"""Runner `command`: the test is a program, its exit code the verdict. Never through a shell."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import ClassVar, Final

from agent.errors import RunnerError
from agent.launch import Exit, JobDirs, LaunchSpec
from agent.reports.junit import read_junits
from agent.runners.base import CaseCounts, Runner, RunnerJob, RunResult, Verdict
from agent.runners.environment import job_environment
from agent.runners.testfile import find_test
from agent.runners.toolchain import Toolchain

_LAST_OF_ITS_OWN: Final = 125
"""Above that a shell tells with the exit code that a program could not be started, or was killed."""
_PLACEHOLDER = re.compile(r"\{(test|bundle)\}")


class CommandRunner(Runner):
    """Runs ARGV with `{test}` and `{bundle}` filled in, each element by itself.

    Of a shard, the word `{test}` becomes as many as it has files. Without ARGV it runs the test file: as it
    is when it is executable and begins with `#!` or is a binary, else by its ending: `.py` with Python,
    `.js`, `.mjs`, `.cjs` with Node, `.sh` with sh. Exit code 0 has passed, all else has failed. A JUnit
    report written to `$QGJOB_JUNIT_FILE` is read, and further ones beside it.
    """

    name: ClassVar[str] = "command"

    def __init__(self, tools: Toolchain) -> None:
        self._tools = tools

    def prepare(self, job: RunnerJob, dirs: JobDirs) -> LaunchSpec:
        """See `Runner.prepare`."""
        first, *more = job.files
        if more and "{test}" not in job.argv:
            raise RunnerError(
                "a shard has several files and a command takes one: with {test} as a word of its own "
                "behind -- it gets them all",
                reason="not_runnable",
                retryable=False,
            )
        # With an ARGV of its own a job may do without a bundle.
        path, *_ = (find_test(dirs.bundle, test, must_exist=not job.argv) for test in job.files)
        if job.argv:
            argv = tuple(word for element in job.argv for word in _filled(element, job, dirs))
        elif _runs_by_itself(path):
            argv = (f"./{first}",)
        else:
            argv = (*self._interpreter(first), f"./{first}")
        return LaunchSpec(
            argv=argv, env=job_environment(job, dirs, self._tools), cwd=dirs.bundle, reports=(dirs.junit,)
        )

    def collect(self, exit_: Exit, dirs: JobDirs) -> RunResult:
        """See `Runner.collect`."""
        report = read_junits(dirs.junit, root=dirs.bundle)
        passed = exit_.exit_code == 0
        cases = report.cases if report else ()
        return RunResult(
            verdict=Verdict.PASSED if passed else Verdict.FAILED,
            reason=None if passed else _why(exit_, CaseCounts.of(cases)),
            exit_code=exit_.exit_code,
            cases=cases,
            junit=dirs.junit if dirs.junit.is_file() else None,
            problem=report.problem if report else None,
        )

    def _interpreter(self, test: str) -> tuple[str, ...]:
        ending = os.path.splitext(test)[1]  # noqa: PTH122
        if ending == ".py":
            return (self._tools.python,)
        if ending == ".sh":
            return ("sh",)
        if ending in {".js", ".mjs", ".cjs"}:
            if self._tools.node is None:
                raise RunnerError(
                    f"{test} needs Node.js, and this machine has none", reason="tool_missing", retryable=True
                )
            return (self._tools.node,)
        raise RunnerError(
            f"{test} cannot be run by itself: it is not executable, and does not end in .py, .js or .sh",
            reason="not_runnable",
            retryable=False,
            hint="Make it executable with a #! line, or say how to run it: qgjob submit … -- PROGRAM {test}",
        )


def _why(exit_: Exit, counts: CaseCounts) -> str:
    """The cases, where they explain it: not a program that was killed, or that a shell did not find."""
    ended = exit_.code is not None and exit_.code <= _LAST_OF_ITS_OWN
    return str(counts) if counts.wrong and ended else exit_.describe()


def _filled(element: str, job: RunnerJob, dirs: JobDirs) -> tuple[str, ...]:
    """What a word of ARGV becomes: one word, but `{test}` alone all files of a shard."""
    if element == "{test}":
        return job.files
    return (_fill(element, {"test": " ".join(job.files), "bundle": str(dirs.bundle)}),)


def _fill(element: str, values: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda match: values[match[1]], element)


def _runs_by_itself(path: str | os.PathLike[str]) -> bool:
    if not os.access(path, os.X_OK):
        return False
    with open(path, "rb") as file:  # noqa: PTH123
        # A .py that is executable by accident (a file system without modes) has neither.
        return file.read(4).startswith((b"#!", b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe"))
