"""The one screen of `qgjob top`, as lines of styled pieces: a function of what is known and of the time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from bus_schemas.agents import Heartbeat
from bus_schemas.queries import JobView, Overview
from qgjob.cli.display.cells import fit, padded, width_of
from qgjob.cli.display.output import STYLES, clean
from qgjob.cli.display.render import last_attempt, where
from qgjob.domain.durations import show_duration
from qgjob.domain.lifecycle import BAD_ENDS
from qgjob.domain.unfit import unfit
from qgjob.domain.wording import pluralize
from tui.draw.bars import rule, spark
from tui.draw.times import moment

Line = list[tuple[str, str]]
"""Pieces of text, each with its style."""

MINUTES: Final = 20
"""How far back the chart of ends goes."""
_MINUTE: Final = 60.0
_GROUPS: Final = 6
_LEAST_SLOTS: Final = 3
_BAR: Final = 24
_SLOT_STYLES: Final = {
    "busy": "cyan",
    "paused": "yellow",
    "draining": "yellow",
    "reserved": "yellow",
    "quarantined": "bold red",
    "lost": "bold red",
}
_CLASSES: Final = (("high", "red"), ("medium", "yellow"), ("low", "blue"))


@dataclass(frozen=True, slots=True)
class Seen:
    """What the screen shows."""

    overview: Overview | None
    agents: Collection[Heartbeat]
    at_work: Sequence[JobView]
    ends: Collection[float]
    """When jobs ended, for good."""
    problem: str | None
    now: float


def screen(seen: Seen, columns: int, rows: int | None = None) -> list[Line]:
    """The lines, at most `rows` of them, none wider than `columns`."""
    overview = seen.overview
    if overview is None:
        text = seen.problem or "Nothing is known yet."
        return [_cut([("qgjob  ", "bold"), (clean(text), "yellow")], columns)]
    lines = [*_head(seen, overview), [], *_queue(overview), [], *_groups(overview, seen.agents)]
    left = None if rows is None else max(_LEAST_SLOTS, rows - len(lines) - 1)
    lines += [[], *_slots(seen, left)]
    return [_cut(line, columns) for line in lines[: rows or len(lines)]]


def per_minute(ends: Iterable[float], now: float) -> list[float]:
    """How many jobs ended in each of the last minutes, the current one last."""
    counts = Counter(int((now - at) // _MINUTE) for at in ends)
    return [float(counts[minute]) for minute in reversed(range(MINUTES))]


def _head(seen: Seen, overview: Overview) -> list[Line]:
    # The counts below are since then.
    leads = overview.leader
    leader = f"leader {leads.replica} since {moment(leads.since)}" if leads else "no leader"
    slots = sum(len(agent.slots) for agent in seen.agents)
    held = f", {overview.slots_held} take nothing" if overview.slots_held else ""
    lines: list[Line] = [
        [
            ("qgjob  ", "bold"),
            (
                f"{pluralize(len(seen.agents), 'agent')}, {pluralize(slots, 'slot')}{held}; {clean(leader)}",
                "",
            ),
        ]
    ]
    if seen.problem:
        lines.append([(f"{clean(seen.problem)} What is below may be old.", "yellow")])
    minutes = per_minute(seen.ends, seen.now)
    # The current minute is incomplete: average over the five before it.
    rate = sum(minutes[-6:-1]) / 5
    ended = overview.ended
    bad = sum(ended.get(state, 0) for state in BAD_ENDS)
    lines += [
        [
            (f"running {overview.running}", "cyan" if overview.running else ""),
            (f"  waiting {overview.waiting}", ""),
            (f"  ended {sum(ended.values())}", ""),
            (f"  not passed {bad}", "red" if bad else "dim"),
            (f"  installs {overview.installs} made, {overview.installs_avoided} avoided", "dim"),
        ],
        [
            ("ends a minute ", "dim"),
            (spark(minutes, MINUTES, max(1.0, *minutes)), "green"),
            (f" {rate:.1f} (mean of the last 5 of {MINUTES} min)", "dim"),
        ],
    ]
    if overview.dead_letters:
        dead = pluralize(overview.dead_letters, "message")
        lines.append([(f"{dead} could not be read: see `qgjob deadletters list`.", "yellow")])
    return lines


def _queue(overview: Overview) -> list[Line]:
    oldest = f"  oldest {show_duration(overview.oldest_wait_s)}" if overview.oldest_wait_s is not None else ""
    later = f"  {overview.delayed} for their time" if overview.delayed else ""
    held = f"  {overview.held} held by a pause or a limit" if overview.held else ""
    lines: list[Line] = [[("QUEUE", "bold"), (oldest + later + held, "")]]
    most = max([1, *(overview.depths.get(name, 0) for name, _ in _CLASSES)])
    for name, style in _CLASSES:
        count = overview.depths.get(name, 0)
        lines.append([(f"{name:<8}{count:>7}  ", ""), (rule(count, most, _BAR), style)])
    for pause in overview.pauses:
        what = ", ".join(part for part in (pause.org_id, pause.capability) if part) or "everything"
        lines.append([(clean(f"paused: {what}, by {pause.by}"), "yellow")])
    return lines


def _groups(overview: Overview, agents: Collection[Heartbeat]) -> list[Line]:
    lacking = unfit(overview.groups, (slot.labels for agent in agents for slot in agent.slots))
    lines: list[Line] = [[(f"{'GROUP':<38}{'WAITING':>8}{'RUNNING':>8}{'SLOTS':>6}  OLDEST", "bold")]]
    for group in overview.groups[:_GROUPS]:
        ref = group.group
        name = clean(f"{ref.org_id} {ref.app_version_id} {ref.capability}")
        oldest = show_duration(group.oldest_wait_s) if group.oldest_wait_s is not None else ""
        figures = f"{group.waiting:>8}{group.running:>8}{len(group.slots):>6}  {oldest}"
        kept = "  no slot has these labels" if ref.capability in lacking else ""
        lines.append([(padded(fit(name, 37), 38), ""), (figures, ""), (kept, "bold red")])
    more = max(overview.groups_total, len(overview.groups)) - _GROUPS
    if more > 0:
        lines.append([(f"… and {more} more groups", "dim")])
    if not overview.groups:
        lines.append([("nothing waits or runs", "dim")])
    return lines


def _slots(seen: Seen, room: int | None) -> list[Line]:
    """The slots, those at work first: what each does, and since when."""
    jobs = {where(last_attempt(job)): job for job in seen.at_work}
    slots = [(f"{agent.agent}/{slot.name}", slot) for agent in seen.agents for slot in agent.slots]
    slots.sort(key=lambda pair: (pair[0] not in jobs, pair[1].state in {"idle", "busy"}, pair[0]))
    width = max([20, *(min(32, width_of(clean(name))) for name, _ in slots)])
    lines: list[Line] = [[(f"{'SLOT':<{width}}  {'STATE':<11} {'FOR':>6}  WHAT", "bold")]]
    shown = slots if room is None or len(slots) < room else slots[: room - 2]
    for name, slot in shown:
        job = jobs.get(name)
        state = job.state if job else ("idle" if slot.state == "busy" else slot.state)
        since = (last.started_at if job and (last := last_attempt(job)) else None) or slot.since
        age = show_duration(max(0.0, seen.now - since)) if since and state != "idle" else ""
        if job:
            what = f"{job.title}  {job.org_id} {job.app_version_id}  {job.job_id}"
        else:
            what = slot.note or ", ".join(build.app_version_id for build in slot.installed)
        style = STYLES.get(state) or _SLOT_STYLES.get(state, "dim")
        lines.append(
            [
                (padded(fit(clean(name), width), width + 2), ""),
                (f"{state.replace('_', ' '):<11} ", style),
                (f"{age:>6}  ", ""),
                (clean(what), "" if job else "dim"),
            ]
        )
    if len(shown) < len(slots):
        lines.append([(f"… and {len(slots) - len(shown)} more slots", "dim")])
    if not slots:
        lines.append([("no agent is connected: start one with `qgjob agent`", "yellow")])
    return lines


def _cut(line: Line, columns: int) -> Line:
    cut: Line = []
    for text, style in line:
        room = columns - sum(width_of(done) for done, _ in cut)
        if width_of(text) > room:
            return [*cut, (fit(text, room), style)] if room > 0 else cut
        cut.append((text, style))
    return cut
