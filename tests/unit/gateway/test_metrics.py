"""What Prometheus reads is what it can read."""

from __future__ import annotations

import re

from bus_schemas.queries import CheckView, Overview
from qgjob.gateway.metrics import exposition
from tests.support.samples.lab import HEARTBEAT
from tests.support.samples.views import TIMINGS

_LABEL = r'[a-z]+="([^"\\\n]|\\[\\"n])*"'
_SAMPLE = re.compile(rf"qgjob_[a-z_]+(\{{{_LABEL}(,{_LABEL})*\}})? [0-9.e+]+")
OVERVIEW = Overview(
    at=1_790_000_000.0,
    depths={"high": 1, "medium": 20, "low": 0},
    running=3,
    ended={"passed": 7, "timed_out": 2},
    oldest_wait_s=61.5,
    installs=1_234_567,
)


def lines_of(*checks: CheckView, overview: Overview | None = OVERVIEW) -> list[str]:
    told = ([HEARTBEAT], TIMINGS) if overview else (None, None)
    text = exposition(checks, overview, *told, {"requests": 3, "jobs": 0})
    assert text.endswith("\n")
    return text.splitlines()


def test_every_line_is_a_sample_of_a_metric_that_was_announced():
    typed: set[str] = set()
    for line in lines_of(CheckView(name='a "b"\\\n', ok=False, detail="")):
        if line.startswith("# TYPE "):
            typed.add(line.split()[2])
        elif not line.startswith("# HELP "):
            assert _SAMPLE.fullmatch(line), line
            name = re.split(r"[{ ]", line)[0]
            assert name in typed or re.sub("_(bucket|sum|count)$", "", name) in typed


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


def test_a_histogram_has_in_each_bucket_what_the_smaller_ones_have():
    text = "\n".join((*lines_of(), ""))
    assert (
        "# TYPE qgjob_job_wait_seconds histogram\n"
        'qgjob_job_wait_seconds_bucket{priority="high",le="0.5"} 2\n'
        'qgjob_job_wait_seconds_bucket{priority="high",le="60"} 2\n'
        'qgjob_job_wait_seconds_bucket{priority="high",le="+Inf"} 3\n'
        'qgjob_job_wait_seconds_sum{priority="high"} 100.5\n'
        'qgjob_job_wait_seconds_count{priority="high"} 3\n'
    ) in text
    assert "\nqgjob_test_duration_seconds_count 3\n" in text
    assert "install_duration" not in text, "of which nobody told"


def test_of_what_nobody_answers_for_nothing_is_said():
    lines = lines_of(CheckView(name="server", ok=False, detail="gone"), overview=None)
    assert [line for line in lines if not line.startswith("#")] == [
        "qgjob_healthy 0",
        'qgjob_check_ok{check="server"} 0',
        'qgjob_http_refused_total{limit="requests"} 3',
        'qgjob_http_refused_total{limit="jobs"} 0',
    ]
