"""What the server denied, as a sentence: who may not do what. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bus_schemas import subjects
from bus_schemas.streams import BUILD_OBJECTS, BUILDS_BUCKET, BUNDLE_OBJECTS
from qgjob.errors import NotAllowedError

_USES: Final = (
    ("qg.jobs.", "submit runs"),
    (f"$O.{BUNDLE_OBJECTS}.", "submit runs"),
    (f"$JS.API.DIRECT.GET.OBJ_{BUNDLE_OBJECTS}", "submit runs"),
    (f"$O.{BUILD_OBJECTS}.", "upload builds"),
    (f"$KV.{BUILDS_BUCKET}.", "upload builds"),
    (subjects.QUERIES, "look at the lab"),
    (subjects.REQUESTS, "send control requests"),
)
"""What a person does that publishes there."""


@dataclass(frozen=True, slots=True)
class Denial:
    """A permission error of the server, which names the subject and not the request."""

    text: str
    user: str | None = None
    """As the server knows who we are: `user ci of account CI`."""

    def names(self, subject: str) -> bool:
        """Whether it is about that subject."""
        return f'"{subject.lower()}"' in self.text.lower()

    def of_publish(self, subject: str) -> NotAllowedError:
        """The error of who published there."""
        use = next((use for prefix, use in _USES if subject.startswith(prefix)), None)
        what = f"{use} (publish to {subject})" if use else f"publish to {subject}"
        return NotAllowedError(
            f"{capitalized(self.user or 'these credentials')} may not {what}.",
            hint="Ask for credentials of a role that may (docs/deploy.md).",
        )


def capitalized(user: str) -> str:
    """At the beginning of a sentence; names keep their letters."""
    return user[:1].upper() + user[1:]
