"""Warns when a submit asks for what the lab does not have: a runner, a build for its platform."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from qgjob.errors import QgjobError

if TYPE_CHECKING:
    from bus_schemas.agents import Heartbeat, SlotStatus
    from qgjob.cli.display.output import Output
    from qgjob.client import Client, SubmitRequest

_WITHOUT_BUILDS: Final = frozenset({"process", "none"})
"""Drivers to which a version is a marker when no build was uploaded for it."""


async def warn_about_missing(client: Client, out: Output, request: SubmitRequest) -> None:
    """Warn on stderr of what the lab lacks for a request; nothing when that is uncertain.

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
            if warning := platform_mismatch(agents, request, others):
                out.warn(
                    f"Build {request.app_version_id} of {request.org_id} was uploaded for "
                    f"{', '.join(others)} alone, {warning}."
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
    if name == "auto" or not agents:
        return None
    known = sorted({runner for agent in agents for runner in agent.runners})
    if name in known:
        return None
    return f"No agent has a runner {name}: such jobs end in errors. There are: {', '.join(known)}."


def platform_mismatch(
    agents: Sequence[Heartbeat], request: SubmitRequest, platforms: Sequence[str]
) -> str | None:
    """Why jobs of a request do not get a build that is there for these platforms; None when they may."""
    if request.platform:
        return f"not for {request.platform}: these jobs do not get it"
    slots = _slots_for(agents, request)
    others = [slot for slot in slots if not set(platforms) & set(slot.labels)]
    if not others:
        return None
    share = f"{len(others)} of the {len(slots)} slots" if len(others) < len(slots) else "none of the slots"
    have = "have no such label" if len(others) < len(slots) else "has such a label"
    return f"and {share} for these jobs {have}: there they do not get it, unless --platform says which"


def installs_builds(agents: Sequence[Heartbeat], request: SubmitRequest) -> bool:
    """Whether there are slots for a request, and all of them install real builds."""
    drivers = {slot.driver for slot in _slots_for(agents, request)}
    return bool(drivers) and not drivers & _WITHOUT_BUILDS


def _slots_for(agents: Sequence[Heartbeat], request: SubmitRequest) -> list[SlotStatus]:
    """The slots that could run some of its jobs."""
    slots = [slot for agent in agents for slot in agent.slots]
    return [slot for slot in slots if any(labels <= set(slot.labels) for labels in request.label_sets)]
