"""Questions and what is answered: jobs, logs, histories, dead letters, the overview."""

from __future__ import annotations

from bus_schemas import history, logs, queries
from bus_schemas.base import Message
from bus_schemas.deadletters import (
    DeadLetter,
    DeadLettersAnswer,
    DeadLettersDrop,
    DeadLettersDropped,
    DeadLettersQuery,
    DeadLetterView,
)
from bus_schemas.history import Learned
from bus_schemas.timings import HistogramView, TimingsAnswer, TimingsRequest
from tests.support.samples.events import ATTEMPT
from tests.support.samples.lab import GROUP, HEARTBEAT

VIEW = queries.JobView(
    job_id="j_01",
    run_id="r_01",
    org_id="acme",
    app_version_id="shop v1.2",
    test="shard 1 of 2",
    tests=("tests/test_a.py", "tests/test_b.py"),
    state="failed",
    priority=9,
    runner="pytest",
    created_at=1_790_000_000.0,
    attempts=(ATTEMPT,),
)
_SECONDS = HistogramView(bounds=(0.5, 60.0), counts=(2, 0, 1), sum_s=100.5)
TIMINGS = TimingsAnswer(waits={"high": _SECONDS}, tests=_SECONDS)
RECORD = history.OutcomeRecord(
    org_id="acme",
    test="tests/test_login.py",
    job_id="j_01",
    run_id="r_01",
    attempt=1,
    app_version_id="shop v1.2",
    outcome="failed",
    duration_s=7.0,
    slot="lab-1/s0",
    message="1 of 3 cases failed",
    at=1_790_000_009.0,
)

VIEWS: tuple[Message, ...] = (
    logs.LogChunk(
        job_id="j_01",
        attempt=1,
        seq=0,
        at=1_790_000_003.0,
        parts=(("out", "héllo\n"), ("err", "oh\n")),
        eof=False,
    ),
    DeadLetter(
        stream="QG_JOBS",
        subject="qg.jobs.high.a.b",
        seq=5,
        reason="not a JobMessage",
        data="eA==",
        size=1,
        at=1.0,
    ),
    DeadLettersQuery(before=9, limit=2),
    DeadLettersAnswer(
        letters=(
            DeadLetterView(
                number=8,
                at=1_790_000_003.0,
                stream="QG_JOBS",
                subject="qg.jobs.high.a.b",
                seq=5,
                reason="not a JobMessage",
                size=70_000,
                kept=65_536,
                data="eA==",
            ),
        ),
        total=3,
        more=True,
    ),
    DeadLettersDrop(number=8, by="ann@desk"),
    DeadLettersDropped(dropped=1),
    TimingsRequest(),
    TIMINGS,
    Learned(
        at=1_790_000_000.0,
        tests=(("acme", "tests/test_login.py", 12.5, 4),),
        installs=(("acme", "shop v1.2", 43.0, 1),),
        any_install=(30.0, 9),
        aged_credit=2.5,
    ),
    RECORD,
    history.HistoryQuery(test="tests/test_login.py", org_id="acme", limit=20),
    history.HistoryAnswer(outcomes=(RECORD,), expected_s=7.5),
    history.DurationsQuery(org_id="acme", tests=("tests/test_login.py", "tests/test_new.py")),
    history.DurationsAnswer(seconds={"tests/test_login.py": 7.5}),
    queries.GetQuery(id="r_01", offset=500, limit=100),
    queries.GetAnswer(
        run=queries.RunView(
            run_id="r_01",
            org_id="acme",
            state="failed",
            size=1,
            counts={"failed": 1},
            meta={"branch": "main"},
            jobs=(VIEW,),
        )
    ),
    queries.ListQuery(state="failed", org_id="acme", limit=10),
    queries.ListAnswer(jobs=(VIEW,), total=1),
    logs.LogsQuery(job_id="j_01", after_seq=7),
    logs.LogsAnswer(
        chunks=(logs.StoredChunk(stream_seq=8, attempt=1, at=1.0, parts=(("out", "x"),), eof=True),),
        more=False,
    ),
    queries.Overview(
        at=1_790_000_000.0,
        leader=queries.LeaderView(replica="a", epoch=7, since=1.0),
        depths={"high": 1, "medium": 2, "low": 0},
        waiting=3,
        groups=(queries.GroupView(group=GROUP, waiting=3, slots=("lab-1/s0",)),),
        groups_total=1,
    ),
    queries.AgentsAnswer(agents=(HEARTBEAT,)),
    queries.HealthAnswer(
        ok=False,
        checks=(queries.CheckView(name="redis", ok=False, detail="no answer"),),
        at=1_700_000_000.0,
        version="0.1.0",
        schema_version=1,
        clocks=(queries.ClockView(name="lab-1", ahead_s=-4.5, bound_s=1.0),),
        storage=queries.StorageView(used=1_000_000, limit=2_000_000),
    ),
    queries.Query(),
)
