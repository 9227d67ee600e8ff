"""The projection's position in which stream of events: the one key that makes all the rest valid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

LAYOUT: Final = "1"
"""Another layout of the keys means another number: what an older qgjob wrote is built anew."""

WIPING: Final = -1
"""The place while what an earlier build left behind is being removed."""


@dataclass(frozen=True, slots=True)
class StreamState:
    """A stream as the server describes it."""

    created: str
    """When it was made; another stream of the same name was made at another time."""
    messages: int
    last_seq: int


@dataclass(frozen=True, slots=True)
class Position:
    """How far a build of the projection is."""

    build: str
    """Made anew with each rebuild: who holds another one writes no more."""
    stream: str
    seq: int
    """Everything up to this place of the stream is contained."""
    at: float = 0.0
    """When the stream stored that message."""
    goal: int = 0
    """The end of the stream when the build began: before it is reached, lists are incomplete."""

    @property
    def rebuilding(self) -> bool:
        """Whether the build has not reached yet what was there when it began."""
        return self.seq < self.goal

    def fields(self) -> list[str]:
        """As the fields and values of a hash, in turn."""
        return [
            *("layout", LAYOUT),
            *("build", self.build),
            *("stream", self.stream),
            *("seq", str(self.seq)),
            *("at", repr(self.at)),
            *("goal", str(self.goal)),
        ]

    @classmethod
    def from_fields(cls, fields: Mapping[str, str]) -> Position | None:
        """Read the hash; None when there is none that this version can use."""
        if fields.get("layout") != LAYOUT:
            return None
        try:
            return cls(
                build=fields["build"],
                stream=fields["stream"],
                seq=int(fields["seq"]),
                at=float(fields["at"]),
                goal=int(fields["goal"]),
            )
        except (KeyError, ValueError):
            return None


def usable(position: Position | None, stream: StreamState) -> bool:
    """Whether a projection can be continued on a stream, rather than built anew."""
    return (
        position is not None
        and position.stream == stream.created
        and WIPING < position.seq <= stream.last_seq
    )
