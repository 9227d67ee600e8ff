"""Identifies who runs an attempt: agent, slot and device."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Identity:
    """A slot of an agent, and its device."""

    agent: str
    slot: str
    device: str

    @property
    def name(self) -> str:
        """`agent/slot`, as the scheduler and people call it."""
        return f"{self.agent}/{self.slot}"
