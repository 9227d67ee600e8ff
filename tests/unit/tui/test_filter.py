"""Filters: what they let through, and what they say of nonsense."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.store.attempt import End
from tui.store.filter import FilterError, parse_filter
from tui.store.job import Job
from tui.store.spec import Spec


def job(**more: object) -> Job:
    made = Job("j_1", "acme", "r_1")
    made.spec = Spec(
        "v1.2.0",
        "tests/login/test_login.py",
        "tests/login/test_login.py [#2]",
        0,
        8,
        ("android-14", "emulator"),
        "pytest",
        1.0,
    )
    made.state = "failed"
    made.agent, made.slot = "lab-1", "s0"
    made.reason = "exit_code"
    for name, value in more.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize(
    "text",
    [
        "",
        "login",
        "LOGIN v1.2",
        "lab-1/s0",
        "state:failed",
        "state:bad",
        "state:ended",
        "s:fail",
        "state:passed,failed",
        "org:acme app:v1*",
        "build:v1.2.0",
        "test:login",
        "test:*login.py",
        "agent:lab-1 slot:lab-1/s0",
        "priority:8",
        "priority:>=8 priority:<9",
        "prio:high",
        "needs:emulator",
        "runner:pytest",
        "job:j_1 run:r_1",
        "-org:globex",
        "!state:passed",
        "-nothing",
        '"tests/login/"',
        "reason:exit",
        "tests/login/test_login.py::test_x"[:25],
    ],
)
def test_matches(text: str) -> None:
    assert parse_filter(text).matches(job())


@pytest.mark.parametrize(
    "text",
    [
        "logout",
        "state:passed",
        "state:active",
        "org:acm",
        "build:v1",
        "build:v2*",
        "-login",
        "-state:failed",
        "priority:<8",
        "priority:low",
        "login state:passed",
        "is:flaky",
    ],
)
def test_does_not_match(text: str) -> None:
    assert not parse_filter(text).matches(job())


def test_states_of_their_own() -> None:
    assert parse_filter("is:flaky").matches(job(state="passed", flaky=True))
    assert parse_filter("is:retried").matches(job(attempt=2))
    assert parse_filter("state:waiting").matches(job(state="queued"))
    assert parse_filter("state:active").matches(job(state="dispatched"))


def test_a_job_that_is_tried_again_is_found_by_the_slots_where_it_was() -> None:
    again = job(attempt=2, state="queued", agent="", slot="")
    again.get_attempt(1).merge_end(End(final=False, state="errored", at=5.0, agent="lab-2", slot="s1"))
    for text in ("slot:lab-2/s1", "agent:lab-2", "slot:lab-*"):
        assert parse_filter(text).matches(again), text
    assert not parse_filter("slot:lab-1/s0").matches(again)


@pytest.mark.parametrize(
    "text", ["colour:red", "state:purple", "priority:urgent", "is:nice", "state:failed,x"]
)
def test_nonsense_is_refused_with_what_there_is(text: str) -> None:
    with pytest.raises(FilterError, match=r"state|priority|flaky|failed|org"):
        parse_filter(text)


@pytest.mark.parametrize("text", ["state:", "priority:", "priority:>", "priority:hi", 'org:"ac'])
def test_a_filter_that_is_still_being_typed_is_none_yet(text: str) -> None:
    assert parse_filter(text).matches(job(state="failed"))
    assert parse_filter(text).matches(job(state="queued"))


def test_a_list_that_is_still_being_typed_is_what_it_has() -> None:
    assert parse_filter("state:failed,").matches(job(state="failed"))
    assert not parse_filter("state:failed,").matches(job(state="queued"))


def test_a_job_of_which_nothing_is_known_can_be_filtered() -> None:
    bare = Job("j_9", "acme", "r_9")
    assert parse_filter("j_9 org:acme").matches(bare)
    assert not parse_filter("build:v1 priority:5 needs:x runner:y").matches(bare)


@given(st.text())
def test_any_text_is_a_filter_or_an_error_with_a_sentence(text: str) -> None:
    try:
        wanted = parse_filter(text)
    except FilterError as error:
        said = str(error)
    else:
        said = str(wanted.matches(job()))
    assert said


@pytest.mark.parametrize(("text", "kept"), [("job:j_1", 0), ("login", 2000), ("test:x", 2000)])
def test_a_filter_that_stays_for_days_keeps_little_of_the_jobs_that_went_by(
    text: str, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui.store.filter.MAX_VERDICTS", 2000)

    def new(number: int) -> Job:
        made = job()
        made.job_id = f"j_{number:026d}"
        made.spec = (
            made.spec._replace(test=f"test_{number:026d}", title=f"test_{number:026d}") if made.spec else None
        )
        return made

    matches = parse_filter(text).matches
    matches(new(0))
    tracemalloc.start()
    try:
        for number in range(3 * 2000):
            matches(new(number))
        left, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert left < 300_000 + 250 * kept
