"""`qgjob queue status` of one organisation or capability."""

from __future__ import annotations

from bus_schemas.agents import GroupRef
from bus_schemas.queries import GroupView, OrgView, Overview, PauseView
from qgjob.cli.display.filtered_overview import filtered_overview


def group(org_id: str, capability: str) -> GroupView:
    return GroupView(group=GroupRef(org_id=org_id, capability=capability, app_version_id="v1"), waiting=1)


def pause(org_id: str | None, capability: str | None) -> PauseView:
    return PauseView(org_id=org_id, capability=capability, by="ann", at=1.0)


GROUPS = (group("acme", "any"), group("acme", "emulator"), group("other", "emulator"))
PAUSES = (pause(None, None), pause("acme", None), pause("other", None), pause(None, "emulator"))
ALL = Overview(
    at=1.0,
    waiting=5,
    groups=GROUPS,
    groups_total=5,
    pauses=PAUSES,
    orgs=(OrgView(org_id="acme", running=0), OrgView(org_id="other", running=0)),
)


def test_without_a_choice_all_of_it_is_shown() -> None:
    assert filtered_overview(ALL, None, None) is ALL


def test_what_concerns_an_organisation_or_a_capability_is_left() -> None:
    acme = filtered_overview(ALL, "acme", None)
    assert (acme.groups, acme.groups_total) == (GROUPS[:2], 4)
    assert acme.pauses == (PAUSES[0], PAUSES[1], PAUSES[3])
    assert [org.org_id for org in acme.orgs] == ["acme"]
    emulators = filtered_overview(ALL, None, "emulator")
    assert emulators.groups == GROUPS[1:]
    assert emulators.pauses == PAUSES
    assert filtered_overview(ALL, "acme", "any").pauses == PAUSES[:2]
    assert filtered_overview(ALL, "nobody", None).groups == ()
    assert filtered_overview(ALL, "acme", None).waiting == 5
