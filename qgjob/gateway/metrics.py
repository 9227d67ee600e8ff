"""Metrics of the lab for Prometheus, in its text format (version 0.0.4).

What counts upwards begins anew with each leader, as the overview does, or with each gateway; Prometheus
expects that of counters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from math import inf
from typing import TYPE_CHECKING, Final, NamedTuple, get_args

from bus_schemas.agents import SlotState
from qgjob.domain.lifecycle import TERMINAL

if TYPE_CHECKING:
    from bus_schemas.agents import Heartbeat
    from bus_schemas.queries import CheckView, Overview
    from bus_schemas.timings import HistogramView, TimingsAnswer

MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


Labels = tuple[tuple[str, str], ...]


class Sample(NamedTuple):
    """A value, and the labels that tell it from others of its metric."""

    value: float
    labels: Labels = ()


def exposition(
    checks: Sequence[CheckView],
    overview: Overview | None,
    agents: Sequence[Heartbeat] | None,
    timings: TimingsAnswer | None,
    refused: Mapping[str, int],
) -> str:
    """The whole answer; of overview, agents and timings nothing where nobody tells of them.

    `refused`: how often each limit of this gateway refused somebody.
    """
    healthy = all(check.ok for check in checks)
    parts = [
        _metric("healthy", "gauge", "Whether all checks are well.", [Sample(healthy)]),
        _metric(
            "check_ok",
            "gauge",
            "Whether a check of the system is well.",
            (Sample(check.ok, (("check", check.name),)) for check in checks),
        ),
        _metric(
            "http_refused_total",
            "counter",
            "Requests that this gateway refused for a rate limit (429).",
            (Sample(count, (("limit", name),)) for name, count in refused.items()),
        ),
    ]
    if overview is not None:
        parts += _of_overview(overview)
    if agents is not None:
        parts += _of_agents(agents)
    if timings is not None:
        parts += _of_timings(timings)
    return "".join(parts)


def _of_overview(overview: Overview) -> list[str]:
    depths = (Sample(depth, (("priority", name),)) for name, depth in sorted(overview.depths.items()))
    ends = (Sample(overview.ended.get(state, 0), (("state", state),)) for state in sorted(TERMINAL))
    oldest = overview.oldest_wait_s or 0.0
    return [
        _metric("jobs_waiting", "gauge", "Jobs in the queue, those for later included.", depths),
        _metric("jobs_delayed", "gauge", "Waiting jobs whose time has not come.", [Sample(overview.delayed)]),
        _metric("jobs_held", "gauge", "Waiting jobs that a pause or a limit holds.", [Sample(overview.held)]),
        _metric("jobs_running", "gauge", "Jobs that slots have begun with.", [Sample(overview.running)]),
        _metric("oldest_wait_seconds", "gauge", "How long the oldest job waits.", [Sample(oldest)]),
        _metric("jobs_ended_total", "counter", "Jobs that ended for good.", ends),
        _metric("installs_total", "counter", "Installs that were made.", [Sample(overview.installs)]),
        _metric(
            "installs_avoided_total",
            "counter",
            "Starts on a slot that had the build already.",
            [Sample(overview.installs_avoided)],
        ),
        _metric(
            "dead_letters", "gauge", "Messages kept that could not be read.", [Sample(overview.dead_letters)]
        ),
    ]


def _of_agents(agents: Sequence[Heartbeat]) -> list[str]:
    states = Counter(slot.state for agent in agents for slot in agent.slots)
    slots = (Sample(states[state], (("state", state),)) for state in get_args(SlotState))
    return [
        _metric("agents", "gauge", "Agents that are alive.", [Sample(len(agents))]),
        _metric("slots", "gauge", "Slots of them, by what they do.", slots),
    ]


def _of_timings(timings: TimingsAnswer) -> list[str]:
    return [
        _histogram(
            "job_wait_seconds",
            "How long attempts waited, from when they could start until a slot had them.",
            ((view, (("priority", name),)) for name, view in sorted(timings.waits.items())),
        ),
        *(
            _histogram(name, words, [(view, ())])
            for name, words, view in (
                ("test_duration_seconds", "How long tests ran, the install not included.", timings.tests),
                ("install_duration_seconds", "How long installs took that were made.", timings.installs),
                ("placement_duration_seconds", "How long the scheduler took to place.", timings.rounds),
            )
            if view is not None
        ),
    ]


def _metric(name: str, kind: str, words: str, samples: Iterable[Sample]) -> str:
    lines = [f"# HELP qgjob_{name} {words}", f"# TYPE qgjob_{name} {kind}"]
    return "\n".join(lines + [_line(name, *sample) for sample in samples]) + "\n"


def _histogram(name: str, words: str, views: Iterable[tuple[HistogramView, Labels]]) -> str:
    lines = [f"# HELP qgjob_{name} {words}", f"# TYPE qgjob_{name} histogram"]
    for view, labels in views:
        counts = list(accumulate(view.counts))  # each bucket has what the smaller ones have
        for bound, count in zip((*view.bounds, inf), counts, strict=False):
            le = "+Inf" if bound == inf else f"{bound:g}"
            lines.append(_line(f"{name}_bucket", count, (*labels, ("le", le))))
        lines += [_line(f"{name}_sum", view.sum_s, labels), _line(f"{name}_count", counts[-1], labels)]
    return "\n".join(lines) + "\n"


def _line(name: str, value: float, labels: Labels) -> str:
    said = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels)
    return f"qgjob_{name}{{{said}}} {float(value):.15g}" if said else f"qgjob_{name} {float(value):.15g}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
