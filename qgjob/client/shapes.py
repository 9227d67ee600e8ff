"""Jobs and runs as the JSON that scripts rely on: these names are a contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qgjob.clock import rfc3339

if TYPE_CHECKING:
    from bus_schemas.agents import DeviceHealth, Heartbeat, InstalledBuild, SlotStatus
    from bus_schemas.artifacts import Artifact
    from bus_schemas.builds import BuildRecord
    from bus_schemas.events import Attempt
    from bus_schemas.explain import ExplainAnswer
    from bus_schemas.history import HistoryAnswer
    from bus_schemas.holds import SlotHold
    from bus_schemas.queries import JobView, OrgView, Overview, PauseView, RunView
    from bus_schemas.rules import OrgRule, PauseMark
    from qgjob.client.models import Submitted
    from qgjob.domain.testhistory import HistorySummary


def attempt_json(attempt: Attempt) -> dict[str, Any]:
    """One try of a job."""
    return {
        "number": attempt.number,
        "agent": attempt.agent,
        "slot": attempt.slot,
        "device": attempt.device,
        "started_at": rfc3339(attempt.started_at),
        "running_at": rfc3339(attempt.running_at),
        "finished_at": rfc3339(attempt.finished_at),
        "outcome": attempt.outcome,
        "reason": attempt.reason,
        "message": attempt.message,
        "installed": attempt.installed,
        "install_s": attempt.install_s,
        "duration_s": attempt.duration_s,
        "exit_code": attempt.exit_code,
        "takeovers": attempt.takeovers,
        "cases": attempt.cases.model_dump() if attempt.cases else None,
        "files": [file.model_dump() for file in attempt.files],
        "artifacts": [artifact_json(artifact) for artifact in attempt.artifacts],
        "artifacts_left_out": attempt.artifacts_left_out,
    }


def artifact_json(artifact: Artifact) -> dict[str, Any]:
    """A file that an attempt left."""
    return {"name": artifact.name, "size": artifact.blob.size, "sha256": artifact.blob.digest}


def job_json(job: JobView) -> dict[str, Any]:
    """A job."""
    return {
        "job_id": job.job_id,
        "run_id": job.run_id,
        "state": job.state,
        "org_id": job.org_id,
        "app_version_id": job.app_version_id,
        "test": job.test,
        "tests": list(job.tests),
        "variant": job.variant,
        "position": job.position,
        "target": job.target,
        "requires": list(job.requires),
        "runner": job.runner,
        "priority": job.priority,
        "created_at": rfc3339(job.created_at),
        "queued_at": rfc3339(job.queued_at),
        "ended_at": rfc3339(job.ended_at),
        "flaky": job.flaky,
        "reason": job.reason,
        "message": job.message,
        "attempts": [attempt_json(attempt) for attempt in job.attempts],
    }


def run_json(run: RunView) -> dict[str, Any]:
    """A run with its jobs."""
    return {
        "run_id": run.run_id,
        "state": run.state,
        "org_id": run.org_id,
        "name": run.name,
        "meta": dict(run.meta),
        "size": run.size,
        "created_at": rfc3339(run.created_at),
        "counts": dict(run.counts),
        "jobs": [job_json(job) for job in run.jobs],
    }


def history_json(test: str, answer: HistoryAnswer, summary: HistorySummary) -> dict[str, Any]:
    """The last outcomes of a test, and what they amount to."""
    return {
        "test": test,
        "attempts": summary.attempts,
        "jobs": summary.jobs,
        "passed": summary.passed,
        "failed": summary.failed,
        "errored": summary.errored,
        "flaky": summary.flaky,
        "flakiness": round(summary.flakiness, 4),
        "failure_rate": round(summary.failure_rate, 4),
        "median_s": summary.median_s,
        "slowest_s": summary.slowest_s,
        "expected_s": answer.expected_s,
        "outcomes": [
            {**record.model_dump(exclude={"v", "test", "at"}), "at": rfc3339(record.at)}
            for record in answer.outcomes
        ],
    }


def submitted_json(submitted: Submitted) -> dict[str, Any]:
    """The output of a submit without `--wait`."""
    return {
        "run_id": submitted.run_id,
        "accepted_before": submitted.accepted_before,
        "app_version_id": submitted.jobs[0].app_version_id,
        "jobs": [
            {
                "job_id": job.job_id,
                "test": job.test,
                "variant": job.variant,
                "state": job.state,
                **({"tests": list(job.tests)} if job.tests else {}),
            }
            for job in submitted.jobs
        ],
    }


def slot_json(agent: Heartbeat, slot: SlotStatus) -> dict[str, Any]:
    """A slot of an agent."""
    return {
        "name": slot.name,
        "slot": f"{agent.agent}/{slot.name}",
        "state": slot.state,
        "driver": slot.driver,
        "device": slot.device,
        "labels": list(slot.labels),
        "installed": [installed_json(build) for build in slot.installed],
        "job_id": slot.job_id,
        "since": rfc3339(slot.since),
        "installs": slot.installs,
        "jobs_done": slot.jobs_done,
        "note": slot.note,
        "hold": slot.hold and hold_json(slot.hold),
        "health": slot.health and health_json(slot.health),
    }


def health_json(health: DeviceHealth) -> dict[str, Any]:
    """The result of the last health check of a device."""
    return {
        "at": rfc3339(health.at),
        "ok": health.ok,
        "battery_percent": health.battery_percent,
        "temperature_c": health.temperature_c,
        "free_mib": health.free_mib,
    }


def hold_json(hold: SlotHold) -> dict[str, Any]:
    """A hold of a slot or an agent."""
    return {
        "name": hold.name,
        "kind": hold.kind,
        "by": hold.by,
        "note": hold.note,
        "since": rfc3339(hold.since),
        "until": rfc3339(hold.until),
    }


def explain_json(answer: ExplainAnswer) -> dict[str, Any]:
    """Why a job waits, or why it went where it went."""
    document = answer.model_dump(
        mode="json", exclude={"v", "problem", "group", "gates", "slots", "starts_at"}
    )
    return {
        **document,
        "group": answer.group and answer.group.model_dump(),
        "starts_at": rfc3339(answer.starts_at),
        "gates": [{**gate.model_dump(), "until": rfc3339(gate.until)} for gate in answer.gates],
        "slots": [{**row.model_dump(mode="json"), "free_at": rfc3339(row.free_at)} for row in answer.slots],
    }


def installed_json(build: InstalledBuild) -> dict[str, Any]:
    """A build on a slot."""
    return {
        "org_id": build.org_id,
        "app_version_id": build.app_version_id,
        "app_id": build.app_id,
        "at": rfc3339(build.at),
    }


def agent_json(agent: Heartbeat) -> dict[str, Any]:
    """An agent with its slots."""
    return {
        "agent": agent.agent,
        "name": agent.agent,
        "state": agent.state,
        "host": agent.host,
        "pid": agent.pid,
        "version": agent.version,
        "started_at": rfc3339(agent.started_at),
        "seen_at": rfc3339(agent.at),
        "slots": [slot_json(agent, slot) for slot in agent.slots],
    }


def build_json(record: BuildRecord) -> dict[str, Any]:
    """An uploaded build."""
    return {
        "org_id": record.org_id,
        "app_version_id": record.app_version_id,
        "platform": record.platform,
        "app_id": record.app_id,
        "sha256": record.blob.digest,
        "size": record.blob.size,
        "file_name": record.file_name,
        "format": record.format,
        "uploaded_at": rfc3339(record.uploaded_at),
    }


def pause_json(pause: PauseMark | PauseView) -> dict[str, Any]:
    """Something that is paused."""
    return {**pause.model_dump(), "at": rfc3339(pause.at)}


def org_rule_json(org: OrgRule | OrgView) -> dict[str, Any]:
    """A limit or weight of an organisation."""
    return org.model_dump()


def overview_json(overview: Overview) -> dict[str, Any]:
    """The queues and groups."""
    document = overview.model_dump(
        mode="json", exclude={"v", "problem", "at", "leader", "groups", "pauses", "holds", "builds_held"}
    )
    leader = overview.leader
    return {
        "at": rfc3339(overview.at),
        "leader": leader
        and {"replica": leader.replica, "epoch": leader.epoch, "since": rfc3339(leader.since)},
        **document,
        "pauses": [pause_json(pause) for pause in overview.pauses],
        "holds": [hold_json(hold) for hold in overview.holds],
        "builds_held": [
            {**build.model_dump(), "since": rfc3339(build.since), "until": rfc3339(build.until)}
            for build in overview.builds_held
        ],
        "groups": [
            {
                **group.group.model_dump(),
                **group.model_dump(mode="json", exclude={"group"}),
                "expected_end": rfc3339(group.expected_end),
            }
            for group in overview.groups
        ],
    }
