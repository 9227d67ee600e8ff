"""One message of every kind, with every field that matters filled in."""

from __future__ import annotations

from typing import Any

from bus_schemas import agents, control, crons, events, explain, history, holds, lab, logs, queries, rules
from bus_schemas.artifacts import Artifact
from bus_schemas.base import Message
from bus_schemas.builds import BuildRecord
from bus_schemas.cases import CaseRecord, CaseReport, CaseTry
from bus_schemas.deadletters import (
    DeadLetter,
    DeadLettersAnswer,
    DeadLettersDrop,
    DeadLettersDropped,
    DeadLettersQuery,
    DeadLetterView,
)
from bus_schemas.history import Learned
from bus_schemas.jobs import BlobRef, JobMessage, JobSpec, RunMarker
from bus_schemas.timings import HistogramView, TimingsAnswer, TimingsRequest

DIGEST = "0123456789abcdef" * 4

SPEC = JobSpec(
    job_id="j_01",
    run_id="r_01",
    org_id="acme",
    app_version_id="shop v1.2",
    test="tests/test_login.py",
    position=3,
    priority=9,
    target="emulator",
    requires=("android-14", "emulator"),
    runner="pytest",
    argv=("-k", "login"),
    env={"LOCALE": "de"},
    bundle=BlobRef(digest=DIGEST, size=1234),
    retries=1,
    concurrency_key="main",
    created_at=1_790_000_000.25,
)
SHARD = SPEC.model_copy(update={"test": "shard 1 of 2", "tests": ("tests/test_a.py", "tests/test_b.py")})
JOB = JobMessage(spec=SPEC, attempt=2, failures=1, avoid=("lab-1/s0",))
WHERE: dict[str, Any] = {
    "org_id": "acme",
    "run_id": "r_01",
    "job_id": "j_01",
    "attempt": 1,
    "at": 1_790_000_001.5,
}
ATTEMPT = events.Attempt(
    number=1,
    agent="lab-1",
    slot="s0",
    device="emulator-5554",
    started_at=1_790_000_001.0,
    running_at=1_790_000_002.0,
    finished_at=1_790_000_009.0,
    outcome="failed",
    reason="test_failed",
    message="1 of 3 cases failed",
    installed=True,
    install_s=0.9,
    duration_s=7.0,
    exit_code=1,
    cases=events.CaseCounts(passed=2, failed=1),
    files=(events.FileResult(file="tests/test_b.py", outcome="failed", duration_s=6.5),),
    files_left_out=1,
    artifacts=(Artifact(name="shots/login.png", blob=BlobRef(digest=DIGEST, size=1234)),),
)
STARTED = events.Started(
    **WHERE, nonce="n1", agent="lab-1", slot="s0", app_version_id="shop v1.2", phase="preparing"
)
GROUP = agents.GroupRef(capability="android-14+emulator", org_id="acme", app_version_id="shop v1.2")
BUILD = agents.InstalledBuild(org_id="acme", app_version_id="shop v1.2", app_id="app", at=1_790_000_000.0)
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
HEARTBEAT = agents.Heartbeat(
    agent="lab-1",
    host="mac-mini",
    pid=42,
    version="0.1.0",
    started_at=1_790_000_000.0,
    at=1_790_000_005.0,
    slots=(
        agents.SlotStatus(
            name="s0",
            driver="process",
            state="busy",
            labels=("process",),
            job_id="j_01",
            health=agents.DeviceHealth(
                at=1_790_000_001.0, ok=True, battery_percent=88, temperature_c=27.5, free_mib=5120
            ),
        ),
    ),
    runners=("command", "pytest"),
)
HOLD = holds.SlotHold(
    name="lab-1/s0",
    kind="reserved",
    by="ann",
    since=1_790_000_000.0,
    note="debugging",
    until=1_790_001_800.0,
)
CRON_VIEW = crons.CronView(
    schedule_id="c_01",
    org_id="acme",
    expression="0 30 5 * * 1-5",
    zone="Europe/Berlin",
    by="ann",
    created_at=1_790_000_000.0,
    name="nightly",
    app_version_id="shop v1.2",
    tests=1,
    last_run_id="r_02",
    last_at=1_790_000_100.0,
    next_at=1_790_086_500.0,
)
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

SAMPLES: tuple[Message, ...] = (
    JOB,
    RunMarker(
        run_id="r_01",
        org_id="acme",
        state="complete",
        size=4,
        parts=1,
        digest=DIGEST,
        name="nightly",
        meta={"branch": "main"},
        created_at=1_790_000_000.0,
    ),
    events.Queued(**WHERE, spec=SHARD, run_size=4, run_name="nightly", run_meta={"branch": "main"}),
    events.Released(**WHERE, group="g_1", because="the build is installed there"),
    STARTED,
    events.TakenOver(
        **WHERE,
        nonce="n2",
        agent="lab-2",
        slot="s1",
        app_version_id="shop v1.2",
        takeovers=1,
        lost=("lab-1/s0",),
    ),
    events.Cancelling(**WHERE, by="ann", reason="wrong branch", holder=STARTED),
    events.Ended(
        **WHERE,
        nonce="n1",
        state="failed",
        result=ATTEMPT,
        final=False,
        app_version_id="shop v1.2",
        test="tests/test_login.py",
        next=JOB,
    ),
    events.Preparing(**WHERE, step="install", message="unpacking"),
    events.Running(**WHERE, installed=True, install_s=0.9),
    events.Progress(**WHERE, message="case 2 of 3"),
    events.Retrying(**WHERE, next_attempt=2, charged=True),
    events.Reprioritised(**WHERE, priority=9, by="ann"),
    events.Refused(**WHERE, message="run r_01 was still incomplete after 60 s and is refused"),
    agents.Hello(epoch=7),
    agents.SlotNext(
        agent="lab-1",
        slot="s0",
        state="idle",
        driver="process",
        device="d0",
        labels=("emulator", "process"),
        installed=(BUILD,),
        bound=GROUP,
        hold=HOLD,
    ),
    agents.Binding(agent="lab-1", slot="s0", epoch=7, group=GROUP, consumer="g_1", ack_wait_s=30.0),
    agents.CancelAttempt(job_id="j_01", attempt=1, reason="wrong branch"),
    HEARTBEAT,
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
    CaseReport(
        job_id="j_01",
        attempt=1,
        runner="playwright",
        cases=(
            CaseRecord(
                name="login › wrong password",
                suite="login.spec.ts",
                outcome="passed",
                flaky=True,
                duration_s=0.5,
                file="e2e/login.spec.ts",
                line=12,
                attempts=2,
                tries=(CaseTry(outcome="failed", duration_s=0.7, message="no"), CaseTry(outcome="passed")),
            ),
        ),
        left_out=3,
    ),
    BuildRecord(
        org_id="acme",
        app_version_id="shop v1.2",
        app_id="com.acme.shop",
        blob=BlobRef(digest=DIGEST, size=99),
        file_name="shop.zip",
        format="zip",
        uploaded_at=1_790_000_000.0,
    ),
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
    control.CancelRequest(
        id="r_01", also=("j_04",), by="ann", reason="wrong branch", nonce="n1", patient=True
    ),
    control.CtlAnswer(
        affected=("j_01",),
        already=("j_02",),
        gone=("j_03",),
        forgotten=2,
        refused=(control.Refusal(ids=("j_04",), message="There is no job or run j_04."),),
    ),
    control.Order(verb="retry", request='{"id":"r_01","by":"ann","nonce":"n1"}', at=1_790_000_000.0),
    rules.QueueRules(
        changed=True,
        pauses=(rules.PauseMark(org_id="acme", by="ann", at=1_790_000_000.0, note="the lab moves"),),
        orgs=(rules.OrgRule(org_id="acme", max_running=8, weight=2.0),),
    ),
    rules.PauseRequest(capability="emulator", by="ann", note="new images"),
    rules.ResumeRequest(capability="emulator", by="ann"),
    rules.LimitRequest(org_id="acme", by="ann", max_running=8),
    control.ReprioritiseRequest(id="r_01", priority=9, by="ann"),
    rules.PriorityMark(id="r_01", priority=9, by="ann", at=1_790_000_000.0),
    control.RetryRequest(id="r_01", by="ann", nonce="n3", failed=True),
    crons.CronPlan(
        schedule_id="c_01",
        org_id="acme",
        expression="0 30 5 * * 1-5",
        zone="Europe/Berlin",
        by="ann",
        created_at=1_790_000_000.0,
        name="nightly",
        jobs=(SPEC,),
    ),
    CRON_VIEW,
    crons.CronDelete(id="c_01", by="ann"),
    crons.CronList(org_id="acme"),
    crons.CronAnswer(schedules=(CRON_VIEW,)),
    lab.SlotsRequest(verb="reserve", name="lab-1/s0", by="ann", note="debugging", for_s=1800.0),
    lab.SlotsAnswer(slots=("lab-1/s0",), running={"lab-1/s0": "j_01"}, hold=HOLD),
    lab.BuildResumeRequest(org_id="acme", app_version_id="shop v1.2", by="ann"),
    lab.SlotHolds(holds=(HOLD,)),
    lab.HoldOrder(agent="lab-1", slot="s0", epoch=7, hold=HOLD),
    lab.LabHealth(
        slots=(
            lab.SlotTrouble(
                slot="lab-1/s0",
                jobs=(("j_01", "acme", "shop v1.2"),),
                times=1,
                since=1_790_000_000.0,
                until=1_790_000_060.0,
                why="3 jobs in a row met infrastructure errors here (last: install_failed)",
            ),
        ),
        builds=(
            lab.BuildTrouble(org_id="acme", app_version_id="shop v1.2", slots=("lab-1/s0",), jobs=("j_1",)),
        ),
    ),
    explain.ExplainRequest(job_id="j_01"),
    explain.ExplainAnswer(
        job_id="j_01",
        state="queued",
        summary="It waits: the organisation acme is paused.",
        group=GROUP,
        priority=9,
        waited_s=12.5,
        ahead=3,
        group_waiting=4,
        class_waiting=9,
        gates=(explain.Gate(kind="paused", why="the organisation acme is paused"),),
        slots=(
            explain.SlotsWhy(kind="busy", why="busy", count=1, slots=("lab-1/s0",), free_at=1_790_000_060.0),
        ),
        slots_total=1,
        changes=("Resume the queue: qgjob queue resume --org-id acme",),
        attempts=(
            explain.AttemptWhy(
                number=1, slot="lab-1/s0", because="the build is installed there", outcome="errored"
            ),
        ),
    ),
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
