"""The reasons why a slot takes no more work; each party that holds it has one at a time."""

from __future__ import annotations

from typing import Final

from bus_schemas.agents import SlotState
from bus_schemas.holds import SlotHold

DEVICE: Final = "device"
"""Holds a slot whose device is away or unwell."""
SKEW: Final = "version"
"""Holds a slot whose agent is too old for what it is sent."""
_ORDERED: Final = "operator"
_BY_SEVERITY: Final[tuple[SlotState, ...]] = ("lost", "quarantined", "reserved", "paused", "draining")
"""Which of several reasons for not working is shown."""


class Holding:
    """The reasons of one slot. Methods return True when they changed something."""

    def __init__(self) -> None:
        self._reasons: dict[str, tuple[SlotState, str]] = {}
        self.operator_hold: SlotHold | None = None
        """By operators, or the scheduler."""

    def __bool__(self) -> bool:
        """Whether anybody holds it."""
        return bool(self._reasons)

    def hold(self, by: str, state: SlotState, note: str) -> bool:
        """Set the reason of `by` (`device`, `version`)."""
        if self._reasons.get(by) == (state, note):
            return False
        self._reasons[by] = (state, note)
        return True

    def release(self, by: str) -> bool:
        """Remove the reason of `by`; others may remain."""
        return self._reasons.pop(by, None) is not None

    def set_operator_hold(self, hold: SlotHold | None) -> None:
        """Set or clear the hold that operators or the scheduler ordered."""
        self.operator_hold = hold
        if hold is None:
            self._reasons.pop(_ORDERED, None)
        else:
            self._reasons[_ORDERED] = (hold.kind, hold.note or f"{hold.kind} by {hold.by}")

    @property
    def state(self) -> SlotState:
        """The most serious state among the reasons; `idle` without any."""
        held = {state for state, _ in self._reasons.values()}
        for state in _BY_SEVERITY:
            if state in held:
                return state
        return "idle"

    @property
    def note(self) -> str | None:
        """All reasons, the most serious first."""
        reasons = sorted(self._reasons.values(), key=lambda held: _BY_SEVERITY.index(held[0]))
        return "; ".join(note for _, note in reasons)[:4000] or None
