"""A job's history takes no step that the lifecycle does not have, whatever comes late or twice."""

from __future__ import annotations

import random
from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from bus_schemas.events import (
    AnyEvent,
    Cancelling,
    Preparing,
    Released,
    Reprioritised,
    Retrying,
    Running,
    TakenOver,
)
from qgjob.domain.history import JobDoc, apply
from qgjob.domain.lifecycle import TERMINAL, WAITING, is_forward, is_legal
from tests.support.histories import BEGIN, Ids, ended, lives, queued, said, started

ONE = Ids()
RELEASED = Released(**said(ONE), group="g")
RUNNING = Running(**said(ONE), installed=True, install_s=2.0)


def after(events: Iterable[AnyEvent]) -> JobDoc:
    doc = None
    for seq, event in enumerate(events, 1):
        doc = apply(doc, event, seq, BEGIN) or doc
    assert doc is not None
    return doc


def facts(doc: JobDoc) -> tuple[object, ...]:
    return (doc.state, doc.attempt, doc.settled, doc.attempts, doc.flaky, doc.test, doc.not_before)


@given(lives(ONE, position=0, size=1), st.data())
def test_every_event_may_be_stored_again_after_itself(life: list[AnyEvent], data: st.DataObject) -> None:
    # Which holder began the test, a `running` does not say: after a takeover it cannot be told apart.
    if any(isinstance(event, TakenOver) for event in life):
        life = [event for event in life if not isinstance(event, Running)]
    twice: list[AnyEvent] = []
    for number, event in enumerate(life):
        twice.append(event)
        twice += [life[n] for n in data.draw(st.lists(st.integers(0, number), max_size=2))]
    assert facts(after(twice)) == facts(after(life))


@given(lives(ONE, position=0, size=1), st.randoms(use_true_random=False))
def test_only_steps_of_the_lifecycle_are_taken(life: list[AnyEvent], dice: random.Random) -> None:
    dice.shuffle(life)
    doc = None
    for seq, event in enumerate(life, 1):
        before = (doc.state, doc.attempt) if doc else None
        doc = apply(doc, event, seq, BEGIN) or doc
        assert doc is not None
        if before is None or before == (doc.state, doc.attempt):
            continue
        state, attempt = before
        assert state not in TERMINAL
        if attempt == doc.attempt and doc.state not in TERMINAL:
            retried = doc.settled and doc.state == "queued"
            announced = {state, doc.state} <= WAITING  # until then it stands there as queued
            assert retried or announced or is_forward(state, doc.state) or is_legal(state, doc.state)


def test_an_ended_job_lives_again_when_somebody_asked_for_it() -> None:
    by_itself = Retrying(**said(ONE), next_attempt=2, charged=True)
    asked = Retrying(**said(ONE), next_attempt=2, charged=False, by="ann", nonce="n")
    life = [queued(ONE), started(ONE), ended(ONE, state="failed")]
    assert after([*life, by_itself]).state == "failed"
    doc = after([*life, asked])
    assert (doc.state, doc.attempt, doc.ended_at, doc.reason) == ("queued", 2, None, None)
    doc = after([*life, asked, started(ONE, 2), ended(ONE, 2)])
    assert (doc.state, doc.attempt, doc.flaky, len(doc.attempts)) == ("passed", 2, True, 2)


def test_the_attempt_after_an_end_may_be_told_before_the_request_for_it() -> None:
    asked = Retrying(**said(ONE), next_attempt=2, charged=False, by="ann", nonce="n")
    life = [queued(ONE), started(ONE), ended(ONE, state="failed")]
    doc = after([*life, Released(**said(ONE, 2), group="g"), started(ONE, 2), asked])
    assert (doc.state, doc.attempt) == ("running", 2)
    assert after([*life, started(ONE, 2), ended(ONE, 2), asked]).state == "passed"


def test_a_priority_may_change_at_any_time() -> None:
    more = Reprioritised(**said(ONE), priority=9, by="ann")
    assert after([queued(ONE), more]).priority == 9
    doc = after([queued(ONE), started(ONE), ended(ONE), more])
    assert (doc.priority, doc.state) == (9, "passed")


def test_the_first_result_of_an_attempt_counts() -> None:
    doc = after([queued(ONE), started(ONE), ended(ONE, state="cancelled"), ended(ONE)])
    assert (doc.state, doc.attempts[1].outcome) == ("cancelled", "cancelled")
    doc = after([queued(ONE), ended(ONE, state="errored", final=False), ended(ONE)])
    assert (doc.state, doc.attempts[1].outcome) == ("queued", "errored")


def test_a_job_that_was_released_may_expire() -> None:
    assert after([queued(ONE), RELEASED, ended(ONE, state="expired", begun=False)]).state == "expired"


def test_what_is_told_late_is_no_step_back() -> None:
    late = Preparing(**said(ONE), step="install", message="installing")
    doc = after([queued(ONE), started(ONE, phase="preparing"), RUNNING, RELEASED, late])
    assert (doc.state, doc.message) == ("running", None)
    doc = after([queued(ONE), RUNNING, started(ONE, phase="preparing")])
    assert (doc.state, doc.attempts[1].running_at, doc.attempts[1].agent) == ("running", RUNNING.at, "lab-0")


def test_what_is_said_of_a_download_lasts_no_longer_than_that() -> None:
    begun: list[AnyEvent] = [queued(ONE), started(ONE, phase="preparing")]
    fetching = Preparing(**said(ONE), step="download", message="fetched 1.0 of 8.0 MiB (12 %)")
    installing = Preparing(**said(ONE), step="install")
    assert after([*begun, fetching]).message == fetching.message
    assert after([*begun, fetching, installing]).message is None
    assert after([*begun, fetching, RUNNING]).message is None
    cancelling = Cancelling(**said(ONE), by="ada", reason="enough")
    doc = after([*begun, fetching, cancelling, fetching, RUNNING])
    assert (doc.reason, doc.message) == ("cancelling", "enough")


def test_an_earlier_holder_says_nothing_of_a_later_one() -> None:
    taken = started(ONE, phase="preparing", takeovers=1)
    doc = after([queued(ONE), started(ONE), taken, started(ONE)])
    assert (doc.state, doc.attempts[1].agent) == ("preparing", "lab-1")
