"""Finds a job's test file in its bundle; the name comes from the bus and is not trusted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from agent.errors import RunnerError


def find_tests(bundle: Path, tests: Sequence[str]) -> list[Path]:
    """Where all files of a job are; raises `RunnerError` like `find_test`."""
    return [find_test(bundle, test) for test in tests]


def find_test(bundle: Path, test: str, *, must_exist: bool = True) -> Path:
    """Where the test is. Raises `RunnerError` for a name that leaves the bundle, and for one not in it."""
    parts = test.split("/")
    if not test or test.startswith("/") or ".." in parts or "\0" in test:
        raise RunnerError(
            f"the test's name leads out of its bundle: {test!r}", reason="test_missing", retryable=False
        )
    path = bundle.joinpath(*parts)
    if must_exist and not path.is_file():
        raise RunnerError(f"there is no {test} in the test bundle", reason="test_missing", retryable=False)
    return path
