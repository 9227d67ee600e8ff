"""From attempts to stretches of time, and from those to characters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qgjob.demo.drawing import Palette, cell_seconds, chart
from qgjob.demo.spans import Cell, Span, spans_of, timeline
from tests.unit.demo.things import World


def test_an_attempt_is_its_install_and_its_test() -> None:
    world = World()
    world.end_all()
    slot = "l/s-v2"
    assert [span for span in spans_of(world.jobs, 999.0) if span.slot == slot] == [
        Span(slot, "v2", "install", 101.0, 102.0),
        Span(slot, "v2", "test", 102.0, 104.0),
        Span(slot, "v2", "test", 104.0, 106.0, failed=True),
    ]


def test_what_goes_on_ends_now() -> None:
    world = World()
    world.start(world.jobs[0], "s0", 101.0)
    assert spans_of(world.jobs, 103.0) == [Span("l/s0", "v1", "install", 101.0, 103.0)]
    world.run(world.jobs[0], 103.0, install_s=2.0)
    assert spans_of(world.jobs, 104.0)[-1] == Span("l/s0", "v1", "test", 103.0, 104.0)


def test_preparing_on_a_slot_that_holds_the_build_is_no_install() -> None:
    world = World()
    world.end(world.jobs[0], "s0", 101.0, 103.0, "passed", install_s=1.0)
    world.start(world.jobs[2], "s0", 103.0)
    assert [span.kind for span in spans_of(world.jobs, 104.0)] == ["install", "test", "test"]


def test_characters() -> None:
    spans = [
        Span("s", "a", "install", 0.0, 2.0),
        Span("s", "a", "test", 2.0, 3.9),
        Span("s", "a", "test", 3.9, 4.0, failed=True),
        Span("s", "b", "test", 5.0, 5.4),
    ]
    cells = timeline(spans, 0.0, 1.0, 20)
    assert cells == [
        Cell("a", installing=True, failed=False),
        Cell("a", installing=True, failed=False),
        Cell("a", installing=False, failed=False),
        Cell("a", installing=False, failed=False),
        Cell("a", installing=False, failed=True),
    ]


spans_in_turn = st.lists(
    st.tuples(st.floats(0, 3), st.floats(0.01, 3), st.sampled_from("ab"), st.booleans()), max_size=20
)


@given(spans_in_turn, st.integers(1, 50), st.floats(0.1, 5))
def test_never_wider_than_asked_and_all_failures_shown(
    parts: list[tuple[float, float, str, bool]], width: int, per_cell_s: float
) -> None:
    spans: list[Span] = []
    at = 0.0
    for pause, length, version, failed in parts:
        spans.append(Span("s", version, "test", at + pause, at + pause + length, failed))
        at += pause + length
    cells = timeline(spans, 0.0, per_cell_s, width)
    assert len(cells) <= width
    for span in spans:
        place = int(span.ended / per_cell_s)
        if span.failed and place < width:
            cell = cells[place]
            assert cell is not None
            assert cell.failed


@pytest.mark.parametrize(("seconds", "width", "step"), [(10, 100, 0.1), (24, 94, 0.5), (3000, 20, 150.0)])
def test_the_scale_fits(seconds: float, width: int, step: float) -> None:
    assert cell_seconds(seconds, width) == step


def test_a_chart_without_colours_says_all_in_letters() -> None:
    world = World()
    world.end_all()
    spans = spans_of(world.jobs, 999.0)
    palette = Palette(world.plan.versions, colour=False)
    drawn = chart("title", spans, palette, began=101.0, per_cell_s=1.0, width=40)
    assert drawn.plain.splitlines() == ["title", "   1 Aaaaa", "   2 Bbbbb!"]
    assert not [span for span in drawn.spans if "bold" in str(span.style)]
    assert "A installing" in palette.legend().plain


def test_a_chart_with_colours_has_one_for_each_build() -> None:
    palette = Palette(("v1", "v2"), colour=True)
    assert palette.style("v1") != palette.style("v2")
    assert palette.glyph(Cell("v1", installing=False, failed=True))[0] == "✗"
