"""How patient the placement policy is: hurried where first come, first served waits little, patient elsewhere."""

from __future__ import annotations

from dataclasses import fields

from hypothesis import given
from hypothesis import strategies as st

from qgjob.domain.placement.measures import Record
from qgjob.domain.placement.policy.terms import HURRIED, PATIENT, Terms, terms
from qgjob.domain.placement.shadow import Line

ROUND_S = 100.0


def record(waits_s: list[float], slots: int = 2) -> Record:
    """What is known after medium jobs waited so long with first come, first served."""
    line = Line(frozenset())
    for wait_s in waits_s:
        line.waits[1].add(wait_s)
    return Record(line, slots=slots)


def figures(found: Terms) -> list[float]:
    """All of its figures."""
    values: list[float | tuple[float, ...]] = [getattr(found, field.name) for field in fields(Terms)]
    return [x for value in values for x in (value if isinstance(value, tuple) else (value,))]


def test_jobs_that_usually_wait_for_long_get_patient_terms_and_those_that_do_not_hurried_ones() -> None:
    assert terms(record([20 * ROUND_S] * 100), ROUND_S, 0.0) == PATIENT
    assert terms(record([0.1 * ROUND_S] * 100), ROUND_S, 0.0) == HURRIED


def test_terms_are_patient_before_it_is_known_how_long_jobs_wait() -> None:
    assert terms(record([]), ROUND_S, 0.0) == PATIENT
    assert terms(record([0.0] * 3, slots=50), ROUND_S, 0.0) == PATIENT


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.integers(1, 300), st.integers(0, 3000))
def test_terms_lie_between_the_two_and_longer_waits_never_make_them_more_hurried(
    one_s: float, more_s: float, slots: int, number: int
) -> None:
    shorter, longer = (
        figures(terms(record([wait_s] * number, slots), ROUND_S, 0.0)) for wait_s in (one_s, one_s + more_s)
    )
    for hurried, patient, at_shorter, at_longer in zip(
        figures(HURRIED), figures(PATIENT), shorter, longer, strict=True
    ):
        low, high = sorted((hurried, patient))
        assert low - 1e-9 <= at_shorter <= high + 1e-9
        assert abs(at_longer - patient) <= abs(at_shorter - patient) + 1e-9
