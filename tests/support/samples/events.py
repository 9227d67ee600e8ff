"""What becomes of jobs."""

from __future__ import annotations

from typing import Any

from bus_schemas import events
from bus_schemas.artifacts import Artifact
from bus_schemas.base import Message
from bus_schemas.jobs import BlobRef
from tests.support.samples.jobs import DIGEST, JOB, SHARD

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

EVENTS: tuple[Message, ...] = (
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
)
