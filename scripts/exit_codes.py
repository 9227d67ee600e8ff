"""What each exit code means, for the manual page and the reference; a test holds it against the code."""

from __future__ import annotations

from qgjob.errors import ExitCode

EXIT_CODES = (
    (ExitCode.OK, "Passed; a submit without --wait was accepted. Flaky counts as passed."),
    (ExitCode.ERROR, "An error of qgjob's own; `health` and `doctor`: something is wrong."),
    (ExitCode.USAGE, "An option or a value is wrong."),
    (ExitCode.NO_TESTS, "No test matches."),
    (ExitCode.NOT_ALLOWED, "Not allowed: credentials or permissions."),
    (ExitCode.UNREACHABLE, "The server cannot be reached, or does not answer in time."),
    (ExitCode.NOT_FOUND, "There is no such job, run, agent or build."),
    (ExitCode.REFUSED, "Refused: a quota, a rate or a limit of size."),
    (ExitCode.FAILED, "A test failed or timed out."),
    (ExitCode.WAIT_TIMEOUT, "`wait` ran out of time; the jobs go on."),
    (ExitCode.NO_SLOT, "No slot appeared that could ever run a job; it was cancelled."),
    (ExitCode.CANCELLED, "Cancelled or expired."),
    (ExitCode.INFRASTRUCTURE, "The lab failed: a job errored after its retries."),
    (ExitCode.DETACHED, "Interrupted with Ctrl-C; the jobs go on unless they were cancelled."),
)
