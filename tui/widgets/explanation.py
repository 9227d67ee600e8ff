"""Why a job is where it is, in the scheduler's own words."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, Final

from tui.draw.clean import clean
from tui.draw.spans import Line, fit
from tui.draw.times import age, count, moment

if TYPE_CHECKING:
    from bus_schemas.explain import ExplainAnswer

_KIND: Final = 13
_INKS: Final = {"chosen": "good", "busy": "busy", "labels": "dim", "held": "bad", "out_of_order": "bad"}


def explanation(answer: ExplainAnswer, width: int) -> list[Line]:
    """The answer as lines: the sentence, what stands in the way, slot after slot, what would help."""
    lines: list[Line] = [*_text(answer.summary, width, "bold"), ()]
    facts: list[str] = []
    if answer.waited_s is not None:
        facts.append(f"has waited for {age(answer.waited_s)}")
    if answer.ahead is not None:
        ahead = f"{count(answer.ahead)} of its group before it"
        facts.append(ahead if answer.ahead else "the first of its group")
    if answer.urgent_waiting:
        facts.append(f"{count(answer.urgent_waiting)} more urgent jobs wait")
    if answer.starts_at is not None:
        facts.append(f"starts about {moment(answer.starts_at)}")
    if facts:
        lines += [*_text(" · ".join(facts), width, "dim"), ()]
    for gate in answer.gates:
        until = f" (until {moment(gate.until)})" if gate.until else ""
        lines += _text(f"{gate.kind.replace('_', ' ')}: {gate.why}{until}", width, "bad")
    if answer.slots:
        lines.append(((f"Slots: {count(answer.slots_total)}", "bold accent"),))
    for why in answer.slots:
        head = fit(f"{count(why.count):>5} {why.kind.replace('_', ' ')}", _KIND + 6)
        free = f" Free about {moment(why.free_at)}." if why.free_at else ""
        some = f" ({', '.join(why.slots[:4])}{', …' if why.count > 4 else ''})" if why.slots else ""
        said = _text(f"{why.why}{free}{some}", max(10, width - len(head)), "")
        for i, line in enumerate(said or [()]):
            lines.append(((head if not i else " " * len(head), _INKS.get(why.kind, "wait")), *line))
    for attempt in answer.attempts:
        parts = [attempt.slot or "", attempt.because or "", attempt.outcome or "", attempt.why or ""]
        lines += _text(f"#{attempt.number} " + " · ".join(p for p in parts if p), width, "dim")
    if answer.changes:
        lines += [(), (("What would help", "bold accent"),)]
        for change in answer.changes:
            lines += _text(f"• {change}", width, "good")
    return lines


def _text(text: str, width: int, ink: str) -> list[Line]:
    return [((part, ink),) for part in wrap(clean(text), max(10, width))]
