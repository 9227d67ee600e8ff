"""What a job is, as far as the dashboard shows it: the same in every attempt."""

from __future__ import annotations

from sys import intern
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from bus_schemas.jobs import JobSpec
    from bus_schemas.queries import JobView


class Spec(NamedTuple):
    """What the job is; the same in every attempt."""

    app_version_id: str
    test: str
    title: str
    """The test, and what tells the job from others of it in its run."""
    position: int
    priority: int
    requires: tuple[str, ...]
    runner: str
    created_at: float


def spec_of(spec: JobSpec | JobView) -> Spec:
    """The part of a job's spec, or of its view, that the dashboard shows."""
    return Spec(
        intern(spec.app_version_id),
        intern(spec.test),
        intern(spec.title),
        spec.position,
        spec.priority,
        _interned(spec.requires),
        intern(spec.runner),
        spec.created_at,
    )


def _interned(labels: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(intern(label) for label in labels)
