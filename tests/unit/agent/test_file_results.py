from __future__ import annotations

from agent.reports.files import MAX_BYTES, file_results
from agent.runners.base import CaseResult, CaseStatus


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
