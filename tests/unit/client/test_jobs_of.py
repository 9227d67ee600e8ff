"""What a submit is charged for is what it makes."""

from __future__ import annotations

from typing import Any

import pytest

from qgjob.client.models import SubmitRequest
from qgjob.client.submitting.submit import jobs_of, make_specs


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"matrix": ("android-13", "android-14"), "repeat": 3},
        {"shards": 2},
        {"shards": 9},
        {"shards": 2, "matrix": ("a", "b"), "repeat": 2},
        {"tests": ("a", "a", "b"), "shards": 3},
        {"tests": ("a", "a", "b")},
    ],
)
def test_as_many_jobs_are_counted_as_are_made(more: dict[str, Any]):
    said: dict[str, Any] = {"tests": ("a", "b", "c"), "runner": "pytest", **more}
    request = SubmitRequest(org_id="acme", app_version_id="v1", **said)
    assert jobs_of(request) == len(make_specs(request, 1_800_000_000.0))
