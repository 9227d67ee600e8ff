"""What an operator should know of now, one by one, and what to do about each: worked out from the store."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from tui.draw.spans import short
from tui.draw.times import age, count, moment
from tui.store.health import lows
from tui.store.lab import LOST_AFTER_S

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bus_schemas.queries import GroupView, Overview, PauseView
    from tui.store.lab import AgentRecord
    from tui.store.store import Store

AGED_S: Final = 3600.0

Level = Literal["bad", "warn"]
Held = Literal["", "slot", "build", "queue"]

_NO_SCHEDULER: Final = (
    "What runs goes on and nothing is lost, but nothing starts. `qgjob health` says what is wrong, "
    "the scheduler's log why (`qgjob up`: logs/scheduler.log in its data folder). A second "
    "`qgjob scheduler`, on any machine, takes over within seconds."
)
_NOT_ALLOWED: Final = "Open the dashboard with the credentials of a role that may look (docs/deploy.md)."


class Trouble(NamedTuple):
    """One of them."""

    kind: str
    level: Level
    about: str
    """What it is about; with the kind it stays the same while the reason does."""
    text: str
    advice: str
    """What to do, in a sentence or two."""
    named: str = ""
    """As it is called among several of its kind."""
    jobs: int = 0
    """How many jobs it concerns."""
    slots: str = ""
    """What finds its slots."""
    filter: str = ""
    """What lets its jobs through."""
    held: Held = ""
    """What can be let go of: a slot, a build, a part of the queue."""
    names: tuple[str, ...] = ()
    """Of what is held: the slot; the build and its organisation; the organisation and the capability."""

    @property
    def key(self) -> str:
        """Its name for as long as it lasts."""
        return f"{self.kind} {self.about}"


def troubles_of(store: Store) -> list[Trouble]:
    """The troubles of this moment, the loudest first."""
    found = [*_link(store), *_agents(store), *_work(store)]
    return sorted(found, key=lambda trouble: trouble.level != "bad")


def _link(store: Store) -> Iterator[Trouble]:
    link = store.link
    now = store.clock.monotonic()
    silent = link.query_error if link.phase == "live" else ""
    if behind := link.behind_warning(now):
        yield Trouble(
            "behind",
            "warn",
            "",
            behind,
            "What you do counts as ever, but look twice before you act on what you see. Compressed, all of "
            "it takes a tenth: ssh -C -L 4222:localhost:4222 LAB, and "
            "qgjob --server nats://localhost:4222 tui",
        )
    elif silent and link.hears_leader(now):
        yield Trouble(
            "store",
            "bad",
            "",
            f"the jobs cannot be read: {silent}",
            "Jobs go on, and what happens to them is shown; of older ones nothing is known here. `qgjob "
            "health` says whether Redis or Valkey answers (`qgjob up`: logs/valkey.log in its data folder).",
        )
    elif said := silent or link.leaderless_warning(now):
        yield Trouble(
            "leader",
            "bad",
            "",
            said,
            _NOT_ALLOWED if link.not_allowed else _NO_SCHEDULER,
        )


def _agents(store: Store) -> Iterator[Trouble]:
    now = store.clock.monotonic()
    if store.link.connected_for(now) > LOST_AFTER_S:  # else it may be we who hear nothing
        on_its_way = store.link.lag_s(now)
        for record in store.lab.agents():
            if record.state(now - on_its_way) == "lost":
                silence = age(record.age(now))
                yield Trouble(
                    "lost",
                    "bad",
                    record.name,
                    f"{record.name} silent for {silence}: {_slots(len(record.beat.slots))}",
                    f"Look at the machine {record.beat.host} and its network, and start `qgjob agent` there. "
                    "What ran there goes to other slots when its lease is over.",
                    named=record.name,
                    slots=f"{record.name}/",
                )
    for record in store.lab.present(now):
        speaks = record.speaks(now)
        for slot in record.beat.slots:
            if slot.state != "quarantined" and slot.health is None:
                continue  # as nearly all of a large lab, which is looked through every second
            name = f"{record.name}/{slot.name}"
            if speaks and slot.state == "quarantined":
                why = slot.note or (slot.hold.note if slot.hold else None) or ""
                until = slot.hold.until if slot.hold else None
                yield Trouble(
                    "quarantine",
                    "bad",
                    name,
                    f"{name} in quarantine{f': {why}' if why else ''}",
                    "Look at the jobs that ended there, mend the device, and let it work again: "
                    f"qgjob agents resume {name}"
                    + (f" (at {moment(until)} one job is tried there all the same)" if until else ""),
                    named=name,
                    slots=name,
                    held="slot",
                    names=(name,),
                )
            for vital in lows(slot.health):
                yield Trouble(
                    f"low {vital.kind}",
                    "warn",
                    name,
                    f"low {vital.kind}: {name} {vital.text}",
                    _LOW[vital.kind],
                    named=f"{name} {vital.text}",
                    slots=name,
                )


_NAME: Final = 24
"""Cells that a name may take where the reason behind it says more."""
_LOW: Final = {
    "battery": "Plug the device in, or look at its cable: it will rest before it is empty.",
    "storage": "Free some storage on the device: installs will fail.",
}


def _work(store: Store) -> Iterator[Trouble]:
    for job, why in store.lab_errors.poisonous(store.jobs, store.clock.now()):
        named = f"{short(job.title, _NAME, keep_both=True)} ({short(job.org_id, _NAME, keep_both=True)})"
        yield Trouble(
            "poison",
            "bad",
            job.job_id,
            f"{named}: {why}",
            "Read its log before you try it again (`r`): what took these slots down may take the next ones. "
            "They are back when their agents or devices are.",
            named=named,
            jobs=1,
            filter=f"job:{job.job_id}",
        )
    for errors in store.lab_errors.by_build(store.jobs, store.clock.now()):
        org, build = errors.org_id, errors.app_version_id
        named = f"{short(build, _NAME, keep_both=True)} ({short(org, _NAME, keep_both=True)})"
        jobs = f"{count(errors.jobs)} jobs of {named}"
        yield Trouble(
            "errors",
            "bad",
            f"{org} {build}",
            f"{jobs} errored in the last 10 min{f': {errors.why}' if errors.why else ''}",
            "It is not their tests that failed. Open them and read what one says; when it is mended, mark "
            f"them all with `A` and try them again with `r`. The build is {build}.",
            named=jobs,
            jobs=errors.jobs,
            filter=f"state:errored build:{shlex.quote(build)} org:{shlex.quote(org)}",
        )
    overview = store.overview
    if overview is None:
        return
    for hold in overview.builds_held:
        yield Trouble(
            "builds",
            "bad",
            f"{hold.org_id} {hold.app_version_id}",
            f"held back: {hold.app_version_id} of {hold.org_id}: {hold.why}",
            "It failed on slot after slot before any of its tests ran. Look at its jobs; when it is not to "
            f"blame: {shlex.join(['qgjob', 'app', 'resume', hold.app_version_id, '--org-id', hold.org_id])}",
            named=f"{hold.app_version_id} of {hold.org_id}: {hold.why}",
            filter=f"build:{shlex.quote(hold.app_version_id)} org:{shlex.quote(hold.org_id)}",
            held="build",
            names=(hold.app_version_id, hold.org_id),
        )
    if dead := overview.dead_letters:
        messages = "1 message" if dead == 1 else f"{count(dead)} messages"
        yield Trouble(
            "dead",
            "bad",
            "",
            f"{messages} could not be read",
            "Another release, or somebody else, writes to the bus. `qgjob deadletters list` says why each "
            "was set aside, `qgjob deadletters drop --all` ends this; `qgjob doctor` compares the releases "
            "of all parts.",
        )
    yield from _unplaced(store, overview)
    for pause in overview.pauses:
        yield _paused(pause)
    if overview.oldest_wait_s is not None and overview.oldest_wait_s > AGED_S:
        oldest = max(overview.groups, key=lambda view: view.oldest_wait_s or 0.0, default=None)
        yield Trouble(
            "aged",
            "warn",
            "",
            f"a job has waited for {age(overview.oldest_wait_s)}",
            "Open the jobs of its group and ask of one why it waits (`e`). A higher priority (`p`) helps "
            "where others go first, more slots where none is free.",
            filter=_waiting(oldest) if oldest is not None else "state:waiting",
        )


_NO_SLOT: Final = "All slots are held, in quarantine or lost: the list of slots says by whom and why."
_NO_AGENT: Final = (
    "Start `qgjob agent` on the machines of the lab; one that runs there says why it is not heard."
)


def _unplaced(store: Store, overview: Overview) -> Iterator[Trouble]:
    """Jobs that nobody will take as things are."""
    agents = store.lab.present(store.clock.monotonic())
    known = bool(agents) or (store.link.ever_answered and not store.link.replay)
    waiting = overview.waiting - overview.delayed
    if waiting > 0 and known and not overview.slots_busy + overview.slots_idle:
        wait = "1 job waits" if waiting == 1 else f"{count(waiting)} jobs wait"
        yield Trouble(
            "slots",
            "bad",
            "",
            f"{wait}, and {'no slot takes any' if agents else 'no agent is alive'}",
            _NO_SLOT if agents else _NO_AGENT,
            jobs=waiting,
            slots=" ",
        )
    elif not store.link.replay:  # in a replay nobody tells which labels slots have
        yield from _unfit(agents, overview)


def unfit(agents: list[AgentRecord], overview: Overview) -> dict[str, int]:
    """How many jobs wait for labels that no slot has, by those labels; nothing while no slot is known."""
    from qgjob.domain import unfit

    return unfit.unfit(overview.groups, (slot.labels for record in agents for slot in record.beat.slots))


def _unfit(agents: list[AgentRecord], overview: Overview) -> Iterator[Trouble]:
    """Jobs that wait for what no slot has, whether busy, held or lost: for ever, as it looks."""
    for needs, jobs in unfit(agents, overview).items():
        said = "1 job needs" if jobs == 1 else f"{count(jobs)} jobs need"
        yield Trouble(
            "unfit",
            "bad",
            needs,
            f"{said} what no slot has: {needs}",
            "Start an agent whose slots have these labels (`qgjob agent --labels`), or cancel the jobs: mark "
            "them all with `A`, then `c`.",
            named=needs,
            jobs=jobs,
            filter=f"needs:{shlex.quote(needs)} state:waiting",
        )


def _paused(pause: PauseView) -> Trouble:
    org, capability = pause.org_id or "", pause.capability or ""
    what = " of ".join(part for part in (capability, org) if part) or "the whole queue"
    filters = [f"org:{shlex.quote(org)}"] if org else []
    filters += [f"needs:{shlex.quote(capability)}"] if capability else []
    words = ["qgjob", "queue", "resume", *(["--org-id", org] if org else [])]
    words += ["--capability", capability] if capability else []
    return Trouble(
        "pause",
        "warn",
        what,
        f"{what} is paused by {pause.by}{f': {pause.note}' if pause.note else ''}",
        f"Nothing of it starts. When the reason is over: {shlex.join(words)}",
        filter=" ".join([*filters, "state:waiting"]),
        held="queue",
        names=(org, capability),
    )


def _waiting(view: GroupView) -> str:
    group = view.group
    needs = "" if group.capability == "any" else f" needs:{shlex.quote(group.capability)}"
    return f"state:waiting build:{shlex.quote(group.app_version_id)} org:{shlex.quote(group.org_id)}{needs}"


def _slots(number: int) -> str:
    return "it has 1 slot" if number == 1 else f"it has {number} slots"
