"""A word about a runner that no agent has: a typing error, or a lab that is not ready."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qgjob.errors import QgjobError

if TYPE_CHECKING:
    from qgjob.cli.output import Output
    from qgjob.client import Client


async def warn_of_runner(client: Client, out: Output, name: str) -> None:
    """Say so on stderr when no agent has runner `name`; nothing when that is not known for sure.

    A warning and no refusal: an agent that has it may come before the job expires.
    """
    if name == "auto":
        return
    try:
        agents = await client.agents()
    except QgjobError:
        return
    if not agents or any(not agent.runners for agent in agents):
        return  # an agent of an older release does not say
    known = sorted({runner for agent in agents for runner in agent.runners})
    if name not in known:
        out.note(f"No agent has a runner {name}: such jobs end in errors. There are: {', '.join(known)}.")
