from __future__ import annotations

from dataclasses import replace

import pytest

from bus_schemas.jobs import BlobRef
from qgjob.client.models import SubmitRequest
from qgjob.client.submitting.publish_run import cut
from qgjob.client.submitting.submit import digest_of, make_specs
from qgjob.errors import NoTestsError, RefusedError, UsageError

REQUEST = SubmitRequest(org_id="acme", app_version_id="v1", tests=("a.py", "b.py"), run_key="k")


def digest(request: SubmitRequest, now: float = 1.0) -> str:
    return digest_of(make_specs(request, now))


def test_a_repeated_submit_has_the_same_ids_and_digest_at_another_time():
    first, again = make_specs(REQUEST, 1.0), make_specs(REQUEST, 99.5)
    assert [spec.job_id for spec in first] == [spec.job_id for spec in again]
    assert first[0].run_id == again[0].run_id
    assert digest_of(first) == digest_of(again)


def test_a_repeated_step_that_finds_its_own_reports_in_the_bundle_is_the_same_submit():
    bundle = BlobRef(digest="0" * 64, size=1)
    other = BlobRef(digest="1" * 64, size=22)
    assert digest(replace(REQUEST, bundle=bundle)) == digest(replace(REQUEST, bundle=other))


@pytest.mark.parametrize(
    "change",
    [
        {"tests": ("b.py", "a.py")},
        {"tests": ("a.py",)},
        {"app_version_id": "v2"},
        {"priority": 6},
        {"target": "device"},
        {"requires": ("gpu",)},
        {"runner": "pytest"},
        {"argv": ("x",)},
        {"env": {"A": "1"}},
        {"timeout_s": 60.0},
        {"retries": 1},
        {"expires_s": 60.0},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_the_jobs_are_is_in_the_digest(change: dict[str, object]):
    assert digest(replace(REQUEST, **change)) != digest(REQUEST)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("runner", "tests", "argv", "refused"),
    [
        ("command", ("a.py", "b.py"), (), True),
        ("command", ("a.py", "b.py"), ("run", "x{test}"), True),
        ("command", ("a.py", "b.py"), ("run", "{test}"), False),
        ("command", ("a.py",), (), False),
        ("auto", ("a.sh", "b.sh"), (), True),
        ("auto", ("test_a.py", "test_b.py"), (), False),
        ("pytest", ("a.sh", "b.sh"), (), False),
    ],
)
def test_a_command_that_could_take_one_file_of_a_shard_is_refused_before_anything_runs(
    runner: str, tests: tuple[str, ...], argv: tuple[str, ...], refused: bool
):
    request = replace(REQUEST, runner=runner, tests=tests, argv=argv, shards=1)
    if refused:
        with pytest.raises(UsageError, match="takes one"):
            make_specs(request, 1.0)
    else:
        assert len(make_specs(request, 1.0)) == 1


def test_without_a_key_every_submit_is_another_run():
    request = replace(REQUEST, run_key=None)
    assert make_specs(request, 1.0)[0].run_id != make_specs(request, 1.0)[0].run_id


def test_the_target_is_among_the_required_labels_once():
    (spec,) = make_specs(replace(REQUEST, tests=("a",), target="device", requires=("x", "device", "a")), 1.0)
    assert spec.requires == ("a", "device", "x")


@pytest.mark.parametrize(
    "wrong",
    [
        {"org_id": ""},
        {"org_id": "a\x00b"},
        {"app_version_id": "x" * 257},
        {"run_key": "a\nb"},
        {"tests": ("",)},
        {"priority": 11},
    ],
)
def test_wrong_values_are_usage_errors(wrong: dict[str, object]):
    with pytest.raises(UsageError):
        make_specs(replace(REQUEST, **wrong), 1.0)  # pyright: ignore[reportArgumentType]


def test_no_tests_and_too_many_tests():
    with pytest.raises(NoTestsError):
        make_specs(replace(REQUEST, tests=()), 1.0)
    with pytest.raises(RefusedError):
        make_specs(replace(REQUEST, tests=["a"] * 100_001), 1.0)


def test_batches_are_cut_at_the_same_places_whatever_the_time_and_the_bundle():
    request = replace(REQUEST, tests=[f"{i}.py" for i in range(1300)], env={"A": "x" * 20_000})
    one = cut(make_specs(request, 1.0))
    other = cut(
        make_specs(replace(request, bundle=BlobRef(digest="a" * 64, size=10**9)), 1_700_000_000.123456)
    )
    assert [len(part) for part in one] == [len(part) for part in other]
    assert [spec.job_id for part in one for spec in part] == [
        spec.job_id for spec in make_specs(request, 1.0)
    ]


def test_a_batch_stays_below_the_limits_with_both_markers():
    parts = cut(make_specs(replace(REQUEST, tests=[f"{i}.py" for i in range(1700)]), 1.0))
    assert [len(part) for part in parts] == [498, 498, 498, 206]


def test_a_job_may_not_require_more_labels_than_name_a_group():
    labels = tuple(f"label-{number}" for number in range(32))
    assert len(make_specs(replace(REQUEST, requires=labels), 1.0)[0].requires) == 32
    with pytest.raises(UsageError, match="at most 32 labels, not 33"):
        make_specs(replace(REQUEST, requires=labels, target="device"), 1.0)


@pytest.mark.parametrize("test", ["/etc/passwd", "../t.py", "a/../../t.py", "a\0b"])
def test_a_test_that_leads_out_of_its_bundle_is_refused(test: str):
    with pytest.raises(UsageError, match="leads out of its bundle"):
        make_specs(replace(REQUEST, tests=("t.py", test)), 1.0)
