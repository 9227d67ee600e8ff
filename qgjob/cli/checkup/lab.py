"""What the query service says of the lab, judged: pure functions of its answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from bus_schemas.agents import Heartbeat, SlotStatus
from bus_schemas.base import SCHEMA_VERSION
from bus_schemas.queries import CheckView, ClockView, HealthAnswer, Overview
from qgjob import __version__
from qgjob.cli.checkup.finding import Finding, Status
from qgjob.domain.commands import queue_options, resume_build, resume_queue
from qgjob.domain.unfit import unfit
from qgjob.domain.wording import first_of, pluralize

SKEW_WARNING_S: Final = 2.0
SKEW_WRONG_S: Final = 30.0
"""Then times of `--at`, of expiries and of what people read are off by what they notice."""

_NAMES: Final = {"nats": None, "server": None, "dead_letters": "dead letters", "projection": "projector"}
"""What is told elsewhere, or goes by another name here."""
_HINTS: Final = {
    "scheduler": "Start one: `qgjob scheduler`, or all with `qgjob up`. If it runs: see its log.",
    "streams": "The scheduler makes them when it starts; start it again and see its log.",
    "store": "Start Redis or Valkey again (the scheduler's REDIS_URL); what it held is rebuilt by itself.",
    "leader": "See the schedulers' logs: where one runs it leads within seconds. Jobs wait, none is lost.",
    "projector": "It catches up by itself; until then lists and counts are late. Else: the scheduler's log.",
    "agents": "Start one on the machine with the devices: `qgjob agent`. `qgjob agents list`: who is there.",
    "queue": "`qgjob explain JOB` says why it waits; docs/troubleshooting.md, a stuck queue.",
}
_SHOWN: Final = 5
_MAX_STORE: Final = "max_file_store"
_FULL: Final = (
    "Free some of it, or raise that; then start nats-server again. docs/troubleshooting.md, a full disk."
)


def of_health(answer: HealthAnswer) -> list[Finding]:
    """The findings of the scheduler's own health check."""
    findings: list[Finding] = []
    for check in answer.checks:
        name = _NAMES.get(check.name, check.name)
        if name is not None:
            findings.append(_checked(name, check))
    return findings


def _checked(name: str, check: CheckView) -> Finding:
    if not check.ok:
        hint = _FULL if _MAX_STORE in check.detail else _HINTS.get(name)
        return Finding(name, "wrong", check.detail.rstrip("."), hint)
    if name == "dead letters" and check.detail != "none":
        hint = (
            "Another version, or somebody else, writes to the bus: `qgjob deadletters list` says why "
            "each could not be read; `qgjob deadletters drop --all`, once that is mended."
        )
        return Finding(name, "warning", check.detail, hint)
    return Finding(name, "ok", check.detail)


def versions(answer: HealthAnswer, agents: Sequence[Heartbeat]) -> Finding:
    """Whether all parts are of one version, and speak one schema."""
    known = [("this command", __version__, SCHEMA_VERSION)]
    if answer.version is not None:
        known.append(("scheduler", answer.version, answer.schema_version or SCHEMA_VERSION))
    known += [(agent.agent, agent.version, agent.schema_version) for agent in agents]
    facts = {name: {"version": version, "schema": schema} for name, version, schema in known}
    others = [f"{name} {schema}" for name, _, schema in known if schema != SCHEMA_VERSION]
    if others:
        hint = "Upgrade all parts; what an older part cannot read it leaves to others."
        return Finding(
            "versions",
            "warning",
            f"schema {SCHEMA_VERSION} here, but {first_of(others, _SHOWN)}",
            hint,
            facts,
        )
    differing = [f"{name} {version}" for name, version, _ in known if version != __version__]
    if differing:
        hint = "They understand each other; upgrade when it suits."
        return Finding(
            "versions", "warning", f"{__version__} here, but {first_of(differing, _SHOWN)}", hint, facts
        )
    parts = f"scheduler, {pluralize(len(agents), 'agent')} and this command"
    return Finding("versions", "ok", f"{parts}: {__version__}, schema {SCHEMA_VERSION}", facts=facts)


def clocks(views: Sequence[ClockView], here: ClockView | None) -> Finding:
    """Clocks that are off. `here`: this machine's offset from the scheduler's."""
    own = next((view for view in views if view.name == "scheduler"), None)
    known = list(views)
    if here is not None and own is not None:
        bound = here.bound_s + own.bound_s
        known.append(ClockView(name="this machine", ahead_s=here.ahead_s + own.ahead_s, bound_s=bound))
    facts = {view.name: {"ahead_s": view.ahead_s, "bound_s": view.bound_s} for view in known}
    off = [view for view in known if abs(view.ahead_s) - view.bound_s > SKEW_WARNING_S]
    if not known:
        return Finding("clocks", "unknown", "no scheduler tells")
    if off:
        gravest = max(abs(view.ahead_s) - view.bound_s for view in off)
        status: Status = "wrong" if gravest > SKEW_WRONG_S else "warning"
        detail = first_of([_skew(view) for view in off], _SHOWN) + ", as against the server's"
        return Finding(
            "clocks", status, detail, "Let NTP keep those clocks (timedatectl, chronyc tracking).", facts
        )
    bound = max(abs(view.ahead_s) + view.bound_s for view in known)
    return Finding("clocks", "ok", f"{len(known)} clocks within {bound:.1f} s of the server's", facts=facts)


def slots(agents: Sequence[Heartbeat]) -> list[Finding]:
    """Slots that take no work although their agent is connected."""
    all_slots = [(f"{agent.agent}/{slot.name}", slot) for agent in agents for slot in agent.slots]
    if not agents:
        return []
    if not all_slots:
        hint = "No device is connected, or none is in order: see the agent's log, `adb devices`."
        return [Finding("slots", "wrong", "the agents have no slot", hint)]
    out_of_work = [(name, slot) for name, slot in all_slots if slot.state not in {"idle", "busy"}]
    held = [f"{name} {slot.state}" for name, slot in out_of_work]
    facts = {"slots": len(all_slots), "held": held}
    if not held:
        return [Finding("slots", "ok", f"{len(all_slots)} in order", facts=facts)]
    hint = "`qgjob agents list` says who holds them and why; `qgjob agents resume NAME` lets them work."
    status: Status = "wrong" if len(held) == len(all_slots) else "warning"
    told = [f"{name} {slot.state}{_because(slot)}" for name, slot in out_of_work]
    return [Finding("slots", status, f"of {len(all_slots)}, {first_of(told, _SHOWN)}", hint, facts)]


def _because(slot: SlotStatus) -> str:
    """Why it takes nothing, as far as somebody said."""
    why = (slot.hold.note if slot.hold is not None else None) or slot.note
    return f" ({why})" if why else ""


def rules(overview: Overview) -> Iterator[Finding]:
    """What keeps work from starting though nothing is broken."""
    for pause in overview.pauses:
        what = " ".join(queue_options(pause.org_id, pause.capability)) or "the whole queue"
        lift = resume_queue(pause.org_id, pause.capability)
        note = f": {pause.note}" if pause.note else ""
        yield Finding("pause", "warning", f"{what}, by {pause.by}{note}", f"When it is over: `{lift}`.")
    for build in overview.builds_held:
        lift = resume_build(build.org_id, build.app_version_id)
        yield Finding(
            "build held", "warning", build.why, f"It is tried again by itself, or at once: `{lift}`."
        )


def labels(overview: Overview, agents: Sequence[Heartbeat]) -> Iterator[Finding]:
    """Jobs that wait for labels which no slot has: a mistyped one, or a machine that is not there."""
    for needs, jobs in unfit(overview.groups, (slot.labels for a in agents for slot in a.slots)).items():
        look = f"qgjob queue status {' '.join(queue_options(None, needs))}"
        yield Finding(
            "labels",
            "warning",
            f"{pluralize(jobs, 'job')} {'needs' if jobs == 1 else 'need'} what no slot has: {needs}",
            f"`{look}` says whose they are. Start an agent whose slots have these labels (`qgjob agent "
            "--labels`), or cancel the jobs.",
        )


def _skew(view: ClockView) -> str:
    way = "ahead" if view.ahead_s > 0 else "late"
    return f"{view.name} is {abs(view.ahead_s):.1f} s {way} (±{view.bound_s:.1f} s)"
