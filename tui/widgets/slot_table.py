"""Every slot of every agent, a row each: what it is, what it does, and what keeps it from work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Final

from tui.draw.spans import Line, fit, pad
from tui.draw.states import JOB_GLYPH, JOB_INK, SLOT_GLYPH, SLOT_INK
from tui.draw.times import age, count, short_count, span
from tui.store.health import lows, vitals
from tui.store.lab import AgentRecord
from tui.store.slot_ends import KEPT
from tui.store.store import Store
from tui.widgets.agent_table import no_agents
from tui.widgets.columns import Column, ListIds
from tui.widgets.table import LineTable

if TYPE_CHECKING:
    from bus_schemas.agents import SlotStatus

_COLUMNS = (
    Column("slot", " SLOT", 13, share=3),
    Column("state", "STATE", 13),
    Column("beat", "BEAT", 5, right=True, spare=6),
    Column("device", "DEVICE", 10, share=1, spare=5),
    Column("health", "HEALTH", 13, spare=4),
    Column("labels", "LABELS", 10, share=2, spare=8),
    Column("builds", "BUILDS", 9, share=2, spare=3),
    Column("job", "JOB", 18, share=4),
    Column("time", "FOR", 6, right=True),
    Column("done", "DONE", 5, right=True, spare=7),
    Column("installs", "INST", 4, right=True, spare=9),
    Column("last", "LAST", KEPT, spare=2),
    # Where it has no room, a slot without a job says it there.
    Column("note", "NOTE", 24, share=3, spare=6, beside=16),
)
_LOUD: Final = ("lost", "quarantined", "draining", "paused", "reserved", "busy", "idle")


class SlotTable(LineTable):
    """Slots by name; `wanted` lets through those in which a text occurs."""

    columns: ClassVar[tuple[Column, ...]] = _COLUMNS

    def __init__(self, store: Store, widget_id: str) -> None:
        super().__init__(widget_id)
        self._store = store
        self._slots: dict[str, tuple[AgentRecord, SlotStatus]] = {}
        self._shape: tuple[int, int, str, bool] | None = None
        self.wanted = ""
        self.trouble_first = False
        self.marks: set[str] = set()

    def slot(self, row_id: str) -> tuple[AgentRecord, SlotStatus] | None:
        """The slot of a row, and its agent."""
        return self._slots.get(row_id)

    def selected(self) -> list[str]:
        """The marked slots, else the one under the cursor."""
        if self.marks:
            return [name for name in self._slots if name in self.marks]
        cursor = self.cursor_id
        return [cursor] if cursor else []

    def mark(self) -> None:
        """Mark the slot under the cursor and go on to the next; or take its mark off."""
        if (cursor := self.cursor_id) is not None:
            self.marks ^= {cursor}
            self.move_to(self._row + 1)

    def mark_all(self) -> None:
        """Mark every slot that the filter lets through."""
        self.marks = {self.rows[row] for row in range(len(self.rows))}
        self.sync()

    def unmark(self) -> None:
        """Take all marks off."""
        self.marks.clear()
        self.sync()

    def want(self, text: str) -> None:
        """Show only slots in which a text occurs."""
        self.wanted = text
        self.sync()

    def sync(self) -> None:
        """Take the slots as they are now, and repaint what differs."""
        lab, now = self._store.lab, self._store.clock.monotonic()
        lost = sum(record.state(now) == "lost" for record in lab.agents())  # time alone makes them so
        shape = (lab.version, lost, self.wanted, self.trouble_first)
        if shape != self._shape:
            self._shape = shape
            self._arrange()
        self._say_counts()
        super().sync()

    def _arrange(self) -> None:
        now = self._store.clock.monotonic()
        agents = self._store.lab.agents()
        self._slots = {
            f"{record.name}/{slot.name}": (record, slot) for record in agents for slot in record.beat.slots
        }
        wanted = self.wanted.casefold()
        ids = [name for name, found in self._slots.items() if wanted in _text(name, *found, now).casefold()]
        if self.trouble_first:
            wrong = self._store.slot_ends.not_passed
            ids.sort(key=lambda name: _loudness(*self._slots[name], now, wrong(name)))
        self.rows = ListIds(ids)
        self.marks &= set(self._slots)

    def _say_counts(self) -> None:
        agents = len(self._store.lab)
        busy, total = self._store.lab.busy_slots(self._store.clock.monotonic())
        title = f"Slots  /{self.wanted}" if self.wanted else "Slots"
        number = "1 agent" if agents == 1 else f"{count(agents)} agents"
        shown = f"{count(len(self.rows))} shown" if self.wanted else ""
        marked = f"{count(len(self.marks))} marked" if self.marks else ""
        order = "trouble first" if self.trouble_first else ""
        busy_ones = f"{count(busy)} of {count(total)} busy"
        self.say(title, " · ".join(part for part in (shown, marked, order, busy_ones, number) if part))

    def empty(self) -> tuple[str, str]:
        """Why there are no rows."""
        if self.wanted:
            return ("No slot matches.", "esc takes the filter off")
        return no_agents(self._store.link)

    def cells(self, row_id: str, widths: Sequence[tuple[Column, int]]) -> Sequence[Line]:
        """A slot."""
        record, slot = self._slots[row_id]
        cells = [self._cell(row_id, record, slot, column.key, width) for column, width in widths]
        if not slot.job_id and all(column.key != "note" for column, _ in widths):
            # Where there is no room for notes, a slot that has no job says here why.
            at, width = next((i, width) for i, (column, width) in enumerate(widths) if column.key == "job")
            cells[at] = self._cell(row_id, record, slot, "note", width)
        return cells

    def _cell(self, name: str, record: AgentRecord, slot: SlotStatus, key: str, width: int) -> Line:
        monotonic = self._store.clock.monotonic()
        state = record.slot_state(slot, monotonic)
        job = self._store.jobs.get(slot.job_id) if slot.job_id and state == "busy" else None
        match key:
            case "slot":
                mark = ("◆", "mark") if name in self.marks else (" ", "")
                return (mark, (fit(name, width - 1, keep_both=True), "bold" if state == "busy" else ""))
            case "state":
                # One that is held finishes what it runs: it works, and takes nothing more.
                if state == "busy" and slot.hold is not None:
                    return ((fit(f"{SLOT_GLYPH[state]} {slot.hold.kind}", width), SLOT_INK[slot.hold.kind]),)
                if job is not None and job.state == "preparing":
                    return ((fit(f"{JOB_GLYPH[job.state]} {job.state}", width), JOB_INK[job.state]),)
                return ((fit(f"{SLOT_GLYPH[state]} {state}", width), SLOT_INK[state]),)
            case "beat":
                return ((fit(age(record.age(monotonic)), width, right=True), _late(record, monotonic)),)
            case "device":
                return (
                    (fit(slot.device or slot.driver, width, keep_both=True), "" if slot.device else "dim"),
                )
            case "health":
                return _health(slot, width)
            case "labels":
                return ((fit(" ".join(slot.labels), width), "dim"),)
            case "builds":
                return (
                    (fit(" ".join(b.app_version_id for b in slot.installed), width, keep_both=True), "dim"),
                )
            case "job":
                text = (job.title if job is not None else "") or slot.job_id or ""
                return ((fit(text, width, keep_end=True), "busy"),)
            case "time":
                now = self._store.clock.now()
                if job is not None:
                    return ((fit(span(job.took(now)), width, right=True), ""),)
                since = span(now - slot.since) if slot.since and state != "lost" else ""
                return ((fit(since, width, right=True), "faint"),)
            case "done" | "installs":
                # A tape does not have what agents count.
                number = slot.jobs_done if key == "done" else slot.installs
                text = "" if self._store.link.replay else short_count(number)
                return ((fit(text, width, right=True), "dim"),)
            case "last":
                return _last(self._store.slot_ends.of(name)[-width:], width)
            case _ if job is not None and job.state == "preparing":
                facts = job.find_attempt(job.attempt)
                return ((fit(facts.current_step if facts else "", width), "dim"),)
            case _:
                return ((fit(_note(slot), width), "bad-soft" if state == "quarantined" else "dim"),)


def _loudness(
    record: AgentRecord, slot: SlotStatus, monotonic: float, wrong: int
) -> tuple[int, bool, int, int]:
    """What is held before what works, and of that first where least passed."""
    rank = _LOUD.index(record.slot_state(slot, monotonic))
    low = bool(lows(slot.health))
    group = min(rank, _LOUD.index("paused" if low else "busy"))
    return (group, not low, -wrong, rank)


def _last(states: list[str], width: int) -> Line:
    """How its last jobs ended, the newest at the right edge."""
    glyphs = ((JOB_GLYPH[state], "dim" if state == "passed" else JOB_INK[state]) for state in states)
    return ((" " * (width - len(states)), ""), *glyphs)


def _late(record: AgentRecord, monotonic: float) -> str:
    return "bad" if record.state(monotonic) == "lost" else "dim"


def _health(slot: SlotStatus, width: int) -> Line:
    """Battery, temperature and free storage; what is low stands out."""
    cells: list[tuple[str, str]] = []
    for kind, room in (("battery", 4), ("temperature", 4), ("storage", 5)):
        vital = next((vital for vital in vitals(slot.health) if vital.kind == kind), None)
        cells.append(
            (fit(vital.text if vital else "", room, right=True), "bad" if vital and vital.low else "dim")
        )
    return pad(tuple(cells), width)


def _note(slot: SlotStatus) -> str:
    if slot.hold is None or not slot.hold.note:
        return slot.note or ""
    return f"{slot.hold.note} ({slot.hold.by})"


def _text(name: str, record: AgentRecord, slot: SlotStatus, monotonic: float) -> str:
    """What a slot is found by."""
    builds = " ".join(build.app_version_id for build in slot.installed)
    low = " ".join(f"low {vital.kind}" for vital in lows(slot.health))
    held = slot.hold.kind if slot.hold is not None else ""
    state = record.slot_state(slot, monotonic)
    return f"{name} {state} {held} {slot.device or ''} {slot.driver} {' '.join(slot.labels)} {builds} {low}"
