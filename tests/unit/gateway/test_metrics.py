"""What Prometheus reads is what it can read."""

from __future__ import annotations

import re

from bus_schemas.queries import CheckView, Overview
from qgjob.gateway.metrics import exposition
from tests.support.samples import HEARTBEAT

_SAMPLE = re.compile(r'qgjob_[a-z_]+(\{[a-z]+="([^"\\\n]|\\[\\"n])*"\})? [0-9.e+]+')
OVERVIEW = Overview(
    at=1_790_000_000.0,
    depths={"high": 1, "medium": 20, "low": 0},
    running=3,
    ended={"passed": 7, "timed_out": 2},
    oldest_wait_s=61.5,
    installs=1_234_567,
)


def lines_of(*checks: CheckView, overview: Overview | None = OVERVIEW) -> list[str]:
    text = exposition(checks, overview, [HEARTBEAT] if overview else None, {"requests": 3, "jobs": 0})
    assert text.endswith("\n")
    return text.splitlines()


def test_every_line_is_a_sample_of_a_metric_that_was_announced():
    typed: set[str] = set()
    for line in lines_of(CheckView(name='a "b"\\\n', ok=False, detail="")):
        if line.startswith("# TYPE "):
            typed.add(line.split()[2])
        elif not line.startswith("# HELP "):
            assert _SAMPLE.fullmatch(line), line
            assert re.split(r"[{ ]", line)[0] in typed


def test_the_figures_are_those_of_the_overview_and_the_agents():
    lines = lines_of(CheckView(name="nats", ok=True, detail=""))
    assert {
        "qgjob_healthy 1",
        'qgjob_check_ok{check="nats"} 1',
        'qgjob_jobs_waiting{priority="medium"} 20',
        "qgjob_jobs_running 3",
        'qgjob_jobs_ended_total{state="timed_out"} 2',
        'qgjob_jobs_ended_total{state="failed"} 0',
        "qgjob_oldest_wait_seconds 61.5",
        "qgjob_installs_total 1234567",
        "qgjob_agents 1",
        'qgjob_http_refused_total{limit="requests"} 3',
        'qgjob_http_refused_total{limit="jobs"} 0',
    } <= set(lines)


def test_of_what_nobody_answers_for_nothing_is_said():
    lines = lines_of(CheckView(name="server", ok=False, detail="gone"), overview=None)
    assert [line for line in lines if not line.startswith("#")] == [
        "qgjob_healthy 0",
        'qgjob_check_ok{check="server"} 0',
        'qgjob_http_refused_total{limit="requests"} 3',
        'qgjob_http_refused_total{limit="jobs"} 0',
    ]
