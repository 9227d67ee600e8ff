"""The commands that lift a pause or a hold, quoted for a shell."""

from __future__ import annotations

from shlex import quote


def resume_queue(org_id: str | None, capability: str | None) -> str:
    """The command that ends the pause of an organisation, a capability, both, or the whole queue."""
    return " ".join(["qgjob queue resume", *queue_options(org_id, capability)])


def queue_options(org_id: str | None, capability: str | None) -> list[str]:
    """The options that say of what part of the queue a command speaks; none: of all of it."""
    options = {"--org-id": org_id, "--capability": capability}
    return [f"{option} {quote(value)}" for option, value in options.items() if value]


def resume_build(org_id: str, app_version_id: str) -> str:
    """The command that lets a build be tried again that was held."""
    return f"qgjob app resume {quote(app_version_id)} --org-id {quote(org_id)}"
