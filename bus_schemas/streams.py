"""The streams, consumers and buckets, as the JetStream API takes them.

Plain dictionaries in the API's own words (ADR-8, ADR-20, ADR-48, ADR-50): a client library that
does not know a field yet would silently drop it.
"""

from __future__ import annotations

from typing import Any, Final

from bus_schemas import subjects
from bus_schemas.tokens import short_hash

ApiConfig = dict[str, Any]

SECOND_NS: Final = 1_000_000_000
HOUR_S: Final = 3600

JOBS: Final = "QG_JOBS"
WORK: Final = "QG_WORK"
EVENTS: Final = "QG_EVENTS"
LOGS: Final = "QG_LOGS"
DEAD: Final = "QG_DEAD"
CRON: Final = "QG_CRON"
HISTORY: Final = "QG_HISTORY"

LEADER_BUCKET: Final = "qg_leader"
AGENTS_BUCKET: Final = "qg_agents"
SETTINGS_BUCKET: Final = "qg_settings"
PRIORITIES_BUCKET: Final = "qg_priorities"
LEARNED_BUCKET: Final = "qg_learned"
NEWEST_BUCKET: Final = "qg_newest"
"""The newest run of each concurrency key."""
ORDERS_BUCKET: Final = "qg_orders"
"""Requests that concern many jobs, until they are carried out."""
BUILDS_BUCKET: Final = "qg_builds"
BUNDLE_OBJECTS: Final = "qg_bundle_files"
BUILD_OBJECTS: Final = "qg_build_files"
ARTIFACT_OBJECTS: Final = "qg_artifact_files"

ACK_WAIT_S: Final = 30.0
"""How long a lease on released work lasts when it is not renewed."""

CRON_DUE_KEPT_S: Final = HOUR_S
"""For how long what was due is submitted late, when no leader was there."""
BUILDS_KEPT_S: Final = 30 * 24 * HOUR_S
"""How long the bytes of a build are kept after its upload, or after the leader stored them anew."""
HISTORY_KEPT_S: Final = 90 * 24 * HOUR_S
HISTORY_EACH: Final = 50
"""How many outcomes of a test are kept."""
EVENTS_KEPT_S: Final = 24 * HOUR_S
RUN_MARKER_TTL_S: Final = 7 * 24 * HOUR_S
JOB_ROOM_BYTES: Final = 128 * 1024
"""How much smaller than a message a job must be: its end carries the next attempt, its release the fence."""
GROUP_CONSUMERS: Final = "g_"
MAX_GROUPS: Final = 100_000
"""Far more than a lab has slots: without a limit of its own a stream has the server's, a thousand."""
GROUP_UNUSED_S: Final = 3600.0
"""How long the consumer of a group stays when no slot pulls from it and none of its work is running."""
AGENT_TTL_S: Final = 15
LEADER_TTL_S: Final = 2


def _stream(name: str, subject: str, **more: Any) -> ApiConfig:
    return {
        "name": name,
        "subjects": [subject],
        "storage": "file",
        "discard": "old",
        "allow_direct": True,
        "num_replicas": 1,
        "duplicate_window": 0,
        **more,
    }


def streams(replicas: int = 1) -> list[ApiConfig]:
    """The streams. `replicas`: 1 on one server, 3 on a cluster."""
    configs = [
        _stream(
            JOBS,
            subjects.JOBS_ALL,
            description="qgjob: the backlog",
            retention="workqueue",
            allow_atomic=True,
            allow_msg_ttl=True,
            discard="new",
        ),
        _stream(
            WORK,
            subjects.WORK_ALL,
            description="qgjob: released work",
            retention="workqueue",
            max_consumers=MAX_GROUPS,
            allow_atomic=True,
            discard="new",
        ),
        _stream(
            EVENTS,
            subjects.EVENTS_ALL,
            description="qgjob: what happened",
            retention="limits",
            max_age=EVENTS_KEPT_S * SECOND_NS,
            allow_atomic=True,
            allow_msg_ttl=True,
            allow_rollup_hdrs=True,
            republish={"src": "qg.events.>", "dest": "qg.live.events.>"},
        ),
        _stream(
            LOGS,
            subjects.LOGS_ALL,
            description="qgjob: output of jobs",
            retention="limits",
            max_age=EVENTS_KEPT_S * SECOND_NS,
            max_bytes=8 * 2**30,
            compression="s2",
            republish={"src": "qg.logs.>", "dest": "qg.live.logs.>"},
        ),
        _stream(
            DEAD,
            subjects.DEAD_ALL,
            description="qgjob: messages that could not be read",
            retention="limits",
            max_age=RUN_MARKER_TTL_S * SECOND_NS,
            max_msgs=100_000,
            max_bytes=2**28,
        ),
        _stream(
            HISTORY,
            subjects.HISTORY_ALL,
            description="qgjob: the last outcomes of each test",
            retention="limits",
            max_age=HISTORY_KEPT_S * SECOND_NS,
            max_msgs_per_subject=HISTORY_EACH,
            max_msgs=2_000_000,
            compression="s2",
        ),
        # Only the scheduler writes here: `allow_msg_schedules` lets any writer roll up subjects.
        _stream(
            CRON,
            subjects.CRON_ALL,
            description="qgjob: schedules",
            retention="limits",
            allow_msg_schedules=True,
            allow_msg_ttl=True,
            allow_rollup_hdrs=True,
        ),
    ]
    for config in configs:
        config["num_replicas"] = replicas
    return configs


def kv_bucket(name: str, *, ttl_s: int = 0, history: int = 1, markers_s: int = 0) -> ApiConfig:
    """A key-value bucket (ADR-8). `markers_s`: how long a marker tells of an expired key (ADR-48)."""
    config = _stream(
        f"KV_{name}",
        f"$KV.{name}.>",
        description=f"qgjob: {name}",
        retention="limits",
        max_msgs_per_subject=history,
        max_age=ttl_s * SECOND_NS,
        allow_rollup_hdrs=True,
        deny_delete=True,
        discard="new",
    )
    if markers_s:
        config["allow_msg_ttl"] = True
        config["subject_delete_marker_ttl"] = markers_s * SECOND_NS
    return config


def object_bucket(name: str, *, ttl_s: int = 0) -> ApiConfig:
    """An object store bucket (ADR-20)."""
    return {
        "name": f"OBJ_{name}",
        "subjects": [f"$O.{name}.C.>", f"$O.{name}.M.>"],
        "description": f"qgjob: {name}",
        "storage": "file",
        "retention": "limits",
        "discard": "new",
        "allow_rollup_hdrs": True,
        "allow_direct": True,
        "max_age": ttl_s * SECOND_NS,
        "max_bytes": -1,
        "num_replicas": 1,
    }


def buckets(replicas: int = 1) -> list[ApiConfig]:
    """The key-value and object buckets."""
    day = 24 * HOUR_S
    configs = [
        kv_bucket(LEADER_BUCKET, markers_s=60),
        kv_bucket(AGENTS_BUCKET, markers_s=60),
        kv_bucket(SETTINGS_BUCKET, history=5),
        kv_bucket(PRIORITIES_BUCKET, ttl_s=30 * day),
        kv_bucket(LEARNED_BUCKET),
        # Kept for as long as the run markers whose sequences they hold.
        kv_bucket(NEWEST_BUCKET, ttl_s=RUN_MARKER_TTL_S),
        kv_bucket(ORDERS_BUCKET, ttl_s=EVENTS_KEPT_S),
        kv_bucket(BUILDS_BUCKET),
        object_bucket(BUNDLE_OBJECTS, ttl_s=7 * day),
        object_bucket(BUILD_OBJECTS, ttl_s=BUILDS_KEPT_S),
        object_bucket(ARTIFACT_OBJECTS, ttl_s=day),
    ]
    for config in configs:
        config["num_replicas"] = replicas
    return configs


def intake_consumer(epoch: int, number: int) -> ApiConfig:
    """The consumer that reads the backlog for one reign; its name is never used twice.

    Memory storage: it must not survive its reign. The long ack wait keeps the server from
    delivering again what merely waits; a lost ack shows at the next reign, or then: before the
    end that tells of it is forgotten. As many copies as the stream has: a work queue wants that.
    """
    return {
        "name": f"intake_{epoch}_{number}",
        "filter_subjects": [subjects.jobs_of(p) for p in subjects.PRIORITY_CLASSES],
        "deliver_policy": "all",
        "ack_policy": "explicit",
        "ack_wait": EVENTS_KEPT_S // 2 * SECOND_NS,
        "max_deliver": -1,
        "max_ack_pending": -1,
        "mem_storage": True,
        "inactive_threshold": 60 * SECOND_NS,
    }


def lease_of(ack_wait_s: float) -> float:
    """How long after its last renewal a job may go on."""
    return ack_wait_s * 2 / 3


def group_consumer(capability: str, org: str, app: str, ack_wait_s: float = ACK_WAIT_S) -> ApiConfig:
    """The consumer that hands out the released work of one group.

    `max_deliver` -1: past a bound a message would stay in the stream unseen, so that delivery
    counts decide nothing; the claim chain does.
    """
    name = group_consumer_name(capability, org, app)
    return {
        "name": name,
        "durable_name": name,
        "filter_subject": subjects.work_filter(capability, org, app),
        "deliver_policy": "all",
        "ack_policy": "explicit",
        "ack_wait": int(ack_wait_s * SECOND_NS),
        "max_deliver": -1,
        "max_ack_pending": -1,
        "max_waiting": 4096,
        # Every build makes a group, thousands a month: idle consumers are removed, not the messages.
        "inactive_threshold": int(GROUP_UNUSED_S * SECOND_NS),
    }


def spare_consumer() -> ApiConfig:
    """A consumer of no group, which shows whether there is room for one more."""
    name = GROUP_CONSUMERS + "spare"
    return {
        "name": name,
        "durable_name": name,
        "filter_subject": subjects.NO_WORK,
        "ack_policy": "explicit",
        "inactive_threshold": 60 * SECOND_NS,
    }


def group_consumer_name(capability: str, org: str, app: str) -> str:
    """The name of a group's consumer, always hashed."""
    return GROUP_CONSUMERS + short_hash(capability, org, app)


def chain_consumer(epoch: int, start_seq: int) -> ApiConfig:
    """The consumer that reads the claim chains for one reign, from the first end not settled before."""
    name = f"chains_{epoch}"
    return {
        "name": name,
        "durable_name": name,
        "filter_subject": subjects.EVENT_CHAINS,
        "deliver_policy": "by_start_sequence",
        "opt_start_seq": max(1, start_seq),
        "ack_policy": "all",
        "ack_wait": 60 * SECOND_NS,
        "max_deliver": -1,
        "max_ack_pending": -1,
    }


def cron_consumer() -> ApiConfig:
    """The consumer that reads due schedules, one reign after the other."""
    return {
        "name": "due",
        "durable_name": "due",
        "filter_subject": subjects.CRON_DUE,
        "deliver_policy": "all",
        "ack_policy": "explicit",
        "ack_wait": 60 * SECOND_NS,
        "max_deliver": -1,
        "max_ack_pending": 100,
    }
