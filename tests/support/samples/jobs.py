"""Jobs and what they are made of: runs, builds, the cases of a test."""

from __future__ import annotations

from bus_schemas.base import Message
from bus_schemas.builds import BuildRecord
from bus_schemas.cases import CaseRecord, CaseReport, CaseTry
from bus_schemas.jobs import BlobRef, JobMessage, JobSpec, RunMarker

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

JOBS: tuple[Message, ...] = (
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
)
