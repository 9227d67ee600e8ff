"""What an operator should know of now: worked out from the store, the loudest first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from tui.draw.times import age, count
from tui.store.health import lows
from tui.store.lab import LOST_AFTER_S
from tui.store.store import waiting_of

if TYPE_CHECKING:
    from bus_schemas.requests import Overview
    from tui.store.lab import AgentRecord
    from tui.store.store import Store

AGED_S: Final = 3600.0
_NAMED: Final = 3

Level = Literal["bad", "warn"]


class Alert(NamedTuple):
    """One of them."""

    kind: str
    level: Level
    text: str
    about: tuple[str, ...] = ("",)
    """What it is about, as many as there are."""

    @property
    def keys(self) -> set[str]:
        """What stays the same while the reason does: of what was said once nothing is said again."""
        return {f"{self.kind} {one}" for one in self.about}


def alerts_of(store: Store) -> list[Alert]:
    """The alerts of this moment."""
    now = store.clock.monotonic()
    found: list[Alert] = []
    overview = store.overview
    agents = store.lab.agents()
    lost = [record.name for record in agents if record.state(now) == "lost"]
    if lost and store.link.heard_for(now) > LOST_AFTER_S:  # else it may be we who hear nothing
        found.append(
            Alert("lost", "bad", f"{_some(lost)} silent for more than {LOST_AFTER_S:g} s", tuple(lost))
        )
    bad = [
        f"{record.name}/{slot.name}"
        for record in agents
        for slot in record.beat.slots
        if record.slot_state(slot, now) == "quarantined"
    ]
    if bad:
        found.append(Alert("quarantine", "bad", f"{_some(bad)} in quarantine", tuple(bad)))
    found += _low(agents)
    if overview is None:
        return found
    builds = [f"{hold.app_version_id} of {hold.org_id}: {hold.why}" for hold in overview.builds_held]
    if builds:
        found.append(Alert("builds", "bad", f"held back: {_some(builds)}", tuple(builds)))
    if overview.dead_letters:
        dead = overview.dead_letters
        messages = "1 message" if dead == 1 else f"{count(dead)} messages"
        found.append(Alert("dead", "bad", f"{messages} could not be read"))
    if overview.waiting and agents and not overview.slots_busy + overview.slots_idle:
        wait = "1 job waits" if overview.waiting == 1 else f"{count(overview.waiting)} jobs wait"
        found.append(Alert("slots", "bad", f"{wait}, and no slot takes any"))
    elif not store.link.replay:  # in a replay nobody tells which labels slots have
        found += _unfit(agents, overview)
    for pause in overview.pauses:
        what = " of ".join(part for part in (pause.capability, pause.org_id) if part) or "the whole queue"
        note = f": {pause.note}" if pause.note else ""
        found.append(Alert("pause", "warn", f"{what} is paused by {pause.by}{note}", (what,)))
    if overview.oldest_wait_s is not None and overview.oldest_wait_s > AGED_S:
        found.append(Alert("aged", "warn", f"a job waits for {age(overview.oldest_wait_s)}"))
    return found


def _unfit(agents: list[AgentRecord], overview: Overview) -> list[Alert]:
    """Jobs that wait for what no slot has, whether busy, held or lost: for ever, as it looks."""
    from bus_schemas.jobs import labels_of

    slots = {frozenset(slot.labels) for record in agents for slot in record.beat.slots}
    waiting: dict[str, int] = {}
    for view in overview.groups:
        needs = labels_of(view.group.capability)
        if slots and waiting_of(view) and not any(needs <= labels for labels in slots):
            waiting[view.group.capability] = waiting.get(view.group.capability, 0) + waiting_of(view)
    if not waiting:
        return []
    total = sum(waiting.values())
    jobs = "1 job needs" if total == 1 else f"{count(total)} jobs need"
    return [Alert("unfit", "bad", f"{jobs} what no slot has: {_some(list(waiting))}", tuple(waiting))]


def _low(agents: list[AgentRecord]) -> list[Alert]:
    """Devices that will soon be no good for work."""
    found: dict[str, dict[str, str]] = {}
    for record in agents:
        for slot in record.beat.slots:
            for vital in lows(slot.health):
                name = f"{record.name}/{slot.name}"
                found.setdefault(vital.kind, {})[name] = f"{name} {vital.text}"
    return [
        Alert(f"low {kind}", "warn", f"low {kind}: {_some(list(texts.values()))}", tuple(texts))
        for kind, texts in sorted(found.items())
    ]


def _some(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
