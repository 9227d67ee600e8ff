"""The agents and their slots: a line a slot where there is room, else a cell a slot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.geometry import Size

from tui.draw.spans import Line, fit
from tui.draw.states import AGENT_GLYPH, AGENT_INK, JOB_INK, SLOT_GLYPH, SLOT_INK
from tui.draw.times import age, count, span
from tui.store.health import lows
from tui.store.lab import AgentRecord
from tui.store.store import Store
from tui.widgets.columns import Column, ListIds
from tui.widgets.table import LineTable

if TYPE_CHECKING:
    from bus_schemas.agents import SlotStatus
    from tui.store.link import Link

_SEPARATOR = "\x00"
_CHIP = 18
"""The least width of a slot where several share a line."""
_COLUMNS = (Column("line", "", 20, share=1),)


def no_agents(link: Link) -> tuple[str, str]:
    """Why no agent is shown, and what would change that."""
    if link.replay:
        return ("No slot was at work yet.", "")  # a tape knows slots by the jobs that they took
    if link.phase in {"connecting", "loading"} or link.snapshot_loading:
        return ("", "")
    if link.query_error:
        return ("No agent was heard so far.", "")
    return ("No agent is alive.", "qgjob agent")


class AgentTable(LineTable):
    """Agents by name, and below each its slots, unless they do not fit."""

    columns: ClassVar[tuple[Column, ...]] = _COLUMNS
    header_height: ClassVar[int] = 0

    def __init__(self, store: Store, widget_id: str) -> None:
        super().__init__(widget_id)
        self._store = store
        self._agents: dict[str, AgentRecord] = {}
        self._slots: dict[str, tuple[AgentRecord, SlotStatus]] = {}
        self._per_line = 1
        self._shape: tuple[int, Size, bool] | None = None
        self.unfolded = False
        """Show the slots' lines even if one has to scroll."""

    def job_of(self, row_id: str) -> str | None:
        """The job on a slot's row."""
        found = self._slots.get(row_id)
        return found[1].job_id if found else None

    def slot_of(self, row_id: str) -> str | None:
        """The slot of a slot's row, as agent/slot."""
        found = self._slots.get(row_id)
        return f"{found[0].name}/{found[1].name}" if found else None

    def agent_of(self, row_id: str) -> str | None:
        """The agent of a row: its own, or that of several of its slots."""
        record = self._agents.get(row_id.partition(_SEPARATOR)[0])
        return record.name if record else None

    def sync(self) -> None:
        """Take the agents as they are now, and repaint what differs."""
        shape = (self._store.lab.version, self.size, self.unfolded)
        if shape != self._shape:
            self._shape = shape
            self._arrange()
        super().sync()

    def _arrange(self) -> None:
        agents = self._store.lab.agents()
        slots = sum(len(record.beat.slots) for record in agents)
        self._agents = {record.name: record for record in agents}
        self._slots = {
            f"{record.name}{_SEPARATOR}{slot.name}": (record, slot)
            for record in agents
            for slot in record.beat.slots
        }
        height = self.size.height
        width = max(1, self.room[0])
        self._per_line = max(1, width // _CHIP)
        packed = sum(1 + -(-len(record.beat.slots) // self._per_line) for record in agents)
        # A little scrolling is better than a denser picture; a lot of it is not.
        most = height * 3 // 2
        a_line_each = self.unfolded or len(agents) + slots <= most
        ids: list[str] = []
        for record in agents:
            ids.append(record.name)
            prefix = record.name + _SEPARATOR
            if a_line_each:
                ids.extend(prefix + slot.name for slot in record.beat.slots)
            elif packed <= most:
                ids.extend(
                    f"{prefix}{_SEPARATOR}{i}" for i in range(0, len(record.beat.slots), self._per_line)
                )
        self.rows = ListIds(ids)
        busy, total = self._store.lab.busy_slots(self._store.clock.monotonic())
        text = f"{count(busy)} of {count(total)} slots busy" if total else ""
        self.say("2 Agents", text)

    def empty(self) -> tuple[str, str]:
        """Why there are no rows."""
        return no_agents(self._store.link)

    def cells(self, row_id: str, widths: Sequence[tuple[Column, int]]) -> Sequence[Line]:
        """An agent, or one of its slots."""
        width = widths[0][1]
        if row_id in self._slots:
            return [self._slot(*self._slots[row_id], width)]
        name, _, first = row_id.partition(_SEPARATOR * 2)
        if first:
            return [self._chips(self._agents[name], int(first), width)]
        return [self._agent(self._agents[row_id], width)]

    def _agent(self, record: AgentRecord, width: int) -> Line:
        now = self._store.clock.monotonic()
        state = record.state(now)
        ink = AGENT_INK[state]
        beat = record.beat
        busy = sum(slot.state == "busy" for slot in beat.slots)
        right = f" {age(record.age(now)):>3} ago" if state != "up" else f" {age(record.age(now)):>3}"
        said = f" {busy}/{len(beat.slots)}" if state == "up" else f" {state}"
        name_width = max(6, min(18, width - len(said) - len(right) - 2 - min(len(beat.slots), 12)))
        room = max(0, width - 2 - name_width - 1 - len(said) - len(right))
        cells = self._cells(record, room, now)
        used = sum(len(text) for text, _ in cells)
        return (
            (f"{AGENT_GLYPH[state]} ", ink),
            (fit(beat.agent, name_width, keep_both=True), "bold" if state == "up" else "dim"),
            (" ", ""),
            *cells,
            (" " * (room - used), ""),
            (said, "dim" if state == "up" else ink),
            (right, "dim" if state == "up" else ink),
        )

    def _chips(self, record: AgentRecord, first: int, width: int) -> Line:
        """Some slots side by side: what each works at, and for how long."""
        now = self._store.clock.now()
        monotonic = self._store.clock.monotonic()
        each = (width - 2) // self._per_line
        line: list[tuple[str, str]] = [("  ", "")]
        for slot in record.beat.slots[first : first + self._per_line]:
            glyph, ink = self._slot_look(record, slot, monotonic)
            state = record.slot_state(slot, monotonic)
            job = self._store.jobs.get(slot.job_id) if slot.job_id and state == "busy" else None
            time = span(job.took(now)) if job is not None else ""
            text = (job.title if job is not None else "") or (slot.name if state == "idle" else state)
            room = each - 2 - 6 - 1
            line += [
                (f"{glyph} ", ink),
                (fit(_short(text), room), "" if job is not None else "faint" if state == "idle" else ink),
                (fit(time, 6, right=True), "dim"),
                (" ", ""),
            ]
        return tuple(line)

    def _cells(self, record: AgentRecord, room: int, now: float) -> list[tuple[str, str]]:
        """One cell a slot; of more than there is room for, each cell stands for several."""
        inks = [self._slot_look(record, slot, now) for slot in record.beat.slots]
        if len(inks) > room > 0:
            # The loudest state of each share of slots: a quarantined one must not vanish.
            per = -(-len(inks) // room)
            inks = [max(inks[i : i + per], key=_loudness) for i in range(0, len(inks), per)]
        if len(inks) * 2 <= room:
            return [(glyph + " ", ink) for glyph, ink in inks]
        return inks[:room]

    def _slot_look(self, record: AgentRecord, slot: SlotStatus, now: float) -> tuple[str, str]:
        state = record.slot_state(slot, now)
        ink = SLOT_INK[state]
        job = self._store.jobs.get(slot.job_id) if slot.job_id else None
        if state == "busy" and job is not None and job.active:
            ink = JOB_INK[job.state]
        return (SLOT_GLYPH[state], ink)

    def _slot(self, record: AgentRecord, slot: SlotStatus, width: int) -> Line:
        monotonic = self._store.clock.monotonic()
        now = self._store.clock.now()
        glyph, ink = self._slot_look(record, slot, monotonic)
        job = self._store.jobs.get(slot.job_id) if slot.job_id else None
        build = slot.installed[0].app_version_id if slot.installed else ""
        since = job.started_at if job is not None and job.active else slot.since
        state = record.slot_state(slot, monotonic)
        if slot.job_id and state == "busy":
            text = (job.title if job is not None else "") or slot.job_id
        else:
            low = " ".join(f"{vital.kind} {vital.text}" for vital in lows(slot.health))
            text = " · ".join(part for part in (state, low, slot.note) if part)
        time = span(now - since) if since and state != "lost" else ""
        wide = width >= 60
        name_width = min(16 if wide else 9, max(4, width // 5))
        build_width = min(18 if wide else 10, max(0, width // 4))
        rest = max(0, width - 4 - name_width - build_width - 2 - 6)
        named = slot.device or slot.name
        return (
            ("  ", ""),
            (f"{glyph} ", ink),
            (fit(f"{slot.name} {named}" if wide and named != slot.name else slot.name, name_width), ""),
            (" ", ""),
            (fit(build, build_width, keep_both=True), "dim"),
            (" ", ""),
            (fit(text, rest, keep_end=state == "busy"), ink if state != "idle" else "faint"),
            (fit(time, 6, right=True), "dim"),
        )


def _short(test: str) -> str:
    """The telling part of a test's path, for a narrow place."""
    name = test.rsplit("/", 1)[-1]
    return name.removeprefix("test_").rsplit(".", 1)[0] or name


def _loudness(look: tuple[str, str]) -> int:
    return ("faint", "dim", "wait", "next", "busy", "accent", "prep", "bad").index(look[1])
