"""Detects CI systems, and reads the branch, commit, URL, … of a build from the variables that they set.

Sources: the lists of predefined variables in the documentation of GitHub Actions, GitLab CI/CD,
Jenkins (with its Git plug-in), Buildkite and CircleCI.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

_MAX_VALUE: Final = 1000


def detected_meta(env: Mapping[str, str]) -> dict[str, str]:
    """`ci`, `branch`, `commit`, `pull_request`, `url`, `name` and `actor`, as far as they are known."""
    for name, mark, read in _SYSTEMS:
        if env.get(mark):
            meta = {"ci": name, **read(env)}
            return {key: value.strip()[:_MAX_VALUE] for key, value in meta.items() if value.strip()}
    return {}


def in_ci(env: Mapping[str, str]) -> bool:
    """Whether we run in a CI system: nobody can answer questions."""
    return env.get("CI", "").lower() not in {"", "0", "false"} or in_known_ci(env)


def in_known_ci(env: Mapping[str, str]) -> bool:
    """Whether it is a CI system that we know: containers and test suites set `CI` too."""
    return any(env.get(mark) for _, mark, _ in _SYSTEMS)


def _github(env: Mapping[str, str]) -> dict[str, str]:
    event = _github_event(env.get("GITHUB_EVENT_PATH", ""))
    pull = event.get("pull_request")
    request = cast("dict[str, Any]", pull) if isinstance(pull, dict) else {}
    head = request.get("head")
    # The commit of a pull request's workflow is a merge that nobody knows: the head is meant.
    sha = cast("dict[str, Any]", head).get("sha") if isinstance(head, dict) else None
    server, repository = env.get("GITHUB_SERVER_URL", ""), env.get("GITHUB_REPOSITORY", "")
    run = env.get("GITHUB_RUN_ID", "")
    return {
        "branch": env.get("GITHUB_HEAD_REF") or env.get("GITHUB_REF_NAME", ""),
        "commit": sha if isinstance(sha, str) else env.get("GITHUB_SHA", ""),
        "pull_request": str(request.get("number", "")),
        "url": f"{server}/{repository}/actions/runs/{run}" if server and repository and run else "",
        "name": env.get("GITHUB_WORKFLOW", ""),
        "actor": env.get("GITHUB_ACTOR", ""),
    }


def _github_event(path: str) -> dict[str, Any]:
    try:
        event: Any = json.loads(Path(path).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", event) if isinstance(event, dict) else {}


def _gitlab(env: Mapping[str, str]) -> dict[str, str]:
    return {
        "branch": env.get("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME") or env.get("CI_COMMIT_REF_NAME", ""),
        "commit": env.get("CI_COMMIT_SHA", ""),
        "pull_request": env.get("CI_MERGE_REQUEST_IID", ""),
        "url": env.get("CI_JOB_URL", ""),
        "name": env.get("CI_JOB_NAME", ""),
        "actor": env.get("GITLAB_USER_LOGIN", ""),
    }


def _jenkins(env: Mapping[str, str]) -> dict[str, str]:
    return {
        "branch": env.get("CHANGE_BRANCH") or env.get("BRANCH_NAME") or env.get("GIT_BRANCH", ""),
        "commit": env.get("GIT_COMMIT", ""),
        "pull_request": env.get("CHANGE_ID", ""),
        "url": env.get("BUILD_URL", ""),
        "name": env.get("JOB_NAME", ""),
        "actor": env.get("CHANGE_AUTHOR", ""),
    }


def _buildkite(env: Mapping[str, str]) -> dict[str, str]:
    pull = env.get("BUILDKITE_PULL_REQUEST", "")
    return {
        "branch": env.get("BUILDKITE_BRANCH", ""),
        "commit": env.get("BUILDKITE_COMMIT", ""),
        "pull_request": "" if pull == "false" else pull,
        "url": env.get("BUILDKITE_BUILD_URL", ""),
        "name": env.get("BUILDKITE_PIPELINE_SLUG", ""),
        "actor": env.get("BUILDKITE_BUILD_CREATOR", ""),
    }


def _circleci(env: Mapping[str, str]) -> dict[str, str]:
    return {
        "branch": env.get("CIRCLE_BRANCH", ""),
        "commit": env.get("CIRCLE_SHA1", ""),
        "pull_request": env.get("CIRCLE_PULL_REQUEST", "").rpartition("/")[2],
        "url": env.get("CIRCLE_BUILD_URL", ""),
        "name": env.get("CIRCLE_JOB", ""),
        "actor": env.get("CIRCLE_USERNAME", ""),
    }


_SYSTEMS: Final = (
    ("github", "GITHUB_ACTIONS", _github),
    ("gitlab", "GITLAB_CI", _gitlab),
    ("buildkite", "BUILDKITE", _buildkite),
    ("circleci", "CIRCLECI", _circleci),
    ("jenkins", "JENKINS_URL", _jenkins),
)
