"""Narrows the overview to one organisation's or one capability's work."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bus_schemas.queries import Overview


def filtered_overview(overview: Overview, org_id: str | None, capability: str | None) -> Overview:
    """The groups that were chosen, and the pauses, limits and held builds that concern them.

    Counts stay those of the whole queue.
    """
    if org_id is None and capability is None:
        return overview

    def matches(org: str | None, labels: str | None = None) -> bool:
        """Whether something of this organisation and capability, None for any, concerns what was chosen."""
        return (None in (org, org_id) or org == org_id) and (
            None in (labels, capability) or labels == capability
        )

    groups = tuple(g for g in overview.groups if matches(g.group.org_id, g.group.capability))
    return overview.model_copy(
        update={
            "groups": groups,
            "groups_total": overview.groups_total - len(overview.groups) + len(groups),
            "pauses": tuple(pause for pause in overview.pauses if matches(pause.org_id, pause.capability)),
            "builds_held": tuple(build for build in overview.builds_held if matches(build.org_id)),
            "orgs": tuple(org for org in overview.orgs if matches(org.org_id)),
        }
    )
