from __future__ import annotations

from agent.config.settings import ArtifactLimits
from agent.reports.files import MAX_BYTES, file_results
from agent.runners.base import CaseResult, CaseStatus
from bus_schemas.artifacts import MAX_NAME_BYTES, Artifact
from bus_schemas.events import Attempt, Ended, FileResult
from bus_schemas.jobs import BlobRef
from bus_schemas.streams import JOB_ROOM_BYTES


def case(
    file: str | None, status: CaseStatus = CaseStatus.PASSED, seconds: float = 1.0, *, flaky: bool = False
) -> CaseResult:
    return CaseResult(class_name="", name="n", status=status, duration_s=seconds, file=file, flaky=flaky)


def test_a_file_is_what_its_cases_are():
    files = ["e2e/a.spec.ts", "e2e/b.spec.ts", "unit/b.spec.ts", "e2e/c.spec.ts"]
    found, left_out = file_results(
        [
            case("e2e/a.spec.ts", seconds=2.0),
            case("a.spec.ts", CaseStatus.FAILED),  # as named from the configuration's folder
            case("/tmp/x/e2e/b.spec.ts", flaky=True),
            case("b.spec.ts", CaseStatus.FAILED),  # which of the two is not known
            case("./e2e/c.spec.ts", CaseStatus.SKIPPED, 0.0),
            case("other.ts"),
            case(None),
        ],
        files,
    )
    assert [(r.file, r.outcome, r.duration_s, r.flaky) for r in found] == [
        ("e2e/a.spec.ts", "failed", 3.0, False),
        ("e2e/b.spec.ts", "passed", 1.0, True),
        ("e2e/c.spec.ts", "skipped", 0.0, False),
    ]
    assert left_out == 0


def test_what_takes_longest_is_kept_when_not_all_fit():
    files = [f"tests/{'x' * 100}{n}.py" for n in range(1000)]
    found, left_out = file_results([case(file, seconds=n) for n, file in enumerate(files)], files)
    assert found[0].file == files[-1]
    assert len(found) + left_out == 1000
    assert 100 < len(found) < 1000
    assert sum(len(result.model_dump_json()) for result in found) < MAX_BYTES * 1.1


def test_a_report_that_lies_about_durations_is_no_error() -> None:
    ((found,), _) = file_results([case("a.py", seconds=9e8), case("a.py", seconds=9e8)], ["a.py"])
    assert 0 < found.duration_s < 1e9


def test_the_largest_end_fits_beside_the_largest_job() -> None:
    """Else its end could not be stored, and the job would run again and again."""
    files = tuple(
        FileResult(file="é" * 500, outcome="failed", duration_s=12345.678) for _ in range(MAX_BYTES // 1070)
    )
    blob = BlobRef(digest="0" * 64, size=10**8)
    artifacts = tuple(
        Artifact(name=f"{number:0{MAX_NAME_BYTES}d}", blob=blob) for number in range(ArtifactLimits().count)
    )
    ended = Ended(
        org_id="é" * 256,
        run_id="r" * 256,
        job_id="j" * 256,
        attempt=1,
        at=1e9,
        nonce="n" * 16,
        state="errored",
        result=Attempt(
            number=1,
            agent="a" * 100,
            slot="s" * 256,
            device="d" * 256,
            finished_at=1e9,
            outcome="errored",
            message="\x01" * 4000,
            files=files,
            artifacts=artifacts,
        ),
        app_version_id="é" * 256,
        test="é" * 1024,
    )
    assert len(ended.encode()) < JOB_ROOM_BYTES
