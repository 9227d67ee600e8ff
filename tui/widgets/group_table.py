"""The groups: jobs of one build that need the same labels, and what works on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from tui.draw.bars import rule
from tui.draw.spans import Line, fit
from tui.draw.times import age, count, short_count
from tui.store.store import Store
from tui.store.troubles import unfit
from tui.widgets.columns import Column, ListIds
from tui.widgets.table import LineTable

if TYPE_CHECKING:
    from bus_schemas.queries import GroupView

_COLUMNS = (
    Column("build", "BUILD", 9, share=3),
    Column("org", "ORG", 6, share=1, spare=1),
    Column("needs", "NEEDS", 8, share=3, spare=4),
    Column("waiting", "WAITING", 10, share=2),
    Column("running", "RUN", 3, right=True),
    Column("slots", "SLOTS", 5, share=1),
    Column("installs", "INST", 4, right=True, spare=5),
    Column("oldest", "OLDEST", 6, right=True, spare=3),
    Column("end", "ENDS IN", 7, right=True, spare=2),
)
_NUMBER = 5


class GroupTable(LineTable):
    """Groups, the one with most to do first."""

    columns: ClassVar[tuple[Column, ...]] = _COLUMNS

    def __init__(self, store: Store, widget_id: str) -> None:
        super().__init__(widget_id)
        self._store = store
        self._groups: dict[str, GroupView] = {}
        self._most = 0
        self._unfit: Mapping[str, int] = {}
        """What is needed and no slot has."""

    def group(self, row_id: str) -> GroupView | None:
        """The group of a row."""
        return self._groups.get(row_id)

    def sync(self) -> None:
        """Take the groups of the latest overview, and repaint what differs."""
        overview, now = self._store.overview, self._store.clock.monotonic()
        groups = overview.groups if overview else ()
        self._groups = {_row_id(g): g for g in groups}
        self.rows = ListIds(list(self._groups))
        told = overview is not None and not self._store.link.replay  # a tape does not tell of labels
        self._unfit = unfit(self._store.lab.present(now), overview) if overview and told else {}
        self._most = max((g.waiting_jobs for g in groups), default=0)
        total = overview.groups_total if overview else 0
        text = f"{count(len(groups))} of {count(total)}" if total > len(groups) else count(len(groups))
        self.say("3 Groups", text + self._store.link.age_suffix(now))
        super().sync()

    def empty(self) -> tuple[str, str]:
        """Why there are no rows."""
        return ("Nothing waits or runs.", "") if self._store.overview else ("", "")

    def cells(self, row_id: str, widths: Sequence[tuple[Column, int]]) -> Sequence[Line]:
        """A group."""
        group = self._groups[row_id]
        return [self._cell(group, column.key, width) for column, width in widths]

    def _kept(self, view: GroupView) -> str:
        """What keeps all of a group that waits from starting, in a word."""
        from bus_schemas.jobs import labels_of

        overview, group = self._store.overview, view.group
        if overview is None or not view.waiting_jobs:
            return ""
        for hold in overview.builds_held:
            if (hold.org_id, hold.app_version_id) == (group.org_id, group.app_version_id):
                return "held"
        for pause in overview.pauses:
            needs = None if pause.capability is None else labels_of(pause.capability)
            of_org = pause.org_id in {None, group.org_id}
            mine = labels_of(group.capability)
            if of_org and (needs is None or (needs <= mine if needs else not mine)):
                return "paused"
        return "no slot" if group.capability in self._unfit else ""

    def _cell(self, view: GroupView, key: str, width: int) -> Line:
        match key:
            case "build":
                return ((fit(view.group.app_version_id, width, keep_both=True), "bold"),)
            case "org":
                return ((fit(view.group.org_id, width), "dim"),)
            case "needs":
                return ((fit(view.group.capability, width), "dim"),)
            case "waiting":
                waiting = view.waiting_jobs
                number = fit(short_count(waiting), _NUMBER - 1, right=True) + " "
                room = width - _NUMBER
                drawn = rule(waiting, self._most, room)
                ahead = rule(waiting - view.waiting, self._most, room).replace("╸", "━")[: len(drawn)]
                return (
                    (number, "" if waiting else "dim"),
                    (ahead, "next"),
                    (fit(drawn[len(ahead) :], room - len(ahead)), "wait"),
                )
            case "running":
                return ((fit(short_count(view.running), width, right=True), _if(view.running, "busy")),)
            case "slots":
                slots = len(view.slots)
                text = "■" * slots if slots <= width else f"■×{short_count(slots)}"
                return ((fit(text, width), "busy"),)
            case "installs":
                return ((fit(short_count(view.installs), width, right=True), _if(view.installs, "prep")),)
            case "end" if kept := self._kept(view):
                return ((fit(kept, width, right=True), "bad" if kept == "no slot" else "prep"),)
            case "end":
                at_work = view.running or view.waiting_jobs
                if self._store.link.age_suffix(self._store.clock.monotonic()):
                    at_work = 0  # what was expected then says nothing of now
                end = view.expected_end if at_work else None
                text = "" if end is None else f"~{age(max(0.0, end - self._store.clock.now()))}"
                return ((fit(text, width, right=True), ""),)
            case _:
                text = "" if view.oldest_wait_s is None else age(view.oldest_wait_s)
                return ((fit(text, width, right=True), "dim"),)


def _row_id(view: GroupView) -> str:
    return f"{view.group.capability}\x00{view.group.org_id}\x00{view.group.app_version_id}"


def _if(number: int, ink: str) -> str:
    return ink if number else "dim"
