"""Words about what a submit asks for and the lab does not have: a runner, a build for its platform."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from qgjob.errors import QgjobError

if TYPE_CHECKING:
    from bus_schemas.agents import Heartbeat
    from qgjob.cli.output import Output
    from qgjob.client import Client, SubmitRequest

_WITHOUT_BUILDS: Final = frozenset({"process", "none"})
"""Drivers to which a version is a marker when no build was uploaded for it."""


async def warn_of_what_lacks(client: Client, out: Output, request: SubmitRequest) -> None:
    """Say on stderr what the lab lacks for a request; nothing when that is not known for sure.

    A warning and no refusal: it may come before the jobs expire.
    """
    try:
        agents = await client.agents()
        if text := missing_runner(agents, request.runner):
            out.warn(text)
        if await client.build(request.org_id, request.app_version_id, request.platform) is not None:
            return
        builds = await client.builds(org_id=request.org_id)
        others = sorted({b.platform or "" for b in builds if b.app_version_id == request.app_version_id})
        if others:
            meant = f"not for {request.platform}" if request.platform else "so say which with --platform"
            out.warn(
                f"Build {request.app_version_id} of {request.org_id} was uploaded for {', '.join(others)} "
                f"alone, {meant}: these jobs do not get it."
            )
        elif installs_builds(agents, request):
            out.warn(
                f"There is no build {request.app_version_id} of {request.org_id}, and devices need one: "
                "such jobs end in errors. Give it with --app FILE."
            )
    except QgjobError:
        return


def missing_runner(agents: Sequence[Heartbeat], name: str) -> str | None:
    """What to say of a runner that no agent has; None when there is nothing to say."""
    if name == "auto" or not agents or any(not agent.runners for agent in agents):
        return None  # an agent of an older release does not say
    known = sorted({runner for agent in agents for runner in agent.runners})
    if name in known:
        return None
    return f"No agent has a runner {name}: such jobs end in errors. There are: {', '.join(known)}."


def installs_builds(agents: Sequence[Heartbeat], request: SubmitRequest) -> bool:
    """Whether there are slots for a request, and all of them install real builds."""
    needed = {*request.requires, *([request.target] if request.target else [])}
    drivers = {slot.driver for agent in agents for slot in agent.slots if needed <= set(slot.labels)}
    return bool(drivers) and not drivers & _WITHOUT_BUILDS
