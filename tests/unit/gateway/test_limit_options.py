"""What is said of limits is understood, and what is wrong is named by who said it."""

from __future__ import annotations

import pytest

from qgjob.errors import UsageError
from qgjob.gateway.gates import Limit
from qgjob.gateway.limitoptions import http_limits, proxies_of
from qgjob.gateway.limits import Rate


def test_nobody_has_to_say_anything():
    limits = http_limits({}, {})
    assert limits.requests == Limit(Rate(1000, 10_000), "the default of --http-rate")
    assert limits.jobs is None


def test_the_command_line_goes_before_the_environment():
    env = {"QGJOB_HTTP_RATE": "5", "QGJOB_HTTP_JOBS": "600", "QGJOB_HTTP_BURST": "7"}
    assert http_limits({"http_rate": None}, env).requests == Limit(Rate(5, 7), "QGJOB_HTTP_RATE")
    assert http_limits({"http_rate": "0.25"}, {}).requests == Limit(Rate(0.25, 3), "--http-rate")
    assert http_limits({"http_rate": "0.01"}, {}).requests == Limit(Rate(0.01, 1), "--http-rate")
    assert http_limits({}, env).jobs == Limit(Rate(10, 600), "QGJOB_HTTP_JOBS")
    assert http_limits({"http_jobs": "none"}, env).jobs is None
    assert http_limits({"http_rate": "None"}, {}).requests is None


@pytest.mark.parametrize(
    ("given", "env", "named"),
    [
        ({"http_rate": "0"}, {}, "--http-rate '0'"),
        ({"http_rate": "nan"}, {}, "--http-rate 'nan'"),
        ({"http_rate": "inf"}, {}, "--http-rate 'inf'"),
        (
            {},
            {"QGJOB_HTTP_RATE": "fast"},
            "QGJOB_HTTP_RATE 'fast': a number from 0.001 to 1,000,000, or none.",
        ),
        ({"http_burst": "1.5"}, {}, "--http-burst '1.5': a whole number from 1 to 1,000,000."),
        ({"http_burst": "none"}, {}, "--http-burst 'none'"),
        ({"http_rate": "none", "http_burst": "5"}, {}, "--http-burst needs a rate, and --http-rate is none."),
        ({"http_jobs": "0"}, {}, "--http-jobs '0': a whole number from 1 to 1,000,000, or none."),
        ({}, {"QGJOB_HTTP_JOBS": "9" * 5000}, "QGJOB_HTTP_JOBS '9"),
    ],
)
def test_what_is_wrong_is_named(given: dict[str, str], env: dict[str, str], named: str):
    with pytest.raises(UsageError) as caught:
        http_limits(given, env)
    assert caught.value.message.startswith(named)


def test_proxies_are_addresses_or_networks():
    assert proxies_of(None) == []
    assert proxies_of("10.0.0.7, 10.1.0.0/16,::1") == ["10.0.0.7", "10.1.0.0/16", "::1"]
    for wrong in ("proxy.example", "*", "10.0.0.7/8"):
        with pytest.raises(UsageError, match="neither an address nor a network"):
            proxies_of(wrong)
