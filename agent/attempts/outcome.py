"""Turns the way an attempt's steps ended into the result that is recorded. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from agent.archive import disk_reason, is_of_the_disk
from agent.attempts.artifacts import Kept
from agent.attempts.claim import Claim
from agent.errors import JobError
from agent.launch import EndReason
from agent.output.masking import Masker
from agent.reports.files import file_results
from agent.runners.base import CaseCounts, RunResult, Verdict
from bus_schemas import events
from bus_schemas.events import Attempt, EndState
from bus_schemas.jobs import BlobRef
from qgjob.errors import QgjobError

_MESSAGE_CHARS = 4000


class Outcome(NamedTuple):
    """The result of an attempt; `retryable` is False when another slot would meet the same error."""

    state: EndState
    result: Attempt
    retryable: bool = True


class EndVerdict(NamedTuple):
    """The end's state, its word for machines and its sentence for people."""

    state: EndState
    word: str | None
    text: str | None
    retryable: bool = True


@dataclass(slots=True)
class Progress:
    """What the steps have found out about an attempt so far."""

    running_at: float | None = None
    installed: bool = False
    install_s: float | None = None
    duration_s: float | None = None
    report: BlobRef | None = None


def of_result(result: RunResult, reason: EndReason | None, why: str) -> EndVerdict | None:
    """The verdict on a run; None when it has no result: handed back, or held by somebody else.

    `reason` and `why` are set when the agent ended it: they go before what the runner says.
    """
    match reason:
        case EndReason.STOPPING | EndReason.LEASE_LOST:
            return None
        case EndReason.CANCELLED:
            return EndVerdict("cancelled", "cancelled", why)
        case EndReason.DISK_LIMIT:
            return EndVerdict("failed", reason.value, why)
        case EndReason.TIMED_OUT | EndReason.SILENT:
            return EndVerdict("timed_out", reason.value, why)
        case EndReason.DEVICE_LOST:
            return EndVerdict("errored", reason.value, why)
        case None:
            pass
    match result.verdict:
        case Verdict.PASSED:
            return EndVerdict(
                "passed", None, result.reason or _failed_cases_warning(result), result.retryable
            )
        case Verdict.FAILED:
            return EndVerdict("failed", "test_failed", result.reason, result.retryable)
        case Verdict.INFRASTRUCTURE:
            return EndVerdict("errored", result.word or "runner_failed", result.reason, result.retryable)


def of_error(error: Exception) -> EndVerdict:
    """The verdict on an attempt in which a step failed: an infrastructure error."""
    match error:
        case JobError():
            return EndVerdict("errored", error.reason, error.message, error.retryable)
        case QgjobError():
            return EndVerdict("errored", "agent_error", error.message)
        case OSError() if is_of_the_disk(error):
            where = f": {error.filename}" if error.filename else ""  # a write names no file
            text = f"the agent cannot use its disk: {error.strerror}{where}"
            return EndVerdict("errored", disk_reason(error), text)
        case _:  # a bug in a driver: it ends this attempt, not the agent
            text = f"the agent met an error: {error or type(error).__name__}"
            return EndVerdict("errored", "agent_error", text)


def outcome(
    claim: Claim, verdicted: EndVerdict, progress: Progress, result: RunResult | None, *, now: float
) -> Outcome:
    """The outcome, with the whole attempt as it is recorded."""
    tests = claim.message.spec.tests
    files, left_out = file_results(result.cases, tests) if result and tests else ((), 0)
    attempt = Attempt(
        number=claim.message.attempt,
        agent=claim.who.agent,
        slot=claim.who.slot,
        device=claim.who.device,
        started_at=claim.started_at,
        running_at=progress.running_at,
        finished_at=now,
        outcome=verdicted.state,
        reason=verdicted.word,
        message=_fit(verdicted.text) if verdicted.text else None,
        installed=progress.installed,
        install_s=progress.install_s,
        duration_s=progress.duration_s,
        exit_code=result.exit_code if result else None,
        takeovers=claim.takeovers,
        cases=_counts(result.counts) if result and result.cases else None,
        report=progress.report,
        files=files,
        files_left_out=left_out,
    )
    return Outcome(verdicted.state, attempt, verdicted.retryable)


def with_artifacts(outcome: Outcome, kept: Kept) -> Outcome:
    """The outcome with what the job left."""
    update = {"artifacts": kept.artifacts, "artifacts_left_out": kept.left_out}
    return outcome._replace(result=outcome.result.model_copy(update=update))


def masked(outcome: Outcome, masker: Masker) -> Outcome:
    """The outcome without secrets in its sentence."""
    message = outcome.result.message
    if not masker or message is None:
        return outcome
    return outcome._replace(result=outcome.result.model_copy(update={"message": masker.text(message)}))


def _failed_cases_warning(result: RunResult) -> str | None:
    """Failed cases in spite of exit code 0: the exit code is the verdict, but they should not go unseen."""
    counts = result.counts
    if not counts.wrong:
        return None
    hidden = f"{counts.wrong} of {counts.total} cases in its report failed"
    return f"it ended with exit code {result.exit_code}, but {hidden}"


def _fit(text: str) -> str:
    """Cut to the limit, and without lone surrogates, which undecodable file names have."""
    return text[:_MESSAGE_CHARS].encode("utf-8", "replace").decode()


def _counts(counts: CaseCounts) -> events.CaseCounts:
    return events.CaseCounts(
        passed=counts.passed,
        failed=counts.wrong,
        skipped=counts.skipped,
        flaky=counts.flaky,
    )
