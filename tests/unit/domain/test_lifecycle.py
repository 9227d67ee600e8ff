"""The lifecycle table: what it allows, and that nothing else happens."""

from __future__ import annotations

from typing import get_args

import pytest

from bus_schemas.events import EndState
from bus_schemas.queries import JobState
from qgjob.domain.lifecycle import LIFECYCLE, STATES, TERMINAL, is_forward, is_legal, mermaid


def test_the_table_and_the_schemas_name_the_same_states() -> None:
    assert get_args(JobState) == STATES
    assert set(get_args(EndState)) == TERMINAL


def test_onwards_is_one_way() -> None:
    assert is_forward("scheduled", "passed")
    assert not any(is_forward(b, a) and is_forward(a, b) for a in STATES for b in STATES)


def test_only_a_request_leaves_an_end() -> None:
    left = {step.before: (step.after, step.again) for step in LIFECYCLE if step.before in TERMINAL}
    assert left == dict.fromkeys(TERMINAL, ("queued", "request"))


def test_every_state_can_be_reached_and_left_towards_an_end() -> None:
    reached = {step.after for step in LIFECYCLE}
    assert reached == set(STATES)
    towards = set(TERMINAL)
    while True:
        more = {step.before for step in LIFECYCLE if step.after in towards and step.before} - towards
        if not more:
            break
        towards |= more
    assert towards == set(STATES)


def test_no_step_stands_twice() -> None:
    steps = [(step.before, step.after) for step in LIFECYCLE]
    assert len(steps) == len(set(steps))


@pytest.mark.parametrize("after", [state for state in STATES if state != "queued"])
def test_what_has_passed_is_only_queued_again(after: JobState) -> None:
    assert is_legal("passed", "queued")
    assert not is_legal("passed", after)


def test_the_diagram_names_every_step() -> None:
    drawn = mermaid()
    assert drawn.count(" --> ") == len(LIFECYCLE) + len(TERMINAL)


def test_the_page_in_the_docs_is_written_from_the_table() -> None:
    from scripts.lifecycle_doc import DOC, text

    assert DOC.read_text() == text(), "run `make docs`"


def test_the_picture_in_the_docs_is_drawn_from_the_table() -> None:
    from scripts.lifecycle_svg import DOC, text

    assert DOC.read_text() == text(), "run `make docs`"
    assert text().count('class="state ') == len(STATES)
